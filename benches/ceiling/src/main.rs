//! `hushd-ceiling [gathered|each] [ADDRESS]`: the ceiling on a port of its own, for experiments.

use std::io;
use std::net::TcpListener;

use hushd_ceiling::{Writes, serve};

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let writes = match args.next().as_deref() {
        None | Some("gathered") => Writes::Gathered,
        Some("each") => Writes::Each,
        Some(other) => {
            return Err(io::Error::other(format!(
                "{other}: neither gathered nor each"
            )));
        }
    };
    let listener = TcpListener::bind(args.next().as_deref().unwrap_or("127.0.0.1:0"))?;
    println!("listening on {}", listener.local_addr()?);
    match serve(&listener, writes)? {}
}

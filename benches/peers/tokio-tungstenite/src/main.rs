//! A chat server on tokio-tungstenite, as its `server` example does it, and well: one thread, one
//! broadcast channel for each room, a read buffer that fits chat, and one flush for all that waits.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

type Rooms = Rc<RefCell<HashMap<String, broadcast::Sender<Message>>>>;

/// A member that is further behind is dropped.
const CAPACITY: usize = 4096;

async fn serve(stream: TcpStream, rooms: Rooms) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut path = String::new();
    let note = |request: &Request, response: Response| {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024);
    let mut ws = accept_hdr_async_with_config(stream, note, Some(config)).await?;
    let room = rooms
        .borrow_mut()
        .entry(path)
        .or_insert_with(|| broadcast::channel(CAPACITY).0)
        .clone();
    let mut said = room.subscribe();
    loop {
        tokio::select! {
            heard = ws.next() => match heard {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    let _ = room.send(message);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            message = said.recv() => match message {
                Ok(message) => {
                    ws.feed(message).await?;
                    while let Ok(message) = said.try_recv() {
                        ws.feed(message).await?;
                    }
                    ws.flush().await?;
                }
                Err(RecvError::Lagged(_) | RecvError::Closed) => return Ok(()),
            },
        }
    }
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on {}", listener.local_addr()?);
        let rooms = Rooms::default();
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(serve(stream, rooms.clone()));
        }
    })
}

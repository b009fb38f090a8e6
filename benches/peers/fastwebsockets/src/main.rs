//! A chat server on fastwebsockets, as its `echo_server_split` example does it, and well: one
//! thread, one broadcast channel for each room, and one write for all that waits.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::BufWriter;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};

type Rooms = Rc<RefCell<HashMap<String, broadcast::Sender<Bytes>>>>;

/// A member that is further behind is dropped.
const CAPACITY: usize = 4096;

async fn serve(upgraded: UpgradeFut, room: broadcast::Sender<Bytes>) -> Result<(), WebSocketError> {
    let mut said = room.subscribe();
    let (reader, mut writer) = upgraded.await?.split(|stream| {
        let (reader, writer) = tokio::io::split(stream);
        (reader, BufWriter::new(writer))
    });
    let mut reader = FragmentCollectorRead::new(reader);
    let (answer, mut answers) = mpsc::unbounded_channel::<Frame<'static>>();
    // Reading is not cancelled by writing: each has its own loop.
    let read = async {
        loop {
            let mut answer = |frame: Frame<'_>| {
                let payload = Payload::Owned(frame.payload.to_vec());
                let _ = answer.send(Frame::new(frame.fin, frame.opcode, None, payload));
                async { Ok::<_, WebSocketError>(()) }
            };
            let frame = reader.read_frame(&mut answer).await?;
            match frame.opcode {
                OpCode::Close => return Ok(()),
                OpCode::Text | OpCode::Binary => {
                    drop(room.send(Bytes::copy_from_slice(&frame.payload)))
                }
                OpCode::Continuation | OpCode::Ping | OpCode::Pong => {}
            }
        }
    };
    let write = async {
        loop {
            tokio::select! {
                Some(frame) = answers.recv() => writer.write_frame(frame).await?,
                message = said.recv() => {
                    let Ok(message) = message else { return Ok(()) };
                    writer.write_frame(Frame::text(Payload::Borrowed(&message))).await?;
                    while let Ok(message) = said.try_recv() {
                        writer.write_frame(Frame::text(Payload::Borrowed(&message))).await?;
                    }
                }
            }
            writer.flush().await?;
        }
    };
    tokio::select! { done = read => done, done = write => done }
}

async fn answer(
    mut request: Request<Incoming>,
    rooms: Rooms,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = upgrade(&mut request)?;
    let path = request.uri().path().to_owned();
    let room = rooms
        .borrow_mut()
        .entry(path)
        .or_insert_with(|| broadcast::channel(CAPACITY).0)
        .clone();
    tokio::task::spawn_local(tokio::task::unconstrained(serve(upgraded, room)));
    Ok(response)
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
            stream.set_nodelay(true)?;
            let rooms = rooms.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request| answer(request, rooms.clone()));
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades()
                    .await;
            });
        }
    })
}

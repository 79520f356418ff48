//! The native half of the WebSocket measurement (`tests/bench/websocket.mjs`), in one process: at `/` a libp2p peer that answers `/perf/1.0.0`
//! behind the very listener that the relay has, and at `/raw` a bare WebSocket that takes and gives as many bytes as it is told to.
//!
//! Prints the port it listens at, and ends with its standard input.
#![allow(clippy::expect_used, reason = "a measurement that cannot go on has failed")]

use std::{
    io::{self, Read as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{
        ConnectInfo, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::Response,
    routing::get,
};
use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{Stream, StreamProtocol, Swarm, Transport as _, identity::Keypair, swarm};
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    admission::{Door, Visitors},
    arrivals::{Arrival, Bounds, Socket, Transport},
    health::Health,
    negotiation::Security,
    way::Way,
};

#[allow(dead_code, reason = "the relay's own, of which a part is used here")]
#[path = "../src/addresses.rs"]
mod addresses;
#[allow(dead_code, reason = "the relay's own, of which a part is used here")]
#[path = "../src/admission.rs"]
mod admission;
#[allow(dead_code, reason = "the relay's own, of which a part is used here")]
#[path = "../src/arrivals.rs"]
mod arrivals;
#[allow(dead_code, reason = "the relay's own, of which a part is used here")]
#[path = "../src/health.rs"]
mod health;
#[allow(dead_code, reason = "the relay's own, of which a part is used here")]
#[path = "../src/limits.rs"]
mod limits;
#[path = "../src/meter.rs"]
mod meter;
#[path = "../src/muxer.rs"]
mod muxer;
#[allow(dead_code, reason = "the relay's own, of which a part is used here")]
#[path = "../src/negotiation.rs"]
mod negotiation;
#[allow(dead_code, reason = "the relay's own, of which a part is used here")]
#[path = "../src/tcp.rs"]
mod tcp;
#[allow(dead_code, reason = "the relay's own, of which a part is used here")]
#[path = "../src/way.rs"]
mod way;
#[allow(dead_code, reason = "the relay's own, of which a part is used here")]
#[path = "../src/websocket.rs"]
mod websocket;

/// libp2p's measurement: <https://github.com/libp2p/specs/blob/master/perf/perf.md>.
const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
/// As the relay's own defaults.
const BOUNDS: Bounds = Bounds { handshake: Duration::from_secs(10), streams: 128 };
/// Bytes written or read at once.
const CHUNK: usize = 64 * 1024;

#[tokio::main]
async fn main() -> io::Result<()> {
    let (arrive, arrivals) = mpsc::channel(limits::ARRIVALS);
    let key = Keypair::generate_ed25519();
    let transport = Transport::new(arrivals, Security::new(&key)?, Arc::new(Health::new()), BOUNDS).boxed();
    let behaviour = libp2p_stream::Behaviour::new();
    let mut streams = behaviour.new_control().accept(PERF).expect("nobody else accepts them");
    let mut swarm = Swarm::new(transport, behaviour, key.public().to_peer_id(), swarm::Config::with_tokio_executor());
    swarm.listen_on("/ip4/127.0.0.1/tcp/1/ws".parse().map_err(io::Error::other)?).map_err(io::Error::other)?;
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
    tokio::spawn(async move {
        while let Some((_, stream)) = streams.next().await {
            tokio::spawn(async move { answer(stream).await.expect("a measurement ends well") });
        }
    });

    let door = Door::new(usize::MAX, usize::MAX, &Visitors::new());
    let libp2p = move |upgrade: WebSocketUpgrade, ConnectInfo(remote): ConnectInfo<SocketAddr>| async move {
        let knock = door.knock(Some(remote.ip().into())).expect("there is room for everybody");
        upgraded(upgrade, async move |socket| {
            drop(arrive.send(Arrival { socket: Socket::WebSocket(Box::new(socket)), way: Way::WebSocket, remote, knock }).await)
        })
    };
    let raw =
        |upgrade: WebSocketUpgrade| async move { upgraded(upgrade, async |socket| raw(socket).await.expect("a measurement ends well")) };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let service = Router::new().route("/", get(libp2p)).route("/raw", get(raw)).into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        ended = axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))), service) => ended,
        _ = tokio::task::spawn_blocking(|| io::stdin().read(&mut [0])) => Ok(()),
    }
}

/// A WebSocket with the limits that the relay gives to its own.
fn upgraded<F: Future<Output = ()> + Send + 'static>(
    upgrade: WebSocketUpgrade,
    serve: impl FnOnce(WebSocket) -> F + Send + 'static,
) -> Response {
    upgrade
        .max_frame_size(limits::WEBSOCKET_MESSAGE)
        .max_message_size(limits::WEBSOCKET_MESSAGE)
        .read_buffer_size(limits::WEBSOCKET_READ)
        .write_buffer_size(limits::WEBSOCKET_WRITE)
        .max_write_buffer_size(limits::WEBSOCKET_WRITE_QUEUE)
        .on_upgrade(serve)
}

/// Sixteen bytes say how many will come and how many shall go back (big endian); then they come, then they go.
async fn raw(mut socket: WebSocket) -> io::Result<()> {
    let mut header = Vec::new();
    let mut received = 0;
    while header.len() < 16 || received < number(&header[..8]) {
        let Some(message) = socket.next().await else { return Ok(()) };
        let mut bytes = match message.map_err(io::Error::other)? {
            Message::Binary(bytes) => bytes,
            _ => continue,
        };
        header.extend_from_slice(&bytes.split_to(bytes.len().min(16 - header.len())));
        received += bytes.len() as u64;
    }
    let chunk = Bytes::from(vec![7; CHUNK]);
    let mut left = number(&header[8..]);
    while left > 0 {
        let length = left.min(CHUNK as u64);
        socket.send(Message::Binary(chunk.slice(..length as usize))).await.map_err(io::Error::other)?;
        left -= length;
    }
    while let Some(Ok(_)) = socket.next().await {}
    Ok(())
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Answers one stream of `/perf/1.0.0`.
async fn answer(mut stream: Stream) -> io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    let mut left = u64::from_be_bytes(wanted);
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer).await? > 0 {}
    while left > 0 {
        let length = left.min(CHUNK as u64);
        stream.write_all(&buffer[..length as usize]).await?;
        left -= length;
    }
    stream.close().await
}

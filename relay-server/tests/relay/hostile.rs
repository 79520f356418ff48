//! What strangers may try, and honest peers must not notice.

use std::{
    future::poll_fn,
    pin::Pin,
    task::Poll,
    time::{Duration, Instant},
};

use futures::{AsyncWrite as _, SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Bytes, Error, Message},
};

use libp2p::core::muxing::StreamMuxerExt as _;

use crate::support::{
    peer::{Peer, raw},
    program::Relay,
    soon, until,
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn socket(relay: &Relay) -> Result<Socket, Error> {
    connect_async(format!("ws://{}/", relay.listen)).await.map(|(socket, _)| socket)
}

/// Waits until the relay has closed `socket`.
async fn closed(mut socket: Socket) {
    soon("the relay's refusal", async { while let Some(Ok(_)) = socket.next().await {} }).await;
}

#[tokio::test]
async fn a_large_frame_from_a_stranger_is_refused_at_its_header() {
    let relay = Relay::start(&[]);
    Peer::new().dial(relay.address()).await.unwrap();
    let before = relay.memory();
    for _ in 0..50 {
        let mut socket = socket(&relay).await.unwrap();
        // The relay closes while this is still being written: an error here is a success.
        let _ = socket.send(Message::Binary(Bytes::from(vec![0; 1024 * 1024]))).await;
        closed(socket).await;
    }
    let grown = relay.memory().saturating_sub(before);
    assert!(grown < 4 * 1024 * 1024, "memory grew by {grown}");
    until("the sockets' end", || relay.counted("connections") == 0).await;
    // Not one of the mebibytes was taken in.
    assert!(relay.counted("bytesReceived") < 128 * 1024);
}

#[tokio::test]
async fn a_gigabyte_announced_in_fragments_is_refused() {
    let relay = Relay::start(&[]);
    let mut stream = TcpStream::connect(relay.listen).await.unwrap();
    upgrade(&mut stream, &relay).await;
    // A first fragment of 100 KiB, and another: below the frame's limit, above the message's.
    for opcode in [0x02, 0x00] {
        let mut frame = vec![opcode, 0x80 | 127];
        frame.extend((100 * 1024_u64).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(vec![0; 100 * 1024]);
        if stream.write_all(&frame).await.is_err() {
            break;
        }
    }
    ended(&mut stream).await;
}

#[tokio::test]
async fn nonsense_ends_the_socket_and_nothing_else() {
    let relay = Relay::start(&[]);
    let mut honest = Peer::new();
    honest.reserve(relay.address()).await.unwrap();
    let noise_then_nonsense = b"\x13/multistream/1.0.0\n\x07/noise\n".iter().copied().chain([0xff; 4096]).collect::<Vec<_>>();
    for message in [
        Message::Binary(Bytes::from(vec![0xff; 4096])),
        Message::Binary(Bytes::from(vec![0x00; 4096])),
        Message::Binary(Bytes::from(noise_then_nonsense)),
        Message::Text("hello".into()),
        Message::Close(None),
    ] {
        let mut socket = socket(&relay).await.unwrap();
        socket.send(message).await.unwrap();
        closed(socket).await;
    }
    assert_eq!((relay.counted("reservations"), relay.counted("connections")), (1, 1));
    Peer::new().dial_through(&relay, honest.id).await.unwrap();
}

#[tokio::test]
async fn nothing_but_noise_secures_a_connection() {
    let relay = Relay::start(&[]);
    let mut socket = socket(&relay).await.unwrap();
    let line = |protocol: &str| [&[protocol.len() as u8 + 1], protocol.as_bytes(), b"\n"].concat();
    let proposals = ["/multistream/1.0.0", "/plaintext/2.0.0", "/tls/1.0.0", "/yamux/1.0.0", "/noise"].map(line).concat();
    socket.send(Message::Binary(proposals.into())).await.unwrap();
    let expected = ["/multistream/1.0.0", "na", "na", "na", "/noise"].map(line).concat();
    let mut answers = Vec::new();
    soon("the answers", async {
        while answers.len() < expected.len() {
            answers.extend(socket.next().await.unwrap().unwrap().into_data());
        }
    })
    .await;
    assert_eq!(answers, expected, "{}", String::from_utf8_lossy(&answers));
}

#[tokio::test]
async fn half_open_sockets_are_few_and_short_lived() {
    let relay = Relay::start(&["--max-pending", "3", "--max-pending-per-network", "3"]);
    let start = Instant::now();
    let mut pending = Vec::new();
    for _ in 0..3 {
        pending.push(socket(&relay).await.unwrap());
    }
    match socket(&relay).await {
        Err(Error::Http(answer)) => {
            assert_eq!(answer.status(), 503);
            assert!(answer.headers().contains_key("retry-after"));
        }
        other => panic!("a fourth: {other:?}"),
    }
    let mut silent = TcpStream::connect(relay.listen).await.unwrap();
    let mut slow = TcpStream::connect(relay.listen).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: a").await.unwrap();
    for socket in pending {
        closed(socket).await;
    }
    ended(&mut silent).await;
    ended(&mut slow).await;
    assert!(start.elapsed() > Duration::from_secs(5), "they had a fair chance");
    Peer::new().dial(relay.address()).await.unwrap();
    assert_eq!(relay.counted("refused"), 1);
}

#[tokio::test]
async fn pings_do_not_keep_a_stranger_waiting_inside() {
    let relay = Relay::start(&["--max-pending", "1", "--max-pending-per-network", "1"]);
    let mut socket = socket(&relay).await.unwrap();
    let flood = async { while socket.send(Message::Ping(Bytes::new())).await.is_ok() {} };
    soon("the end of its ten seconds", flood).await;
    Peer::new().dial(relay.address()).await.unwrap();
}

/// Who opens streams without end gets to some hundreds (what is on its way when the relay says no), and loses the connection.
#[tokio::test]
async fn streams_without_end_cost_their_opener_the_connection_and_nobody_else() {
    let relay = Relay::start(&[]);
    let mut honest = Peer::new();
    honest.reserve(relay.address()).await.unwrap();
    let before = relay.memory();
    for _ in 0..10 {
        let mut connection = raw(relay.address()).await;
        let mut streams = Vec::new();
        let opened = soon("the relay's refusal", async {
            loop {
                let next = poll_fn(|context| match connection.poll_unpin(context) {
                    Poll::Ready(Err(_)) => Poll::Ready(None),
                    _ => connection.poll_outbound_unpin(context).map(Result::ok),
                });
                let Some(mut stream) = next.await else { break };
                // The stream exists for the other side from its first byte on.
                let wrote = poll_fn(|context| {
                    let _ = connection.poll_unpin(context);
                    Pin::new(&mut stream).poll_write(context, &[0])
                });
                if wrote.await.is_err() {
                    break;
                }
                streams.push(stream);
            }
            streams.len()
        })
        .await;
        assert!(opened < 4_000, "{opened}");
        println!("the relay ended a connection after {opened} streams were opened on it");
    }
    until("their end", || relay.counted("connections") == 1).await;
    let grown = relay.memory().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "memory grew by {grown}");
    assert_eq!(relay.counted("reservations"), 1);
    Peer::new().dial_through(&relay, honest.id).await.unwrap();
}

/// Asks for a WebSocket by hand, to write frames by hand afterwards.
async fn upgrade(stream: &mut TcpStream, relay: &Relay) {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        relay.listen
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon("the answer", stream.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
}

/// Waits until the relay has closed `stream`, in whatever way.
async fn ended(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    soon("the connection's end", async { while let Ok(1..) = stream.read(&mut buffer).await {} }).await;
}

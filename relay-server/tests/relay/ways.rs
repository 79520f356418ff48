//! The ways in, from a program's side: where each is counted, and what is refused. That each holds reservations and carries bytes both ways is shown by
//! `tests/interop/matrix.test.mjs`, with `examples/pump.rs`.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    time::{Duration, Instant},
};

use libp2p::{core::Multiaddr, identify, swarm::SwarmEvent};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
};

use crate::support::{
    bytes,
    peer::{BehaviourEvent, Peer, Security},
    program::{Relay, command, free_tcp_port, free_udp_port, refusal},
    soon, until,
};

/// Bytes that go there and come back: more than any window holds.
const SIZE: usize = 10_000_000;

/// A relay with all that programs dial, that lets through what is sent here.
fn relay() -> Relay {
    Relay::start(&["--tcp", "same", "--quic", "127.0.0.1:0", "--circuit-bytes", "1000000000"])
}

/// Sends bytes through a circuit that comes by `from` and goes by `to`, and compares what the other end sends back.
pub(crate) async fn exchange(relay: &Relay, (mut alice, to): (Peer, &Multiaddr), (mut bob, from): (Peer, &Multiaddr)) {
    let before = relay.counted("relayedBytes");
    let echo = tokio::spawn(bytes::reserve(&mut alice, to).await);
    let time = bytes::exchange(&mut bob, from, alice.id, SIZE).await;
    println!("{from} to {to}: {:.0} MB/s each way", SIZE as f64 / 1e6 / time.as_secs_f64());
    echo.await.unwrap();
    let relayed = relay.counted("relayedBytes") - before;
    assert!(relayed >= 2 * SIZE as u64, "{relayed} counted as relayed");
    assert!(relay.counted("bytesReceived") >= 2 * SIZE as u64 && relay.counted("bytesSent") >= 2 * SIZE as u64);
}

#[tokio::test]
async fn quic_and_a_websocket_meet_in_a_circuit() {
    let relay = relay();
    let (alice, bob) = (Peer::program(Security::Noise), Peer::new());
    exchange(&relay, (alice, &relay.address_by("/quic-v1")), (bob, &relay.address_by("/ws"))).await;
}

#[tokio::test]
async fn each_is_counted_where_it_came_in() {
    let relay = Relay::start(&["--tcp", &format!("127.0.0.1:{}", free_tcp_port()), "--quic", "same"]);
    let native: Vec<_> = relay.bootstrap()["nativeAddresses"].as_array().unwrap().clone();
    assert_eq!(native.len(), 2, "one of each: {native:?}");
    let mut peers = Vec::new();
    for address in native {
        let mut peer = Peer::program(Security::Noise);
        peer.dial(address.as_str().unwrap().parse().unwrap()).await.unwrap();
        peers.push(peer);
    }
    let mut page = Peer::new();
    page.dial(relay.address()).await.unwrap();
    // A client that has said everything is connected a moment before the relay has heard it.
    let expected = json!({ "tcp": 1, "quic": 1, "webSocket": 1, "secureWebSocket": 0, "webTransport": 0, "webRtcDirect": 0 });
    until("each where it came in", || relay.health()["ways"] == expected).await;
    let told = page
        .event("identify", |event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { info, .. })) => Some(info.listen_addrs),
            _ => None,
        })
        .await;
    assert_eq!(told.len(), 3, "{told:?}");
}

#[tokio::test]
async fn all_are_off_unless_they_are_asked_for() {
    let relay = Relay::start(&[]);
    assert_eq!(relay.bootstrap()["nativeAddresses"], serde_json::Value::Null);
    let address = format!("/ip4/127.0.0.1/tcp/{}", relay.listen.port()).parse().unwrap();
    Peer::program(Security::Noise).dial(address).await.unwrap_err();
}

#[tokio::test]
async fn a_port_in_use_is_said_with_its_setting() {
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    for (setting, taken) in [("tcp", tcp.local_addr()), ("quic", udp.local_addr())] {
        let address = taken.unwrap().to_string();
        let line = refusal(&["--listen", "127.0.0.1:0", &format!("--{setting}"), &address]);
        assert!(line.contains(&format!("setting {setting} = {address}: ")) && line.contains("in use"), "{line}");
    }
}

/// One name as multistream-select writes it.
fn line(protocol: &str) -> Vec<u8> {
    [&[protocol.len() as u8 + 1], protocol.as_bytes(), b"\n"].concat()
}

/// Sends lines, and waits for the answer to them.
async fn say(stream: &mut TcpStream, lines: &[&str], expected: &[&str]) {
    stream.write_all(&lines.iter().map(|text| line(text)).collect::<Vec<_>>().concat()).await.unwrap();
    let expected = expected.iter().map(|text| line(text)).collect::<Vec<_>>().concat();
    let mut answer = vec![0; expected.len()];
    soon("the answer", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, expected, "{}", String::from_utf8_lossy(&answer));
}

/// What libp2p has given up is declined in its own words, and the operator reads why the connection came to nothing.
#[tokio::test]
async fn peers_that_know_only_secio_or_mplex_are_refused_with_a_word_why() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut process = command(data_dir.path())
        .args(["--listen", "127.0.0.1:0", "--tcp", "same"])
        .env("SHOAL_LOG", "relay_server=debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let listen = ready.trim_end().trim_end_matches('/').rsplit('/').next().unwrap().to_owned();

    let mut stream = TcpStream::connect(&listen).await.unwrap();
    say(&mut stream, &["/multistream/1.0.0", "/secio/1.0.0"], &["/multistream/1.0.0", "na"]).await;
    drop(stream);
    crate::support::peer::negotiate_muxer(&listen, "/mplex/6.7.0").await.unwrap_err();

    let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = tokio::task::spawn_blocking(move || {
        let mut wanted = vec![
            "the peer offers /secio/1.0.0, this relay knows /noise, /tls/1.0.0",
            "the peer offers /mplex/6.7.0, this relay knows /yamux/1.0.0",
        ];
        for line in log.by_ref() {
            wanted.retain(|text| !line.contains(text));
            if wanted.is_empty() {
                break;
            }
        }
        wanted
    });
    let left = soon("the log", told).await.unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(left, [""; 0]);
}

#[tokio::test]
async fn who_is_silent_over_tcp_leaves_in_time_and_nobody_else_does() {
    let port = free_tcp_port();
    let relay = Relay::start(&[
        "--tcp",
        &format!("127.0.0.1:{port}"),
        "--quic",
        &format!("127.0.0.1:{}", free_udp_port()),
        "--handshake-seconds",
        "1",
    ]);
    let mut honest = Peer::program(Security::Tls);
    honest.reserve(relay.address_by(&format!("/tcp/{port}"))).await.unwrap();
    let start = Instant::now();
    let mut half = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    half.write_all(&line("/multistream/1.0.0")).await.unwrap();
    let mut answer = Vec::new();
    soon("the end", half.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, line("/multistream/1.0.0"));
    assert!(start.elapsed() >= Duration::from_secs(1), "it had its time");
    for nonsense in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], &[0xff; 4096]] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        // A reset is an end as well.
        let _ = soon("the end", stream.read_to_end(&mut Vec::new())).await;
    }
    assert_eq!((relay.counted("connections"), relay.counted("reservations")), (1, 1));
}

#[tokio::test]
async fn half_open_ones_over_tcp_are_as_few_as_websockets() {
    let relay = Relay::start(&["--tcp", "same", "--max-pending", "2", "--max-pending-per-network", "2"]);
    let mut half_open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(relay.listen).await.unwrap();
        say(&mut stream, &["/multistream/1.0.0"], &["/multistream/1.0.0"]).await;
        half_open.push(stream);
    }
    let mut third = TcpStream::connect(relay.listen).await.unwrap();
    third.write_all(&line("/multistream/1.0.0")).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon("the refusal", third.read_to_end(&mut answer)).await;
    assert_eq!((answer.len(), relay.counted("refused")), (0, 1));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    Peer::program(Security::Noise).dial(relay.address_by(&format!("/tcp/{}", relay.listen.port()))).await.expect("the oldest makes room");
}

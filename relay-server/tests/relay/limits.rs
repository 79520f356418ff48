//! The configured numbers hold, exactly, and who is inside is not disturbed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{identity::Keypair, multiaddr::Protocol};

use crate::support::{
    peer::{BYTES, Peer},
    program::Relay,
    soon, until,
};

#[tokio::test]
async fn reservations_up_to_the_limit() {
    let relay = Relay::start(&["--max-reservations", "2", "--max-reservations-per-peer", "1"]);
    let mut peers = [Peer::new(), Peer::new(), Peer::new()];
    peers[0].reserve(relay.address()).await.unwrap();
    peers[1].reserve(relay.address()).await.unwrap();
    let error = peers[2].reserve(relay.address()).await.unwrap_err();
    assert!(error.contains("ResourceLimitExceeded"), "{error}");
    until("the count", || (relay.counted("reservations"), relay.counted("refused")) == (2, 1)).await;
    let [first, second, mut third] = peers;
    drop(first);
    until("a free place", || relay.counted("reservations") == 1).await;
    third.reserve(relay.address()).await.unwrap();
    drop(second);
}

#[tokio::test]
async fn reservations_of_one_peer() {
    let relay = Relay::start(&["--max-reservations-per-peer", "1"]);
    let key = Keypair::generate_ed25519();
    let (mut tab, mut other_tab) = (Peer::with_key(key.clone()), Peer::with_key(key));
    tab.reserve(relay.address()).await.unwrap();
    let error = other_tab.reserve(relay.address()).await.unwrap_err();
    assert!(error.contains("ResourceLimitExceeded"), "{error}");
}

#[tokio::test]
async fn reservations_a_minute() {
    let relay = Relay::start(&["--reservations-per-minute-per-network", "2"]);
    let mut peers = [Peer::new(), Peer::new(), Peer::new()];
    peers[0].reserve(relay.address()).await.unwrap();
    peers[1].reserve(relay.address()).await.unwrap();
    let error = peers[2].reserve(relay.address()).await.unwrap_err();
    assert!(error.contains("ResourceLimitExceeded"), "{error}");
}

#[tokio::test]
async fn reservations_a_minute_of_one_peer() {
    let relay = Relay::start(&["--reservations-per-minute-per-peer", "1"]);
    let key = Keypair::generate_ed25519();
    let (mut tab, mut other_tab, mut other_peer) = (Peer::with_key(key.clone()), Peer::with_key(key), Peer::new());
    tab.reserve(relay.address()).await.unwrap();
    let error = other_tab.reserve(relay.address()).await.unwrap_err();
    assert!(error.contains("ResourceLimitExceeded"), "{error}");
    other_peer.reserve(relay.address()).await.unwrap();
}

#[tokio::test]
async fn seconds_of_a_reservation() {
    const SECONDS: u64 = 600;
    let relay = Relay::start(&["--reservation-seconds", &SECONDS.to_string()]);
    let mut peer = Peer::new();
    let relay_id = peer.dial(relay.address()).await.unwrap();
    let hop = peer.streams.open_stream(relay_id, libp2p::relay::HOP_PROTOCOL_NAME);
    let mut stream = hop.await.unwrap();
    // A HopMessage of type RESERVE, with its length before it: https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md#reservation
    stream.write_all(&[2, 0x08, 0]).await.unwrap();
    let mut answer = vec![0; 512];
    let length = soon("the answer", stream.read(&mut answer)).await.unwrap();
    // … of type STATUS, with a reservation (field 3), with the time of its end (field 1).
    let number = |bytes: &[u8]| bytes.iter().enumerate().map(|(place, byte)| u64::from(byte & 0x7f) << (7 * place)).sum::<u64>();
    let varint = |bytes: &[u8]| bytes.iter().position(|byte| byte & 0x80 == 0).map(|last| last + 1).unwrap();
    let mut rest = &answer[..length];
    rest = &rest[varint(rest)..];
    assert_eq!(rest[..3], [0x08, 2, 0x1a], "{answer:?}");
    rest = &rest[3..];
    rest = &rest[varint(rest)..];
    assert_eq!(rest[0], 0x08, "{answer:?}");
    let ends = number(&rest[1..=varint(&rest[1..])]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((SECONDS - 30..=SECONDS + 1).contains(&(ends - now)), "{}", ends - now);
}

#[tokio::test]
async fn seconds_of_a_circuit() {
    let relay = Relay::start(&["--circuit-seconds", "2"]);
    let (mut alice, mut bob) = (Peer::new(), Peer::new());
    alice.reserve(relay.address()).await.unwrap();
    let began = Instant::now();
    bob.dial_through(&relay, alice.id).await.unwrap();
    bob.disconnected_from(alice.id).await;
    assert!(began.elapsed() >= Duration::from_millis(1_900), "{:?}", began.elapsed());
    until("the circuit's end", || relay.counted("circuits") == 0).await;
}

#[tokio::test]
async fn circuits_in_all_of_a_peer_and_of_a_network() {
    for (arguments, same_peer) in [
        (&["--max-circuits", "2", "--max-circuits-per-peer", "2", "--max-circuits-per-network", "2"][..], false),
        (&["--max-circuits-per-network", "2"], false),
        (&["--max-circuits-per-peer", "2"], true),
        (&["--circuits-per-minute-per-peer", "2"], true),
        (&["--circuits-per-minute-per-network", "2"], false),
    ] {
        let relay = Relay::start(arguments);
        let mut ends = [Peer::new(), Peer::new(), Peer::new()];
        for end in &mut ends {
            end.reserve(relay.address()).await.unwrap();
        }
        let mut dialers: Vec<_> = (0..if same_peer { 1 } else { 3 }).map(|_| Peer::new()).collect();
        let mut outcomes = Vec::new();
        for (index, end) in ends.iter().enumerate() {
            let dialer = index % dialers.len();
            outcomes.push(dialers[dialer].dial_through(&relay, end.id).await);
        }
        assert!(outcomes[0].is_ok() && outcomes[1].is_ok(), "{arguments:?}: {outcomes:?}");
        let error = outcomes.pop().unwrap().unwrap_err();
        assert!(error.contains("ResourceLimitExceeded"), "{arguments:?}: {error}");
        until("the count", || (relay.counted("circuits"), relay.counted("refused")) == (2, 1)).await;
    }
}

#[tokio::test]
async fn bytes_of_a_circuit() {
    const LIMIT: u64 = 256 * 1024;
    let relay = Relay::start(&["--circuit-bytes", &LIMIT.to_string()]);
    let (mut alice, mut bob) = (Peer::new(), Peer::new());
    alice.reserve(relay.address()).await.unwrap();
    let mut incoming = alice.streams.accept(BYTES).unwrap();
    bob.dial_through(&relay, alice.id).await.unwrap();
    let mut stream = bob.streams.open_stream(alice.id, BYTES).await.unwrap();
    let before = relay.counted("relayedBytes");
    let sender = tokio::spawn(async move { while stream.write_all(&[7; 4096]).await.is_ok() {} });
    let (_, mut stream) = incoming.next().await.unwrap();
    let received = soon("the cut", async {
        let (mut received, mut buffer) = (0, vec![0; 65_536]);
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            received += length as u64;
        }
        received
    })
    .await;
    soon("the sender's error", sender).await.unwrap();
    assert!(received <= LIMIT, "{received}");
    until("the circuit's end", || relay.counted("circuits") == 0).await;
    let relayed = relay.counted("relayedBytes") - before;
    assert!((LIMIT / 2..LIMIT + 64 * 1024).contains(&relayed), "at most one buffer above the limit: {relayed}");
}

#[tokio::test]
async fn connections_in_all() {
    let relay = Relay::start(&[
        "--max-connections",
        "2",
        "--max-connections-per-network",
        "2",
        "--max-connections-per-peer",
        "1",
        "--max-pending",
        "2",
        "--max-pending-per-network",
        "2",
        "--max-reservations",
        "2",
        "--max-reservations-per-peer",
        "1",
    ]);
    let address = relay.address();
    let mut peers = [Peer::new(), Peer::new(), Peer::new()];
    // `/bootstrap` was a connection too: its end may take a moment to be seen.
    for peer in &mut peers[..2] {
        soon("a place", async { while peer.dial(address.clone()).await.is_err() {} }).await;
    }
    let relay_peer = relay.peer();
    // The relay says no when it knows who it is: the connection stands for a moment.
    if peers[2].dial(address.clone()).await.is_ok() {
        peers[2].disconnected_from(relay_peer).await;
    }
    assert_eq!(relay.counted("connections"), 2);
    let [first, _second, mut third] = peers;
    drop(first);
    until("a free place", || relay.counted("connections") == 1).await;
    third.dial(address.clone()).await.unwrap();
    until("its connection", || relay.counted("connections") == 2).await;
}

/// 500 dials against a limit of 50: whoever can be reached through the relay stays so, and an honest newcomer finds a place.
#[tokio::test]
async fn five_hundred_dials_keep_the_reserved_ones() {
    let most = ["--max-connections", "50", "--max-connections-per-network", "50", "--max-reservations", "40"];
    let pending = ["--max-pending", "50", "--max-pending-per-network", "50"];
    let relay = Relay::start(&[&most[..], &pending].concat());
    let address = relay.address();
    let mut reserved: Vec<_> = (0..10).map(|_| Peer::new()).collect();
    for peer in &mut reserved {
        peer.reserve(address.clone()).await.unwrap();
    }
    let mut crowd = Vec::new();
    for _ in 0..500 {
        let (peer, address) = (Peer::new(), address.clone());
        // Its result does not matter: it may be refused, or take the place of another one of the crowd.
        drop(peer.with(move |swarm| swarm.dial(address)).await);
        crowd.push(peer);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        if crowd.len() % 50 == 0 {
            assert!(relay.counted("connections") <= 50);
        }
    }
    until("a full relay", || relay.counted("connections") == 50).await;
    assert_eq!(relay.counted("reservations"), 10);
    // The crowd does nothing with its connections, so a newcomer gets one of them.
    let mut newcomer = Peer::new();
    let reachable = async { while newcomer.reserve(address.clone()).await.is_err() {} };
    soon("a place for a newcomer", reachable).await;
    until("its reservation", || relay.counted("reservations") == 11).await;
    for peer in &reserved {
        newcomer.dial_through(&relay, peer.id).await.unwrap();
    }
    assert!(relay.counted("connections") <= 50);
}

#[tokio::test]
async fn a_crowd_at_one_peer_waits_instead_of_cutting_it_off() {
    // The relay opens 96 streams to a peer at most; libp2p's own muxer would end the connection at the 129th.
    const CROWD: usize = 140;
    let relay = Relay::start(&["--max-circuits-per-peer", "300"]);
    let mut popular = Peer::new();
    popular.reserve(relay.address()).await.unwrap();
    let circuit = relay.address().with(Protocol::P2pCircuit).with(Protocol::P2p(popular.id));
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let (peer, circuit) = (Peer::new(), circuit.clone());
        peer.with(move |swarm| swarm.dial(circuit)).await.unwrap();
        crowd.push(peer);
    }
    until("as many circuits as there may be", || relay.counted("circuits") >= 90).await;
    assert!(relay.counted("circuits") <= 96);
    assert_eq!(relay.counted("reservations"), 1);
    drop(crowd);
    until("room", || relay.counted("circuits") == 0).await;
    Peer::new().dial_through(&relay, popular.id).await.unwrap();
}

#[tokio::test]
async fn streams_of_a_connection() {
    // Of 16 the relay uses 12 for circuits to one peer; the next ones wait, and the peer keeps its connection.
    let relay = Relay::start(&["--max-streams-per-connection", "16"]);
    let mut popular = Peer::new();
    popular.reserve(relay.address()).await.unwrap();
    let circuit = relay.address().with(Protocol::P2pCircuit).with(Protocol::P2p(popular.id));
    let mut crowd = Vec::new();
    for _ in 0..20 {
        let (peer, circuit) = (Peer::new(), circuit.clone());
        peer.with(move |swarm| swarm.dial(circuit)).await.unwrap();
        crowd.push(peer);
    }
    until("circuits", || relay.counted("circuits") >= 8).await;
    // By default all twenty would be there by now.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(relay.counted("circuits") <= 12);
    assert_eq!(relay.counted("reservations"), 1);
}

#[tokio::test]
async fn time_for_a_handshake() {
    let relay = Relay::start(&["--handshake-seconds", "1"]);
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/", relay.listen)).await.unwrap();
    let begun = std::time::Instant::now();
    soon("the end of the silent socket", async { while let Some(Ok(_)) = socket.next().await {} }).await;
    let time = begun.elapsed().as_secs_f64();
    assert!((0.9..6.0).contains(&time), "{time} s");
}

/// Not a test of correctness: `cargo test --release -p relay-server -- --ignored --nocapture memory`.
#[tokio::test]
#[ignore = "a measurement"]
async fn memory_of_an_idle_reserved_connection() {
    const PEERS: usize = 1_000;
    let relay = Relay::start(&[]);
    let (address, before) = (relay.address(), relay.memory());
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let mut peer = Peer::new();
        peer.reserve(address.clone()).await.unwrap();
        peers.push(peer);
    }
    let each = (relay.memory() - before) / PEERS as u64;
    println!("{} KiB at the start, {:.1} KiB for each of {PEERS} connections with a reservation", before / 1024, each as f64 / 1024.0);
}

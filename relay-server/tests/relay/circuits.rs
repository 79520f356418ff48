//! What the relay is for: a peer becomes reachable through it, another one reaches it.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{identify, identity::Keypair, multiaddr::Protocol, ping, swarm::SwarmEvent};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::support::{
    peer::{BYTES, BehaviourEvent, Peer},
    program::Relay,
    soon, until,
};

const MEBIBYTE: usize = 1024 * 1024;

#[tokio::test]
async fn it_introduces_itself_and_answers_pings() {
    let relay = Relay::start(&["--external", "/dns4/relay.example/tcp/443/tls/ws"]);
    let mut peer = Peer::new();
    let address = format!("/ip4/127.0.0.1/tcp/{}/ws", relay.listen.port()).parse().unwrap();
    let id = peer.dial(address).await.unwrap();
    let info = peer
        .event("identify", |event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { info, .. })) => Some(info),
            _ => None,
        })
        .await;
    assert_eq!(info.public_key.to_peer_id(), id);
    assert_eq!(info.protocol_version, "/shoal/1.0.0");
    assert_eq!(info.agent_version, concat!("shoal-relay/", env!("CARGO_PKG_VERSION")));
    assert_eq!(info.listen_addrs, ["/dns4/relay.example/tcp/443/tls/ws".parse().unwrap()], "what pages can dial, and nothing else");
    let protocols: Vec<_> = info.protocols.iter().map(|protocol| protocol.as_ref()).collect();
    for protocol in ["/libp2p/circuit/relay/0.2.0/hop", "/shoal/kad/1.0.0", "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0"] {
        assert!(protocols.contains(&protocol), "{protocol} in {protocols:?}");
    }
    peer.event("ping", |event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { result: Ok(_), .. })) => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn two_peers_exchange_a_mebibyte_through_it() {
    let relay = Relay::start(&[]);
    let (mut alice, mut bob) = (Peer::new(), Peer::new());
    let addresses = alice.reserve(relay.address()).await.unwrap();
    let circuit = relay.address().with(Protocol::P2pCircuit).with(Protocol::P2p(alice.id));
    assert_eq!(addresses, [circuit]);
    // It counts them a moment after it has answered.
    until("the reservation", || relay.counted("reservations") == 1).await;
    let before = relay.health();
    assert_eq!(before["circuits"].as_u64(), Some(0));

    let mut incoming = alice.streams.accept(BYTES).unwrap();
    bob.dial_through(&relay, alice.id).await.unwrap();
    let sent: Vec<u8> = (0..MEBIBYTE).map(|index| (index * 31 % 251) as u8).collect();
    let stream = bob.streams.open_stream(alice.id, BYTES).await.unwrap();
    let echo = tokio::spawn(async move {
        let (_, stream) = incoming.next().await.unwrap();
        let (mut reader, mut writer) = stream.split();
        futures::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.close().await.unwrap();
    });
    let (mut reader, mut writer) = stream.split();
    let mut received = Vec::new();
    let (written, read) = soon("the exchange", async {
        tokio::join!(
            async {
                writer.write_all(&sent).await?;
                writer.close().await
            },
            reader.read_to_end(&mut received)
        )
    })
    .await;
    written.unwrap();
    read.unwrap();
    echo.await.unwrap();
    assert!(received == sent, "the same bytes come back");

    let after = relay.health();
    let grown = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    assert_eq!(after["circuits"], 1);
    assert_eq!(after["connections"], 2);
    // There and back, in and out, and what Noise and two layers of yamux add.
    for (name, least) in [("bytesReceived", 2 * MEBIBYTE), ("bytesSent", 2 * MEBIBYTE), ("relayedBytes", 2 * MEBIBYTE)] {
        let grown = grown(name) as usize;
        assert!((least..least + least / 20).contains(&grown), "{name} grew by {grown}");
    }
    drop(bob);
    until("the circuit's end", || relay.counted("circuits") == 0).await;
    drop(alice);
    until("the reservation's end", || relay.counted("reservations") == 0 && relay.counted("connections") == 0).await;
}

#[tokio::test]
async fn a_peer_without_reservation_is_not_reached() {
    let relay = Relay::start(&[]);
    let (mut alice, mut bob) = (Peer::new(), Peer::new());
    alice.dial(relay.address()).await.unwrap();
    let error = bob.dial_through(&relay, alice.id).await.unwrap_err();
    assert!(error.contains("NoReservation"), "{error}");
}

#[tokio::test]
async fn a_circuit_does_not_lead_to_another_one() {
    let relay = Relay::start(&[]);
    let (mut alice, mut bob) = (Peer::new(), Peer::new());
    alice.reserve(relay.address()).await.unwrap();
    bob.dial_through(&relay, alice.id).await.unwrap();
    // Over the circuit, bob asks alice to relay: she is no relay, and libp2p's client refuses such an address at once.
    let over = relay.address().with(Protocol::P2pCircuit).with(Protocol::P2p(alice.id)).with(Protocol::P2pCircuit);
    let error = bob.dial(over.with(Protocol::P2p(relay.peer()))).await.unwrap_err();
    assert!(error.contains("MultipleCircuitRelayProtocolsUnsupported") || error.contains("MultiaddrNotSupported"), "{error}");
}

#[tokio::test]
async fn a_peer_that_lost_its_connection_unnoticed_is_reached_over_the_new_one() {
    let relay = Relay::start(&[]);
    let key = Keypair::generate_ed25519();
    let (mut before, mut after, mut bob) = (Peer::with_key(key.clone()), Peer::with_key(key), Peer::new());
    // What the relay sees of a device whose address changed: the connection stands, and nothing comes any more.
    let path = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}/ws/p2p/{}", path.local_addr().unwrap().port(), relay.peer()).parse().unwrap();
    let (cut, is_cut) = oneshot::channel();
    let server = relay.listen;
    tokio::spawn(async move {
        let (mut near, _) = path.accept().await.unwrap();
        let mut far = TcpStream::connect(server).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = is_cut => pending().await,
        }
    });
    before.reserve(address).await.unwrap();
    cut.send(()).unwrap();
    after.reserve(relay.address()).await.unwrap();
    assert_eq!(relay.counted("connections"), 2);
    until("the silent connection is closed", || relay.counted("connections") == 1).await;
    bob.dial_through(&relay, after.id).await.unwrap();
}

#[tokio::test]
async fn two_tabs_with_one_key_keep_their_connections() {
    let relay = Relay::start(&[]);
    let key = Keypair::generate_ed25519();
    let (mut one, mut other) = (Peer::with_key(key.clone()), Peer::with_key(key));
    one.reserve(relay.address()).await.unwrap();
    other.reserve(relay.address()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(relay.counted("connections"), 2);
}

/// Not a test of correctness: `cargo test --release -p relay-server -- --ignored --nocapture bulk`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn bulk_through_a_circuit() {
    const BYTES_SENT: usize = 100 * MEBIBYTE;
    let relay = Relay::start(&["--circuit-bytes", "1000000000"]);
    let (mut alice, mut bob) = (Peer::new(), Peer::new());
    alice.reserve(relay.address()).await.unwrap();
    let mut incoming = alice.streams.accept(BYTES).unwrap();
    bob.dial_through(&relay, alice.id).await.unwrap();
    for _ in 0..3 {
        let mut stream = bob.streams.open_stream(alice.id, BYTES).await.unwrap();
        let start = Instant::now();
        let sender = tokio::spawn(async move {
            let chunk = vec![7; 64 * 1024];
            for _ in 0..BYTES_SENT / chunk.len() {
                stream.write_all(&chunk).await.unwrap();
            }
            stream.close().await.unwrap();
        });
        let (_, mut stream) = incoming.next().await.unwrap();
        let received = futures::io::copy(&mut stream, &mut futures::io::sink()).await.unwrap();
        sender.await.unwrap();
        let rate = received as f64 / start.elapsed().as_secs_f64() / 1e6;
        println!("{rate:.1} MB/s through a circuit, relay RSS {} KiB, its CPU {:.2} s", relay.memory() / 1024, relay.cpu_seconds());
    }
}

#[tokio::test]
async fn a_circuit_ends_when_one_of_its_ends_hangs_up() {
    let relay = Relay::start(&[]);
    let (mut alice, mut bob) = (Peer::new(), Peer::new());
    alice.reserve(relay.address()).await.unwrap();
    bob.dial_through(&relay, alice.id).await.unwrap();
    until("the circuit", || relay.counted("circuits") == 1).await;
    let target = alice.id;
    let mut incoming = alice.streams.accept(BYTES).unwrap();
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            stream.write_all(&vec![7; MEBIBYTE]).await.unwrap();
            stream.close().await.unwrap();
        }
    });
    let mut stream = bob.streams.open_stream(alice.id, BYTES).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bob.with(move |swarm| swarm.disconnect_peer_id(target)).await.unwrap();
    until("the circuit's end", || relay.counted("circuits") == 0).await;
    assert_eq!(relay.counted("connections"), 2);
}

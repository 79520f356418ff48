//! Crowds on real sockets: what honest peers notice of them. The figures are printed (`--nocapture`); the bounds are generous, since tests
//! share their machine.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::PeerId;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    time::sleep,
};

use crate::support::{
    peer::{BYTES, Peer},
    program::Relay,
    until,
};

/// How long an honest peer waits before it tries again: the relay says so (`Retry-After`), pages wait longer.
const AGAIN: Duration = Duration::from_millis(250);

/// Connects from an address of its own: all of 127.0.0.0/8 is this machine, and each address of it is a network to the relay.
async fn connect_from(address: Ipv4Addr, relay: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((address, 0)))?;
    socket.connect(relay).await
}

/// One who never finishes: by its number it says nothing at all, half a request, or stays silent as a WebSocket.
async fn half_open(number: u32, networks: u32, relay: SocketAddr) -> std::io::Result<TcpStream> {
    let network = number % networks;
    let [_, _, third, fourth] = network.to_be_bytes();
    let mut stream = connect_from(Ipv4Addr::new(127, 1, third, fourth.max(1)), relay).await?;
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {relay}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    match number % 3 {
        0 => {}
        1 => stream.write_all(&upgrade.as_bytes()[..20]).await?,
        _ => stream.write_all(upgrade.as_bytes()).await?,
    }
    Ok(stream)
}

/// Connects and gets a reservation, however often it has to try: how long it took.
async fn served(relay: libp2p::Multiaddr) -> (Peer, Duration) {
    let start = Instant::now();
    let mut peer = Peer::new();
    while peer.reserve(relay.clone()).await.is_err() {
        sleep(AGAIN).await;
    }
    (peer, start.elapsed())
}

/// The middle, the 99th percentile and the longest.
fn spread(mut took: Vec<Duration>) -> [Duration; 3] {
    took.sort_unstable();
    [took[took.len() / 2], took[took.len() * 99 / 100], took[took.len() - 1]]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_half_open_handshakes_leave_honest_peers_served() {
    const ATTACKERS: u32 = 5_000;
    const HONEST: u32 = 50;
    // All at once; and all again each second, from one network or from so many that no bound for each network helps.
    for (networks, again) in [(1_000, false), (1, true), (1_000, true)] {
        let relay = Relay::start(&[]);
        let (address, listen) = (relay.address(), relay.listen);
        let memory = relay.memory();
        let attack = tokio::spawn(async move {
            let attackers = (0..ATTACKERS).map(|number| async move {
                loop {
                    if let Ok(mut stream) = half_open(number, networks, listen).await {
                        let mut answer = Vec::new();
                        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
                    }
                    if !again {
                        return;
                    }
                    sleep(Duration::from_secs(1)).await;
                }
            });
            futures::future::join_all(attackers).await;
        });
        sleep(Duration::from_millis(500)).await;
        let mut honest = Vec::new();
        for _ in 0..HONEST {
            honest.push(tokio::spawn(served(address.clone())));
            sleep(Duration::from_millis(50)).await;
        }
        let honest = futures::future::join_all(honest).await;
        let refused = relay.counted("refused");
        let grown = relay.memory().saturating_sub(memory) / 1024;
        attack.abort();
        let (peers, took): (Vec<_>, Vec<_>) = honest.into_iter().map(Result::unwrap).unzip();
        let [middle, slow, slowest] = spread(took);
        println!(
            "{ATTACKERS} half open from {networks} network(s){}: {HONEST} honest peers reserved after {middle:?} (median), {slow:?} (p99), {slowest:?} (all); {refused} refused, {grown} KiB more memory",
            if again { ", again each second" } else { "" }
        );
        // It counts them a moment after it has answered.
        until("the reservations", || relay.counted("reservations") == u64::from(HONEST)).await;
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        assert!(refused > 0, "there was no attack");
        drop(peers);
    }
}

/// Three times as many peers as there are places, each of which wants something done through the relay and then stays for no reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_as_many_peers_as_places_are_served_in_turn() {
    const PLACES: usize = 50;
    const KEPT: usize = 10;
    const LENGTH: usize = 256 * 1024;
    let places = PLACES.to_string();
    let relay = Relay::start(&[
        "--max-connections",
        &places,
        "--max-connections-per-network",
        &places,
        "--max-reservations",
        "10",
        "--max-reservations-per-peer",
        "1",
        "--max-circuits-per-peer",
        "100",
        "--max-pending",
        &places,
        "--max-pending-per-network",
        &places,
    ]);
    let mut kept = Vec::new();
    for _ in 0..KEPT {
        let mut peer = Peer::new();
        peer.reserve(relay.address()).await.unwrap();
        let mut incoming = peer.streams.accept(BYTES).unwrap();
        tokio::spawn(async move {
            while let Some((_, mut stream)) = incoming.next().await {
                tokio::spawn(async move {
                    stream.write_all(&vec![7; LENGTH]).await?;
                    stream.close().await
                });
            }
        });
        kept.push(peer);
    }
    let start = Instant::now();
    let crowd: Vec<_> = (0..3 * PLACES).map(|number| done(relay.address(), kept[number % KEPT].id)).collect();
    let crowd = futures::future::join_all(crowd.into_iter().map(tokio::spawn)).await;
    let (peers, took): (Vec<_>, Vec<_>) = crowd.into_iter().map(Result::unwrap).unzip();
    let [middle, slow, slowest] = spread(took);
    println!(
        "{} peers, {PLACES} places of which {KEPT} are kept: each has read {} KiB through a circuit after {middle:?} (median), {slow:?} (p99), {slowest:?} (all); {:?} in all",
        3 * PLACES,
        LENGTH / 1024,
        start.elapsed()
    );
    assert_eq!(relay.counted("reservations"), KEPT as u64, "those who were served before were not disturbed");
    assert!(slowest < Duration::from_secs(60), "{slowest:?}");
    until("the places", || relay.counted("connections") <= PLACES as u64).await;
    drop(peers);
}

/// Reads something from `target`, however often it has to try; then it stays connected to the relay.
async fn done(relay: libp2p::Multiaddr, target: PeerId) -> (Peer, Duration) {
    let start = Instant::now();
    let mut peer = Peer::new();
    loop {
        if read(&mut peer, &relay, target).await.is_some() {
            return (peer, start.elapsed());
        }
        sleep(AGAIN).await;
    }
}

async fn read(peer: &mut Peer, relay: &libp2p::Multiaddr, target: PeerId) -> Option<()> {
    peer.dial_by(relay, target).await.ok()?;
    let mut stream = peer.streams.open_stream(target, BYTES).await.ok()?;
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await;
    let _ = peer.with(move |swarm| swarm.disconnect_peer_id(target)).await;
    (matches!(read, Ok(Ok(_))) && bytes.len() == 256 * 1024).then_some(())
}

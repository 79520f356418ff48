//! As many pages as there are: what each costs the relay in memory, and how fast bytes go through it. Here a small crowd with generous bounds, since
//! tests share their machine; `npm run bench` has the largest one that the relay takes by default, and reads the line that is printed.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, stream};
use libp2p::PeerId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::support::{
    peer::{BYTES, Peer},
    program::Relay,
    until,
};

/// Reservations and circuits: of the test, and in `SHOAL_CROWD` (`10000,2000`) those of the bench.
const CROWD: (usize, usize) = (400, 100);
/// Peers that come at the same time.
const AT_ONCE: usize = 100;
/// Circuits by which bytes go at the same time, and how many each: as many as fit through one by default, with what the protocols add.
const BUSY: usize = 8;
const BYTES_EACH: usize = 100 * 1024 * 1024;
/// KiB that a peer with a reservation may cost the relay, and an open circuit besides: with `CROWD`, what does not depend on their number counts as well.
const KIB_EACH: u64 = 96;
/// Relayed bytes in a second at least, both peers on the same machine.
const RATE: f64 = 5e6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_costs_little_memory_and_bytes_go_through_fast() {
    let (reservations, circuits) = crowd();
    take_open_files();
    let relay = Relay::start(&[]);
    let address = relay.address();
    let empty = relay.memory();

    let start = Instant::now();
    let peers = stream::iter(0..reservations).map(|number| reserved(number, address.clone())).buffer_unordered(AT_ONCE);
    let mut peers: Vec<Peer> = peers.collect().await;
    let reserving = start.elapsed();
    let held = relay.counted("reservations");
    assert!(held >= most_of(reservations), "{held} of {reservations} reservations");
    let with_reservations = relay.memory();

    // The first half reaches the second one.
    let far = peers.split_off(reservations / 2);
    let (near, start) = (&mut peers[..circuits], Instant::now());
    stream::iter(near.iter_mut().zip(&far))
        .for_each_concurrent(AT_ONCE, async |(one, other)| drop(one.dial_by(&address, other.id).await))
        .await;
    let connecting = start.elapsed();
    let connected = relay.counted("circuits");
    assert!(connected >= most_of(circuits), "{connected} of {circuits} circuits");
    let with_circuits = relay.memory();

    let (cpu, start) = (relay.cpu_seconds(), Instant::now());
    let transfers = near.iter_mut().zip(&far).take(BUSY).map(|(one, other)| {
        serve(other);
        read(one, other.id)
    });
    futures::future::join_all(transfers).await;
    let rate = (BUSY * BYTES_EACH) as f64 / start.elapsed().as_secs_f64();
    let cpu = relay.cpu_seconds() - cpu;

    let kib_each = |more: u64, less: u64, count: usize| more.saturating_sub(less) / 1024 / count as u64;
    let reservation_kib = kib_each(with_reservations, empty, reservations);
    let circuit_kib = kib_each(with_circuits, with_reservations, circuits);
    let figures = json!({
        "reservations": held,
        "circuits": connected,
        "reservationKib": reservation_kib,
        "circuitKib": circuit_kib,
        "reservationsPerSecond": reservations as f64 / reserving.as_secs_f64(),
        "circuitsPerSecond": circuits as f64 / connecting.as_secs_f64(),
        "relayedBytesPerSecond": rate,
        "processorMillisecondsPerMegabyte": cpu * 1e9 / (BUSY * BYTES_EACH) as f64,
    });
    println!("crowd {figures}");
    assert!(reservation_kib <= KIB_EACH && circuit_kib <= KIB_EACH, "{figures}");
    assert!(rate >= RATE, "{figures}");

    // Everybody leaves: nothing is kept of them.
    drop((peers, far));
    until("the last one has left", || relay.counted("connections") == 0).await;
    assert_eq!((relay.counted("reservations"), relay.counted("circuits")), (0, 0));
}

fn crowd() -> (usize, usize) {
    let Ok(text) = std::env::var("SHOAL_CROWD") else { return CROWD };
    let (reservations, circuits) = text.split_once(',').unwrap();
    (reservations.parse().unwrap(), circuits.parse().unwrap())
}

/// On a machine that has too much to do, one in a hundred may have been silent for so long that it lost its place.
fn most_of(count: usize) -> u64 {
    count as u64 * 99 / 100
}

/// Each peer is a socket of this process, too.
fn take_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

/// A peer with a reservation, from a network of its own, however often it has to try.
async fn reserved(number: usize, relay: libp2p::Multiaddr) -> Peer {
    let [_, _, third, fourth] = u32::try_from(number).unwrap().to_be_bytes();
    let mut peer = Peer::from(Ipv4Addr::new(127, 2, third, fourth));
    while peer.reserve(relay.clone()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    peer
}

fn serve(peer: &Peer) {
    let mut incoming = peer.streams.clone().accept(BYTES).unwrap();
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            let piece = vec![7; 64 * 1024];
            for _ in 0..BYTES_EACH / piece.len() {
                stream.write_all(&piece).await.unwrap();
            }
            stream.close().await.unwrap();
        }
    });
}

async fn read(peer: &mut Peer, from: PeerId) {
    let mut stream = peer.streams.open_stream(from, BYTES).await.unwrap();
    let (mut buffer, mut received) = (vec![0; 64 * 1024], 0);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            length => received += length,
        }
    }
    assert_eq!(received, BYTES_EACH);
}

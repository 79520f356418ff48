//! Peers that say nothing any more, read nothing any more, or have nothing to say: who is dropped, and who is not.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, future::join_all};
use libp2p::{Multiaddr, identity::Keypair};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

use crate::support::{
    peer::{BYTES, Peer},
    program::Relay,
    soon, until,
};

const MEBIBYTE: usize = 1024 * 1024;

/// A way to the relay that can be made to swallow everything, with all its sockets open: a laptop whose lid closed, a phone that left its network.
struct Way {
    address: Multiaddr,
    swallow: watch::Sender<bool>,
}

impl Way {
    async fn to(relay: &Relay) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (swallow, swallowing) = watch::channel(false);
        let target = relay.listen;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, target, swallowing.clone()));
            }
        });
        let address = format!("/ip4/127.0.0.1/tcp/{port}/ws/p2p/{}", relay.peer()).parse().unwrap();
        Self { address, swallow }
    }

    fn swallow(&self) {
        self.swallow.send(true).unwrap();
    }
}

async fn pass(mut near: TcpStream, relay: SocketAddr, mut swallowing: watch::Receiver<bool>) {
    let mut far = TcpStream::connect(relay).await.unwrap();
    let swallows = async { swallowing.wait_for(|swallowing| *swallowing).await.is_ok() };
    let swallows = tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => false,
        swallows = swallows => swallows,
    };
    if swallows {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_dead_peer_is_dropped_in_time_and_the_living_are_not() {
    const SECONDS: u64 = 13;
    let relay = Relay::start(&["--silent-seconds", &SECONDS.to_string()]);
    let way = Way::to(&relay).await;
    let (mut dead, mut alive) = (Peer::new(), Peer::new());
    dead.reserve(way.address.clone()).await.unwrap();
    alive.reserve(relay.address()).await.unwrap();
    // Its first question is answered.
    sleep(Duration::from_secs(1)).await;
    way.swallow();
    let start = Instant::now();
    until("its end", || relay.counted("reservations") == 1).await;
    let took = start.elapsed();
    println!("a peer that swallows everything is dropped after {took:?}, at most {SECONDS} s");
    assert!(took < Duration::from_secs(SECONDS + 2), "{took:?}");
    assert_eq!(relay.counted("connections"), 1);
    Peer::new().dial_through(&relay, alive.id).await.unwrap();
}

/// Each newer connection has the relay ask the older ones whether they live, several times at once then, of which libp2p answers the last.
#[tokio::test]
async fn tabs_that_open_at_once_leave_the_others_their_connections() {
    let relay = Relay::start(&[]);
    let key = Keypair::generate_ed25519();
    let mut first = Peer::with_key(key.clone());
    first.reserve(relay.address()).await.unwrap();
    let mut tabs: Vec<Peer> = (0..3).map(|_| Peer::with_key(key.clone())).collect();
    for dialled in join_all(tabs.iter_mut().map(|tab| tab.dial(relay.address()))).await {
        dialled.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!((relay.counted("connections"), relay.counted("reservations")), (4, 1));
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_reserved_one_is_not() {
    let relay = Relay::start(&["--idle-seconds", "1"]);
    let (mut idle, mut reserved) = (Peer::new(), Peer::new());
    reserved.reserve(relay.address()).await.unwrap();
    idle.dial(relay.address()).await.unwrap();
    idle.disconnected_from(relay.peer()).await;
    // Whoever has a circuit open is not idle, although the relay itself is asked nothing.
    let mut busy = Peer::new();
    busy.dial_through(&relay, reserved.id).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    assert_eq!((relay.counted("connections"), relay.counted("circuits")), (2, 1));
}

/// Its neighbours get their bytes, and what the relay holds for it is bounded.
#[tokio::test]
async fn who_stops_reading_costs_a_bounded_amount_and_hurts_nobody() {
    let relay = Relay::start(&["--silent-seconds", "13"]);
    let way = Way::to(&relay).await;
    let (mut deaf, mut honest) = (Peer::new(), Peer::new());
    deaf.reserve(way.address.clone()).await.unwrap();
    honest.reserve(relay.address()).await.unwrap();
    let mut sender = Peer::new();
    sender.dial_through(&relay, deaf.id).await.unwrap();
    sender.dial_through(&relay, honest.id).await.unwrap();
    let mut heard = deaf.streams.accept(BYTES).unwrap();
    let mut to_deaf = sender.streams.open_stream(deaf.id, BYTES).await.unwrap();
    to_deaf.write_all(&[7]).await.unwrap();
    to_deaf.flush().await.unwrap();
    let (_, _unread) = soon("the stream", heard.next()).await.unwrap();
    let before = relay.memory();
    way.swallow();
    let mut taken = 0;
    while taken < 64 * MEBIBYTE
        && let Ok(Ok(())) = timeout(Duration::from_secs(1), to_deaf.write_all(&[7; 65_536])).await
    {
        taken += 65_536;
    }
    let held = relay.memory().saturating_sub(before);
    println!("{} KiB were taken for who stopped reading; the relay holds {} KiB more", taken / 1024, held / 1024);
    assert!(taken < 8 * MEBIBYTE, "{taken}");
    assert!(held < 4 * MEBIBYTE as u64, "{held}");
    // Meanwhile, over the same connection of the sender's:
    let mut heard = honest.streams.accept(BYTES).unwrap();
    let mut to_honest = sender.streams.open_stream(honest.id, BYTES).await.unwrap();
    let start = Instant::now();
    let sending = async {
        to_honest.write_all(&vec![7; 8 * MEBIBYTE]).await.unwrap();
        to_honest.close().await.unwrap();
    };
    let reading = async {
        let (_, mut stream) = heard.next().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes.len()
    };
    let ((), length) = soon("the neighbour's bytes", futures::future::join(sending, reading)).await;
    assert_eq!(length, 8 * MEBIBYTE);
    println!("its neighbour got 8 MiB in {:?}", start.elapsed());
    until("the end of who stopped reading", || relay.counted("reservations") == 1).await;
}

//! Five hundred clients lose their relay in one instant, on real sockets: the machine that decides when a page comes back
//! (`shoal_protocol::reservations`) drives rust-libp2p peers against the real program. `crates/protocol/tests/reservations_stampede.rs` is the same
//! with ten thousand simulated ones.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    core::transport::ListenerId,
    multiaddr::Protocol,
    relay,
    swarm::{
        SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use shoal_protocol::{
    reservations::{Order, Problem, Reservations, Tier},
    time::Time,
};

use crate::support::{
    peer::{BehaviourEvent, Event, Peer},
    program::Relay,
    until,
};

const CLIENTS: usize = 500;
/// In the world they would come from many networks; here all have one address, which by default may have 32 handshakes under way.
const ROOM: [&str; 4] = ["--max-pending-per-network", "256", "--max-pending", "256"];
/// How often a client looks at its deadlines, as a page does.
const TICK: Duration = Duration::from_millis(250);
/// All must be back after this time.
const ALL_BACK: Duration = Duration::from_secs(60);
/// The highest rate of connections, as a multiple of its mean.
const PEAK: f64 = 4.0;

/// What all clients did, in the order in which it happened.
#[derive(Debug, Default)]
struct Log {
    knocks: Vec<Instant>,
    back: Vec<Instant>,
}

/// One page: the peer, and the machine that keeps it reachable.
struct Page {
    peer: Peer,
    relay: PeerId,
    address: Multiaddr,
    machine: Reservations<PeerId, Multiaddr>,
    listener: Option<ListenerId>,
    start: Instant,
    random: u64,
    log: Arc<Mutex<Log>>,
}

impl Page {
    async fn run(mut self) {
        self.machine.add(self.relay, vec![self.address.clone()], Tier::Configured);
        loop {
            let now = Time::from_origin(self.start.elapsed());
            let orders = self.machine.due(now, &mut uniform(&mut self.random));
            for order in orders {
                self.carry_out(order).await;
            }
            if let Ok(event) = tokio::time::timeout(TICK, self.peer.next()).await {
                self.report(event);
            }
        }
    }

    async fn carry_out(&mut self, order: Order<PeerId, Multiaddr>) {
        match order {
            Order::Dial(peer, addresses) => {
                self.log.lock().unwrap().knocks.push(Instant::now());
                let options = DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::Always).build();
                self.peer.with(|swarm| swarm.dial(options)).await.unwrap();
            }
            Order::Reserve(_) => {
                let circuit = self.address.clone().with(Protocol::P2pCircuit);
                self.listener = Some(self.peer.with(|swarm| swarm.listen_on(circuit)).await.unwrap());
            }
            Order::Disconnect(peer) => drop(self.peer.with(move |swarm| swarm.disconnect_peer_id(peer)).await),
            Order::Probe(_) | Order::Resolve(_) => panic!("nothing gave cause for {order:?}"),
        }
    }

    fn report(&mut self, event: Event) {
        let (now, mut random) = (Time::from_origin(self.start.elapsed()), uniform(&mut self.random));
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => self.machine.connected(&peer_id),
            SwarmEvent::Behaviour(BehaviourEvent::Relay(relay::client::Event::ReservationReqAccepted { relay_peer_id, .. })) => {
                self.machine.reserved(&relay_peer_id, now, &mut random);
                self.log.lock().unwrap().back.push(Instant::now());
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.listener = None;
                self.machine.lost(&peer_id, Problem::Broken, now, &mut random);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), .. } => {
                self.machine.lost(&peer, Problem::Unreachable, now, &mut random);
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } if self.listener == Some(listener_id) => {
                let refused = format!("{reason:?}").contains("ResourceLimitExceeded");
                self.machine.refused(&self.relay, if refused { Problem::Full } else { Problem::Broken }, now, &mut random);
            }
            _ => {}
        }
    }
}

/// SplitMix64: each client has its own numbers, and each run the same.
fn uniform(state: &mut u64) -> impl FnMut() -> f64 {
    || {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = *state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Waits until so many are back; for how long it took.
async fn all_back(log: &Mutex<Log>, since: Instant) -> Duration {
    while log.lock().unwrap().back.len() < CLIENTS {
        let back = log.lock().unwrap().back.len();
        assert!(since.elapsed() < ALL_BACK, "{back} of {CLIENTS} are back after {ALL_BACK:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    since.elapsed()
}

/// Events in each second since `start`.
fn by_second(events: &[Instant], start: Instant, end: Duration) -> Vec<usize> {
    let mut counts = vec![0; usize::try_from(end.as_secs()).unwrap() + 1];
    for event in events {
        let second = usize::try_from(event.saturating_duration_since(start).as_secs()).unwrap();
        if let Some(count) = counts.get_mut(second) {
            *count += 1;
        }
    }
    counts
}

async fn lose_the_relay(down: Duration) {
    let mut relay = Relay::start(&ROOM);
    let log = Arc::new(Mutex::new(Log::default()));
    let start = Instant::now();
    let (id, address) = (relay.peer(), relay.address());
    for number in 0..CLIENTS {
        let page = Page {
            peer: Peer::new(),
            relay: id,
            address: address.clone(),
            machine: Reservations::new(2, 0),
            listener: None,
            start,
            random: number as u64,
            log: Arc::clone(&log),
        };
        tokio::spawn(page.run());
    }
    let joined = all_back(&log, start).await;
    // It counts them a moment after it has answered.
    until("the reservations", || relay.counted("reservations") == CLIENTS as u64).await;
    println!("{CLIENTS} clients that all start at once have a reservation after {joined:?}");

    *log.lock().unwrap() = Log::default();
    tokio::task::block_in_place(|| relay.restart(&ROOM, down));
    let ready = Instant::now();
    let took = all_back(&log, ready).await;
    let log = std::mem::take(&mut *log.lock().unwrap());
    let knocks: Vec<Instant> = log.knocks.iter().copied().filter(|knock| *knock >= ready).collect();
    let (knocking, returning) = (by_second(&knocks, ready, took), by_second(&log.back, ready, took));
    let mean = knocks.len() as f64 / took.as_secs_f64();
    let peak = knocking.iter().copied().max().unwrap();
    println!(
        "down for {down:?}: all back {took:?} after its return; a second {knocking:?} knock ({mean:.0} in the mean), {returning:?} get in"
    );
    assert!(peak as f64 <= PEAK * mean, "{peak} in one second, {mean} in the mean");
    // The last second is not a whole one, and the last clients may be in their longest wait.
    let waiting = |second: usize| CLIENTS - returning[..second].iter().sum::<usize>();
    for second in (0..returning.len() - 1).filter(|second| waiting(*second) > CLIENTS / 10) {
        assert!(returning[second] > 0, "in second {second} the relay was idle, though {} waited", waiting(second));
    }
    until("the reservations", || relay.counted("reservations") == CLIENTS as u64).await;
}

/// They would disturb each other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_clients_after_a_restart_that_takes_no_time() {
    let _alone = ALONE.lock().await;
    lose_the_relay(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_clients_after_an_outage() {
    let _alone = ALONE.lock().await;
    lose_the_relay(Duration::from_secs(6)).await;
}

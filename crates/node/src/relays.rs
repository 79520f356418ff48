//! Which relays should hold a reservation for this page, and what to do next to get there.
//!
//! ```text
//!  Due ──resolve──► Resolving ──addresses──► Dialling ──connected──► Reserving ──accepted──► Reserved
//!   ▲                  │                        │                        │                      │
//!   └──── Waiting ◄────┴──────── anything that fails, with backoff ──────┴──────────────────────┘
//! ```
//!
//! A decision table without IO: the driver reports what happened and carries out the orders. Time is an argument.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId, core::transport::ListenerId, multiaddr::Protocol};
use web_time::Instant;

use crate::config::Bootstrap;

/// The first wait after a failure; each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait. A person who sees "the relay is down" and starts it again should not wait longer for the page.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How long the steps between asking and holding a reservation may take together.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the driver must do.
#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask this server's `/bootstrap` for addresses; answer with [`Relays::resolved`].
    Resolve(usize, String),
    /// Connect to a relay.
    Dial(PeerId, Vec<Multiaddr>),
    /// Listen on this circuit address, which asks for a reservation; report the listener by [`Relays::listening`].
    Listen(usize, Multiaddr),
}

/// How one relay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// On the way.
    Connecting,
    /// Connected, the reservation is asked for.
    Connected,
    /// Others can reach this page through it.
    Reserved,
    /// Failed; tried again by itself.
    Waiting,
}

#[derive(Debug)]
enum State {
    Due,
    Resolving { until: Instant },
    Dialling { until: Instant },
    Reserving { listener: Option<ListenerId>, until: Instant },
    Reserved { listener: Option<ListenerId> },
    Waiting { until: Instant },
}

/// One relay that should hold a reservation.
#[derive(Debug)]
pub struct Relay {
    source: Bootstrap,
    state: State,
    failures: u32,
    peer: Option<PeerId>,
    /// The address by which it is connected, ending in its PeerId.
    address: Option<Multiaddr>,
    /// What went wrong last.
    pub problem: Option<String>,
}

impl Relay {
    /// For people: the multiaddr where known, else what was configured.
    pub fn name(&self) -> String {
        match (&self.address, &self.source) {
            (Some(address), _) | (None, Bootstrap::Address(address)) => address.to_string(),
            (None, Bootstrap::Server(url)) => url.clone(),
        }
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        match self.state {
            State::Due | State::Resolving { .. } | State::Dialling { .. } => Standing::Connecting,
            State::Reserving { .. } => Standing::Connected,
            State::Reserved { .. } => Standing::Reserved,
            State::Waiting { .. } => Standing::Waiting,
        }
    }

    fn fail(&mut self, now: Instant, jitter: f64, problem: String) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(8)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        self.problem = Some(problem);
        // Half fixed, half random: clients that lost the same relay do not come back as one wave.
        self.state = State::Waiting { until: now + wait.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0) };
    }
}

/// All relays that should hold a reservation.
#[derive(Debug)]
pub struct Relays {
    relays: Vec<Relay>,
}

impl Relays {
    /// Wants a reservation at each of these.
    pub fn new(sources: Vec<Bootstrap>) -> Self {
        let relay = |source| Relay { source, state: State::Due, failures: 0, peer: None, address: None, problem: None };
        Self { relays: sources.into_iter().map(relay).collect() }
    }

    /// Every relay, for the status.
    pub fn iter(&self) -> impl Iterator<Item = &Relay> {
        self.relays.iter()
    }

    /// Whether any relay holds a reservation.
    pub fn reachable(&self) -> bool {
        self.relays.iter().any(|relay| relay.standing() == Standing::Reserved)
    }

    /// Whether this peer is one of our relays.
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.relays.iter().any(|relay| relay.peer.as_ref() == Some(peer))
    }

    /// Addresses of the connected relays, each ending in the relay's PeerId.
    pub fn connected(&self) -> impl Iterator<Item = &Multiaddr> {
        let connected = |relay: &&Relay| matches!(relay.standing(), Standing::Connected | Standing::Reserved);
        self.relays.iter().filter(connected).filter_map(|relay| relay.address.as_ref())
    }

    /// Tries those that wait at once: the network or the page came back.
    pub fn hurry(&mut self) {
        for relay in &mut self.relays {
            if let State::Waiting { .. } = relay.state {
                relay.failures = 0;
                relay.state = State::Due;
            }
        }
    }

    /// What is to be done now.
    pub fn due(&mut self, now: Instant, jitter: f64) -> Vec<Order> {
        let mut orders = Vec::new();
        for (index, relay) in self.relays.iter_mut().enumerate() {
            match relay.state {
                State::Waiting { until } if until <= now => relay.state = State::Due,
                State::Resolving { until } | State::Dialling { until } | State::Reserving { until, .. } if until <= now => {
                    relay.fail(now, jitter, "it did not answer in time".to_owned());
                }
                _ => {}
            }
            if !matches!(relay.state, State::Due) {
                continue;
            }
            let until = now + PATIENCE;
            match &relay.source {
                Bootstrap::Server(url) => {
                    orders.push(Order::Resolve(index, url.clone()));
                    relay.state = State::Resolving { until };
                }
                Bootstrap::Address(address) => match split(address) {
                    Some((peer, _)) => {
                        relay.peer = Some(peer);
                        orders.push(Order::Dial(peer, vec![address.clone()]));
                        relay.state = State::Dialling { until };
                    }
                    None => relay.fail(now, jitter, "its address lacks a PeerId".to_owned()),
                },
            }
        }
        orders
    }

    /// A server's `/bootstrap` answered, or not.
    pub fn resolved(&mut self, index: usize, answer: Result<(PeerId, Vec<Multiaddr>), String>, now: Instant, jitter: f64) -> Option<Order> {
        let twin = answer
            .as_ref()
            .ok()
            .is_some_and(|(peer, _)| self.relays.iter().enumerate().any(|(other, relay)| other != index && relay.peer == Some(*peer)));
        let relay = self.relays.get_mut(index)?;
        if !matches!(relay.state, State::Resolving { .. }) {
            return None;
        }
        match answer {
            Ok((peer, _)) if twin => {
                relay.fail(now, jitter, format!("it is the same relay as another entry of `bootstrap` ({peer})"));
                None
            }
            Ok((peer, addresses)) => {
                relay.peer = Some(peer);
                relay.state = State::Dialling { until: now + PATIENCE };
                Some(Order::Dial(peer, addresses))
            }
            Err(problem) => {
                relay.fail(now, jitter, problem);
                None
            }
        }
    }

    /// A connection to a peer stands; if it is a relay of ours, a reservation is asked for.
    pub fn connected_to(&mut self, peer: PeerId, address: &Multiaddr, now: Instant) -> Option<Order> {
        let (index, relay) = self.relays.iter_mut().enumerate().find(|(_, relay)| relay.peer == Some(peer))?;
        if matches!(relay.state, State::Reserving { .. } | State::Reserved { .. }) {
            return None;
        }
        let mut address = address.clone();
        if !matches!(address.iter().last(), Some(Protocol::P2p(_))) {
            address.push(Protocol::P2p(peer));
        }
        relay.address = Some(address.clone());
        relay.state = State::Reserving { listener: None, until: now + PATIENCE };
        Some(Order::Listen(index, address.with(Protocol::P2pCircuit)))
    }

    /// The listener that asks for the reservation exists.
    pub fn listening(&mut self, index: usize, id: ListenerId) {
        if let Some(Relay { state: State::Reserving { listener, .. }, .. }) = self.relays.get_mut(index) {
            *listener = Some(id);
        }
    }

    /// The relay accepted, or renewed.
    pub fn reserved(&mut self, peer: PeerId) {
        for relay in self.relays.iter_mut().filter(|relay| relay.peer == Some(peer)) {
            if let State::Reserving { listener, .. } = relay.state {
                relay.state = State::Reserved { listener };
                relay.failures = 0;
                relay.problem = None;
            }
        }
    }

    /// A relay could not be reached, or its last connection closed.
    pub fn lost(&mut self, peer: PeerId, problem: &str, now: Instant, jitter: f64) {
        for relay in self.relays.iter_mut().filter(|relay| relay.peer == Some(peer)) {
            if !matches!(relay.state, State::Waiting { .. } | State::Due) {
                relay.fail(now, jitter, problem.to_owned());
            }
        }
    }

    /// The listener of a reservation ended: it was refused or ran out.
    pub fn listener_closed(&mut self, id: ListenerId, problem: &str, now: Instant, jitter: f64) {
        for relay in &mut self.relays {
            if let State::Reserving { listener: Some(listener), .. } | State::Reserved { listener: Some(listener) } = relay.state
                && listener == id
            {
                relay.fail(now, jitter, problem.to_owned());
            }
        }
    }
}

fn split(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut base = address.clone();
    match base.pop() {
        Some(Protocol::P2p(peer)) => Some((peer, base)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> (PeerId, Multiaddr) {
        let peer = PeerId::random();
        (peer, format!("/ip4/127.0.0.1/tcp/1/ws/p2p/{peer}").parse().unwrap())
    }

    #[test]
    fn a_relay_is_dialled_reserved_and_repaired() {
        let (peer, address) = relay();
        let mut relays = Relays::new(vec![Bootstrap::Address(address.clone())]);
        let now = Instant::now();
        assert_eq!(relays.due(now, 0.0), vec![Order::Dial(peer, vec![address.clone()])]);
        assert_eq!(relays.due(now, 0.0), vec![]);
        let listen = relays.connected_to(peer, &address, now);
        assert_eq!(listen, Some(Order::Listen(0, address.clone().with(Protocol::P2pCircuit))));
        relays.reserved(peer);
        assert!(relays.reachable());

        relays.lost(peer, "gone", now, 1.0);
        assert!(!relays.reachable());
        assert_eq!(relays.due(now, 0.0), vec![]);
        assert_eq!(relays.due(now + FIRST_WAIT, 0.0), vec![Order::Dial(peer, vec![address])]);
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_a_hint_ends_them() {
        let (peer, address) = relay();
        let mut relays = Relays::new(vec![Bootstrap::Address(address)]);
        let mut now = Instant::now();
        for _ in 0..20 {
            assert_eq!(relays.due(now, 0.0).len(), 1);
            relays.lost(peer, "refused", now, 1.0);
            now += LONGEST_WAIT;
        }
        assert_eq!(relays.due(now, 0.0).len(), 1);
        relays.lost(peer, "refused", now, 1.0);
        assert_eq!(relays.due(now, 0.0).len(), 0);
        relays.hurry();
        assert_eq!(relays.due(now, 0.0).len(), 1);
    }

    #[test]
    fn silence_counts_as_failure() {
        let mut relays = Relays::new(vec![Bootstrap::Server("http://relay.example".into())]);
        let now = Instant::now();
        assert_eq!(relays.due(now, 0.0), vec![Order::Resolve(0, "http://relay.example".into())]);
        assert_eq!(relays.due(now + PATIENCE, 0.0), vec![]);
        assert_eq!(relays.iter().next().unwrap().standing(), Standing::Waiting);
    }
}

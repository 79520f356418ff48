//! Reaches peers through relays: first through one that did well lately, through the next one when that fails or takes its time.
//!
//! ```text
//!   dial ─► one relay, by weight ──► connected: it did well
//!                │ failed, or 1.5 s
//!                ▼
//!             another one ──► …
//! ```
//!
//! Dialling through all of them at once would cost every relay a circuit for each connection. Relays that a link names come first: they
//! know the peer.

use std::time::Duration;

use libp2p::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use shoal_protocol::limits::ADDRESSES_PER_PEER;
use web_time::Instant;

use super::{Driver, MAX_UNSENT, RELAY_PATIENCE};
use crate::{chooser::Chooser, peers::Dial, transport::address::peer_of};

/// How long one relay is waited for before the next one is tried beside it: several times what a direct connection takes.
const HASTE: Duration = Duration::from_millis(1_500);
/// Relays through which a relayed connection is dialled at once, when a path broke and time counts.
const AT_ONCE: usize = 2;

/// The dials under way, and what is known of the relays from earlier ones.
#[derive(Debug, Default)]
pub(super) struct Dialling {
    /// Relays, measured in connections made.
    relays: Chooser,
    /// Those with a dial under way: as few as the swarm has of these.
    attempts: Vec<Attempt>,
}

/// What is done to reach one peer.
#[derive(Debug)]
struct Attempt {
    peer: PeerId,
    /// Under way: the dial, through which relay, since when.
    running: Vec<(ConnectionId, PeerId, Instant)>,
    /// Not tried yet.
    left: Vec<Way>,
    /// How many connections are still to be made.
    wanted: usize,
}

/// A relay.
#[derive(Debug)]
struct Way {
    relay: PeerId,
    addresses: Vec<Multiaddr>,
    /// Whether somebody said that the peer is there.
    named: bool,
}

impl Way {
    /// The addresses of `peer` by this way: of a connection through the relay, or of a direct one.
    fn to(self, peer: PeerId, direct: bool) -> impl Iterator<Item = Multiaddr> {
        self.addresses.into_iter().map(move |relay| {
            let circuit = relay.with(Protocol::P2pCircuit);
            let circuit = if direct { circuit.with(Protocol::WebRTC) } else { circuit };
            circuit.with(Protocol::P2p(peer))
        })
    }
}

impl Dialling {
    /// Takes the way that is to be tried next.
    fn take(&self, ways: &mut Vec<Way>) -> Option<Way> {
        let named = ways.iter().any(|way| way.named);
        let candidates: Vec<PeerId> = ways.iter().filter(|way| way.named == named).map(|way| way.relay).collect();
        let picked = self.relays.pick(&candidates)?;
        let place = ways.iter().position(|way| way.relay == picked)?;
        Some(ways.swap_remove(place))
    }

    fn attempt(&mut self, peer: PeerId) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.peer == peer)
    }

    /// So many connections to a peer are to be made, by these ways.
    fn begin(&mut self, peer: PeerId, left: Vec<Way>, wanted: usize) {
        if let Some(attempt) = self.attempt(peer) {
            (attempt.left, attempt.wanted) = (left, wanted);
        } else {
            self.attempts.push(Attempt { peer, running: Vec::new(), left, wanted });
        }
    }

    /// The next way to a peer.
    fn next(&mut self, peer: PeerId) -> Option<Way> {
        let mut left = std::mem::take(&mut self.attempt(peer)?.left);
        let way = self.take(&mut left);
        self.attempt(peer)?.left = left;
        way
    }

    /// Whether a dial to a peer is under way.
    pub(super) fn is_running(&self, peer: PeerId) -> bool {
        self.attempts.iter().any(|attempt| attempt.peer == peer && !attempt.running.is_empty())
    }

    /// A dial ended. Nothing where it was none through a relay, made here; else whether it made a connection more than was wanted.
    fn ended(&mut self, peer: PeerId, dial: ConnectionId, connected: bool, relay_stands: impl Fn(&PeerId) -> bool) -> Option<bool> {
        let attempt = self.attempt(peer)?;
        let index = attempt.running.iter().position(|(id, ..)| *id == dial)?;
        let (_, relay, begun) = attempt.running.swap_remove(index);
        let surplus = connected && attempt.wanted == 0;
        if connected {
            attempt.wanted = attempt.wanted.saturating_sub(1);
            attempt.left.clear();
            self.relays.delivered(relay, 1);
            self.relays.done(relay);
        } else if begun.elapsed() >= HASTE || !relay_stands(&relay) {
            self.relays.failed(relay);
        } else {
            // It answered at once that it does not know the peer: no fault of its own.
            self.relays.done(relay);
        }
        Some(surplus)
    }
}

impl Driver {
    /// Dials `/webrtc` through the relays that we know, for so many connections; the transport makes the relayed one on its way. Without WebRTC that one is
    /// all.
    pub(super) fn dial(&mut self, peer: PeerId, via: Vec<Multiaddr>, count: usize) {
        // It may cost another connection its place: not one that was used since the last tick.
        self.tend_pool();
        if !self.has_way_to(peer, &via) && self.unsent.len() < MAX_UNSENT {
            self.note_dial(peer, "waiting", &[]);
            return self.unsent.push((Instant::now() + RELAY_PATIENCE, peer, via));
        }
        for _ in 0..count {
            self.dialling.begin(peer, self.ways_to(peer, &via), count);
            self.dial_next(peer, "no relay is known".to_owned());
        }
    }

    /// Dials through some relays that did well, to stay with the relayed connection.
    pub(super) fn dial_relayed(&mut self, peer: PeerId, via: &[Multiaddr]) {
        let mut ways = self.ways_to(peer, via);
        let taken = std::iter::from_fn(|| self.dialling.take(&mut ways)).take(AT_ONCE);
        let addresses: Vec<Multiaddr> = taken.flat_map(|way| way.to(peer, false)).collect();
        self.note_dial(peer, "dialling", &addresses);
        let options = DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::Always).build();
        if let Err(error) = self.swarm.dial(options) {
            tracing::debug!(%peer, %error, "no relayed connection");
        }
    }

    /// Whether there is a relay to dial through.
    pub(super) fn has_way_to(&self, peer: PeerId, via: &[Multiaddr]) -> bool {
        !self.ways_to(peer, via).is_empty()
    }

    /// The relays that are connected, and those that somebody named, as in a link: these may be many.
    fn ways_to(&self, peer: PeerId, via: &[Multiaddr]) -> Vec<Way> {
        let mut ways: Vec<Way> = Vec::new();
        let connected = self.relays.connected_addresses().map(|address| (address, false));
        for (address, named) in connected.chain(via.iter().take(ADDRESSES_PER_PEER).map(|address| (address, true))) {
            let Some(relay) = peer_of(address).filter(|relay| *relay != peer) else { continue };
            match ways.iter_mut().find(|way| way.relay == relay) {
                Some(way) => {
                    way.named |= named;
                    if !self.relays.is_connected(&relay) {
                        way.addresses.push(address.clone());
                    }
                }
                None => ways.push(Way { relay, addresses: vec![address.clone()], named }),
            }
        }
        ways
    }

    /// Tries the next relay. If there is none, and nothing is under way, the attempt has failed, for this reason.
    fn dial_next(&mut self, peer: PeerId, mut reason: String) {
        while let Some(way) = self.dialling.next(peer) {
            let relay = way.relay;
            let addresses: Vec<Multiaddr> = way.to(peer, self.shared.config.webrtc).collect();
            self.note_dial(peer, "dialling", &addresses);
            let options = DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::Always).build();
            let dial = options.connection_id();
            match self.swarm.dial(options) {
                Ok(()) => {
                    self.dialling.relays.asked(relay);
                    if let Some(attempt) = self.dialling.attempt(peer) {
                        attempt.running.push((dial, relay, Instant::now()));
                    }
                    self.shared.peers.borrow_mut().change(peer).dial = Dial::Running;
                    return;
                }
                Err(error) => reason = error.to_string(),
            }
        }
        if self.dialling.attempt(peer).is_some_and(|attempt| attempt.running.is_empty()) {
            self.dialling.attempts.retain(|attempt| attempt.peer != peer);
            self.dial_failed(peer, reason);
        }
    }

    /// A dial to a peer ended with a connection.
    pub(super) fn dial_succeeded(&mut self, peer: PeerId, dial: ConnectionId) {
        let Some(surplus) = self.dialling.ended(peer, dial, true, |_| true) else { return };
        if surplus && self.shared.peers.borrow().peer(&peer).is_some_and(|known| known.direct_connections() > 1) {
            self.swarm.close_connection(dial);
        }
        // Said where none of them was a direct one.
        self.dial_next(peer, "there are relayed connections only".to_owned());
    }

    /// A dial to a peer failed: the next relay is tried, or this was it.
    pub(super) fn dial_ended(&mut self, peer: PeerId, dial: ConnectionId, reason: String) {
        let relays = &self.relays;
        if self.dialling.ended(peer, dial, false, |relay| relays.is_connected(relay)).is_some() {
            self.dial_next(peer, reason);
        } else if self.dialling.attempt(peer).is_none() {
            self.dial_failed(peer, reason);
        }
    }

    fn dial_failed(&self, peer: PeerId, reason: String) {
        let mut peers = self.shared.peers.borrow_mut();
        if peers.peer(&peer).is_some_and(|known| known.dial == Dial::Running) {
            let direct = peers.peer(&peer).is_some_and(|known| known.direct());
            peers.change(peer).dial = if direct { Dial::Idle } else { Dial::Failed(reason) };
        }
    }

    /// Tries the next relay where one takes long. To be called a few times a second.
    pub(super) fn hasten(&mut self) {
        let slow = |attempt: &&Attempt| !attempt.left.is_empty() && attempt.running.iter().all(|(.., begun)| begun.elapsed() >= HASTE);
        let slow: Vec<PeerId> = self.dialling.attempts.iter().filter(slow).map(|attempt| attempt.peer).collect();
        for peer in slow {
            self.dial_next(peer, String::new());
        }
    }
}

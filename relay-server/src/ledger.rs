//! What the swarm's events add up to: connections, reservations and circuits as they are now. libp2p's relay reports
//! a closed "reservation" for every closed connection, so the numbers are kept here rather than counted up and down.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use libp2p::PeerId;

use shoal_protocol::connections::Network;

use crate::{behaviour::Occupancy, health::Health, way::Way};

/// The book. Its size is bounded by the limits of connections and circuits.
pub(crate) struct Ledger {
    peers: HashMap<PeerId, Peer>,
    /// Networks of the openers of each pair's circuits: as many entries as circuits.
    circuits: HashMap<(PeerId, PeerId), Vec<Option<Network>>>,
    open_circuits: usize,
    reserved: usize,
    connections: usize,
    occupancy: Occupancy,
    health: Arc<Health>,
}

struct Peer {
    network: Option<Network>,
    connections: usize,
    reserved: bool,
    /// Circuits of which it is an end.
    circuits: usize,
}

impl Ledger {
    /// Empty. Shares what the limiters need to know in `occupancy`, the numbers in `health`.
    pub(crate) fn new(occupancy: Occupancy, health: Arc<Health>) -> Self {
        Self { peers: HashMap::new(), circuits: HashMap::new(), open_circuits: 0, reserved: 0, connections: 0, occupancy, health }
    }

    /// `peer` has one more connection, from `network` if that is known.
    pub(crate) fn connected(&mut self, peer: PeerId, network: Option<Network>, way: Option<Way>) {
        let entry = self.peers.entry(peer).or_insert(Peer { network, connections: 0, reserved: false, circuits: 0 });
        entry.network = network;
        entry.connections += 1;
        self.connections += 1;
        self.health.connections.set(self.connections);
        self.count(way, |ways| *ways += 1);
    }

    /// `peer` has one connection less; with the last one its reservation is gone.
    pub(crate) fn disconnected(&mut self, peer: PeerId, way: Option<Way>) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.connections -= 1;
        let last = entry.connections == 0;
        self.connections -= 1;
        self.health.connections.set(self.connections);
        self.count(way, |ways| *ways = ways.saturating_sub(1));
        if last {
            self.unreserved(peer);
            self.peers.remove(&peer);
        }
    }

    fn count(&self, way: Option<Way>, change: impl FnOnce(&mut usize)) {
        if let Some(way) = way {
            change(self.health.ways.lock().unwrap_or_else(PoisonError::into_inner).of(way));
        }
    }

    /// `peer` can be reached through the relay.
    pub(crate) fn reserved(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer)
            && !std::mem::replace(&mut entry.reserved, true)
        {
            self.reserved += 1;
            self.health.reservations.set(self.reserved);
        }
    }

    /// `peer` can no longer be reached.
    pub(crate) fn unreserved(&mut self, peer: PeerId) {
        self.occupancy.unreserved(&peer);
        if let Some(entry) = self.peers.get_mut(&peer)
            && std::mem::replace(&mut entry.reserved, false)
        {
            self.reserved -= 1;
            self.health.reservations.set(self.reserved);
        }
    }

    /// `from` has a circuit to `to`.
    pub(crate) fn circuit_opened(&mut self, from: PeerId, to: PeerId) {
        let network = self.peers.get(&from).and_then(|peer| peer.network);
        if let Some(network) = network {
            self.occupancy.circuit_opened(network);
        }
        self.circuits.entry((from, to)).or_default().push(network);
        self.open_circuits += 1;
        for end in [from, to] {
            if let Some(peer) = self.peers.get_mut(&end) {
                peer.circuits += 1;
            }
        }
        self.health.circuits.set(self.open_circuits);
    }

    /// One of the circuits from `from` to `to` has ended.
    pub(crate) fn circuit_closed(&mut self, from: PeerId, to: PeerId) {
        let Some(networks) = self.circuits.get_mut(&(from, to)) else { return };
        if let Some(Some(network)) = networks.pop() {
            self.occupancy.circuit_closed(network);
        }
        if networks.is_empty() {
            self.circuits.remove(&(from, to));
        }
        self.open_circuits -= 1;
        for end in [from, to] {
            if let Some(peer) = self.peers.get_mut(&end) {
                // One that left and came back starts anew.
                peer.circuits = peer.circuits.saturating_sub(1);
            }
        }
        self.health.circuits.set(self.open_circuits);
    }

    /// Where `peer` came from last, if no relay is between.
    pub(crate) fn network(&self, peer: &PeerId) -> Option<Network> {
        self.peers.get(peer)?.network
    }

    /// The numbers that are counted elsewhere.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Whether a circuit of `peer`'s is open.
    pub(crate) fn has_circuit(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.circuits > 0)
    }

    /// Something was turned away because a limit was reached.
    pub(crate) fn refused(&self) {
        self.health.refused.add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_ends_with_the_last_connection() {
        let health = Arc::new(Health::new());
        let mut ledger = Ledger::new(Occupancy::default(), Arc::clone(&health));
        let numbers = || (health.connections.value(), health.reservations.value(), health.circuits.value());
        let (a, b) = (PeerId::random(), PeerId::random());
        let ways = || serde_json::to_value(health.report()).unwrap()["ways"].clone();
        ledger.connected(a, None, Some(Way::Tcp));
        ledger.connected(a, None, Some(Way::Quic));
        ledger.connected(b, None, Some(Way::Tcp));
        assert_eq!((&ways()["tcp"], &ways()["quic"], &ways()["webSocket"]), (&2.into(), &1.into(), &0.into()));
        ledger.reserved(a);
        ledger.reserved(a);
        assert_eq!(numbers(), (3, 1, 0));
        ledger.disconnected(a, Some(Way::Tcp));
        assert_eq!(numbers(), (2, 1, 0));
        assert_eq!((&ways()["tcp"], &ways()["quic"]), (&1.into(), &1.into()));
        ledger.circuit_opened(b, a);
        ledger.circuit_opened(b, a);
        assert_eq!(numbers(), (2, 1, 2));
        ledger.circuit_closed(b, a);
        ledger.circuit_closed(a, b);
        assert_eq!(numbers(), (2, 1, 1), "a circuit has a direction");
        assert!(ledger.has_circuit(&a) && ledger.has_circuit(&b));
        ledger.disconnected(a, Some(Way::Quic));
        ledger.unreserved(a);
        assert_eq!(numbers(), (1, 0, 1));
    }
}

//! The relays at which this server is reached, and when each is asked for a reservation again.

use std::collections::BTreeMap;

use libp2p::{Multiaddr, PeerId, core::transport::ListenerId, multiaddr::Protocol, swarm::ListenOpts};
use shoal_protocol::time::Time;

use super::table::{Random, wait};
use crate::only::is_circuit;

/// One for each relay of the settings.
pub(crate) struct Reservations {
    local: PeerId,
    at: BTreeMap<PeerId, Reservation>,
}

struct Reservation {
    address: Multiaddr,
    listener: Option<ListenerId>,
    held: bool,
    /// Where its relay listens besides.
    told: Vec<Multiaddr>,
    due: Time,
    failures: u32,
}

impl Reservations {
    /// None yet, for the server `local`.
    pub(crate) const fn new(local: PeerId) -> Self {
        Self { local, at: BTreeMap::new() }
    }

    /// One is wanted at `relay`, which is reached at `address`.
    pub(crate) fn want(&mut self, relay: PeerId, address: Multiaddr) {
        let wanted = Reservation { address, listener: None, held: false, told: Vec::new(), due: Time::default(), failures: 0 };
        self.at.entry(relay).or_insert(wanted);
    }

    /// A server has told where it listens.
    pub(crate) fn told(&mut self, relay: &PeerId, addresses: &[Multiaddr]) {
        if let Some(reservation) = self.at.get_mut(relay) {
            reservation.told = addresses.to_vec();
        }
    }

    /// A relay has granted one.
    pub(crate) fn granted(&mut self, relay: &PeerId) {
        if let Some(reservation) = self.at.get_mut(relay) {
            (reservation.held, reservation.failures) = (true, 0);
        }
    }

    /// One has ended, or was not granted.
    pub(crate) fn ended(&mut self, listener: ListenerId, now: Time, random: Random<'_>) {
        if let Some(reservation) = self.at.values_mut().find(|reservation| reservation.listener == Some(listener)) {
            (reservation.listener, reservation.held) = (None, false);
            reservation.failures = reservation.failures.saturating_add(1);
            reservation.due = now + wait(reservation.failures, random);
        }
    }

    /// One to ask for now, at a relay that is `connected`.
    pub(crate) fn next(&mut self, now: Time, connected: impl Fn(&PeerId) -> bool) -> Option<ListenOpts> {
        let due = |relay: &PeerId, reservation: &Reservation| reservation.listener.is_none() && reservation.due <= now && connected(relay);
        let (_, reservation) = self.at.iter_mut().find(|(relay, reservation)| due(relay, reservation))?;
        let options = ListenOpts::new(reservation.address.clone().with(Protocol::P2pCircuit).with(Protocol::P2p(self.local)));
        reservation.listener = Some(options.listener_id());
        Some(options)
    }

    /// When the next one is due that is not due yet: others wait for their relay.
    pub(crate) fn deadline(&self, now: Time) -> Option<Time> {
        let waiting = self.at.values().filter(|reservation| reservation.listener.is_none() && reservation.due > now);
        waiting.map(|reservation| reservation.due).min()
    }

    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        self.at.values().filter(|reservation| reservation.held).count()
    }

    /// Where this server is reached by those that are held.
    pub(crate) fn circuits(&self) -> Vec<Multiaddr> {
        let mut circuits = Vec::new();
        for (relay, reservation) in self.at.iter().filter(|(_, reservation)| reservation.held) {
            let told = reservation.told.iter().filter(|address| !is_circuit(address));
            let told = told.filter_map(|address| address.clone().with_p2p(*relay).ok());
            for base in std::iter::once(reservation.address.clone()).chain(told) {
                let circuit = base.with(Protocol::P2pCircuit).with(Protocol::P2p(self.local));
                if !circuits.contains(&circuit) {
                    circuits.push(circuit);
                }
            }
        }
        circuits
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_that_ended_is_asked_for_again_after_a_while_if_the_relay_is_there() {
        let (local, relay) = (PeerId::random(), PeerId::random());
        let at = |seconds| Time::from_origin(Duration::from_secs(seconds));
        let mut reservations = Reservations::new(local);
        let base: Multiaddr = format!("/ip4/1.2.3.4/tcp/4001/p2p/{relay}").parse().unwrap();
        reservations.want(relay, base.clone());
        assert!(reservations.next(at(0), |_| false).is_none() && reservations.deadline(at(0)).is_none());
        let first = reservations.next(at(0), |_| true).unwrap();
        assert!(reservations.next(at(0), |_| true).is_none(), "once");
        reservations.granted(&relay);
        let other: Multiaddr = "/ip4/1.2.3.4/tcp/8080/ws".parse().unwrap();
        reservations.told(&relay, std::slice::from_ref(&other));
        let through = |base: Multiaddr| base.with(Protocol::P2pCircuit).with(Protocol::P2p(local));
        assert_eq!(reservations.circuits(), [through(base), through(other.with(Protocol::P2p(relay)))]);
        reservations.ended(first.listener_id(), at(10), &mut || 1.0);
        assert!(reservations.circuits().is_empty() && reservations.next(at(10), |_| true).is_none());
        assert_eq!(reservations.deadline(at(10)), Some(at(11)));
        assert!(reservations.next(at(11), |_| true).is_some());
    }
}

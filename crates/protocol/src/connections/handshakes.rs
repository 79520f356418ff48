//! Connections that have not shown yet who they are. They cost memory and are worth nothing, so there are few, and where they can be
//! aborted the oldest of the most crowded network makes room for the next one: an honest peer is done in a fraction of a second, one who
//! holds places on purpose loses them to newcomers, its own first. But not at once: if any newcomer could abort any other, a crowd would
//! abort one another and nobody would get through.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Network, Refused};
use crate::time::Time;

/// Bounds on what is half open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// At once.
    pub total: usize,
    /// At once from one network.
    pub per_network: usize,
    /// The age from which on one may be aborted for another: longer than an honest one takes. Nothing where whoever runs the handshakes
    /// cannot abort any. Where none may be aborted, whoever comes when all places are taken is refused.
    pub abortable: Option<Duration>,
}

/// What is half open. `Id` names a handshake.
#[derive(Debug)]
pub struct Handshakes<Id> {
    limits: HandshakeLimits,
    begun: BTreeMap<Id, (Option<Network>, Time)>,
    /// By network, oldest first. Never an empty set.
    networks: BTreeMap<Option<Network>, BTreeSet<(Time, Id)>>,
}

impl<Id: Copy + Ord> Handshakes<Id> {
    /// None yet.
    pub const fn new(limits: HandshakeLimits) -> Self {
        Self { limits, begun: BTreeMap::new(), networks: BTreeMap::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.begun.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// One begins; `network` is missing where it is not known, as behind a relay. It may cost another one its place: that one is to
    /// be aborted, and is forgotten here already.
    ///
    /// # Errors
    /// [`Refused::Handshakes`] where there is no place.
    pub fn begin(&mut self, id: Id, network: Option<Network>, now: Time) -> Result<Option<Id>, Refused> {
        let of_network = self.networks.get(&network).map_or(0, BTreeSet::len);
        let crowded = network.is_some() && of_network >= self.limits.per_network;
        let displaced = if crowded || self.begun.len() >= self.limits.total {
            let old = |(begun, _): &(Time, Id)| self.limits.abortable.is_some_and(|age| now.since(*begun) >= age);
            let oldest = if crowded { self.networks.get(&network).and_then(BTreeSet::first).copied() } else { self.of_most_crowded(old) };
            let (_, oldest) = oldest.filter(old).ok_or(Refused::Handshakes)?;
            self.end(oldest);
            Some(oldest)
        } else {
            None
        };
        self.begun.insert(id, (network, now));
        self.networks.entry(network).or_default().insert((now, id));
        Ok(displaced)
    }

    /// One ended, in whatever way. Nothing happens to one that is not known.
    pub fn end(&mut self, id: Id) {
        let Some((network, begun)) = self.begun.remove(&id) else { return };
        if let Some(of_network) = self.networks.get_mut(&network) {
            of_network.remove(&(begun, id));
            if of_network.is_empty() {
                self.networks.remove(&network);
            }
        }
    }

    /// Of the networks whose oldest one may go, the one with the most; among equals, the one with the oldest: that one.
    fn of_most_crowded(&self, may_go: impl Fn(&(Time, Id)) -> bool) -> Option<(Time, Id)> {
        let oldest = |of_network: &BTreeSet<(Time, Id)>| Some((of_network.len(), *of_network.first()?));
        let candidates = self.networks.values().filter_map(oldest).filter(|(_, oldest)| may_go(oldest));
        candidates.max_by_key(|(size, oldest)| (*size, std::cmp::Reverse(*oldest))).map(|(_, oldest)| oldest)
    }
}

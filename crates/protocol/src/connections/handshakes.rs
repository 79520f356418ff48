//! Connections that have not shown yet who they are. They cost memory and are worth nothing, so there are few, and where they can be
//! aborted the oldest of the most crowded network makes room for the next one: an honest peer is done in a fraction of a second, one who
//! holds places on purpose loses them to newcomers, its own first.

use std::collections::{BTreeMap, BTreeSet};

use super::{Network, Refused};
use crate::time::Time;

/// Bounds on what is half open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// At once.
    pub total: usize,
    /// At once from one network.
    pub per_network: usize,
    /// Whether whoever runs the handshakes can abort one. If not, whoever comes when all places are taken is refused.
    pub abortable: bool,
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
            let from = if crowded { Some(network) } else { self.most_crowded() };
            let oldest = from.and_then(|network| self.networks.get(&network)).and_then(BTreeSet::first).map(|(_, id)| *id);
            if !self.limits.abortable || oldest.is_none() {
                return Err(Refused::Handshakes);
            }
            oldest.inspect(|id| self.end(*id))
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

    /// The network with the most; among equals, the one with the oldest.
    fn most_crowded(&self) -> Option<Option<Network>> {
        let rank = |of_network: &BTreeSet<(Time, Id)>| (of_network.len(), std::cmp::Reverse(of_network.first().copied()));
        self.networks.iter().max_by_key(|(_, of_network)| rank(of_network)).map(|(network, _)| *network)
    }
}

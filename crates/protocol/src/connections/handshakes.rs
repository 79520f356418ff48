//! Connections that have not shown yet who they are. They cost memory and are worth nothing, so there are few, and where they can be
//! aborted the oldest of the most crowded network makes room for the next one: an honest peer is done in a fraction of a second, one who
//! holds places on purpose loses them to newcomers, its own first. But not at once: if any newcomer could abort any other, a crowd would
//! abort one another and nobody would get through.
//!
//! Only whose handshakes came to nothing a moment ago is not waited for: a network that is *suspect* loses its places at once to one that is
//! not. So a crowd that comes again and again competes with itself, and an honest peer passes by.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Network, Refused};
use crate::{limits, time::Time};

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
    /// Those with handshakes now.
    networks: BTreeMap<Option<Network>, OfNetwork<Id>>,
}

/// The handshakes of one network.
#[derive(Debug)]
struct OfNetwork<Id> {
    /// The oldest first. Never empty.
    begun: BTreeSet<(Time, Id)>,
    /// Until when it is suspect; in the past for one that is not.
    suspect: Time,
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
    pub fn begin(&mut self, id: Id, network: Option<Network>, suspects: &mut Suspects, now: Time) -> Result<Option<Id>, Refused> {
        let of_network = self.networks.get(&network).map_or(0, |of_network| of_network.begun.len());
        let crowded = network.is_some() && of_network >= self.limits.per_network;
        let suspect = network.map_or(Time::default(), |network| suspects.until(&network));
        let displaced = if crowded || self.begun.len() >= self.limits.total {
            let abortable = self.limits.abortable.ok_or(Refused::Handshakes)?;
            let oldest = if crowded {
                self.networks.get(&network).and_then(OfNetwork::oldest).filter(|(begun, _)| now.since(*begun) >= abortable)
            } else {
                self.least_worth_waiting_for(suspect > now, abortable, now)
            };
            let (_, oldest) = oldest.ok_or(Refused::Handshakes)?;
            self.failed(oldest, suspects, now);
            Some(oldest)
        } else {
            None
        };
        self.begun.insert(id, (network, now));
        let of_network = self.networks.entry(network).or_insert_with(|| OfNetwork { begun: BTreeSet::new(), suspect });
        of_network.suspect = suspect;
        of_network.begun.insert((now, id));
        Ok(displaced)
    }

    /// One is done: it is known now who that is. Nothing happens to one that is not known here.
    pub fn finished(&mut self, id: Id) {
        self.end(id);
    }

    /// One came to nothing: its network is suspect for a while. Nothing happens to one that is not known here.
    pub fn failed(&mut self, id: Id, suspects: &mut Suspects, now: Time) {
        if let Some(network) = self.end(id) {
            let until = suspects.note(network, now);
            if let Some(of_network) = self.networks.get_mut(&Some(network)) {
                of_network.suspect = until;
            }
        }
    }

    /// Forgets one; tells its network.
    fn end(&mut self, id: Id) -> Option<Network> {
        let (network, begun) = self.begun.remove(&id)?;
        if let Some(of_network) = self.networks.get_mut(&network) {
            of_network.begun.remove(&(begun, id));
            if of_network.begun.is_empty() {
                self.networks.remove(&network);
            }
        }
        network
    }

    /// Of the networks whose oldest one may go: a suspect one before others, then the one with the most, then the one with the oldest; that
    /// one. For a newcomer that is not suspect itself, those of suspects may go at any age.
    fn least_worth_waiting_for(&self, suspect: bool, abortable: Duration, now: Time) -> Option<(Time, Id)> {
        let worth = |of_network: &OfNetwork<Id>| {
            let (oldest, of_suspect) = (of_network.oldest()?, of_network.suspect > now);
            let may_go = now.since(oldest.0) >= abortable || (of_suspect && !suspect);
            may_go.then_some((of_suspect, of_network.begun.len(), std::cmp::Reverse(oldest)))
        };
        self.networks.values().filter_map(worth).max().map(|(_, _, std::cmp::Reverse(oldest))| oldest)
    }
}

impl<Id: Copy + Ord> OfNetwork<Id> {
    fn oldest(&self) -> Option<(Time, Id)> {
        self.begun.first().copied()
    }
}

/// Networks whose handshakes came to nothing lately; at most [`limits::SUSPECT_NETWORKS`]. Who runs handshakes of several kinds has one for all:
/// a crowd that is known from one door is known at the next.
#[derive(Debug, Default)]
pub struct Suspects {
    until: BTreeMap<Network, Time>,
    /// The same in the order in which they are forgotten.
    order: BTreeSet<(Time, Network)>,
}

impl Suspects {
    fn until(&self, network: &Network) -> Time {
        self.until.get(network).copied().unwrap_or_default()
    }

    /// Tells until when.
    fn note(&mut self, network: Network, now: Time) -> Time {
        let until = now + limits::SUSPECT;
        if let Some(before) = self.until.insert(network, until) {
            self.order.remove(&(before, network));
        }
        self.order.insert((until, network));
        while let Some((first, network)) =
            self.order.first().copied().filter(|(first, _)| *first <= now || self.order.len() > limits::SUSPECT_NETWORKS)
        {
            self.order.remove(&(first, network));
            self.until.remove(&network);
        }
        until
    }
}

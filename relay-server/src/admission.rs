//! Who may come in: a bound on how many are inside at once ([`Gate`]), and on how many stand in the door without having shown yet what
//! they want or who they are ([`Door`]).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use shoal_protocol::{
    connections::{HandshakeLimits, Handshakes, Network, Suspects},
    time::Time,
};
use tokio::sync::Notify;

use crate::limits;

/// Also after a panic elsewhere: that must not close the relay to everybody.
fn lock<T>(counts: &Mutex<T>) -> MutexGuard<'_, T> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A gate with two bounds.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    total: usize,
    per_network: usize,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    total: usize,
    /// Never an entry of 0, so at most `total` entries.
    networks: HashMap<Network, usize>,
}

impl Gate {
    /// Lets in `total` at once, `per_network` of them from one network.
    pub(crate) fn new(total: usize, per_network: usize) -> Self {
        Self { total, per_network, inside: Arc::default() }
    }

    /// A place, given back when the ticket is dropped; none if a bound is reached.
    pub(crate) fn enter(&self, network: Network) -> Option<Ticket> {
        let mut inside = lock(&self.inside);
        let from_there = inside.networks.get(&network).copied().unwrap_or(0);
        if inside.total >= self.total || from_there >= self.per_network {
            return None;
        }
        inside.total += 1;
        inside.networks.insert(network, from_there + 1);
        Some(Ticket { inside: Arc::clone(&self.inside), network })
    }
}

/// A place inside a [`Gate`].
#[derive(Debug)]
pub(crate) struct Ticket {
    inside: Arc<Mutex<Inside>>,
    network: Network,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inside = lock(&self.inside);
        inside.total -= 1;
        if let Some(count) = inside.networks.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                inside.networks.remove(&self.network);
            }
        }
    }
}

/// A door: few stand in it at once, and whoever stands there for long makes room for the next one.
#[derive(Clone, Debug)]
pub(crate) struct Door(Arc<Mutex<Standing>>);

#[derive(Debug)]
struct Standing {
    handshakes: Handshakes<u64>,
    /// Who is told to leave, by number: as many as there are handshakes.
    told: HashMap<u64, Arc<Notify>>,
    next: u64,
    visitors: Visitors,
}

/// What is known of those who came to any of the doors.
#[derive(Clone, Debug)]
pub(crate) struct Visitors {
    opened: Instant,
    suspects: Arc<Mutex<Suspects>>,
}

impl Visitors {
    /// Nobody has come yet.
    pub(crate) fn new() -> Self {
        Self { opened: Instant::now(), suspects: Arc::default() }
    }

    fn now(&self) -> Time {
        Time::from_origin(self.opened.elapsed())
    }
}

impl Door {
    /// In which `total` stand at once, `per_network` of them from one network.
    pub(crate) fn new(total: usize, per_network: usize, visitors: &Visitors) -> Self {
        let limits = HandshakeLimits { total, per_network, abortable: Some(limits::UNDISTURBED) };
        let standing = Standing { handshakes: Handshakes::new(limits), told: HashMap::new(), next: 0, visitors: visitors.clone() };
        Self(Arc::new(Mutex::new(standing)))
    }

    /// Somebody comes, from a network that is perhaps not known. None if there is no room, and nobody stands there long enough.
    pub(crate) fn knock(&self, network: Option<Network>) -> Option<Knock> {
        let mut standing = lock(&self.0);
        let (id, visitors) = (standing.next, standing.visitors.clone());
        let aborted = standing.handshakes.begin(id, network, &mut lock(&visitors.suspects), visitors.now()).ok()?;
        standing.next += 1;
        if let Some(told) = aborted.and_then(|aborted| standing.told.remove(&aborted)) {
            told.notify_one();
        }
        let told = Arc::new(Notify::new());
        standing.told.insert(id, Arc::clone(&told));
        Some(Knock { id, told, standing: Arc::clone(&self.0) })
    }
}

/// Somebody in a [`Door`]. Dropped, it has left without having come in, and its network is suspect for a while.
#[derive(Debug)]
pub(crate) struct Knock {
    id: u64,
    told: Arc<Notify>,
    standing: Arc<Mutex<Standing>>,
}

impl Knock {
    /// Fires when it has to leave for somebody else.
    pub(crate) fn told_to_leave(&self) -> Arc<Notify> {
        Arc::clone(&self.told)
    }

    /// It has shown what it wants, or who it is.
    pub(crate) fn come_in(self) {
        lock(&self.standing).handshakes.finished(self.id);
    }
}

impl Drop for Knock {
    fn drop(&mut self) {
        let mut standing = lock(&self.standing);
        let visitors = standing.visitors.clone();
        // Nothing happens if it has come in, or was told to leave.
        standing.handshakes.failed(self.id, &mut lock(&visitors.suspects), visitors.now());
        standing.told.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn network(address: &str) -> Network {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn both_bounds_hold_and_places_are_given_back() {
        let gate = Gate::new(3, 2);
        let first = gate.enter(network("192.0.2.1"));
        let second = gate.enter(network("192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter(network("192.0.2.1")).is_none(), "one network holds two");
        let third = gate.enter(network("192.0.2.2"));
        assert!(third.is_some());
        assert!(gate.enter(network("192.0.2.3")).is_none(), "all hold three");
        drop((first, second, third));
        assert!(gate.inside.lock().unwrap().networks.is_empty());
        assert!(gate.enter(network("192.0.2.1")).is_some());
    }

    #[tokio::test]
    async fn who_stands_in_the_door_for_long_is_told_to_leave() {
        let door = Door::new(2, 2, &Visitors::new());
        let first = door.knock(Some(network("192.0.2.1"))).unwrap();
        let second = door.knock(None).unwrap();
        assert!(door.knock(None).is_none(), "nobody stands there for long");
        tokio::time::sleep(limits::UNDISTURBED).await;
        let third = door.knock(Some(network("192.0.2.2"))).unwrap();
        first.told_to_leave().notified().await;
        drop((first, second, third));
        assert!(lock(&door.0).told.is_empty() && lock(&door.0).handshakes.is_empty());
    }
}

//! Which connections there may be, and which one goes when there is no room for all.
//!
//! ```text
//!                          ┌─► Close (idle: nothing used it)
//!   opened ──► closed      ├─► Close (dead: silent, and a question unanswered)
//!     │                    └─► Close (least useful: a better one needs its place)
//!     └─ heard, moved, busy, failed: what a connection is worth
//! ```
//!
//! Bounds hold for each peer, for each network ([`Network`]), and in all; for what is half open, see [`Handshakes`]. Never closed to make
//! room: connections with work under way, and those of protected peers. Of the rest the least useful goes first: one that is not the only
//! one to its peer, then unhealthy, then relayed, then long unused ones. A stranger takes the place only of a connection that has been unused
//! for a while, so that a crowd of strangers cannot rotate through all places; what we dial ourselves may take any place.
//!
//! Whoever drives this reports what happens and carries out the orders; a connection that is ordered to be closed no longer counts.

mod entry;
mod handshakes;
mod network;
mod order;

use std::{collections::VecDeque, time::Duration};

use litemap::LiteMap;

pub use handshakes::{HandshakeLimits, Handshakes, Suspects};
pub use network::Network;
pub use order::{Order, Reason, Refused};

use crate::{limits, time::Time};
use entry::Entry;

/// Bounds of [`Connections`]. The defaults are those of a page; their reasons are in [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections.
    pub total: usize,
    /// Places among them that others cannot take by dialling us.
    pub kept_for_dialling: usize,
    /// Peers that may be protected at once: with all of them, nothing could be pruned.
    pub protected: usize,
    /// To one peer.
    pub per_peer: usize,
    /// From one network.
    pub per_network: usize,
    /// A connection that was of no use for so long is closed.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: limits::CONNECTIONS,
            kept_for_dialling: limits::CONNECTIONS / 4,
            protected: limits::CONNECTIONS / 2,
            per_peer: limits::CONNECTIONS_PER_PEER,
            per_network: limits::CONNECTIONS_PER_NETWORK,
            idle: limits::CONNECTION_IDLE,
        }
    }
}

/// By which path bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Through a relay.
    Relayed,
    /// No server between.
    Direct,
}

/// A connection that stands.
#[derive(Clone, Copy, Debug)]
pub struct Opened<Peer> {
    /// To whom.
    pub peer: Peer,
    /// Where the peer's address lies, if it is known.
    pub network: Option<Network>,
    /// By which path.
    pub path: Path,
    /// Whether the peer dialled.
    pub inbound: bool,
}

/// All open connections of a node. `Id` names one; later ones should be greater.
#[derive(Debug)]
pub struct Connections<Peer, Id> {
    limits: Limits,
    open: LiteMap<Id, Entry<Peer>>,
    /// How many of `open` each peer has. Never 0.
    of_peers: LiteMap<Peer, usize>,
    /// How many of `open` come from each network. Never 0.
    of_networks: LiteMap<Network, usize>,
    /// How many of `open` others dialled.
    inbound: usize,
    /// Never an empty list.
    protected: LiteMap<Peer, Vec<&'static str>>,
    orders: VecDeque<Order<Id>>,
    ticked: Time,
    /// When this node last woke from a sleep.
    woke: Time,
}

impl<Peer: Copy + Ord, Id: Copy + Ord> Connections<Peer, Id> {
    /// None yet.
    pub fn new(limits: Limits, now: Time) -> Self {
        Self {
            limits,
            open: LiteMap::new(),
            of_peers: LiteMap::new(),
            of_networks: LiteMap::new(),
            inbound: 0,
            protected: LiteMap::new(),
            orders: VecDeque::new(),
            ticked: now,
            woke: now,
        }
    }

    /// What is to be done next.
    pub fn poll_order(&mut self) -> Option<Order<Id>> {
        self.orders.pop_front()
    }

    /// Open connections.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a connection is open, and not ordered to be closed.
    pub fn contains(&self, id: Id) -> bool {
        self.open.contains_key(&id)
    }

    /// Keeps a peer's connections from being closed to make room, or for being idle, until [`release`](Self::release) with the same tag.
    /// Tells whether there was room for it: see [`Limits::protected`].
    pub fn protect(&mut self, peer: Peer, tag: &'static str) -> bool {
        if !self.protected.contains_key(&peer) && self.protected.len() >= self.limits.protected {
            return false;
        }
        let tags = self.protected.entry(peer).or_default();
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        true
    }

    /// Ends a protection. Others of the same peer stay.
    pub fn release(&mut self, peer: Peer, tag: &'static str, now: Time) {
        let Some(tags) = self.protected.get_mut(&peer) else { return };
        tags.retain(|other| *other != tag);
        if tags.is_empty() {
            self.protected.remove(&peer);
            // What was kept for its own sake is not idle from the first moment on.
            for (_, entry) in self.open.iter_mut().filter(|(_, entry)| entry.peer == peer) {
                entry.used = now;
            }
        }
    }

    /// A connection stands. Another one may have to go for it.
    ///
    /// # Errors
    /// Where there is no room: close it.
    pub fn opened(&mut self, id: Id, opened: Opened<Peer>, now: Time) -> Result<(), Refused> {
        let Opened { peer, network, path, inbound } = opened;
        let entry = Entry { peer, network, path, inbound, opened: now, heard: now, used: now, bytes: 0, busy: false, failures: 0 };
        let displaced = self.room_for(&entry, now)?;
        for displaced in displaced.into_iter().flatten() {
            self.close(displaced, Reason::LeastUseful);
        }
        *self.of_peers.entry(peer).or_default() += 1;
        self.inbound += usize::from(inbound);
        if let Some(network) = network {
            *self.of_networks.entry(network).or_default() += 1;
        }
        self.open.insert(id, entry);
        Ok(())
    }

    /// A connection is gone.
    pub fn closed(&mut self, id: Id) {
        let Some(entry) = self.open.remove(&id) else { return };
        self.inbound -= usize::from(entry.inbound);
        decrement(&mut self.of_peers, &entry.peer);
        if let Some(network) = &entry.network {
            decrement(&mut self.of_networks, network);
        }
    }

    /// Something came: the peer lives.
    pub fn heard(&mut self, id: Id, now: Time) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.heard = now;
        }
    }

    /// Payload came or went: the connection is of use.
    pub fn moved(&mut self, id: Id, bytes: u64, now: Time) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.used = now;
            entry.bytes = entry.bytes.saturating_add(bytes);
            entry.failures = 0;
        }
    }

    /// Whether work is under way on a connection: requests, streams, a circuit.
    pub fn busy(&mut self, id: Id, busy: bool, now: Time) {
        if let Some(entry) = self.open.get_mut(&id)
            && entry.busy != busy
        {
            entry.busy = busy;
            entry.used = now;
        }
    }

    /// What was asked over a connection failed.
    pub fn failed(&mut self, id: Id) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.failures = entry.failures.saturating_add(1);
        }
    }

    /// A question (a ping) asked at `asked` was not answered in time. The connection is dead if nothing at all was heard since: an answer
    /// may wait behind bulk, but then the bulk is heard. A question from before this node slept proves nothing.
    pub fn unanswered(&mut self, id: Id, asked: Time) {
        let dead = self.open.get(&id).is_some_and(|entry| entry.heard <= asked && asked >= self.woke);
        if dead {
            self.close(id, Reason::Dead);
        }
    }

    /// Time passes; to be called about once a second. A long pause between two calls was a sleep of this node (a laptop's lid, a frozen tab),
    /// and is held against nobody.
    pub fn tick(&mut self, now: Time) {
        let pause = now.since(self.ticked);
        self.ticked = now;
        if pause >= limits::SLEEP {
            self.woke = now;
            for (_, entry) in self.open.iter_mut() {
                entry.heard = now;
                entry.used = entry.used + pause;
            }
        }
        let idle = |entry: &Entry<Peer>| !self.is_kept(entry) && now.since(entry.used) >= self.limits.idle;
        let idle: Vec<Id> = self.open.iter().filter(|(_, entry)| idle(entry)).map(|(id, _)| *id).collect();
        for id in idle {
            self.close(id, Reason::Idle);
        }
    }

    fn close(&mut self, id: Id, reason: Reason) {
        self.closed(id);
        self.orders.push_back(Order::Close(id, reason));
    }

    /// Whether it must not be closed to make room.
    fn is_kept(&self, entry: &Entry<Peer>) -> bool {
        entry.busy || self.protected.contains_key(&entry.peer)
    }

    /// Which connections have to go for `new`, by each of the bounds.
    fn room_for(&self, new: &Entry<Peer>, now: Time) -> Result<[Option<Id>; 3], Refused> {
        let wanted = !new.inbound || self.protected.contains_key(&new.peer);
        let settled = |entry: &Entry<Peer>| wanted || now.since(entry.used) >= limits::CONNECTION_SETTLED;
        let mut going = [None; 3];
        if self.of_peers.get(&new.peer).is_some_and(|open| *open >= self.limits.per_peer) {
            // It loses one of its own, so it need not wait until that one is settled: a page that was reloaded comes back before
            // its last connections are noticed to be dead. Protection is the peer's, not the connection's.
            going[0] = Some(self.least_useful(now, &[], |entry| entry.peer == new.peer && !entry.busy).ok_or(Refused::Peer)?);
        }
        let gone = |going: &[Option<Id>], matches: &dyn Fn(&Entry<Peer>) -> bool| {
            going.iter().flatten().filter(|id| self.open.get(*id).is_some_and(matches)).count()
        };
        if let Some(network) = new.network.filter(|_| new.inbound) {
            let of_network = self.of_networks.get(&network).copied().unwrap_or(0);
            if of_network - gone(&going, &|entry| entry.network == Some(network)) >= self.limits.per_network {
                let of_network = |entry: &Entry<Peer>| entry.network == Some(network) && !self.is_kept(entry) && settled(entry);
                going[1] = Some(self.least_useful(now, &going, of_network).ok_or(Refused::Network)?);
            }
        }
        let strangers_full = !wanted && {
            self.inbound - gone(&going, &|entry| entry.inbound) >= self.limits.total.saturating_sub(self.limits.kept_for_dialling)
        };
        if strangers_full || self.open.len() - gone(&going, &|_| true) >= self.limits.total {
            let place = |entry: &Entry<Peer>| !self.is_kept(entry) && settled(entry) && (!strangers_full || entry.inbound);
            going[2] = Some(self.least_useful(now, &going, place).ok_or(Refused::Total)?);
        }
        Ok(going)
    }

    /// Of those that may go and are not going already.
    fn least_useful(&self, now: Time, going: &[Option<Id>], may_go: impl Fn(&Entry<Peer>) -> bool) -> Option<Id> {
        let only = |entry: &Entry<Peer>| self.of_peers.get(&entry.peer) == Some(&1);
        let candidates = self.open.iter().filter(|(id, entry)| may_go(entry) && !going.contains(&Some(**id)));
        candidates.min_by_key(|(_, entry)| entry.usefulness(only(entry), now)).map(|(id, _)| *id)
    }
}

fn decrement<Key: Ord>(counts: &mut LiteMap<Key, usize>, key: &Key) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

//! Which other servers are known, why, and when each is dialled again. No clock, no sockets: what happens is told, what is due is asked for.

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use shoal_protocol::{addresses::Reach, connections::Network, limits::ADDRESSES_PER_PEER, time::Time};

use crate::{limits, way::Way};

/// Why a server is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The settings name it.
    Named,
    /// The link shows it.
    Found,
    /// It came by itself.
    Guest,
}

/// One of its connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Which.
    pub(crate) id: ConnectionId,
    /// Whether it goes through a relay.
    pub(crate) relayed: bool,
    /// By which way this server dialled it.
    pub(crate) dialled: Option<Way>,
    /// How near its other end is.
    pub(crate) reach: Option<Reach>,
}

/// A server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) origin: Origin,
    /// Where it is dialled.
    pub(crate) addresses: Vec<Multiaddr>,
    /// Its connections, the oldest first.
    pub(crate) links: Vec<Link>,
    /// It speaks what our servers speak.
    pub(crate) proven: bool,
    network: Option<Network>,
    dialling: bool,
    failures: u32,
    due: Time,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    servers: BTreeMap<PeerId, Server>,
    guests: usize,
}

/// A number from 0 up to 1.
pub(crate) type Random<'a> = &'a mut dyn FnMut() -> f64;

impl Table {
    /// Nobody but `guests` that come by themselves at most.
    pub(crate) fn new(guests: usize) -> Self {
        Self { servers: BTreeMap::new(), guests }
    }

    /// The settings name a server, at one more address.
    pub(crate) fn name(&mut self, peer: PeerId, address: Multiaddr) {
        let server = self.servers.entry(peer).or_insert_with(|| Server::new(Origin::Named, Time::default()));
        if !server.addresses.contains(&address) {
            server.addresses.push(address);
        }
    }

    /// The link shows a server at `address`, which is to be dialled after `head_start` at the soonest. Whether that is news.
    pub(crate) fn find(&mut self, peer: PeerId, address: Multiaddr, head_start: Duration, now: Time) -> bool {
        if !self.servers.contains_key(&peer) {
            if self.count(Origin::Found) >= limits::FOUND_SERVERS {
                return false;
            }
            self.servers.insert(peer, Server::new(Origin::Found, now + head_start));
        }
        let Some(server) = self.servers.get_mut(&peer) else { return false };
        if server.origin == Origin::Guest {
            server.origin = Origin::Found;
        }
        let room = server.addresses.len() < ADDRESSES_PER_PEER && !server.addresses.contains(&address);
        if room {
            server.addresses.push(address);
        }
        room
    }

    /// A server has one more connection.
    pub(crate) fn connected(&mut self, peer: &PeerId, link: Link) {
        if let Some(server) = self.servers.get_mut(peer) {
            server.links.push(link);
            (server.dialling, server.failures) = (false, 0);
        }
    }

    /// A connection of a peer that nobody knew is one of a server. Whether there is a place for it.
    pub(crate) fn welcome(&mut self, peer: PeerId, network: Option<Network>, link: Link) -> bool {
        let guests = || self.servers.values().filter(|server| server.origin == Origin::Guest);
        let near = guests().filter(|server| server.network == network).count();
        if guests().count() >= self.guests || near >= limits::SERVERS_PER_NETWORK {
            return false;
        }
        let guest = Server { network, links: vec![link], ..Server::new(Origin::Guest, Time::default()) };
        self.servers.insert(peer, guest);
        true
    }

    /// It has one less. The server, if it is no longer known: a guest that left.
    pub(crate) fn disconnected(&mut self, peer: &PeerId, id: ConnectionId, now: Time, random: Random<'_>) -> Option<Server> {
        let server = self.servers.get_mut(peer)?;
        server.links.retain(|link| link.id != id);
        if !server.links.is_empty() {
            return None;
        }
        server.proven = false;
        if server.origin == Origin::Guest {
            return self.servers.remove(peer);
        }
        server.due = server.due.max(now + wait(1, random));
        None
    }

    /// A dial to it has failed. The server, if that was once too often for one that the link has shown.
    pub(crate) fn failed(&mut self, peer: &PeerId, now: Time, random: Random<'_>) -> Option<Server> {
        let server = self.servers.get_mut(peer).filter(|server| server.dialling)?;
        server.dialling = false;
        server.failures = server.failures.saturating_add(1);
        if server.origin == Origin::Named && server.failures == limits::TOLD_FAILURES {
            tracing::warn!(server = %peer, addresses = ?server.addresses, "a server that the settings name does not answer: tried again and again");
        }
        server.due = now + wait(server.failures, random);
        let forgotten = server.origin == Origin::Found && server.failures >= limits::FOUND_FAILURES && server.links.is_empty();
        if forgotten { self.servers.remove(peer) } else { None }
    }

    /// A server that the link has shown is none of ours: it is left alone for a while.
    pub(crate) fn not_ours(&mut self, peer: &PeerId, now: Time) {
        if let Some(server) = self.servers.get_mut(peer) {
            server.due = now + limits::NOT_OURS;
        }
    }

    /// A server to dial now, and where.
    pub(crate) fn dial(&mut self, now: Time) -> Option<(PeerId, Vec<Multiaddr>)> {
        let due = |server: &Server| server.waits() && server.due <= now;
        let (peer, server) = self.servers.iter_mut().find(|(_, server)| due(server))?;
        server.dialling = true;
        Some((*peer, server.addresses.clone()))
    }

    /// When the next one is due.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.servers.values().filter(|server| server.waits()).map(|server| server.due).min()
    }

    /// One of them.
    pub(crate) fn get(&self, peer: &PeerId) -> Option<&Server> {
        self.servers.get(peer)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Server> {
        self.servers.get_mut(peer)
    }

    /// All.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Server)> {
        self.servers.iter()
    }

    /// Those known for this reason.
    pub(crate) fn count(&self, origin: Origin) -> usize {
        self.servers.values().filter(|server| server.origin == origin).count()
    }
}

impl Server {
    const fn new(origin: Origin, due: Time) -> Self {
        Self { origin, addresses: Vec::new(), links: Vec::new(), proven: false, network: None, dialling: false, failures: 0, due }
    }

    /// Whether only a relay reaches it.
    pub(crate) fn is_relayed(&self) -> bool {
        !self.links.is_empty() && self.links.iter().all(|link| link.relayed)
    }

    fn waits(&self) -> bool {
        self.links.is_empty() && !self.dialling && !self.addresses.is_empty()
    }
}

/// The wait after so many failures in a row: it doubles, and a half of it is up to chance.
pub(super) fn wait(failures: u32, random: Random<'_>) -> Duration {
    let doubled = limits::REDIAL_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(limits::REDIAL_LONGEST).mul_f64(0.5 + random() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_origin(Duration::from_secs(seconds))
    }

    fn address() -> Multiaddr {
        "/ip4/192.168.1.7/tcp/4001".parse().unwrap()
    }

    fn link(id: usize) -> Link {
        Link { id: ConnectionId::new_unchecked(id), relayed: false, dialled: None, reach: None }
    }

    #[test]
    fn a_named_server_is_dialled_again_and_again_at_growing_distances() {
        let (mut table, peer, mut most) = (Table::new(0), PeerId::random(), || 1.0);
        table.name(peer, address());
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(table.dial(now).unwrap().0, peer);
            assert!(table.dial(now).is_none(), "once at a time");
            assert!(table.failed(&peer, now, &mut most).is_none());
            let due = table.deadline().unwrap();
            waits.push(due.since(now).as_secs());
            now = due;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        table.dial(now).unwrap();
        table.connected(&peer, link(1));
        assert!(table.deadline().is_none());
        assert!(table.disconnected(&peer, link(1).id, now, &mut most).is_none());
        assert_eq!(table.deadline().unwrap().since(now).as_secs(), 1, "it had answered");
    }

    #[test]
    fn what_a_link_shows_is_bounded_and_forgotten_when_it_does_not_answer() {
        let mut table = Table::new(0);
        let found = |table: &mut Table| (0..1_000).filter(|_| table.find(PeerId::random(), address(), Duration::ZERO, at(0))).count();
        assert_eq!(found(&mut table), limits::FOUND_SERVERS);
        let mut now = at(0);
        while table.count(Origin::Found) > 0 {
            now = table.deadline().unwrap();
            let (peer, _) = table.dial(now).unwrap();
            table.failed(&peer, now, &mut || 0.0);
        }
        assert!(now < at(60), "{now:?}");
        assert_eq!(found(&mut table), limits::FOUND_SERVERS);
    }

    #[test]
    fn guests_have_so_many_places_and_so_many_of_one_network() {
        let mut table = Table::new(6);
        let network = |last: u8| Some(Network::from(std::net::IpAddr::from([192, 0, 2, last])));
        let mut come = |last, id| {
            let peer = PeerId::random();
            table.welcome(peer, network(last), link(id)).then_some(peer)
        };
        let first = come(1, 1).unwrap();
        assert_eq!((2..10).filter(|id| come(1, *id).is_some()).count(), limits::SERVERS_PER_NETWORK - 1);
        assert_eq!((10..20).filter(|id| come(2, *id).is_some()).count(), 6 - limits::SERVERS_PER_NETWORK);
        assert!(table.disconnected(&first, link(1).id, at(0), &mut || 0.0).is_some());
        assert!(table.get(&first).is_none() && table.deadline().is_none(), "a guest is not dialled");
    }
}

//! Other servers: those that the settings name stay connected, those on this machine's link are found and connected, and some that come by themselves
//! are kept. At relays among them a reservation is held, by which this server is reached where nothing else leads to it.
//!
//! ```text
//!   settings ──┐                       ┌─► dial, by circuit where the address says so
//!   mDNS ──────┼─► Table ─── due ──────┤
//!   identify ──┘   │                   └─► listen at /…/p2p-circuit: a reservation
//!                  └─ Names: which peers are servers, for the behaviours that only servers have a use for
//! ```

mod keep;
mod mdns;
mod named;
mod reservations;
mod table;

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    future::Future as _,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use shoal_protocol::{
    addresses::{Filter, reach_of},
    connections::Network,
    time::Time,
};
use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) use self::named::{check_server, has_circuits, punches};
use self::{
    keep::{Keep, Order},
    mdns::{Mdns, on_link},
    named::{from_own_port, server_of},
    reservations::Reservations,
    table::{Link, Origin, Table},
};
use crate::{
    addresses::ip_of,
    health::Health,
    limits,
    only::{Names, is_circuit},
    outgoing::Permits,
    rate::TokenBuckets,
    settings::Config,
    way::Way,
};

/// What becomes of a peer that has said what it speaks.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is no server of ours, and nobody said so.
    Peer,
    /// A server that is kept. Where others reach it, if they are to be told.
    Server(Vec<Multiaddr>),
}

/// The behaviour.
pub(crate) struct Behaviour {
    local: PeerId,
    table: Table,
    reservations: Reservations,
    mdns: Option<Mdns>,
    finds: TokenBuckets<()>,
    names: Names,
    permits: Permits,
    /// Connections through relays: bounded by what these allow.
    relayed: BTreeMap<PeerId, Vec<ConnectionId>>,
    /// Those of them that a direct one has replaced, the first to be closed first.
    replaced: VecDeque<(Time, PeerId, ConnectionId)>,
    /// By which ways dials leave from a port at which this server listens.
    from_own_port: Vec<Way>,
    orders: VecDeque<ToSwarm<Infallible, Order>>,
    origin: Instant,
    alarm: Option<(Time, Pin<Box<Sleep>>)>,
    health: Arc<Health>,
}

impl Behaviour {
    /// Those of `config`. What others may know of them is shared in `names` and `permits`.
    ///
    /// # Errors
    /// Where mDNS is wanted, and the system does not tell of its network interfaces.
    pub(crate) fn new(local: PeerId, config: &Config, names: &Names, permits: &Permits, health: &Arc<Health>) -> std::io::Result<Self> {
        let mdns = if config.mdns { Some(Mdns::new(local)?) } else { None };
        let mut this = Self {
            local,
            table: Table::new(config.max_servers),
            reservations: Reservations::new(local),
            mdns,
            finds: TokenBuckets::new(limits::FINDS_PER_MINUTE, 1),
            names: names.clone(),
            permits: permits.clone(),
            relayed: BTreeMap::new(),
            replaced: VecDeque::new(),
            from_own_port: from_own_port(config),
            orders: VecDeque::new(),
            origin: Instant::now(),
            alarm: None,
            health: Arc::clone(health),
        };
        for address in &config.peers.0 {
            this.name(address);
        }
        for address in &config.reserve_at.0 {
            if let Some(peer) = this.name(address) {
                this.reservations.want(peer, address.clone());
            }
        }
        Ok(this)
    }

    /// The server at the end of an address of the settings, unless it is this one: the same list may serve all servers.
    fn name(&mut self, address: &Multiaddr) -> Option<PeerId> {
        let peer = server_of(address).filter(|peer| *peer != self.local)?;
        self.names.add(peer);
        self.table.name(peer, address.clone());
        Some(peer)
    }

    /// Announces these addresses on the link.
    pub(crate) fn announce(&mut self, addresses: &[Multiaddr]) {
        if let Some(mdns) = &mut self.mdns {
            mdns.announce(addresses);
        }
    }

    /// A peer, which came from `network`, has said by a connection what it speaks: whether that is `ours`, and where it `listens`.
    pub(crate) fn identified(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        network: Option<Network>,
        ours: bool,
        listens: &[Multiaddr],
    ) -> Verdict {
        let now = self.now();
        match self.table.get_mut(&peer) {
            Some(server) if server.origin == Origin::Found && !ours => {
                self.table.not_ours(&peer, now);
                self.orders.push_back(ToSwarm::CloseConnection { peer_id: peer, connection: CloseConnection::All });
                return Verdict::Peer;
            }
            Some(server) => server.proven = ours,
            None => {
                let link = Link { id, relayed: false, dialled: None, reach: None };
                // Of one that comes through a relay, no network is known.
                if !ours || network.is_none() || !self.table.welcome(peer, network, link) {
                    return Verdict::Peer;
                }
                self.names.add(peer);
                self.keep(peer, id);
            }
        }
        self.count();
        let Some(server) = self.table.get(&peer).filter(|server| server.origin != Origin::Guest) else {
            return Verdict::Server(Vec::new());
        };
        let reach = server.links.iter().find(|link| link.id == id).and_then(|link| link.reach);
        let told = reach.map_or_else(Vec::new, |reach| Filter::new(reach).select(listens.iter().cloned(), reach));
        self.reservations.told(&peer, &told);
        Verdict::Server(if ours { told } else { Vec::new() })
    }

    /// By which address a server sees this one, if others may reach it there: the connection left by a port at which this one listens.
    pub(crate) fn seen_as(&self, peer: &PeerId, id: ConnectionId, observed: &Multiaddr) -> Option<Multiaddr> {
        let link = self.table.get(peer)?.links.iter().find(|link| link.id == id)?;
        let way = link.dialled.filter(|way| self.from_own_port.contains(way) && !link.relayed && Way::of(observed) == Some(*way))?;
        let sound = reach_of(observed)? <= link.reach? && !is_circuit(observed);
        tracing::debug!(%peer, %observed, ?way, sound, "seen");
        sound.then(|| observed.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect())
    }

    /// Where this server is reached through relays.
    pub(crate) fn circuits(&self) -> Vec<Multiaddr> {
        self.reservations.circuits()
    }

    /// Whether its connections are kept when there is no room for all.
    pub(crate) fn is_kept(&self, peer: &PeerId) -> bool {
        self.table.get(peer).is_some_and(|server| server.origin != Origin::Guest)
    }

    /// A relay keeps a reservation for this server.
    pub(crate) fn reserved(&mut self, relay: &PeerId) {
        self.reservations.granted(relay);
        self.count();
    }

    fn now(&self) -> Time {
        Time::from_origin(self.origin.elapsed())
    }

    fn keep(&mut self, peer_id: PeerId, id: ConnectionId) {
        self.orders.push_back(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(id), event: Order });
    }

    fn count(&self) {
        let connected = || self.table.iter().filter(|(_, server)| !server.links.is_empty());
        let peering = &self.health.peering;
        peering.servers.set(connected().count());
        peering.relayed_servers.set(connected().filter(|(_, server)| server.is_relayed()).count());
        peering.found_servers.set(self.table.count(Origin::Found));
        peering.reserved_at.set(self.reservations.held());
    }

    fn on_connected(&mut self, peer: PeerId, link: Link) {
        if link.relayed {
            self.relayed.entry(peer).or_default().push(link.id);
        } else if let Some(relayed) = self.relayed.get(&peer) {
            // The direct one takes over. What is said on the other may be said to its end.
            let at = self.now() + limits::RELAYED_AFTER_DIRECT;
            self.replaced.extend(relayed.iter().map(|id| (at, peer, *id)));
        }
        if self.table.get(&peer).is_some() {
            self.table.connected(&peer, link);
            self.keep(peer, link.id);
            self.count();
        }
    }

    fn on_disconnected(&mut self, peer: PeerId, id: ConnectionId) {
        self.replaced.retain(|(_, _, replaced)| *replaced != id);
        if let Some(relayed) = self.relayed.get_mut(&peer) {
            relayed.retain(|relayed| *relayed != id);
            if relayed.is_empty() {
                self.relayed.remove(&peer);
            }
        }
        if let Some(gone) = self.table.disconnected(&peer, id, self.now(), &mut random) {
            self.forget(&peer, gone.addresses, gone.origin);
        }
        self.count();
    }

    fn forget(&mut self, peer: &PeerId, addresses: Vec<Multiaddr>, origin: Origin) {
        self.names.remove(peer);
        if origin == Origin::Found {
            addresses.iter().for_each(|address| self.permits.take_back(address));
        }
    }

    fn on_failure(&mut self, peer: PeerId) {
        if let Some(gone) = self.table.failed(&peer, self.now(), &mut random) {
            self.forget(&peer, gone.addresses, gone.origin);
            self.count();
        }
    }

    fn on_found(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let now = self.now();
        for (peer, address) in found {
            let address: Multiaddr = address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
            let sound = ip_of(&address).is_some_and(is_near) && !is_circuit(&address);
            if peer == self.local || !sound || self.table.get(&peer).is_none() && !self.finds.take((), now_std()) {
                continue;
            }
            let head_start = if self.local < peer { Duration::ZERO } else { limits::FIND_HEAD_START };
            if self.table.find(peer, address.clone(), head_start, now) {
                self.names.add(peer);
                self.permits.lend(&address);
            }
        }
        self.count();
    }

    /// A reservation to ask for: once its relay is connected directly.
    fn reserve(&mut self, now: Time) -> Option<ToSwarm<Infallible, Order>> {
        let table = &self.table;
        let direct = |relay: &PeerId| table.get(relay).is_some_and(|server| server.links.iter().any(|link| !link.relayed));
        self.reservations.next(now, direct).map(|opts| ToSwarm::ListenOn { opts })
    }

    fn deadline(&self, now: Time) -> Option<Time> {
        let closing = self.replaced.front().map(|(at, ..)| *at);
        self.table.deadline().into_iter().chain(closing).chain(self.reservations.deadline(now)).min()
    }
}

/// Whether mDNS may lead there.
fn is_near(ip: IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified() && on_link(ip)
}

fn now_std() -> std::time::Instant {
    std::time::Instant::now()
}

/// From 0 up to 1. Where the system has no randomness, everybody waits the same.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / (f64::from(u32::MAX) + 1.0))
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Keep;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Keep::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Keep::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(opened) => {
                let remote = opened.endpoint.get_remote_address();
                let dialled = if opened.endpoint.is_dialer() { Way::of(remote) } else { None };
                let relayed = opened.endpoint.is_relayed();
                let reach = if relayed { None } else { reach_of(remote) };
                self.on_connected(opened.peer_id, Link { id: opened.connection_id, relayed, dialled, reach });
            }
            FromSwarm::ConnectionClosed(closed) => self.on_disconnected(closed.peer_id, closed.connection_id),
            FromSwarm::DialFailure(failure) => {
                if let Some(peer) = failure.peer_id {
                    self.on_failure(peer);
                }
            }
            FromSwarm::ListenerClosed(closed) => {
                self.reservations.ended(closed.listener_id, self.now(), &mut random);
                self.count();
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, never: THandlerOutEvent<Self>) {
        match never {}
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        while let Some(Poll::Ready(found)) = self.mdns.as_mut().map(|mdns| mdns.poll(context)) {
            self.on_found(found);
        }
        loop {
            if let Some(order) = self.orders.pop_front() {
                return Poll::Ready(order);
            }
            let now = self.now();
            if let Some(order) = self.reserve(now) {
                return Poll::Ready(order);
            }
            if let Some((_, peer_id, id)) = self.replaced.pop_front_if(|(at, ..)| *at <= now) {
                return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) });
            }
            if let Some((peer, addresses)) = self.table.dial(now) {
                let options = DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::DisconnectedAndNotDialing);
                return Poll::Ready(ToSwarm::Dial { opts: options.build() });
            }
            let Some(deadline) = self.deadline(now) else { return Poll::Pending };
            if self.alarm.as_ref().is_none_or(|(at, _)| *at != deadline) {
                let after = deadline.since(Time::from_origin(Duration::ZERO));
                self.alarm = Some((deadline, Box::pin(sleep_until(self.origin + after))));
            }
            if self.alarm.as_mut().is_none_or(|(_, alarm)| alarm.as_mut().poll(context).is_pending()) {
                return Poll::Pending;
            }
            self.alarm = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn behaviour(config: Config) -> Behaviour {
        let (permits, health) = (Permits::new(&config), Arc::new(Health::new()));
        Behaviour::new(PeerId::random(), &config, &Names::default(), &permits, &health).unwrap()
    }

    fn defaults() -> Config {
        Settings::default().or(Settings::default())
    }

    #[tokio::test]
    async fn whoever_answers_mdns_and_is_none_of_ours_is_left_alone() {
        let (mut servers, peer, id) = (behaviour(defaults()), PeerId::random(), ConnectionId::new_unchecked(1));
        servers.table.find(peer, "/ip4/192.168.1.7/tcp/4001".parse().unwrap(), Duration::ZERO, servers.now());
        servers.table.dial(servers.now()).unwrap();
        servers.on_connected(peer, Link { id, relayed: false, dialled: Some(Way::Tcp), reach: None });
        assert_eq!(servers.identified(peer, id, None, false, &[]), Verdict::Peer);
        let closes = |order: &ToSwarm<Infallible, Order>| matches!(order, ToSwarm::CloseConnection { peer_id, .. } if *peer_id == peer);
        assert!(servers.orders.iter().any(closes));
        servers.on_disconnected(peer, id);
        let again = servers.table.deadline().unwrap().since(servers.now());
        assert!(again > limits::NOT_OURS - Duration::from_secs(60), "{again:?}");
    }

    #[tokio::test]
    async fn of_guests_nobody_is_told_and_of_named_servers_what_is_as_near_as_they_are() {
        let (named, id) = (PeerId::random(), ConnectionId::new_unchecked(1));
        let peers = format!("/ip4/1.2.3.4/tcp/4001/p2p/{named}").parse().unwrap();
        let mut servers = behaviour(Config { peers, ..defaults() });
        let listens = ["/ip4/1.2.3.4/tcp/8080/ws", "/ip4/192.168.1.1/tcp/8080/ws"].map(|address| address.parse().unwrap());
        servers.on_connected(
            named,
            Link { id, relayed: false, dialled: Some(Way::Tcp), reach: Some(shoal_protocol::addresses::Reach::Global) },
        );
        assert_eq!(servers.identified(named, id, None, true, &listens), Verdict::Server(vec![listens[0].clone()]));
        let (guest, network) = (PeerId::random(), Some(Network::from(IpAddr::from([1, 2, 3, 5]))));
        assert_eq!(servers.identified(guest, ConnectionId::new_unchecked(2), network, true, &listens), Verdict::Server(Vec::new()));
        assert_eq!(servers.identified(PeerId::random(), ConnectionId::new_unchecked(3), network, false, &listens), Verdict::Peer);
        assert!(servers.is_kept(&named) && !servers.is_kept(&guest));
    }
}

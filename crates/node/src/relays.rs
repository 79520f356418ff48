//! Keeps this page reachable: carries out what [`shoal_protocol::reservations`] orders, and reports to it what happened.
//!
//! ```text
//!            resolve ──► bootstrap (fetch, DNS over HTTPS)
//!  orders ── dial, disconnect ──► swarm          ──► connected, lost ──► reports
//!            reserve ──► a listener on the relay's circuit address   ──► reserved, refused
//!            probe ──► one ping on a stream of its own               ──► probed
//! ```
//!
//! A reservation is renewed by a second listener on the same address: libp2p's relay client lets the first one go when the second holds, so there is
//! no moment in which the page cannot be reached. (It would renew by itself, too, but by the difference between the relay's clock and ours.)

use std::io;

use futures::{
    FutureExt, StreamExt,
    future::{LocalBoxFuture, select},
    stream::FuturesUnordered,
};
use libp2p::{
    Multiaddr, PeerId, Stream, Swarm,
    core::transport::ListenerId,
    multiaddr::Protocol,
    relay::outbound::hop::ReserveError,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use shoal_protocol::reservations::{
    Order, Problem, Reservations, Standing, Tier,
    remembered::Remembered,
    ways::{Failure, Way},
};

use crate::{
    behaviour::{Behaviour, PING},
    bootstrap,
    config::{Bootstrap, Config, Source},
    event::RelayStatus,
    node::parse_relay,
    peers::Transport,
    ping::ping,
    platform,
    store::Store,
    transport::{
        address::{peer_of, shortened, way_of},
        race::Ended,
    },
};

mod clocks;
pub mod dials;

use clocks::Clocks;
use dials::{Dials, unix_seconds};

/// Under which name the store keeps the relays that worked.
const RECORD: &str = "relays";

/// What a task of ours found out.
#[derive(Debug)]
pub enum Outcome {
    /// A source's answer.
    Resolved(usize, Result<Vec<(PeerId, Vec<Multiaddr>)>, Problem>),
    /// Whether a relay answered.
    Probed(PeerId, bool),
    /// What became of a WebTransport dial.
    Tried(Ended),
}

/// A connection to a server. A page has as many as it has relays: a handful.
#[derive(Debug)]
struct Link {
    peer: PeerId,
    id: ConnectionId,
    way: Way,
    /// How it was dialled. Ends in the PeerId.
    dialled: Multiaddr,
    /// How others are told of it: by the WebSocket, which takes every browser and every network there, and stays the same.
    address: Multiaddr,
    /// With which a reservation was asked for last.
    listener: Option<ListenerId>,
}

/// This page's relays.
#[derive(Debug)]
pub struct Relays {
    manager: Reservations<PeerId, Multiaddr>,
    sources: Vec<Source>,
    resolver: String,
    connections: Vec<Link>,
    tasks: FuturesUnordered<LocalBoxFuture<'static, Outcome>>,
    clocks: Clocks,
    remembered: Remembered,
    dials: Dials,
    store: Store,
}

impl Relays {
    /// Wants reservations at relays of these sources. Reads from the store which ones worked before.
    pub async fn new(config: &Config, bootstrap: Vec<Bootstrap>, mut dials: Dials, store: Store) -> Self {
        let (mut addresses, mut sources) = (Vec::new(), Vec::new());
        for entry in bootstrap {
            match entry {
                Bootstrap::Address(address) => addresses.push(address),
                Bootstrap::Source(source) => sources.push(source),
            }
        }
        let mut manager = Reservations::new(config.reservations, sources.len());
        if !platform::tells_of_networks() {
            manager.watch();
        }
        for address in addresses {
            if let Some(peer) = peer_of(&address) {
                // Of several entries for one relay each is an address of it.
                let mut known = manager.addresses(&peer).to_vec();
                known.push(address);
                manager.add(peer, known, Tier::Configured);
            }
        }
        // A record that cannot be read is as good as none.
        let record = store.record(RECORD).await.ok().flatten().unwrap_or_default();
        let remembered = Remembered::read(&String::from_utf8_lossy(&record));
        for relay in remembered.relays() {
            let addresses: Vec<Multiaddr> = relay.addresses().iter().filter_map(|text| parse_relay(text).ok()).collect();
            let Some(peer) = addresses.first().and_then(peer_of) else { continue };
            if let Some(verdict) = relay.verdict() {
                dials.learn(peer, verdict);
            }
            if !manager.contains(&peer) {
                manager.add(peer, addresses, Tier::Remembered);
            }
        }
        Self {
            manager,
            sources,
            resolver: config.dns_resolver.clone(),
            connections: Vec::new(),
            tasks: FuturesUnordered::new(),
            clocks: Clocks::new(),
            remembered,
            dials,
            store,
        }
    }

    /// The next thing that a task found out.
    pub async fn next_outcome(&mut self) -> Outcome {
        let found = async {
            match self.tasks.next().await {
                Some(outcome) => outcome,
                None => futures::future::pending().await,
            }
        };
        let tried = async { Outcome::Tried(self.dials.race.next_ended().await) };
        select(Box::pin(found), Box::pin(tried)).await.factor_first().0
    }

    /// Tells the manager of it.
    pub fn found(&mut self, outcome: Outcome) {
        let now = self.clocks.now();
        let tried = if let Outcome::Tried((peer, _)) = outcome { Some(peer) } else { None };
        match outcome {
            Outcome::Resolved(source, answer) => self.manager.resolved(source, answer, now, &mut platform::random_fraction),
            Outcome::Probed(peer, alive) => self.manager.probed(&peer, alive, now),
            Outcome::Tried((peer, Ok(()))) => self.dials.ways.works(peer),
            Outcome::Tried((peer, Err(failure))) => {
                self.dials.ways.failed(peer, failure, unix_seconds());
                if failure == Failure::Refused {
                    self.manager.outdated(&peer, now);
                }
                if self.link(&peer).is_some_and(|link| link.way == Way::WebSocket) {
                    self.dials.ways.instead(peer);
                }
            }
        }
        if let Some(peer) = tried {
            self.remember(&peer);
        }
    }

    /// Looks at the clocks: where they jumped, timers did not run, and connections may be gone.
    pub fn tick(&mut self) {
        if self.clocks.slept() {
            self.woke();
        }
    }

    /// The page, the network or the device came back.
    pub fn woke(&mut self) {
        self.dials.ways.forgive();
        self.manager.woke(self.clocks.now());
    }

    /// A connection to a server stands.
    pub fn connected(&mut self, peer: PeerId, id: ConnectionId, address: &Multiaddr) {
        let mut dialled = address.clone();
        if peer_of(&dialled).is_none() {
            dialled.push(Protocol::P2p(peer));
        }
        let way = way_of(&dialled).unwrap_or(Way::WebSocket);
        let mut address = dialled.clone();
        match way {
            Way::WebSocket => self.dials.ways.instead(peer),
            Way::WebTransport | Way::WebRtcDirect => {
                match way {
                    Way::WebTransport => self.dials.ways.works(peer),
                    _ => self.dials.by_direct(peer),
                }
                // By UDP nobody is told that a server is gone: it is asked.
                self.manager.watch();
                address = self.dials.other_way(self.manager.addresses(&peer), way).unwrap_or_else(|| shortened(&dialled));
            }
        }
        self.forget(&peer);
        self.connections.push(Link { peer, id, way, dialled, address, listener: None });
        self.manager.connected(&peer);
    }

    /// Keeps for later visits where a relay is that holds a reservation, and how it is dialled.
    fn remember(&mut self, peer: &PeerId) {
        let held = self.manager.rows().any(|row| row.id == peer && row.standing == Standing::Reserved);
        let Some(link) = self.link(peer).filter(|_| held) else { return };
        let addresses = [Some(link.dialled.clone()), self.dials.other_way(self.manager.addresses(peer), link.way)];
        let addresses = addresses.iter().flatten().map(ToString::to_string);
        if self.remembered.worked(addresses, self.dials.ways.known(peer).copied(), unix_seconds()) {
            let (store, record) = (self.store.clone(), self.remembered.write());
            // Losing it costs a convenience of a later visit.
            platform::spawn(async move { drop(store.set_record(RECORD, record.as_bytes()).await) });
        }
    }

    /// A connection closed.
    pub fn closed(&mut self, peer: PeerId, id: ConnectionId) {
        if self.link(&peer).is_some_and(|link| link.id == id) {
            self.forget(&peer);
            self.lost(peer, Problem::Broken);
        }
    }

    /// A dial to this peer failed.
    pub fn unreachable(&mut self, peer: PeerId) {
        if self.link(&peer).is_none() {
            if self.manager.contains(&peer) {
                self.dials.ways.stranded(peer);
            }
            self.lost(peer, Problem::Unreachable);
        }
    }

    /// A transfer stands still for want of a relay.
    pub fn needed(&mut self) {
        self.manager.needed(self.clocks.now(), &mut platform::random_fraction);
    }

    fn link(&self, peer: &PeerId) -> Option<&Link> {
        self.connections.iter().find(|link| link.peer == *peer)
    }

    /// Forgets the connection to a peer. Which it was.
    fn forget(&mut self, peer: &PeerId) -> Option<Link> {
        let index = self.connections.iter().position(|link| link.peer == *peer)?;
        Some(self.connections.swap_remove(index))
    }

    fn lost(&mut self, peer: PeerId, problem: Problem) {
        self.manager.lost(&peer, problem, self.clocks.now(), &mut platform::random_fraction);
    }

    /// The relay granted the reservation, or renewed it.
    pub fn reserved(&mut self, peer: PeerId) {
        self.manager.reserved(&peer, self.clocks.now(), &mut platform::random_fraction);
        self.remember(&peer);
    }

    /// A listener ended: if it is the one that a reservation was asked for with, the relay refused or ended it.
    pub fn listener_closed(&mut self, id: ListenerId, reason: &Result<(), io::Error>) {
        let Some(link) = self.connections.iter_mut().find(|link| link.listener == Some(id)) else { return };
        link.listener = None;
        let peer = link.peer;
        self.manager.refused(&peer, problem_of(reason), self.clocks.now(), &mut platform::random_fraction);
    }

    /// A ping was not answered. Whether it is a relay's: then it is asked before anything is concluded.
    pub fn doubted(&mut self, peer: &PeerId, id: ConnectionId) -> bool {
        let ours = self.manager.contains(peer) && self.link(peer).is_some_and(|link| link.id == id);
        if ours {
            self.manager.doubted(peer, self.clocks.now());
        }
        ours
    }

    /// The stream for a probe is open.
    pub fn probe(&mut self, peer: PeerId, stream: Stream) {
        self.tasks.push(async move { Outcome::Probed(peer, ping(stream).await.is_ok()) }.boxed_local());
    }

    /// The stream for a probe could not be opened. A relay that knows no ping has answered, too.
    pub fn probe_failed(&mut self, peer: PeerId, unsupported: bool) {
        self.manager.probed(&peer, unsupported, self.clocks.now());
    }

    /// Carries out what is due, and what becomes due by that.
    pub fn carry_out(&mut self, swarm: &mut Swarm<Behaviour>) {
        loop {
            let orders = self.manager.due(self.clocks.now(), &mut platform::random_fraction);
            if orders.is_empty() {
                return;
            }
            for order in orders {
                self.carry_out_one(order, swarm);
            }
        }
    }

    fn carry_out_one(&mut self, order: Order<PeerId, Multiaddr>, swarm: &mut Swarm<Behaviour>) {
        match order {
            Order::Resolve(index) => {
                let Some(source) = self.sources.get(index).cloned() else { return };
                let resolver = self.resolver.clone();
                self.tasks.push(async move { Outcome::Resolved(index, bootstrap::resolve(&source, &resolver).await) }.boxed_local());
            }
            Order::Dial(peer, _) if self.link(&peer).is_some() => self.manager.connected(&peer),
            Order::Dial(peer, addresses) => {
                let addresses = self.dials.begin(peer, addresses);
                let options = DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::Always).build();
                if let Err(error) = swarm.dial(options) {
                    self.lost(peer, Problem::Other(error.to_string()));
                }
            }
            Order::Reserve(peer) => {
                let Some(link) = self.connections.iter_mut().find(|link| link.peer == peer) else {
                    return self.lost(peer, Problem::Broken);
                };
                match swarm.listen_on(link.address.clone().with(Protocol::P2pCircuit)) {
                    Ok(listener) => link.listener = Some(listener),
                    Err(error) => self.lost(peer, Problem::Other(error.to_string())),
                }
            }
            Order::Probe(peer) => match self.link(&peer) {
                Some(link) => swarm.behaviour_mut().streams.open(peer, link.id, PING),
                None => self.lost(peer, Problem::Broken),
            },
            Order::Disconnect(peer) => {
                if let Some(link) = self.forget(&peer) {
                    swarm.close_connection(link.id);
                }
            }
        }
    }

    /// The connections to them.
    pub fn links(&self) -> impl Iterator<Item = (PeerId, ConnectionId)> {
        self.connections.iter().filter(|link| self.manager.contains(&link.peer)).map(|link| (link.peer, link.id))
    }

    /// By which address this relay is connected.
    pub fn address_of(&self, relay: &PeerId) -> Option<&Multiaddr> {
        self.link(relay).map(|link| &link.address)
    }

    /// Addresses of the relays that can be dialled through, each ending in the relay's PeerId.
    pub fn connected_addresses(&self) -> impl Iterator<Item = &Multiaddr> {
        self.connections.iter().filter(|link| self.manager.contains(&link.peer)).map(|link| &link.address)
    }

    /// The relays that the settings lead to.
    pub fn configured(&self) -> Vec<PeerId> {
        self.manager.configured().copied().collect()
    }

    /// Whether a connection to this relay stands.
    pub fn is_connected(&self, relay: &PeerId) -> bool {
        self.link(relay).is_some()
    }

    /// Every relay in use, and what is wrong with the others and with the sources.
    pub fn status(&self) -> Vec<RelayStatus> {
        let relays = self.manager.rows().map(|row| {
            let link = self.link(row.id);
            let address = link.map(|link| &link.address).or(row.addresses.first());
            let address = address.map_or_else(|| row.id.to_string(), ToString::to_string);
            let transport = link.map(|link| match link.way {
                Way::WebRtcDirect => Transport::WebrtcDirect,
                Way::WebTransport => Transport::Webtransport,
                Way::WebSocket => Transport::Websocket,
            });
            let udp_blocked = transport == Some(Transport::Websocket) && self.dials.ways.is_blocked(row.id);
            RelayStatus { address, state: word(row.standing), transport, udp_blocked, problem: row.problem.map(ToString::to_string) }
        });
        let sources = self.sources.iter().enumerate().filter_map(|(index, source)| {
            let (standing, problem) = self.manager.source(index)?;
            let told = standing != Standing::Connected;
            told.then(|| RelayStatus {
                address: source.to_string(),
                state: word(standing),
                transport: None,
                udp_blocked: false,
                problem: problem.map(ToString::to_string),
            })
        });
        relays.chain(sources).collect()
    }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Connecting => "connecting",
        Standing::Connected => "connected",
        Standing::Reserved => "reserved",
        Standing::Idle | Standing::Waiting => "waiting",
    }
}

/// Why a listener ended, by what libp2p's relay client says.
fn problem_of(reason: &Result<(), io::Error>) -> Problem {
    let Err(error) = reason else { return Problem::Broken };
    let mut cause = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(error) = cause {
        match error.downcast_ref::<ReserveError>() {
            Some(ReserveError::ResourceLimitExceeded) => return Problem::Full,
            Some(ReserveError::Refused) => return Problem::Refused,
            Some(ReserveError::Unsupported) => return Problem::NoRelay,
            Some(ReserveError::Protocol(problem)) => return Problem::Other(format!("its answer cannot be understood: {problem}")),
            Some(ReserveError::Io(_)) => return Problem::Broken,
            None => cause = error.source(),
        }
    }
    Problem::Other(error.to_string())
}

//! Who is connected, by which paths, and what is being tried: the table that the driver writes and everybody reads.

use std::{cell::Cell, rc::Rc, time::Duration};

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, multiaddr::Protocol, swarm::ConnectionId};
use litemap::LiteMap;
use serde::Serialize;
use shoal_protocol::pipe::Key;
use web_time::Instant;

use crate::{
    allowance::{Allowance, ForeignRelays},
    notify::Notify,
    session::{PeerSession, Route},
    transport::address::relay_of,
};

/// Sessions with one peer that live at once: one, and what is left of those before it. More are ended.
const MAX_SESSIONS: usize = 4;

/// By which path bytes go to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// End-to-end encrypted through a relay.
    Relayed,
    /// No server between.
    Direct,
}

/// What carries a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Data channels between pages.
    Webrtc,
    /// To a relay, by TCP.
    Websocket,
    /// To a relay, by QUIC.
    Webtransport,
    /// To a relay, by data channels.
    #[serde(rename = "webrtc-direct")]
    WebrtcDirect,
    /// Through a relay.
    Circuit,
}

impl Transport {
    /// Whether what is at its other end is a server.
    pub const fn is_server(self) -> bool {
        matches!(self, Self::Websocket | Self::Webtransport | Self::WebrtcDirect)
    }

    /// What encrypts it: see [`crate::swarm`].
    pub const fn security(self) -> &'static str {
        match self {
            Self::Webrtc | Self::WebrtcDirect => "dtls",
            Self::Webtransport => "tls",
            Self::Websocket | Self::Circuit => "noise",
        }
    }

    /// What divides it into streams.
    pub const fn muxer(self) -> &'static str {
        match self {
            Self::Webrtc | Self::WebrtcDirect => "webrtc",
            Self::Webtransport => "webtransport",
            Self::Websocket | Self::Circuit => "yamux",
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// The swarm's number of it.
    pub id: ConnectionId,
    /// Direct or relayed.
    pub path: Path,
    /// What carries it.
    pub transport: Transport,
    /// Whether this node dialled.
    pub outbound: bool,
    /// The remote address.
    pub address: Multiaddr,
    /// Unix milliseconds.
    pub opened_at: f64,
    /// As far as they were measured.
    pub round_trip: Rc<Cell<RoundTrips>>,
    /// Whether it was measured once more, while nothing else went on.
    pub remeasured: bool,
    /// Bytes of our sessions that came and went over it.
    pub traffic: Rc<Cell<(u64, u64)>>,
    /// What a relayed one may carry.
    pub allowance: Option<Allowance>,
    /// What of it the pool was told of.
    pub told: (u64, u64),
    /// Whether it carries a session.
    pub carrying: Carrying,
    /// Streams for sessions on it.
    pub streams: usize,
    /// Whether it is kept open for what runs on it.
    pub held: bool,
}

impl Connection {
    /// Reads an endpoint.
    pub fn new(id: ConnectionId, endpoint: &ConnectedPoint, opened_at: f64, foreign: &ForeignRelays) -> Self {
        let (address, outbound) = match endpoint {
            ConnectedPoint::Dialer { address, .. } => (address.clone(), true),
            ConnectedPoint::Listener { send_back_addr, .. } => (send_back_addr.clone(), false),
        };
        let has = |address: &Multiaddr, wanted: Protocol<'_>| address.iter().any(|part| part == wanted);
        let webrtc = |address: &Multiaddr| has(address, Protocol::WebRTC);
        let local_webrtc = matches!(endpoint, ConnectedPoint::Listener { local_addr, .. } if webrtc(local_addr));
        let (path, transport) = if webrtc(&address) || local_webrtc {
            (Path::Direct, Transport::Webrtc)
        } else if endpoint.is_relayed() {
            (Path::Relayed, Transport::Circuit)
        } else if has(&address, Protocol::WebTransport) {
            (Path::Direct, Transport::Webtransport)
        } else if has(&address, Protocol::WebRTCDirect) {
            (Path::Direct, Transport::WebrtcDirect)
        } else {
            (Path::Direct, Transport::Websocket)
        };
        // Who was dialled knows the relay by the address at which it listens there.
        let relay = match endpoint {
            ConnectedPoint::Dialer { address, .. } => relay_of(address),
            ConnectedPoint::Listener { local_addr, .. } => relay_of(local_addr),
        };
        let allowance = relay.filter(|_| path == Path::Relayed).map(|relay| foreign.through(relay));
        Self {
            id,
            path,
            transport,
            outbound,
            address,
            allowance,
            opened_at,
            round_trip: Rc::default(),
            traffic: Rc::default(),
            told: (0, 0),
            carrying: Carrying::No,
            streams: 0,
            held: false,
            remeasured: false,
        }
    }

    fn is_younger(&self, unix_milliseconds: f64, age: Duration) -> bool {
        unix_milliseconds - self.opened_at < age.as_secs_f64() * 1_000.0
    }
}

/// Round trips of a connection: of pings, each of which may have waited for a thread or behind something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoundTrips {
    /// The last one.
    pub last: Option<Duration>,
    /// The shortest one.
    pub shortest: Option<Duration>,
    /// How many were measured.
    pub count: u32,
}

impl RoundTrips {
    /// One more.
    pub fn and(self, took: Duration) -> Self {
        let shortest = self.shortest.map_or(took, |shortest| shortest.min(took));
        Self { last: Some(took), shortest: Some(shortest), count: self.count.saturating_add(1) }
    }
}

/// Whether a connection carries a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrying {
    /// It does not.
    No,
    /// It does, or a stream for it is being opened.
    Yes,
    /// The stream broke though the connection did not: not again before then.
    Broke(Instant),
}

/// How a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// By our OPEN, not the peer's.
    pub ours: bool,
    /// Of two that begin at once from both sides, ours is the one that is kept.
    pub kept_when_crossing: bool,
}

/// A session with a peer.
#[derive(Debug)]
struct Known {
    session: PeerSession,
    ours: bool,
    /// Another has taken its place: it gets no new streams, and ends with its last one.
    older: bool,
}

/// How an attempt to reach a peer stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Dial {
    /// None was made, or the last one led to a connection.
    #[default]
    Idle,
    /// Under way.
    Running,
    /// The last one failed, for this reason.
    Failed(String),
}

/// One peer.
#[derive(Debug, Default)]
pub struct Peer {
    /// Its connections, oldest first.
    pub connections: Vec<Connection>,
    /// What it said of itself.
    pub agent: Option<String>,
    /// The attempt to reach it directly.
    pub dial: Dial,
    /// Whether it turned out not to speak our sessions.
    pub stranger: bool,
    /// Further relays by which it may be reached.
    pub via: Vec<Multiaddr>,
    /// When it was last dialled to bring a path back.
    pub tried: Option<Instant>,
    sessions: Vec<Known>,
}

impl Peer {
    /// The session, where there is a path to the peer now, and of which kind that is.
    pub fn session(&self) -> Option<(&PeerSession, Path)> {
        let session = self.current()?;
        session.path().map(|path| (session, path))
    }

    /// The session, path or not.
    pub fn current(&self) -> Option<&PeerSession> {
        self.sessions.iter().rev().find(|known| !known.older && !known.session.is_closed()).map(|known| &known.session)
    }

    /// The session that the peer knows by this key.
    pub fn session_of(&self, key: Key) -> Option<&PeerSession> {
        self.sessions().find(|session| session.has_key(key))
    }

    /// All sessions that have not ended.
    pub fn sessions(&self) -> impl Iterator<Item = &PeerSession> {
        self.sessions.iter().map(|known| &known.session).filter(|session| !session.is_closed())
    }

    /// A new session takes the place of the others; where two begin at once, only if it is the one that both sides keep.
    pub fn begin(&mut self, session: PeerSession, Begun { ours, kept_when_crossing }: Begun) {
        let crosses = |known: &Known| !ours && known.ours && !known.session.is_begun() && !known.session.is_closed();
        let older = kept_when_crossing && self.sessions.iter().any(crosses);
        if !older {
            self.sessions.iter_mut().for_each(|known| known.older = true);
        }
        self.sessions.push(Known { session, ours, older });
        if self.sessions.len() > MAX_SESSIONS {
            self.sessions.remove(0).session.close("there are newer ones");
        }
    }

    /// Ends sessions that another has replaced and that carry nothing any more, and forgets those that ended.
    pub fn tidy_sessions(&mut self) {
        for known in &self.sessions {
            if known.older && (known.session.streams() == 0 || known.session.path().is_none()) {
                known.session.close("a newer one took its place");
            }
        }
        self.sessions.retain(|known| !known.session.is_closed());
    }

    /// Connections on which a stream is to be opened for the session, or to begin one: those that we dialled and that carry none.
    pub fn uncarried(&self, now: Instant) -> Vec<ConnectionId> {
        let opening = self.connections.iter().any(|connection| connection.outbound && connection.carrying == Carrying::Yes);
        let ready = self.current().map_or(!opening, PeerSession::is_begun);
        let free = |connection: &&Connection| {
            let waits = matches!(connection.carrying, Carrying::Broke(until) if now < until);
            connection.outbound && !connection.transport.is_server() && connection.carrying != Carrying::Yes && !waits
        };
        let all = self.connections.iter().filter(free).map(|connection| connection.id);
        match (self.stranger || !ready, self.current()) {
            (true, _) => Vec::new(),
            (false, Some(_)) => all.collect(),
            // The best one begins; the others attach.
            (false, None) => {
                self.connections.iter().filter(free).max_by_key(|connection| connection.path).map(|best| best.id).into_iter().collect()
            }
        }
    }

    /// The way over one connection, for a session.
    pub fn route(&self, id: ConnectionId) -> Option<Route> {
        let connection = self.connections.iter().find(|connection| connection.id == id)?;
        let Connection { path, traffic, round_trip, allowance, .. } = connection;
        let (traffic, round_trip) = (traffic.clone(), round_trip.clone());
        Some(Route { connection: id, path: *path, traffic, round_trip, allowance: allowance.clone() })
    }

    /// Whether a direct connection stands that is younger than this.
    pub fn is_direct_lately(&self, unix_milliseconds: f64, age: Duration) -> bool {
        self.connections.iter().any(|connection| connection.path == Path::Direct && connection.is_younger(unix_milliseconds, age))
    }

    /// Direct connections that are older than this and not used by the session there is.
    pub fn stale(&self, unix_milliseconds: f64, age: Duration) -> Vec<ConnectionId> {
        let unused = |id: &ConnectionId| self.current().is_some() && !self.sessions().any(|session| session.uses(*id));
        let old = |connection: &&Connection| connection.path == Path::Direct && !connection.is_younger(unix_milliseconds, age);
        self.connections.iter().filter(old).map(|connection| connection.id).filter(unused).collect()
    }

    /// How many direct ones stand.
    pub fn direct_connections(&self) -> usize {
        self.connections.iter().filter(|connection| connection.path == Path::Direct).count()
    }

    /// Whether a direct WebRTC connection stands.
    pub fn direct(&self) -> bool {
        self.connections.iter().any(|connection| connection.path == Path::Direct)
    }
}

/// All peers.
#[derive(Debug, Default)]
pub struct Peers {
    peers: LiteMap<PeerId, Peer>,
    /// Fires on every change.
    pub changed: Notify,
}

impl Peers {
    /// Reads one.
    pub fn peer(&self, peer: &PeerId) -> Option<&Peer> {
        self.peers.get(peer)
    }

    /// Writes one that is known, in ways that nobody waits for.
    pub fn known(&mut self, peer: &PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(peer)
    }

    /// Writes one, and tells the waiters.
    pub fn change(&mut self, peer: PeerId) -> &mut Peer {
        self.changed.notify();
        self.peers.entry(peer).or_default()
    }

    /// Forgets a peer without connections and without an attempt under way.
    pub fn tidy(&mut self, peer: &PeerId) {
        if self.peers.get(peer).is_some_and(|known| known.connections.is_empty() && known.sessions.is_empty() && known.dial == Dial::Idle) {
            self.peers.remove(peer);
        }
        // Failed attempts are kept for whoever waits for them, but not for ever.
        if self.peers.len() > 1_024 {
            self.peers.retain(|_, known| !known.connections.is_empty() || !known.sessions.is_empty() || known.dial == Dial::Running);
        }
    }

    /// Those whose streams wait for a path may be tried anew at once: what failed before says nothing any more.
    pub fn forget_attempts(&mut self) {
        let stranded = |known: &&mut Peer| known.current().is_some_and(PeerSession::is_stranded);
        self.all_mut().filter(stranded).for_each(|known| known.tried = None);
    }

    /// All, to be changed.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.iter_mut().map(|(_, known)| known)
    }

    /// All, in order of PeerId.
    pub fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.peers.iter()
    }

    /// The connection with this number.
    pub fn connection(&mut self, peer: &PeerId, id: ConnectionId) -> Option<&mut Connection> {
        self.peers.get_mut(peer)?.connections.iter_mut().find(|connection| connection.id == id)
    }
}

//! Who is connected, by which paths, and what is being tried: the table that the driver writes and everybody reads.

use std::collections::BTreeMap;

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, multiaddr::Protocol, swarm::ConnectionId};
use serde::Serialize;

use crate::{notify::Notify, session::PeerSession};

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
    /// To a relay.
    Websocket,
    /// Through a relay.
    Circuit,
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
    /// Last measured, in milliseconds.
    pub round_trip: Option<f64>,
    /// Our streams over it, once both sides agreed.
    pub session: Option<PeerSession>,
}

impl Connection {
    /// Reads an endpoint.
    pub fn new(id: ConnectionId, endpoint: &ConnectedPoint, opened_at: f64) -> Self {
        let (address, outbound) = match endpoint {
            ConnectedPoint::Dialer { address, .. } => (address.clone(), true),
            ConnectedPoint::Listener { send_back_addr, .. } => (send_back_addr.clone(), false),
        };
        let webrtc = |address: &Multiaddr| address.iter().any(|part| part == Protocol::WebRTC);
        let local_webrtc = matches!(endpoint, ConnectedPoint::Listener { local_addr, .. } if webrtc(local_addr));
        let (path, transport) = if webrtc(&address) || local_webrtc {
            (Path::Direct, Transport::Webrtc)
        } else if endpoint.is_relayed() {
            (Path::Relayed, Transport::Circuit)
        } else {
            (Path::Direct, Transport::Websocket)
        };
        Self { id, path, transport, outbound, address, opened_at, round_trip: None, session: None }
    }
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
}

impl Peer {
    /// The best session: direct before relayed, newest first.
    pub fn session(&self) -> Option<(&PeerSession, Path)> {
        let live = |connection: &&Connection| connection.session.as_ref().is_some_and(|session| !session.is_closed());
        let best = self.connections.iter().filter(live).max_by_key(|connection| connection.path)?;
        best.session.as_ref().map(|session| (session, best.path))
    }

    /// Whether a direct WebRTC connection stands.
    pub fn direct(&self) -> bool {
        self.connections.iter().any(|connection| connection.path == Path::Direct)
    }
}

/// All peers.
#[derive(Debug, Default)]
pub struct Peers {
    peers: BTreeMap<PeerId, Peer>,
    /// Fires on every change.
    pub changed: Notify,
}

impl Peers {
    /// Reads one.
    pub fn peer(&self, peer: &PeerId) -> Option<&Peer> {
        self.peers.get(peer)
    }

    /// Writes one, and tells the waiters.
    pub fn change(&mut self, peer: PeerId) -> &mut Peer {
        self.changed.notify();
        self.peers.entry(peer).or_default()
    }

    /// Forgets a peer without connections and without an attempt under way.
    pub fn tidy(&mut self, peer: &PeerId) {
        if self.peers.get(peer).is_some_and(|known| known.connections.is_empty() && known.dial == Dial::Idle) {
            self.peers.remove(peer);
        }
        // Failed attempts are kept for whoever waits for them, but not for ever.
        if self.peers.len() > 1_024 {
            self.peers.retain(|_, known| !known.connections.is_empty() || known.dial == Dial::Running);
        }
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

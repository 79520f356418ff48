//! What a node tells the page. The shapes are those of `crates/web/ts/types.ts`, field by field.

use std::rc::Rc;

use libp2p::PeerId;
use serde::Serialize;

use crate::{
    peers::{Connection, Path, Peer, Transport},
    session::PeerSession,
};

/// What happens to a node.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// Relays or storage changed.
    Status {
        /// All of it.
        status: Status,
    },
    /// A connection stands.
    ConnectionOpened {
        /// Which.
        connection: ConnectionInfo,
    },
    /// A connection is gone.
    ConnectionClosed {
        /// To whom.
        peer: String,
        /// Which of the paths.
        path: Path,
        /// What carried it.
        transport: Transport,
        /// Why.
        reason: String,
    },
    /// A peer reads from us.
    Serving(Serving),
    /// Somebody near came, went or took another name, or this node's own part changed.
    Nearby {
        /// All of it.
        nearby: Nearby,
    },
    /// Somebody near has something for this node's user.
    Offered {
        /// Who.
        peer: String,
        /// What.
        cid: String,
        /// How long it is, as the other side says.
        size: u64,
        /// What it is called there.
        #[serde(skip_serializing_if = "String::is_empty")]
        name: String,
    },
    /// A peer broke the rules and was dropped.
    PeerDropped {
        /// Who.
        peer: String,
        /// What it did.
        reason: String,
    },
}

/// This node among those behind the same public address.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Nearby {
    /// Whether it wants to be found.
    pub on: bool,
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether a relay lists it.
    pub listed: bool,
    /// The others.
    pub peers: Vec<NearbyPeer>,
    /// Why no relay lists it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<&'static str>,
}

/// Somebody near.
#[derive(Debug, Clone, Serialize)]
pub struct NearbyPeer {
    /// The PeerId.
    pub peer: String,
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How far a peer has read one content from us.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// Who reads.
    pub peer: String,
    /// What.
    pub cid: String,
    /// Bytes sent for this request.
    pub bytes: u64,
    /// By which path.
    pub path: Path,
    /// `active`, `done` or `ended` (broken off).
    pub state: &'static str,
}

/// One connection.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionInfo {
    /// The other side.
    pub peer: String,
    /// Direct or relayed.
    pub path: Path,
    /// What carries it.
    pub transport: Transport,
    /// What encrypts it, and by which the peer's key is proven.
    pub security: &'static str,
    /// What divides it into streams.
    pub muxer: &'static str,
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// The remote multiaddr.
    pub address: String,
    /// The relay between, of a relayed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayBetween>,
    /// Payload bytes that came.
    pub bytes_received: u64,
    /// Payload bytes that went.
    pub bytes_sent: u64,
    /// Milliseconds, once measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_time: Option<f64>,
    /// Unix milliseconds.
    pub opened_at: f64,
    /// What the peer says it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl ConnectionInfo {
    /// Describes one connection of a peer.
    pub fn new(id: &PeerId, peer: &Peer, connection: &Connection) -> Self {
        let (bytes_received, bytes_sent) = connection.traffic.get();
        Self {
            peer: id.to_string(),
            path: connection.path,
            transport: connection.transport,
            security: connection.transport.security(),
            muxer: connection.transport.muxer(),
            direction: if connection.outbound { "outbound" } else { "inbound" },
            address: connection.address.to_string(),
            relay: connection
                .allowance
                .as_ref()
                .map(|allowance| RelayBetween { peer: allowance.relay().to_string(), bytes_left: allowance.left() }),
            bytes_received,
            bytes_sent,
            round_trip_time: connection.round_trip.get().last.map(|took| took.as_secs_f64() * 1_000.0),
            opened_at: connection.opened_at,
            agent: peer.agent.clone(),
        }
    }
}

/// The relay that a connection runs through.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayBetween {
    /// Its PeerId.
    pub peer: String,
    /// How much more may go through it now, where the settings do not lead to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_left: Option<u64>,
}

/// What runs between this node and a peer, over whatever connections there are.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    /// By which path bytes go now, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// Streams open now, of both sides.
    pub streams: usize,
    /// Bytes that came, each counted once.
    pub bytes_received: u64,
    /// Bytes that went, each counted once.
    pub bytes_sent: u64,
    /// Bytes that went a second time, because a path broke.
    pub bytes_sent_again: u64,
    /// Bytes that this side holds for the other one: to be sent, or sent and not acknowledged.
    pub bytes_held: u64,
    /// Bytes that came and were not read yet.
    pub bytes_unread: u64,
}

impl SessionInfo {
    /// Describes the session with a peer.
    pub fn new(session: &PeerSession) -> Self {
        let counts = session.counts();
        let held = session.held();
        Self {
            path: session.sent_by(),
            streams: session.streams(),
            bytes_received: counts.received,
            bytes_sent: counts.sent,
            bytes_sent_again: counts.sent_again,
            bytes_held: held.unsent + counts.sent - counts.acknowledged,
            bytes_unread: held.received,
        }
    }
}

/// The node as a whole.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether a relay holds a reservation.
    pub reachable: bool,
    /// Every relay.
    pub relays: Vec<RelayStatus>,
    /// What the origin stores.
    pub storage: Storage,
    /// What this page cannot do; the page's own half is added in TypeScript.
    pub limitations: Vec<String>,
}

/// One relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayStatus {
    /// Its multiaddr or URL.
    pub address: String,
    /// How it stands.
    pub state: &'static str,
    /// What carries the connection to it, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Whether WebTransport to it was not answered, but a WebSocket was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub udp_blocked: bool,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What the origin stores.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Bytes used, where the browser tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<f64>,
    /// Bytes allowed, where the browser tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<f64>,
    /// Whether the browser promised not to evict it.
    pub persistent: bool,
    /// `indexeddb` or `memory`.
    pub kind: &'static str,
}

/// How far a fetch is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchProgress {
    /// What it is doing.
    pub phase: Phase,
    /// Bytes of content here and verified.
    pub bytes: u64,
    /// Bytes in all, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Who sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// By which path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
}

/// Whoever wants to hear of a fetch's progress.
pub type Report = Rc<dyn Fn(FetchProgress)>;

/// What a fetch is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Looking in the own store.
    Local,
    /// Looking for a peer that has it.
    Finding,
    /// A connection is being made.
    Connecting,
    /// Bytes arrive.
    Fetching,
    /// Nobody reachable has it now; goes on by itself.
    Waiting,
    /// All here.
    Done,
}

//! The browser half: carries the pure half out, on peer connections that `js/peer-connections.js` owns.
//!
//! ```text
//! Swarm ─ dial ─▶ Transport ─ needs a signalling stream ─▶ Behaviour ─▶ Handler of the first connection
//!                     │ ◀──────────── stream ────────────────────────────────┘
//!                     └─ negotiate ─▶ Connection (a muxer) ─▶ Substream (a data channel)
//! Handler ─ signalling stream of the peer ─▶ Behaviour ─▶ Transport: Incoming ─ negotiate ─▶ Connection
//!
//! Swarm ─ dial ─▶ Direct ─ describe (no signalling) ─ Noise on channel 0 ─▶ Connection
//! ```
//!
//! Everything runs on one thread, which `SendWrapper` vouches for where libp2p asks for `Send`.

mod behaviour;
mod channel;
mod config;
mod connection;
mod crossing;
mod direct;
mod error;
mod handler;
mod negotiate;
mod peer;
mod port;
mod transport;

use libp2p_core::{Multiaddr, multiaddr::Protocol};
use libp2p_identity::PeerId;

pub use behaviour::{Behaviour, Event};
pub use channel::Substream;
pub use config::{Config, IceServer};
pub use connection::Connection;
pub use direct::{Direct, Older};
pub use error::Error;
pub use handler::Handler;
pub use port::IceServers;
pub use port::{Port, Statistics};
pub use transport::Transport;

/// The transport for `/webrtc` and the behaviour that finds it signalling streams. Both must be in the same swarm.
///
/// `port` leads to a `PeerConnections` of `js/peer-connections.js`: a `MessagePort`, or one of `localPorts()`.
pub fn new(local: PeerId, port: impl Into<Port>, config: Config) -> (Transport, Behaviour) {
    let shim = port::Shim::new(port.into(), &config);
    let (transport, ends) = Transport::new(local, shim.clone(), config);
    (transport, Behaviour::new(local, shim, ends))
}

/// Whether a connection's address says that it is direct, page to page: it holds `/webrtc`, be it behind `/p2p-circuit` (dialled)
/// or alone (accepted). `ConnectedPoint::is_relayed` takes a dialled one for relayed: ask this first.
pub fn is_direct(address: &Multiaddr) -> bool {
    address.iter().any(|protocol| matches!(protocol, Protocol::WebRTC))
}

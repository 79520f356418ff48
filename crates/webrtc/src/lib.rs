//! libp2p transports over WebRTC. Of a page: to other pages, `/webrtc`, as in libp2p/specs webrtc/webrtc.md, compatible with js-libp2p's `@libp2p/webrtc`;
//! and to servers, `/webrtc-direct`, as in webrtc-direct.md beside it. Natively: a listener for `/webrtc-direct`, which has
//! [a description of its own](https://github.com/shoal-p2p/shoal/blob/main/crates/webrtc/README.md). What follows is about the pages.
//!
//! Two browsers that know each other through some first connection, usually a relayed one, exchange session descriptions over it
//! and get a direct, encrypted connection of their own. rust-libp2p has transports for `/webrtc-direct` only, which lose data and know one of its versions.
//!
//! # Layout
//!
//! What a peer says and decides is pure, the same on every target, and tested natively: [`frame`] and [`stream`] (a libp2p stream
//! on a data channel), [`signaling`] and [`negotiation`] (how a connection comes about), [`direct`] (how one to a server does). `browser` (wasm only)
//! carries it out. `native` (all other targets) is the listener.
//!
//! `RTCPeerConnection` exists only in a window, and a node belongs in a worker. Hence the browser half does not own peer
//! connections: `js/peer-connections.js` does, in the page, and hands every `RTCDataChannel` over a `MessagePort` to wherever this
//! crate runs. Where both run in one page, `localPorts()` of that file replaces the `MessagePort`, for browsers refuse to transfer
//! a channel to the window that made it.
//!
//! # Use
//!
//! ```ignore
//! let (transport, behaviour) = shoal_webrtc::new(local_peer_id, port, shoal_webrtc::Config::default());
//! // Before the relay's transport, which takes every address with /p2p-circuit for its own:
//! let transport = transport
//!     .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
//!     .or_transport(relay_transport_upgraded);
//! swarm.listen_on("/webrtc".parse()?)?;
//! swarm.dial("<relay>/p2p-circuit/webrtc/p2p/<peer>".parse()?)?;
//! ```
//!
//! `transport.to_servers(&key, Older::default())`, taken before that, is the transport to servers.
//!
//! There is no Noise over a connection between pages: the descriptions, which hold the fingerprints of both certificates, travelled over the
//! first connection, whose peer was authenticated.

pub mod backlog;
mod candidates;
pub mod direct;
pub mod frame;
pub mod limits;
pub mod negotiation;
mod prefixed;
mod protobuf;
pub mod signaling;
pub mod stream;

pub use prefixed::PrefixError;
pub use protobuf::Malformed;

#[cfg(target_arch = "wasm32")]
mod browser;

#[cfg(target_arch = "wasm32")]
pub use browser::*;

#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(not(target_arch = "wasm32"))]
pub use native::*;

/// Its example compiles.
#[cfg(all(doctest, not(target_arch = "wasm32")))]
#[doc = include_str!("../README.md")]
struct Readme;

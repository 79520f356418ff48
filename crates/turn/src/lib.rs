//! STUN (RFC 8489) and TURN (RFC 8656) over UDP, as a server without sockets, clock or randomness of its own.
//!
//! ```text
//!   page A ──UDP──► port of the server ─┐         ┌─► relayed port ──UDP──► page B
//!                                       │ Server  │
//!   page A ◄──UDP── port of the server ◄┘ (pure)  └── relayed port ◄──UDP── page B
//! ```
//!
//! Whoever drives it gives it packets and the time, and does what it says: send this, open a port, close one. See [`Server`].
//!
//! **Whom it serves.** [`binding`] answers anybody who asks by which address others see him. A relayed port gets only who shows
//! [`credentials`], which the relay makes for a PeerId that it knows by a libp2p connection, and which end after some minutes.
//!
//! **What it refuses.** Packets to and from anything that is not the internet ([`peers`]): TURN servers that forgot it were ways into the network behind them.
//! TCP (RFC 6062), reserved pairs of ports, and requests to keep packets whole are not offered.
//!
//! Limits and their reasons are in [`limits`].

pub mod binding;
pub mod credentials;
pub mod limits;
pub mod message;
pub mod peers;
mod server;

pub use server::{Allowed, Counts, Now, Output, Server};

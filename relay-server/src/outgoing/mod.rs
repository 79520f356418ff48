//! What this server dials: other servers, which its settings name, its link shows, or a relay between them tells of. Pages are never dialled.
//!
//! ```text
//!   swarm ── Checked ──┬─ sockets: TCP, WebSocket ─ negotiation
//!              │       └─ quic
//!           Permits: where it may be sent, and how often at once
//! ```

mod checked;
mod permits;
mod sockets;

pub(crate) use self::{checked::Checked, permits::Permits, sockets::Sockets};

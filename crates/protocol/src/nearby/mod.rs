//! Devices that come from the same public address and want to find each other: what they and the relay between them say and decide.
//!
//! ```text
//!   device                                      relay
//!   Presence::announcement ── HERE "Ada's phone" ─▶ Registry::announce
//!                                                   │ Group::of(the address it comes from)
//!   Presence::receive ◀────── DEVICES ───────────── Registry::poll, to all of the group
//!          ⋮                  every half a minute: HERE; the stream's end: gone
//! ```
//!
//! A device that says nothing is not listed and is told nothing. What it is told is its own group, and no address, number or name of
//! any other. Who stands behind a listed key is shown by the connection to it, not by its name, which everybody chooses for themselves.
//!
//! The wire format and the rules are specified in `crates/protocol/docs/nearby.md`.

mod group;
mod message;
mod name;
mod presence;
mod registry;

pub use self::{
    group::{Group, Scope},
    message::{Announcements, Refusal, Violation},
    name::{Name, NameError},
    presence::{Heard, Presence},
    registry::{Bounds, Order, Registry},
};

use crate::identity::PublicKey;

/// A device as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its key. The relay has seen it proven, whoever connects sees it proven again.
    pub key: PublicKey,
    /// What it calls itself.
    pub name: Option<Name>,
}

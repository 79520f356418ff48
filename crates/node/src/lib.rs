//! A Shoal peer: decisions of [`shoal_protocol`] turned into IO.
//!
//! ```text
//!   page ⇄ crates/web ⇄ Node ──commands──► Driver ⇄ Swarm (libp2p)
//!                         │                   │
//!                         │                   ▼ streams
//!                         ├──► content ⇄ PeerSession (pure session + carrier)
//!                         └──► store (memory | IndexedDB)
//! ```
//!
//! All tasks of a node run on one thread (a dedicated worker); what they share is in [`shared`]. What exists only in a page stands in modules
//! of its own; what differs between platforms stands in pairs of files.

pub mod config;
pub mod error;
pub mod hash;
pub mod store;
pub mod transport;

#[cfg(target_arch = "wasm32")]
mod web_crypto;

#[cfg(target_arch = "wasm32")]
pub mod allowance;
#[cfg(target_arch = "wasm32")]
pub mod behaviour;
#[cfg(target_arch = "wasm32")]
pub mod bootstrap;
#[cfg(target_arch = "wasm32")]
pub mod chooser;
#[cfg(target_arch = "wasm32")]
pub mod clock;
#[cfg(target_arch = "wasm32")]
pub mod content;
#[cfg(target_arch = "wasm32")]
pub mod driver;
#[cfg(target_arch = "wasm32")]
pub mod event;
#[cfg(target_arch = "wasm32")]
pub mod gate;
#[cfg(target_arch = "wasm32")]
pub mod history;
#[cfg(target_arch = "wasm32")]
pub mod ice;
#[cfg(all(target_arch = "wasm32", feature = "measure"))]
pub mod measure;
#[cfg(target_arch = "wasm32")]
pub mod nearby;
#[cfg(target_arch = "wasm32")]
pub mod node;
#[cfg(target_arch = "wasm32")]
pub mod notify;
#[cfg(target_arch = "wasm32")]
pub mod peers;
#[cfg(target_arch = "wasm32")]
pub mod perf;
#[cfg(target_arch = "wasm32")]
pub mod ping;
#[cfg(target_arch = "wasm32")]
pub mod platform;
#[cfg(target_arch = "wasm32")]
pub mod relays;
#[cfg(target_arch = "wasm32")]
pub mod session;
#[cfg(target_arch = "wasm32")]
pub mod shared;
#[cfg(target_arch = "wasm32")]
pub mod status;
#[cfg(target_arch = "wasm32")]
pub mod swarm;
#[cfg(target_arch = "wasm32")]
pub mod throttle;

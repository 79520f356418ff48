//! A Shoal peer: libp2p swarm, stores and the driver that joins them to the pure protocol.

pub mod hash;
pub mod store;

#[cfg(target_arch = "wasm32")]
mod web_crypto;

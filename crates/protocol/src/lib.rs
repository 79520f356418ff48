//! What a Shoal peer says and decides, without touching anything: no IO, clock, randomness, async, JS or libp2p.
//! The same inputs give the same outputs, so every rule here is tested natively and runs unchanged in a page.
//!
//! - [`content`]: what a file is (CIDs, UnixFS), how one is made, which of its blocks travel and in which order.
//! - [`identity`]: the Ed25519 public key behind a peer and its three spellings.
//! - [`session`]: many streams with credits over one connection.
//! - [`exchange`]: asking for a DAG and answering with its blocks.
//! - [`limits`]: every bound, with its reason.

pub mod content;
pub mod exchange;
pub mod identity;
pub mod limits;
pub mod session;

mod varint;

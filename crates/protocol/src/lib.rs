//! What a Shoal peer says and decides, without touching anything: no IO, clock, randomness, async, JS or libp2p.
//! The same inputs give the same outputs, so every rule here is tested natively and runs unchanged in a page.
//!
//! - [`content`]: what a file is (CIDs, UnixFS), how one is made, which of its blocks travel and in which order.
//! - [`identity`]: the Ed25519 public key behind a peer and its three spellings.
//! - [`pipe`]: bytes to a peer over paths that come and go, each byte once and in order.
//! - [`session`]: many streams with credits over one pipe.
//! - [`exchange`]: asking for a DAG and answering with its blocks.
//! - [`connections`]: which connections there may be, and which goes when there is no room for all.
//! - [`addresses`]: which of the addresses that others tell are dialled.
//! - [`choice`]: whom to ask next, peer or relay.
//! - [`allowance`]: how much may go through relays of others.
//! - [`reservations`]: by which relays this page is reachable, and how that is kept so.
//! - [`nearby`]: devices behind the same public address that want to find each other.
//! - [`ice`]: where a relay has STUN and TURN, and credentials for them.
//! - [`limits`]: every bound, with its reason.

pub mod addresses;
pub mod allowance;
pub mod choice;
pub mod connections;
pub mod content;
pub mod exchange;
pub mod ice;
pub mod identity;
pub mod limits;
pub mod nearby;
pub mod pipe;
pub mod reservations;
pub mod session;
pub mod time;

mod varint;

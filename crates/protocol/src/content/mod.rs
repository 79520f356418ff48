//! What a file is to peers that have never met: blocks named by their hash, linked into a tree (a DAG) under one root.
//!
//! ```text
//!   bytes ── cut into leaves ──> import ──> blocks, root CID        (publishing)
//!   root CID ──> walk ──> the blocks that travel, in order          (exchange: both sides run the same walk)
//!   root CID ──> read ──> the bytes in file order                   (reading what is stored)
//! ```
//!
//! [`cid`] names a block, [`dag_pb`] is the format of an interior block (links and data) and [`unixfs`] the message in
//! its data that makes it part of a file or directory. Whoever brings a block hashes it first ([`cid::verify`]): nothing
//! in this module trusts bytes, but only the hash says that they are the right ones.

use bytes::Bytes;

pub mod cid;
pub mod dag_pb;
pub mod import;
mod protobuf;
pub mod read;
mod shape;
pub mod unixfs;
pub mod walk;

pub use cid::{Cid, Codec};
pub use shape::ShapeError;

/// A block: bytes and the name that their hash gives them. Whoever builds one vouches that the two belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The block's name.
    pub cid: Cid,
    /// The block's bytes.
    pub data: Bytes,
}

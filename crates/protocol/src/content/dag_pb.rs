//! An interior block: links to other blocks, then data that says what they are together.
//! The format is <https://ipld.io/specs/codecs/dag-pb/spec/>:
//!
//! ```text
//!   message Node { repeated Link links = 2;  optional bytes data = 1; }        // links are written first
//!   message Link { bytes hash = 1;  string name = 2;  uint64 tsize = 3; }
//! ```
//!
//! Decoding is as strict as the specification: fields in this order, at most once, no others, and nothing in a longer
//! form than needed. One node, one encoding.

use bytes::{Bytes, BytesMut};

use super::cid::{self, Cid, CidError};
use super::protobuf::{Field, Fields, Malformed, Value, put_bytes, put_number};
use crate::limits::{BLOCK_BYTES, LINKS_PER_NODE};

/// A decoded dag-pb block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The links, in the order in which they were written.
    pub links: Vec<Link>,
    /// What the links are: for a file or directory a [`unixfs`](super::unixfs) message.
    pub data: Option<Bytes>,
}

/// A link to another block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The block that is linked to.
    pub cid: Cid,
    /// The entry's name in a directory, empty in a file. UTF-8 by the specification, which real file names break.
    pub name: Option<Bytes>,
    /// Bytes of all blocks below the link together ("Tsize"): a hint of whoever made the node, checked by nobody.
    pub size: Option<u64>,
}

/// Reads a block; names and data are slices of it.
pub fn decode(block: &Bytes) -> Result<Node, DagPbError> {
    if block.len() > BLOCK_BYTES {
        return Err(DagPbError::TooLong { length: block.len() });
    }
    let mut node = Node::default();
    for field in Fields::new(block.clone()) {
        match field? {
            Field { number: LINKS, value: Value::Bytes(link) } if node.data.is_none() => {
                if node.links.len() == LINKS_PER_NODE {
                    return Err(DagPbError::TooManyLinks);
                }
                node.links.push(decode_link(link)?);
            }
            Field { number: DATA, value: Value::Bytes(data) } if node.data.is_none() => node.data = Some(data),
            _ => return Err(DagPbError::Malformed),
        }
    }
    Ok(node)
}

/// Writes a block, in the one form that [`decode`] reads back.
pub fn encode(node: &Node) -> Bytes {
    let mut block = BytesMut::new();
    let mut message = BytesMut::new();
    for link in &node.links {
        message.clear();
        put_bytes(&mut message, HASH, &link.cid.to_bytes());
        if let Some(name) = &link.name {
            put_bytes(&mut message, NAME, name);
        }
        if let Some(size) = link.size {
            put_number(&mut message, TSIZE, size);
        }
        put_bytes(&mut block, LINKS, &message);
    }
    if let Some(data) = &node.data {
        put_bytes(&mut block, DATA, data);
    }
    block.freeze()
}

/// Why a block is not a dag-pb node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DagPbError {
    /// Longer than any block that is accepted.
    #[error("a block is at most {BLOCK_BYTES} bytes, this has {length}")]
    TooLong {
        /// Bytes of the block.
        length: usize,
    },
    /// Not the protobuf message of a node, or not in its canonical form.
    #[error("the block is not a canonical dag-pb node")]
    Malformed,
    /// More links than are accepted.
    #[error("the dag-pb node has more than {LINKS_PER_NODE} links")]
    TooManyLinks,
    /// A link leads to something that is not a CID that we can use.
    #[error("a link of the dag-pb node: {0}")]
    Link(#[from] CidError),
}

impl From<Malformed> for DagPbError {
    fn from(Malformed: Malformed) -> Self {
        DagPbError::Malformed
    }
}

fn decode_link(message: Bytes) -> Result<Link, DagPbError> {
    let (mut cid, mut name, mut size) = (None, None, None);
    let mut last = 0;
    for field in Fields::new(message) {
        let Field { number, value } = field?;
        if number <= last {
            return Err(DagPbError::Malformed); // out of order, or twice
        }
        last = number;
        match (number, value) {
            (HASH, Value::Bytes(hash)) => cid = Some(cid::decode_bytes(&hash)?),
            (NAME, Value::Bytes(bytes)) => name = Some(bytes),
            (TSIZE, Value::Number(bytes)) => size = Some(bytes),
            _ => return Err(DagPbError::Malformed),
        }
    }
    Ok(Link { cid: cid.ok_or(DagPbError::Malformed)?, name, size })
}

const DATA: u64 = 1;
const LINKS: u64 = 2;

const HASH: u64 = 1;
const NAME: u64 = 2;
const TSIZE: u64 = 3;

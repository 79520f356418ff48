//! What a dag-pb block is to whoever walks or reads a file: a part of it, with sizes that add up, or something else
//! with links. The one place where the sizes that a stranger declares are checked against each other.

use bytes::Bytes;

use super::cid::Cid;
use super::dag_pb::{self, DagPbError};
use super::unixfs::{self, Kind};

/// A dag-pb block, as walking and reading see it.
pub(super) enum Shape {
    /// A UnixFS file or a part of one: first its own bytes, then those of its parts, `size` together.
    File { own: Bytes, parts: Vec<Part>, size: u64 },
    /// A directory, a symlink, or no UnixFS at all: links whose content has no order of bytes.
    Other { links: Vec<Cid> },
}

/// A block below a file's node, and how many bytes of the file it stands for.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) cid: Cid,
    pub(super) size: u64,
}

impl Shape {
    pub(super) fn of(block: &Bytes) -> Result<Self, ShapeError> {
        let node = dag_pb::decode(block)?;
        let message = node.data.as_ref().and_then(|data| unixfs::decode(data).ok());
        let links = node.links.into_iter().map(|link| link.cid);
        let Some(message) = message.filter(|message| matches!(message.kind, Kind::File | Kind::Raw)) else {
            return Ok(Shape::Other { links: links.collect() });
        };
        if message.block_sizes.len() != links.len() {
            return Err(ShapeError::PartCount { links: links.len(), sizes: message.block_sizes.len() });
        }
        let own = message.data.unwrap_or_default();
        let mut size = own.len() as u64;
        for part in &message.block_sizes {
            size = size.checked_add(*part).ok_or(ShapeError::TooLarge)?;
        }
        match message.file_size {
            Some(declared) if declared != size => Err(ShapeError::Sum { declared, sum: size }),
            _ => Ok(Shape::File { own, parts: links.zip(message.block_sizes).map(|(cid, size)| Part { cid, size }).collect(), size }),
        }
    }
}

/// Why a dag-pb block can be no part of what we walk or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Not a dag-pb node.
    #[error(transparent)]
    DagPb(#[from] DagPbError),
    /// The sizes of a file's parts are more or fewer than the parts.
    #[error("a node of the file has {links} links, but {sizes} sizes for them")]
    PartCount {
        /// Links of the node.
        links: usize,
        /// Sizes in its UnixFS message.
        sizes: usize,
    },
    /// The sizes of a file's parts exceed 64 bits together.
    #[error("the file is declared larger than any file can be")]
    TooLarge,
    /// A file's size is not the sum of its parts.
    #[error("a node of the file declares {declared} bytes, but its parts have {sum}")]
    Sum {
        /// Bytes that the node declares.
        declared: u64,
        /// Bytes of its own data and of its parts together.
        sum: u64,
    },
}

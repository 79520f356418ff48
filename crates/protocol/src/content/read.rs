//! The bytes of a stored file, in order. Unlike a [`walk`](super::walk) it comes by every occurrence of a leaf, repeats
//! included, and goes straight to where it was told to begin:
//!
//! ```text
//!   current() ──> the block needed next ──> the caller loads it ──> supply(bytes) ──> the part of it that is output
//! ```
//!
//! Blocks that the CID itself tells ([`Cid::known`]) are asked for like all others, so that the output stays in order.

use std::vec;

use bytes::Bytes;

use super::cid::{Cid, Codec};
use super::shape::{Part, Shape, ShapeError};
use crate::limits::{BLOCK_BYTES, DAG_DEPTH};

/// A cursor over a file's blocks, in file order. After an error it is over.
#[derive(Debug)]
pub struct Read {
    offset: u64,
    end: u64,
    current: Option<Place>,
    /// For each node above the current block, what is left of its parts; at most [`DAG_DEPTH`] of them.
    stack: Vec<Level>,
    file_size: Option<u64>,
}

#[derive(Debug)]
struct Place {
    cid: Cid,
    /// First byte of the file in this block or below.
    start: u64,
    /// How many; unknown of the root.
    size: Option<u64>,
}

#[derive(Debug)]
struct Level {
    parts: vec::IntoIter<Part>,
    /// First byte of the next part.
    start: u64,
}

impl Read {
    /// Reads from byte `offset` of the file, `length` bytes or to its end. What lies beyond the end is left out.
    pub fn new(root: Cid, offset: u64, length: Option<u64>) -> Self {
        let end = length.map_or(u64::MAX, |length| offset.saturating_add(length));
        Self { offset, end, current: Some(Place { cid: root, start: 0, size: None }), stack: Vec::new(), file_size: None }
    }

    /// The block needed next; `None` when all has been read.
    pub fn current(&self) -> Option<&Cid> {
        self.current.as_ref().map(|place| &place.cid)
    }

    /// Bytes of the whole file, known once the root was supplied.
    pub fn file_size(&self) -> Option<u64> {
        self.file_size
    }

    /// Takes the current block's bytes, verified by the caller, and gives the part of them that is output: a slice, no
    /// copy.
    pub fn supply(&mut self, data: &Bytes) -> Result<Option<Bytes>, ReadError> {
        let place = self.current.take().ok_or(ReadError::Over)?;
        if data.len() > BLOCK_BYTES {
            return Err(ReadError::BlockTooLong { length: data.len() });
        }
        let (own, parts, size) = match place.cid.codec() {
            Codec::Raw => (data.clone(), Vec::new(), data.len() as u64),
            Codec::DagPb => match Shape::of(data)? {
                Shape::File { own, parts, size } => (own, parts, size),
                Shape::Other { .. } => return Err(ReadError::NotAFile),
            },
        };
        match place.size {
            None => self.file_size = Some(size),
            Some(declared) if declared != size => return Err(ReadError::Size { declared, found: size }),
            Some(_) => {}
        }
        let next = place.start + own.len() as u64; // at most the file's size, which fits
        if !parts.is_empty() {
            if self.stack.len() == DAG_DEPTH {
                return Err(ReadError::TooDeep);
            }
            self.stack.push(Level { parts: parts.into_iter(), start: next });
        }
        self.advance();
        Ok(self.output(place.start, own))
    }

    /// Finds the next block that holds or leads to output. A part of no bytes never does, however much lies below it.
    fn advance(&mut self) {
        while let Some(level) = self.stack.last_mut() {
            let Some(Part { cid, size }) = level.parts.next() else {
                self.stack.pop();
                continue;
            };
            let start = level.start;
            level.start += size; // cannot overflow: a node's parts add up to its size, and so up to the root
            if size > 0 && start < self.end && start + size > self.offset {
                self.current = Some(Place { cid, start, size: Some(size) });
                return;
            }
        }
    }

    fn output(&self, start: u64, own: Bytes) -> Option<Bytes> {
        let length = own.len() as u64;
        // Both cuts are at most the block's length, so they fit.
        let from = self.offset.saturating_sub(start).min(length) as usize;
        let to = self.end.saturating_sub(start).min(length) as usize;
        (from < to).then(|| own.slice(from..to))
    }
}

/// Why a stored file cannot be read. Nothing but storing a correct file helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no current block.
    #[error("all has been read")]
    Over,
    /// Longer than any block that is accepted.
    #[error("a block is at most {BLOCK_BYTES} bytes, this has {length}")]
    BlockTooLong {
        /// Bytes of the block.
        length: usize,
    },
    /// Malformed, or in contradiction with itself.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A directory, a symlink or no UnixFS at all.
    #[error("the CID names something that is not a file")]
    NotAFile,
    /// A block has another size than was declared for it.
    #[error("a part of the file was declared as {declared} bytes, but has {found}")]
    Size {
        /// Bytes declared in the node above.
        declared: u64,
        /// Bytes found.
        found: u64,
    },
    /// Deeper than accepted.
    #[error("the file is more than {DAG_DEPTH} links deep")]
    TooDeep,
}

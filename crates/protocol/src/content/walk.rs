//! Which blocks of a DAG travel, and in which order: the heart of the exchange.
//!
//! Provider and requester each run their own walk of the same root and pass the same blocks, so a block needs no name on
//! the wire and "go on after block 4,711" says everything about where a broken transfer stands. The order is depth-first,
//! a node before what it links to, links from first to last, each block once:
//!
//! ```text
//!                 root                 position   0     1  2  3  4  5
//!               ╱   │   ╲              block      root  A  x  y  B  z
//!             A     B     A ← again
//!           ╱  ╲   ╱  ╲                A and x come again, but have passed: they are neither
//!          x    y x    z               asked for nor looked into a second time
//! ```
//!
//! A raw block has no links, so it may be passed without its bytes; a dag-pb block is passed with them. Blocks whose
//! bytes the CID itself tells ([`Cid::known`]) never travel. What a walk holds, the links still to go and the set of
//! what has passed, is bounded by [`DAG_DEPTH`], [`LINKS_PER_NODE`](crate::limits::LINKS_PER_NODE) and [`WALK_BLOCKS`];
//! there is no recursion.
//!
//! ```
//! use shoal_protocol::content::{Codec, cid, walk::{Scope, Walk}};
//!
//! let note = b"meet me at the shoal";
//! let mut walk = Walk::new(cid::of(Codec::Raw, note), Scope::Dag);
//! while let Some(cid) = walk.current() {
//!     assert!(cid::verify(cid, note)); // the walk does not hash: whoever brings the bytes does
//!     walk.pass(Some(note))?;
//! }
//! assert_eq!((walk.position(), walk.file_size()), (1, Some(20)));
//! # Ok::<(), shoal_protocol::content::walk::WalkError>(())
//! ```

use std::collections::BTreeMap;
use std::vec;

use bytes::Bytes;
use litemap::LiteMap;

use super::cid::{Cid, Codec};
use super::shape::{Part, Shape, ShapeError};
use crate::limits::{BLOCK_BYTES, DAG_DEPTH, WALK_BLOCKS};

/// How much of a DAG is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The root alone.
    Block,
    /// Everything below the root.
    Dag,
    /// Of a file, the blocks that hold some of these bytes, and the nodes that lead to them. The root always passes: it
    /// says how long the file is.
    Range {
        /// First byte of the range.
        offset: u64,
        /// Bytes of the range; what lies beyond the end of the file is left out.
        length: u64,
    },
}

/// The walk of one DAG: a cursor over its blocks. After an error it is over.
#[derive(Debug)]
pub struct Walk {
    scope: Scope,
    current: Option<Place>,
    /// For each node above the current block, what is left of its links.
    stack: Vec<Level>,
    /// What has passed or is current, each with the bytes of the file that it stands for, where they are known.
    seen: BTreeMap<Cid, Option<u64>>,
    /// Nodes that straddle the beginning of the range: parts of them were left out, and will be walked should the node
    /// come again further inside. They lie on one path from the root, so they are at most [`DAG_DEPTH`].
    straddling: LiteMap<Cid, (u64, Vec<Part>)>,
    position: u64,
    bytes_passed: u64,
    file_size: Option<u64>,
}

/// A block, and where in the DAG it was met.
#[derive(Debug)]
struct Place {
    cid: Cid,
    /// Links between the root and the block.
    depth: usize,
    /// First byte of the file that the block stands for.
    start: u64,
    /// How many; known for what lies below a file's node, and for nothing else.
    size: Option<u64>,
}

/// The links of one node that are still to go.
#[derive(Debug)]
struct Level {
    links: Links,
    depth: usize,
}

#[derive(Debug)]
enum Links {
    /// Parts of a file, and the first byte of the next one.
    File {
        parts: vec::IntoIter<Part>,
        start: u64,
    },
    Other(vec::IntoIter<Cid>),
}

impl Walk {
    /// A walk that stands at the root.
    pub fn new(root: Cid, scope: Scope) -> Self {
        let mut walk = Self {
            scope,
            current: None,
            stack: Vec::new(),
            seen: BTreeMap::from([(root.clone(), None)]),
            straddling: LiteMap::new(),
            position: 0,
            bytes_passed: 0,
            file_size: None,
        };
        let known = root.known();
        let place = Place { cid: root, depth: 0, start: 0, size: None };
        match known {
            None => walk.current = Some(place),
            Some(data) => {
                // No block to ask for, but perhaps blocks below. An error here could not be told, and needs not: the
                // walk ends having passed what it could, and `file_size` stays unknown.
                if walk.enter(place, Some(&data)).and_then(|()| walk.advance()).is_err() {
                    walk.stack.clear();
                    walk.current = None;
                }
            }
        }
        walk
    }

    /// The block to pass next; `None` when the walk is over.
    pub fn current(&self) -> Option<&Cid> {
        self.current.as_ref().map(|place| &place.cid)
    }

    /// Whether passing the current block takes its bytes.
    pub fn needs_data(&self) -> bool {
        self.current().is_some_and(|cid| cid.codec() == Codec::DagPb)
    }

    /// Blocks passed so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of the whole file under the root, known once the root has passed (with its bytes); `None` for a directory.
    pub fn file_size(&self) -> Option<u64> {
        self.file_size
    }

    /// Content bytes, of those in scope, that the blocks passed so far account for. A repeat counts when the walk comes
    /// by it, so at the end of a file this is its size, or what of the range lies in it: the measure of progress.
    pub fn bytes_passed(&self) -> u64 {
        self.bytes_passed
    }

    /// Goes past the current block. `data` are its bytes, verified by the caller; a raw block may go without them, and
    /// with them its length is checked against the one declared above it.
    pub fn pass(&mut self, data: Option<&[u8]>) -> Result<(), WalkError> {
        let place = self.current.take().ok_or(WalkError::Over)?;
        self.enter(place, data)?;
        self.position += 1;
        self.advance()
    }

    /// Takes in what the block at this place says: its size, and the links below it.
    fn enter(&mut self, place: Place, data: Option<&[u8]>) -> Result<(), WalkError> {
        if let Some(data) = data
            && data.len() > BLOCK_BYTES
        {
            return Err(WalkError::BlockTooLong { length: data.len() });
        }
        let shape = match (place.cid.codec(), data) {
            (Codec::Raw, _) => None,
            (Codec::DagPb, Some(data)) => Some(Shape::of(&Bytes::copy_from_slice(data))?),
            (Codec::DagPb, None) => return Err(WalkError::DataNeeded),
        };
        let size = match &shape {
            None => data.map(|data| data.len() as u64),
            Some(Shape::File { size, .. }) => Some(*size),
            Some(Shape::Other { .. }) if place.size.is_some() || self.range().is_some() => return Err(WalkError::NotAFile),
            Some(Shape::Other { .. }) => None,
        };
        agree(place.size, size)?;
        let size = size.or(place.size);
        if place.depth == 0 {
            self.file_size = size;
        }
        if let Some(known) = self.seen.get_mut(&place.cid) {
            *known = size;
        }
        match shape {
            None => self.account(place.start, size.unwrap_or(0)),
            Some(Shape::File { own, parts, .. }) => {
                self.account(place.start, own.len() as u64);
                if self.range().is_some_and(|(offset, _)| place.start < offset) {
                    self.straddling.insert(place.cid, (own.len() as u64, parts.clone()));
                }
                self.descend(place.depth, Links::File { parts: parts.into_iter(), start: place.start + own.len() as u64 })?;
            }
            Some(Shape::Other { links }) => self.descend(place.depth, Links::Other(links.into_iter()))?,
        }
        Ok(())
    }

    fn descend(&mut self, depth: usize, links: Links) -> Result<(), WalkError> {
        if self.scope == Scope::Block || links.is_empty() {
            return Ok(());
        }
        if depth == DAG_DEPTH {
            return Err(WalkError::TooDeep);
        }
        self.stack.push(Level { links, depth: depth + 1 });
        Ok(())
    }

    /// Finds the next block to pass.
    fn advance(&mut self) -> Result<(), WalkError> {
        while let Some(level) = self.stack.last_mut() {
            let Some(place) = level.next() else {
                self.stack.pop();
                continue;
            };
            if !self.in_scope(&place) {
                continue;
            }
            if let Some(data) = place.cid.known() {
                self.enter(place, Some(&data))?;
            } else if let Some(size) = self.seen.get(&place.cid) {
                agree(*size, place.size)?;
                self.repeat(place)?;
            } else if self.seen.len() == WALK_BLOCKS {
                return Err(WalkError::TooManyBlocks);
            } else {
                self.seen.insert(place.cid.clone(), place.size);
                self.current = Some(place);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Meets a block again that has passed already.
    fn repeat(&mut self, place: Place) -> Result<(), WalkError> {
        let size = place.size.unwrap_or(0);
        let whole = self.range().is_none_or(|(_, end)| place.start + size <= end);
        let parts = if whole { self.straddling.remove(&place.cid) } else { self.straddling.get(&place.cid).cloned() };
        let Some((own, parts)) = parts else {
            self.account(place.start, size);
            return Ok(());
        };
        self.account(place.start, own);
        self.descend(place.depth, Links::File { parts: parts.into_iter(), start: place.start + own })
    }

    /// Whether any of the range lies at this place; of a file's empty parts, none does.
    fn in_scope(&self, place: &Place) -> bool {
        match (self.range(), place.size) {
            (Some((offset, end)), Some(size)) => size > 0 && place.start < end && place.start + size > offset,
            _ => true,
        }
    }

    fn account(&mut self, start: u64, size: u64) {
        let (offset, end) = self.range().unwrap_or((0, u64::MAX));
        let bytes = (start + size).min(end).saturating_sub(start.max(offset));
        self.bytes_passed = self.bytes_passed.saturating_add(bytes);
    }

    fn range(&self) -> Option<(u64, u64)> {
        match self.scope {
            Scope::Range { offset, length } => Some((offset, offset.saturating_add(length))),
            Scope::Block | Scope::Dag => None,
        }
    }
}

impl Level {
    fn next(&mut self) -> Option<Place> {
        match &mut self.links {
            Links::Other(links) => Some(Place { cid: links.next()?, depth: self.depth, start: 0, size: None }),
            Links::File { parts, start } => {
                let Part { cid, size } = parts.next()?;
                let place = Place { cid, depth: self.depth, start: *start, size: Some(size) };
                *start += size; // cannot overflow: a node's parts add up to its size, and so up to the root
                Some(place)
            }
        }
    }
}

impl Links {
    fn is_empty(&self) -> bool {
        match self {
            Links::File { parts, .. } => parts.len() == 0,
            Links::Other(links) => links.len() == 0,
        }
    }
}

/// Two sources of the same size must not contradict each other.
fn agree(declared: Option<u64>, found: Option<u64>) -> Result<(), WalkError> {
    match (declared, found) {
        (Some(declared), Some(found)) if declared != found => Err(WalkError::Size { declared, found }),
        _ => Ok(()),
    }
}

/// Why a walk cannot go on. The DAG, or the walk's user, is at fault; asking again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// There is no current block.
    #[error("the walk is over")]
    Over,
    /// A dag-pb block was passed without its bytes.
    #[error("a dag-pb block is passed with its bytes")]
    DataNeeded,
    /// Longer than any block that is accepted.
    #[error("a block is at most {BLOCK_BYTES} bytes, this has {length}")]
    BlockTooLong {
        /// Bytes of the block.
        length: usize,
    },
    /// Malformed, or in contradiction with itself.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A range was asked of something that is no file, or a part of a file is none.
    #[error("not a file: only files have ranges and parts")]
    NotAFile,
    /// A block has another size than was declared for it.
    #[error("a part of the file was declared as {declared} bytes, but has {found}")]
    Size {
        /// Bytes declared first.
        declared: u64,
        /// Bytes found or declared elsewhere.
        found: u64,
    },
    /// Deeper than accepted.
    #[error("the DAG is more than {DAG_DEPTH} links deep")]
    TooDeep,
    /// More blocks than accepted.
    #[error("the DAG has more than {WALK_BLOCKS} blocks")]
    TooManyBlocks,
}

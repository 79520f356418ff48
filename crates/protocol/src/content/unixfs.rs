//! The message in a dag-pb node's data that makes it a file, a directory or a symlink: <https://specs.ipfs.tech/unixfs/>.
//!
//! ```text
//!   message Data { Type type = 1;  bytes data = 2;  uint64 filesize = 3;  repeated uint64 blocksizes = 4;  … }
//! ```
//!
//! A file's `blocksizes` say, link by link, how many bytes of it lie below: that is what makes seeking possible. Fields
//! that nothing here uses (mode, mtime, those of sharded directories) are skipped when read and never written.

use bytes::{Bytes, BytesMut};

use super::protobuf::{Field, Fields, Malformed, Value, packed, put_bytes, put_number};
use crate::limits::LINKS_PER_NODE;

/// A UnixFS message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// What the node is.
    pub kind: Kind,
    /// A file's own bytes, which come before those of its links; a symlink's target.
    pub data: Option<Bytes>,
    /// Bytes of the file below and in this node.
    pub file_size: Option<u64>,
    /// Bytes of the file below each link, in the order of the links.
    pub block_sizes: Vec<u64>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A leaf of a file, in the old style: our own leaves are raw blocks.
    Raw,
    /// A directory in one block.
    Directory,
    /// A file, or a part of one.
    File,
    /// Metadata of a file, which nobody writes.
    Metadata,
    /// A symlink.
    Symlink,
    /// A part of a directory that is too large for one block.
    HamtShard,
}

/// Reads a message; `data` is a slice of it.
pub fn decode(message: &Bytes) -> Result<Data, UnixFsError> {
    let (mut kind, mut data, mut file_size) = (None, None, None);
    let mut block_sizes = Vec::new();
    for field in Fields::new(message.clone()) {
        match field? {
            Field { number: TYPE, value: Value::Number(number) } => once(&mut kind, Kind::from_number(number)?)?,
            Field { number: DATA, value: Value::Bytes(bytes) } => once(&mut data, bytes)?,
            Field { number: FILE_SIZE, value: Value::Number(bytes) } => once(&mut file_size, bytes)?,
            Field { number: BLOCK_SIZES, value: Value::Number(bytes) } => push(&mut block_sizes, bytes)?,
            Field { number: BLOCK_SIZES, value: Value::Bytes(numbers) } => {
                packed(numbers).try_for_each(|bytes| push(&mut block_sizes, bytes?))?;
            }
            Field { number: TYPE | DATA | FILE_SIZE | BLOCK_SIZES, .. } => return Err(UnixFsError::Malformed),
            _ => {}
        }
    }
    Ok(Data { kind: kind.ok_or(UnixFsError::Malformed)?, data, file_size, block_sizes })
}

/// Writes a message as Kubo does: fields in ascending order, numbers not packed.
pub fn encode(data: &Data) -> Bytes {
    let mut message = BytesMut::new();
    put_number(&mut message, TYPE, data.kind.number());
    if let Some(bytes) = &data.data {
        put_bytes(&mut message, DATA, bytes);
    }
    if let Some(file_size) = data.file_size {
        put_number(&mut message, FILE_SIZE, file_size);
    }
    for bytes in &data.block_sizes {
        put_number(&mut message, BLOCK_SIZES, *bytes);
    }
    message.freeze()
}

/// Why bytes are not a UnixFS message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnixFsError {
    /// Not the protobuf message, or one that gives a value twice or not at all.
    #[error("the data of the dag-pb node is not a UnixFS message")]
    Malformed,
    /// A type that does not exist.
    #[error("the UnixFS message has the unknown type {0}")]
    Kind(u64),
    /// More block sizes than a node may have links.
    #[error("the UnixFS message has more than {LINKS_PER_NODE} block sizes")]
    TooManyBlockSizes,
}

impl From<Malformed> for UnixFsError {
    fn from(Malformed: Malformed) -> Self {
        UnixFsError::Malformed
    }
}

impl Kind {
    fn number(self) -> u64 {
        match self {
            Kind::Raw => 0,
            Kind::Directory => 1,
            Kind::File => 2,
            Kind::Metadata => 3,
            Kind::Symlink => 4,
            Kind::HamtShard => 5,
        }
    }

    fn from_number(number: u64) -> Result<Self, UnixFsError> {
        [Kind::Raw, Kind::Directory, Kind::File, Kind::Metadata, Kind::Symlink, Kind::HamtShard]
            .into_iter()
            .find(|kind| kind.number() == number)
            .ok_or(UnixFsError::Kind(number))
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), UnixFsError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(UnixFsError::Malformed),
    }
}

fn push(block_sizes: &mut Vec<u64>, bytes: u64) -> Result<(), UnixFsError> {
    if block_sizes.len() == LINKS_PER_NODE {
        return Err(UnixFsError::TooManyBlockSizes);
    }
    block_sizes.push(bytes);
    Ok(())
}

const TYPE: u64 = 1;
const DATA: u64 = 2;
const FILE_SIZE: u64 = 3;
const BLOCK_SIZES: u64 = 4;

//! What can be asked for, and its one encoding.

use super::Refusal;
use crate::{
    content::{Cid, cid, walk::Scope},
    limits::{EXCHANGE_NAME, EXCHANGE_REQUEST, WALK_BLOCKS},
    varint,
};
use bytes::Bytes;

const DAG: u8 = 0x01;
const HAS: u8 = 0x02;
const OFFER: u8 = 0x03;

const SCOPE_BLOCK: u64 = 0;
const SCOPE_DAG: u64 = 1;
const SCOPE_RANGE: u64 = 2;

/// A question to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Send the blocks of this walk.
    Dag {
        /// Where the walk begins.
        root: Cid,
        /// How far it goes.
        scope: Scope,
        /// Blocks at its beginning that are not to be sent.
        skip: u64,
        /// Blocks to send at most; `None`: all.
        count: Option<u64>,
    },
    /// Say whether you have this one block; of what lies below it, nothing is said.
    Has {
        /// The block.
        root: Cid,
    },
    /// Show your user that this can be had from me.
    Offer {
        /// The content.
        root: Cid,
        /// Its length in bytes, as the sender says.
        size: u64,
        /// What the sender calls it: at most [`EXCHANGE_NAME`] bytes of anything.
        name: String,
    },
}

/// Why bytes are no request that could be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not readable, too long, or not in the one right form.
    #[error("malformed request")]
    Malformed,
    /// A kind of request that this version does not know.
    #[error("unknown kind of request {0:#04x}")]
    Unknown(u8),
    /// A name of a kind that is not supported.
    #[error("the CID is malformed or of an unsupported kind")]
    Cid,
    /// More blocks than any walk has.
    #[error("a walk has at most {WALK_BLOCKS} blocks")]
    TooMuch,
}

impl RequestError {
    /// What to answer.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Malformed => Refusal::Malformed,
            Self::Unknown(_) | Self::Cid => Refusal::Unknown,
            Self::TooMuch => Refusal::TooMuch,
        }
    }
}

impl Request {
    /// The request as it travels; the stream's end marks its end.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64);
        match self {
            Self::Dag { root, scope, skip, count } => {
                out.push(DAG);
                put_cid(root, &mut out);
                match *scope {
                    Scope::Block => varint::put(SCOPE_BLOCK, &mut out),
                    Scope::Dag => varint::put(SCOPE_DAG, &mut out),
                    Scope::Range { offset, length } => {
                        varint::put(SCOPE_RANGE, &mut out);
                        varint::put(offset.min(LARGEST), &mut out);
                        varint::put(length.min(LARGEST), &mut out);
                    }
                }
                varint::put(*skip, &mut out);
                varint::put(count.unwrap_or(0), &mut out);
            }
            Self::Has { root } => {
                out.push(HAS);
                put_cid(root, &mut out);
            }
            Self::Offer { root, size, name } => {
                out.push(OFFER);
                put_cid(root, &mut out);
                varint::put((*size).min(LARGEST), &mut out);
                out.extend_from_slice(name.as_bytes());
            }
        }
        out.into()
    }

    /// Reads a whole request.
    ///
    /// # Errors
    /// When it cannot be served; [`RequestError::refusal`] is what to answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > EXCHANGE_REQUEST {
            return Err(RequestError::Malformed);
        }
        let (&kind, mut rest) = bytes.split_first().ok_or(RequestError::Malformed)?;
        let rest = &mut rest;
        let request = match kind {
            DAG => {
                let root = take_cid(rest)?;
                let scope = match number(rest)? {
                    SCOPE_BLOCK => Scope::Block,
                    SCOPE_DAG => Scope::Dag,
                    SCOPE_RANGE => Scope::Range { offset: number(rest)?, length: number(rest)? },
                    _ => return Err(RequestError::Malformed),
                };
                let skip = number(rest)?;
                let count = number(rest)?;
                if skip.max(count) > WALK_BLOCKS as u64 {
                    return Err(RequestError::TooMuch);
                }
                Self::Dag { root, scope, skip, count: (count > 0).then_some(count) }
            }
            HAS => Self::Has { root: take_cid(rest)? },
            OFFER => {
                let (root, size) = (take_cid(rest)?, number(rest)?);
                let name = std::str::from_utf8(std::mem::take(rest)).ok().filter(|name| name.len() <= EXCHANGE_NAME);
                Self::Offer { root, size, name: name.ok_or(RequestError::Malformed)?.to_owned() }
            }
            kind => return Err(RequestError::Unknown(kind)),
        };
        if rest.is_empty() { Ok(request) } else { Err(RequestError::Malformed) }
    }
}

/// Largest number on the wire; ranges beyond it end behind every file anyway.
const LARGEST: u64 = (1 << 63) - 1;

fn put_cid(cid: &Cid, out: &mut Vec<u8>) {
    let bytes = cid.to_bytes();
    varint::put(bytes.len() as u64, out);
    out.extend_from_slice(&bytes);
}

fn take_cid(rest: &mut &[u8]) -> Result<Cid, RequestError> {
    let length = usize::try_from(number(rest)?).map_err(|_| RequestError::Malformed)?;
    let (bytes, behind) = rest.split_at_checked(length).ok_or(RequestError::Malformed)?;
    *rest = behind;
    let cid = cid::decode_bytes(bytes).map_err(|_| RequestError::Cid)?;
    // A CIDv0 names the same block: one block, one spelling.
    if cid.to_bytes() == bytes { Ok(cid) } else { Err(RequestError::Cid) }
}

fn number(rest: &mut &[u8]) -> Result<u64, RequestError> {
    varint::take(rest).map_err(|_| RequestError::Malformed)
}

/// Gathers a request from the pieces in which it arrives.
#[derive(Debug, Default)]
pub struct RequestReader {
    gathered: Vec<u8>,
}

impl RequestReader {
    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// As soon as there are more than a request can have.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), RequestError> {
        if self.gathered.len() + bytes.len() > EXCHANGE_REQUEST {
            return Err(RequestError::Malformed);
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    /// The requester has finished its half.
    ///
    /// # Errors
    /// As [`Request::decode`].
    pub fn finish(self) -> Result<Request, RequestError> {
        Request::decode(&self.gathered)
    }
}

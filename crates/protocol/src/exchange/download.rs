//! The requester's side: what to ask for, and what of the answer can be believed.

use super::{
    Refusal, Request, Violation,
    records::{Record, Records},
};
use crate::content::{
    Cid, Codec, cid,
    walk::{Scope, Walk, WalkError},
};
use bytes::Bytes;
use std::collections::VecDeque;

/// Leaves up to this many bytes are hashed here: handing them to the platform's hashing costs more than the hash.
const HASHED_HERE: usize = 4 * 1024;

/// A walk being downloaded, from one peer after the other if need be.
///
/// First pass what the store already has ([`Download::current`], [`Download::pass_local`]), then [`Download::request`] the
/// rest. A stream that breaks is reported ([`Download::broke`]); the next request goes on behind the last whole block.
#[derive(Debug)]
pub struct Download {
    root: Cid,
    scope: Scope,
    walk: Walk,
    /// Why the content cannot be walked to its end, whoever sends it.
    broken: Option<WalkError>,
    response: Response,
    records: Records,
    arrived: VecDeque<Arrived>,
}

#[derive(Debug)]
enum Response {
    /// Nothing was asked, or the stream broke.
    None,
    /// Blocks arrive: from this position of the walk, so many more at most.
    UnderWay {
        from: u64,
        left: u64,
    },
    Over(Outcome),
}

/// A block that arrived, in the order of the walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The name that the walk expects here.
    pub cid: Cid,
    /// Its bytes.
    pub data: Bytes,
    /// Whether they have been hashed. Where not, hash them before anything else is done with them; if they do not match, drop
    /// the peer and fetch this block alone ([`Scope::Block`]) from another: the walk has gone on.
    pub verified: bool,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything asked for arrived.
    Delivered,
    /// The provider lacks the block at which the walk stands, or one on the way to it.
    Missing,
    /// The provider does not serve the request.
    Refused(Refusal),
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Blocks passed, local ones included.
    pub blocks: u64,
    /// Bytes of content that those stand for.
    pub bytes: u64,
    /// Bytes of the whole file under the root, once known.
    pub size: Option<u64>,
}

/// Why a download cannot take what it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// The provider broke the protocol: drop it and ask another.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The content itself is broken, whoever sends it: give up.
    #[error("the content is broken: {0}")]
    Content(#[from] WalkError),
    /// Blocks from elsewhere cannot be passed while a response is under way.
    #[error("a response is under way: blocks from elsewhere are passed before or after it")]
    UnderWay,
}

impl Download {
    /// A download that has nothing yet.
    #[must_use]
    pub fn new(root: Cid, scope: Scope) -> Self {
        Self {
            walk: Walk::new(root.clone(), scope),
            root,
            scope,
            broken: None,
            response: Response::None,
            records: Records::default(),
            arrived: VecDeque::new(),
        }
    }

    /// The block needed next; `None`: everything has been passed.
    #[must_use]
    pub fn current(&self) -> Option<&Cid> {
        self.walk.current()
    }

    /// Whether passing the current block takes its bytes; of leaves, having them is enough.
    #[must_use]
    pub fn needs_data(&self) -> bool {
        self.walk.needs_data()
    }

    /// Whether every block has been passed; those that came are still to be taken by [`Download::next`].
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.broken.is_none() && self.walk.current().is_none()
    }

    /// Passes the current block, which the store has; with its verified bytes where [`Download::needs_data`] says so.
    ///
    /// # Errors
    /// When the content is broken, or a response is under way.
    pub fn pass_local(&mut self, data: Option<&[u8]>) -> Result<(), DownloadError> {
        if matches!(self.response, Response::UnderWay { .. }) {
            return Err(DownloadError::UnderWay);
        }
        self.advance(data)
    }

    /// What to ask a peer for now, on a new stream: everything that is still missing. `None`: nothing is.
    pub fn request(&mut self) -> Option<Request> {
        self.request_some(None)
    }

    /// As [`Download::request`], for `count` blocks at most (`None`: all).
    pub fn request_some(&mut self, count: Option<u64>) -> Option<Request> {
        self.walk.current()?;
        let from = self.walk.position();
        let count = count.map(|count| count.max(1));
        self.records = Records::default();
        self.response = Response::UnderWay { from, left: count.unwrap_or(u64::MAX) };
        Some(Request::Dag { root: self.root.clone(), scope: self.scope, skip: from, count })
    }

    /// Takes the next bytes of the response; [`Download::next`] gives the blocks that they complete.
    ///
    /// # Errors
    /// When the provider is to be dropped, or the content is broken. What came before the error stays good, and another peer can be asked.
    pub fn receive(&mut self, mut bytes: Bytes) -> Result<(), DownloadError> {
        while !bytes.is_empty() {
            let step = match self.response {
                Response::None => Err(Violation::Unrequested.into()),
                Response::Over(_) => Err(Violation::AfterEnd.into()),
                Response::UnderWay { from, left } => match self.records.next(&mut bytes) {
                    Ok(Some(record)) => self.on_record(record, from, left),
                    Ok(None) => return Ok(()),
                    Err(violation) => Err(violation.into()),
                },
            };
            if let Err(error) = step {
                self.broke();
                return Err(error);
            }
        }
        Ok(())
    }

    /// The stream ended as it should.
    ///
    /// # Errors
    /// When the response has not: the provider is to be dropped.
    pub fn finish(&mut self) -> Result<Outcome, Violation> {
        match self.response {
            Response::Over(outcome) => Ok(outcome),
            Response::None | Response::UnderWay { .. } => {
                self.broke();
                Err(Violation::Truncated)
            }
        }
    }

    /// The stream or the connection broke. What is not a whole block is dropped.
    pub fn broke(&mut self) {
        self.records = Records::default();
        self.response = Response::None;
    }

    /// The next block that arrived.
    #[expect(clippy::should_implement_trait, reason = "more comes after `None`")]
    pub fn next(&mut self) -> Option<Arrived> {
        self.arrived.pop_front()
    }

    /// How the last response ended; `None` while it is under way, or broken off.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.response {
            Response::Over(outcome) => Some(outcome),
            Response::None | Response::UnderWay { .. } => None,
        }
    }

    /// Whether a block is on its way whose bytes have not all come.
    #[must_use]
    pub fn is_inside_record(&self) -> bool {
        self.records.is_inside()
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress { blocks: self.walk.position(), bytes: self.walk.bytes_passed(), size: self.walk.file_size() }
    }

    fn on_record(&mut self, record: Record, from: u64, left: u64) -> Result<(), DownloadError> {
        match record {
            Record::Block(data) => {
                let cid = self.walk.current().filter(|_| left > 0).cloned().ok_or(Violation::Unrequested)?;
                let verified = self.pass(&cid, &data)?;
                self.arrived.push_back(Arrived { cid, data, verified });
                self.response = Response::UnderWay { from, left: left - 1 };
            }
            Record::Missing { position } => {
                // Behind the walk only what the provider was to skip can be missing.
                if self.is_complete() || (position != self.walk.position() && position >= from) {
                    return Err(Violation::Unrequested.into());
                }
                self.response = Response::Over(Outcome::Missing);
            }
            Record::End if self.is_complete() || left == 0 => self.response = Response::Over(Outcome::Delivered),
            Record::End => return Err(Violation::EndedEarly.into()),
            Record::Refused(refusal) => self.response = Response::Over(Outcome::Refused(refusal)),
            Record::Have => return Err(Violation::Unrequested.into()),
        }
        Ok(())
    }

    /// Goes past a block that came from a peer; says whether its bytes were hashed.
    fn pass(&mut self, cid: &Cid, data: &Bytes) -> Result<bool, DownloadError> {
        let hash_here = cid.codec() == Codec::DagPb || data.len() <= HASHED_HERE;
        if hash_here && !cid::verify(cid, data) {
            return Err(Violation::WrongBlock.into());
        }
        // Unverified bytes decide nothing about the walk, but for the size of a file that is a single leaf.
        let data = (hash_here || self.walk.position() == 0).then_some(data.as_ref());
        self.advance(data)?;
        Ok(hash_here)
    }

    fn advance(&mut self, data: Option<&[u8]>) -> Result<(), DownloadError> {
        if let Some(error) = &self.broken {
            return Err(error.clone().into());
        }
        // After an error a walk is over, which must not look like its end.
        self.walk.pass(data).inspect_err(|error| self.broken = Some(error.clone())).map_err(DownloadError::from)
    }
}

//! "Do you have this block?": the requester's side of [`Request::Has`].

use super::{
    Request, Violation,
    records::{Record, Records},
};
use crate::content::Cid;
use bytes::Bytes;

/// A question under way.
#[derive(Debug)]
pub struct Probe {
    root: Cid,
    records: Records,
    answer: Option<bool>,
}

impl Probe {
    /// A question about this block.
    #[must_use]
    pub fn new(root: Cid) -> Self {
        Self { root, records: Records::default(), answer: None }
    }

    /// What to send, before finishing the stream's half.
    #[must_use]
    pub fn request(&self) -> Request {
        Request::Has { root: self.root.clone() }
    }

    /// Takes the next bytes of the answer.
    ///
    /// # Errors
    /// When they are no answer: drop the peer.
    pub fn receive(&mut self, mut bytes: Bytes) -> Result<(), Violation> {
        while !bytes.is_empty() {
            if self.answer.is_some() {
                return Err(Violation::AfterEnd);
            }
            self.answer = match self.records.next(&mut bytes)? {
                None => return Ok(()),
                Some(Record::Have) => Some(true),
                // A provider that refuses does not serve it either.
                Some(Record::Missing { position: 0 } | Record::Refused(_)) => Some(false),
                Some(_) => return Err(Violation::Unrequested),
            };
        }
        Ok(())
    }

    /// Whether the peer has the block, once it has answered.
    #[must_use]
    pub fn answer(&self) -> Option<bool> {
        self.answer
    }
}

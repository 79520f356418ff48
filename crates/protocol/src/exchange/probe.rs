//! "Do you have this block?", "Will you have this?": the requester's side of [`Request::Has`] and [`Request::Offer`].

use super::{
    Request, Violation,
    records::{Record, Records},
};
use bytes::Bytes;

/// A question under way.
#[derive(Debug)]
pub struct Probe {
    request: Request,
    records: Records,
    answer: Option<bool>,
}

impl Probe {
    /// This question, to which yes or no is the answer.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self { request, records: Records::default(), answer: None }
    }

    /// What to send, before finishing the stream's half.
    #[must_use]
    pub fn request(&self) -> Bytes {
        self.request.encode()
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

    /// Whether the peer has the block, or shows the offer, once it has answered.
    #[must_use]
    pub fn answer(&self) -> Option<bool> {
        self.answer
    }
}

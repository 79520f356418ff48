//! Bytes off the wire, borrowed or shared: shared ones are handed on without copying.

use bytes::Bytes;

/// A shared buffer is kept alive only by pieces of at least this fraction of it; smaller pieces are copied, so that a
/// peer cannot make a few unread bytes hold a large buffer.
const WORTH_SHARING: usize = 8;

/// What is left of one input.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
    whole: Option<&'a Bytes>,
}

impl<'a> Input<'a> {
    pub(crate) fn borrowed(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, whole: None }
    }

    pub(crate) fn shared(bytes: &'a Bytes) -> Self {
        Self { rest: bytes, whole: Some(bytes) }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes up to `most` bytes.
    pub(crate) fn take(&mut self, most: u64) -> Bytes {
        let piece = self.cut(most);
        match self.whole {
            Some(whole) if !piece.is_empty() && piece.len() * WORTH_SHARING >= whole.len() => whole.slice_ref(piece),
            _ => Bytes::copy_from_slice(piece),
        }
    }

    /// Drops up to `most` bytes and says how many.
    pub(crate) fn skip(&mut self, most: u64) -> u64 {
        self.cut(most).len() as u64
    }

    fn cut(&mut self, most: u64) -> &'a [u8] {
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(length);
        self.rest = rest;
        piece
    }
}

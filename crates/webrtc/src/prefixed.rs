//! Cuts a run of byte chunks into messages that each stand behind their length as an unsigned varint.
//!
//! A chunk that holds whole messages is sliced, not copied. A message that spans chunks is gathered; every byte is copied once,
//! however small the chunks are.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::protobuf::varint;

/// The peer broke the length-prefixed framing. Nothing after it can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// The length prefix is no number.
    #[error("malformed length prefix")]
    Malformed,
    /// The message is longer than allowed.
    #[error("a message of {length} bytes, {limit} are allowed")]
    TooLong {
        /// The announced length with its prefix, in bytes.
        length: u64,
        /// The longest that is allowed, in bytes.
        limit: usize,
    },
}

/// Splits chunks into messages of at most `limit` bytes, prefix included.
#[derive(Debug, Clone)]
pub(crate) struct Prefixed {
    limit: usize,
    chunk: Bytes,
    /// The beginning of a message whose end is not in `chunk`.
    partial: BytesMut,
}

impl Prefixed {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, chunk: Bytes::new(), partial: BytesMut::new() }
    }

    /// Takes the next chunk. Call [`next`](Self::next) until it gives `None` before the next one.
    pub(crate) fn receive(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::from(&self.chunk[..]);
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// The next whole message without its prefix; `None` if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, PrefixError> {
        if self.partial.is_empty() {
            if self.chunk.is_empty() {
                return Ok(None);
            }
            if let Some((prefix, total)) = self.measure(&self.chunk)?
                && total <= self.chunk.len()
            {
                let mut message = self.chunk.split_to(total);
                message.advance(prefix);
                return Ok(Some(message));
            }
        }
        // Gather: the prefix byte by byte, so that nothing of the following message is taken with it.
        loop {
            let missing = match self.measure(&self.partial)? {
                Some((prefix, total)) if total == self.partial.len() => {
                    let mut message = self.partial.split().freeze();
                    message.advance(prefix);
                    return Ok(Some(message));
                }
                Some((_, total)) => total - self.partial.len(),
                None => 1,
            };
            if self.chunk.is_empty() {
                return Ok(None);
            }
            let taken = self.chunk.split_to(missing.min(self.chunk.len()));
            self.partial.extend_from_slice(&taken);
        }
    }

    /// How many bytes of an unfinished message are held.
    pub(crate) fn held(&self) -> usize {
        self.partial.len() + self.chunk.len()
    }

    /// Prefix length and total length of the message that starts at `bytes`, once its prefix is complete.
    fn measure(&self, bytes: &[u8]) -> Result<Option<(usize, usize)>, PrefixError> {
        let Some((length, prefix)) = varint(bytes).map_err(|_| PrefixError::Malformed)? else {
            return Ok(None);
        };
        match usize::try_from(length).ok().and_then(|length| length.checked_add(prefix)) {
            Some(total) if total <= self.limit => Ok(Some((prefix, total))),
            _ => Err(PrefixError::TooLong { length: length.saturating_add(prefix as u64), limit: self.limit }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::put_varint;
    use proptest::prelude::*;

    fn prefixed(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            put_varint(&mut bytes, message.len() as u64);
            bytes.extend_from_slice(message);
        }
        bytes
    }

    proptest! {
        #[test]
        fn any_fragmentation_gives_the_same_messages(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            cuts in prop::collection::vec(1usize..200, 1..40),
        ) {
            let bytes = prefixed(&messages);
            let mut rest = &bytes[..];
            let mut decoder = Prefixed::new(400);
            let mut seen = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.receive(Bytes::copy_from_slice(now));
                while let Some(message) = decoder.next().unwrap() {
                    seen.push(message.to_vec());
                }
                rest = later;
            }
            prop_assert_eq!(seen, messages);
            prop_assert_eq!(decoder.held(), 0);
        }

        #[test]
        fn any_bytes_are_held_within_the_limit(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..64)) {
            let mut decoder = Prefixed::new(128);
            for chunk in chunks {
                decoder.receive(chunk.into());
                loop {
                    match decoder.next() {
                        Ok(Some(message)) => prop_assert!(message.len() < 128),
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
                prop_assert!(decoder.held() <= 128);
            }
        }
    }

    #[test]
    fn a_message_above_the_limit_is_refused_by_its_prefix_alone() {
        let mut decoder = Prefixed::new(128);
        decoder.receive(Bytes::from_static(&[0xff, 0x01]));
        assert_eq!(decoder.next(), Err(PrefixError::TooLong { length: 257, limit: 128 }));
    }

    #[test]
    fn a_whole_message_is_sliced_from_its_chunk() {
        let chunk = Bytes::from(prefixed(&[vec![7; 100]]));
        let mut decoder = Prefixed::new(128);
        decoder.receive(chunk.clone());
        let message = decoder.next().unwrap().unwrap();
        assert_eq!(message.as_ptr(), chunk[1..].as_ptr());
    }
}

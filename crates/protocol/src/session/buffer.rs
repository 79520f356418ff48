//! Bytes that wait: a queue of chunks that keeps large ones as they are and packs small ones together, so that
//! a peer (or a caller) who deals in single bytes cannot make us hold thirty times what it sent.

use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;

/// Chunks below this are packed: a `Bytes` costs about this much beside its content once it stands alone.
const SMALL: usize = 1024;
/// Packed bytes are handed on in chunks of about this size.
const PACK: usize = 16 * 1024;

/// A first-in first-out queue of bytes.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    chunks: VecDeque<Bytes>,
    packed: BytesMut,
    length: u64,
}

impl Buffer {
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends `bytes`; copies them only where they are few.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len() as u64;
        if bytes.len() < SMALL {
            self.packed.extend_from_slice(&bytes);
            if self.packed.len() >= PACK {
                self.chunks.push_back(self.packed.split().freeze());
            }
        } else {
            if !self.packed.is_empty() {
                self.chunks.push_back(self.packed.split().freeze());
            }
            self.chunks.push_back(bytes);
        }
    }

    /// The next bytes, at most `most` of them and at most one chunk.
    pub(crate) fn pop(&mut self, most: usize) -> Option<Bytes> {
        if most == 0 || self.length == 0 {
            return None;
        }
        let taken = match self.chunks.front_mut() {
            Some(front) if front.len() > most => front.split_to(most),
            Some(_) => self.chunks.pop_front()?,
            None => self.packed.split_to(most.min(self.packed.len())).freeze(),
        };
        self.length -= taken.len() as u64;
        Some(taken)
    }

    /// Everything as one piece: without copying where it already is one.
    pub(crate) fn join(&mut self) -> Bytes {
        if self.packed.is_empty() && self.chunks.len() == 1 {
            self.length = 0;
            return self.chunks.pop_front().unwrap_or_default();
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(self.length).unwrap_or(0));
        for mut chunk in self.chunks.drain(..) {
            whole.extend_from_slice(&chunk);
            chunk.advance(chunk.len());
        }
        whole.extend_from_slice(&self.packed.split());
        self.length = 0;
        whole.freeze()
    }

    /// Drops everything and says how much it was.
    pub(crate) fn clear(&mut self) -> u64 {
        self.chunks = VecDeque::new();
        self.packed = BytesMut::new();
        std::mem::take(&mut self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order(
            sizes in proptest::collection::vec(0usize..3000, 0..40),
            takes in proptest::collection::vec(1usize..5000, 1..60),
        ) {
            let mut buffer = Buffer::default();
            let (mut expected, mut seen) = (Vec::new(), Vec::new());
            let mut takes = takes.iter().cycle();
            for size in sizes {
                let piece: Vec<u8> = (0..size).map(|at| (expected.len() + at) as u8).collect();
                expected.extend_from_slice(&piece);
                buffer.push(Bytes::from(piece));
                if let Some(bytes) = takes.next().and_then(|most| buffer.pop(*most)) {
                    seen.extend_from_slice(&bytes);
                }
                prop_assert_eq!(buffer.len() as usize, expected.len() - seen.len());
            }
            seen.extend_from_slice(&buffer.join());
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn single_bytes_are_packed() {
        let mut buffer = Buffer::default();
        for _ in 0..100_000 {
            buffer.push(Bytes::from_static(b"x"));
        }
        assert!(buffer.chunks.len() <= 100_000 / PACK + 1);
    }
}

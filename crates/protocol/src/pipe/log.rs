//! What was sent and not yet acknowledged, ready to be sent again: shares the buffers that went out, and packs small ones.

use bytes::{Buf, Bytes, BytesMut};
use std::{collections::VecDeque, fmt};

/// Pieces below this are packed: a `Bytes` costs about this much beside its content once it stands alone.
const SMALL: usize = 1024;
/// Packed bytes become a piece of their own at about this size.
const PACK: usize = 16 * 1024;

/// A window of a byte stream: from the first unacknowledged byte to the last one sent.
#[derive(Default)]
pub(super) struct Log {
    start: u64,
    pieces: VecDeque<Bytes>,
    packed: BytesMut,
    length: u64,
}

impl Log {
    /// The first byte that is still held.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// The byte behind the last one.
    pub(super) fn end(&self) -> u64 {
        self.start + self.length
    }

    pub(super) fn len(&self) -> u64 {
        self.length
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len() as u64;
        if bytes.len() < SMALL {
            self.packed.extend_from_slice(&bytes);
        }
        if bytes.len() >= SMALL || self.packed.len() >= PACK {
            if !self.packed.is_empty() {
                self.pieces.push_back(self.packed.split().freeze());
            }
            if bytes.len() >= SMALL {
                self.pieces.push_back(bytes);
            }
        }
    }

    /// Forgets everything before the byte at `offset`, which lies between start and end.
    pub(super) fn forget(&mut self, offset: u64) {
        let mut left = usize::try_from(offset.saturating_sub(self.start).min(self.length)).unwrap_or(0);
        self.start += left as u64;
        self.length -= left as u64;
        while let Some(front) = self.pieces.front_mut() {
            if front.len() > left {
                front.advance(left);
                return;
            }
            left -= front.len();
            self.pieces.pop_front();
        }
        self.packed.advance(left);
        if self.packed.is_empty() {
            self.packed = BytesMut::new();
        }
    }

    /// Up to `most` bytes from `offset` on: what is left of one piece.
    pub(super) fn slice(&self, offset: u64, most: usize) -> &[u8] {
        let mut skip = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        for piece in self.pieces.iter().map(Bytes::as_ref).chain([self.packed.as_ref()]) {
            if skip < piece.len() {
                let rest = piece.get(skip..).unwrap_or_default();
                return rest.get(..most).unwrap_or(rest);
            }
            skip -= piece.len();
        }
        &[]
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Log({}..{})", self.start, self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_held_reads_back_at_its_offset(steps in proptest::collection::vec((0usize..3000, 0u64..4000, any::<prop::sample::Index>()), 1..60)) {
            let mut log = Log::default();
            let mut all: Vec<u8> = Vec::new();
            for (size, forgotten, at) in steps {
                let piece: Vec<u8> = (0..size).map(|at| (all.len() + at).wrapping_mul(31) as u8).collect();
                all.extend_from_slice(&piece);
                log.push(piece.into());
                prop_assert_eq!(log.end() as usize, all.len());
                log.forget((log.start() + forgotten).min(log.end()));
                prop_assert_eq!(log.end() as usize, all.len());
                if log.len() > 0 {
                    let mut from = log.start() + at.index(log.len() as usize) as u64;
                    while from < log.end() {
                        let slice = log.slice(from, 700);
                        prop_assert!(!slice.is_empty() && slice.len() <= 700);
                        prop_assert_eq!(slice, &all[from as usize..from as usize + slice.len()]);
                        from += slice.len() as u64;
                    }
                }
            }
        }
    }

    #[test]
    fn single_bytes_are_packed() {
        let mut log = Log::default();
        for _ in 0..100_000 {
            log.push(Bytes::from_static(b"x"));
        }
        assert!(log.pieces.len() <= 100_000 / PACK + 1);
    }
}

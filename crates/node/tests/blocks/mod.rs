//! Blocks to test with.

use bytes::Bytes;
use shoal_protocol::content::{Block, Codec, cid};

pub(crate) fn block_of(data: &[u8]) -> Block {
    Block { cid: cid::of(Codec::Raw, data), data: Bytes::copy_from_slice(data) }
}

/// `count` different blocks of `size` bytes that do not compress.
pub(crate) fn numbered(count: u32, size: usize) -> Vec<Block> {
    (0..count)
        .map(|number| {
            let mut state = u64::from(number) << 32 | size as u64 | 1;
            let data: Vec<u8> = std::iter::repeat_with(|| {
                // xorshift64: no randomness, the same blocks in every run.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .flatten()
            .take(size)
            .collect();
            block_of(&data)
        })
        .collect()
}

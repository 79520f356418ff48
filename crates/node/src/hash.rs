//! SHA-256 by the fastest way the platform has: WebCrypto in a page, `sha2` natively.

#[cfg(not(target_arch = "wasm32"))]
#[path = "hash/native.rs"]
mod platform;
#[cfg(target_arch = "wasm32")]
#[path = "hash/web.rs"]
mod platform;

use bytes::Bytes;
use futures::future::join_all;

/// Bytes of a digest.
pub const DIGEST_LENGTH: usize = 32;

/// The SHA-256 digest of `data`.
pub async fn sha256(data: &[u8]) -> [u8; DIGEST_LENGTH] {
    platform::sha256(data).await
}

/// The SHA-256 digests of many blocks, in order. In a page large ones are hashed in parallel by the browser's own threads.
pub async fn sha256_many(blocks: &[Bytes]) -> Vec<[u8; DIGEST_LENGTH]> {
    join_all(blocks.iter().map(|block| platform::sha256(block))).await
}

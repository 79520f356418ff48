//! Both ways of hashing give the same digests.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use shoal_node::hash::{sha256, sha256_many};
use wasm_bindgen_test::wasm_bindgen_test;

use crate::blocks::numbered;

#[wasm_bindgen_test]
async fn the_empty_input_has_the_digest_of_fips_180_4() {
    let digest: String = sha256(b"").await.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[wasm_bindgen_test]
async fn sizes_around_the_threshold_agree_with_wasm() {
    for size in [0, 1, 55, 56, 64, 2047, 2048, 4095, 4096, 8191, 8192, 8193, 16_384, 1 << 20, 2 << 20] {
        let data = numbered(1, size).remove(0).data;
        assert_eq!(sha256(&data).await, <[u8; 32]>::from(Sha256::digest(&data)), "{size} bytes");
    }
}

#[wasm_bindgen_test]
async fn many_come_back_in_order() {
    let blocks: Vec<Bytes> = numbered(50, 100).into_iter().chain(numbered(50, 100_000)).map(|block| block.data).collect();
    let expected: Vec<[u8; 32]> = blocks.iter().map(|block| Sha256::digest(block).into()).collect();
    assert_eq!(sha256_many(&blocks).await, expected);
}

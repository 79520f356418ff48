//! Native: in place, on the calling thread.

use sha2::{Digest as _, Sha256};

use super::DIGEST_LENGTH;

pub(super) async fn sha256(data: &[u8]) -> [u8; DIGEST_LENGTH] {
    Sha256::digest(data).into()
}

//! The node's identity as the store hands it out: a secret seed, and how well it was kept.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::StoreError;

/// The identity and how it rests.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The secret.
    pub seed: Seed,
    /// How it is kept between two visits.
    pub protection: Protection,
}

/// How the seed is kept between two visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Encrypted by a key that the browser never gives out. A copy of the site's storage does not contain the seed in readable form. Script
    /// that runs in this origin can still *use* the key: only an origin of one's own and a strict content policy help against that.
    Wrapped,
    /// Readable in the site's storage, because the page is not in a secure context (plain http from another machine) and the browser offers
    /// no key. Wrapped as soon as the same storage is opened in a secure context.
    Plain,
    /// Never written anywhere.
    Memory,
}

/// The 32-byte seed of an Ed25519 key pair. Overwritten when dropped; its `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; Seed::LENGTH]);

impl Seed {
    /// Bytes of a seed (RFC 8032, section 5.1.5).
    pub const LENGTH: usize = 32;

    /// A new seed from the platform's secure random source.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if there is no such source.
    pub fn generate() -> Result<Seed, StoreError> {
        let mut seed = Seed([0; Seed::LENGTH]);
        getrandom::fill(&mut seed.0).map_err(|error| StoreError::Failed(format!("no secure random numbers: {error}")))?;
        Ok(seed)
    }

    /// The secret bytes. Whoever copies them overwrites the copy.
    pub fn expose(&self) -> &[u8; Seed::LENGTH] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Seed {
    type Error = StoreError;

    fn try_from(bytes: &[u8]) -> Result<Seed, StoreError> {
        let bytes = bytes.try_into().map_err(|_| StoreError::IdentityUnreadable { reason: format!("{} bytes, not 32", bytes.len()) })?;
        Ok(Seed(bytes))
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Seed(secret)")
    }
}

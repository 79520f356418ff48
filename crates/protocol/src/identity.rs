//! Who a peer is: an Ed25519 public key, which has three spellings.
//!
//! ```text
//!   PeerId     12D3KooW…         base58 of  00 24 ┃ 08 01 12 20 ┃ key    libp2p's protobuf in an identity multihash
//!   did:key    did:key:z6Mk…     base58 of  ed 01 ┃ key                  W3C, multicodec ed25519-pub
//!   registry   key_…             base58 of  key
//! ```
//!
//! Each is read only in the form in which it is written: one key, one text. A weak key, for which a single signature fits
//! every message, and a key in a non-canonical encoding are refused here, once, and signatures are verified strictly, so
//! that page and server agree on every signature; WebCrypto implementations do not even agree among themselves.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::limits::PUBLIC_KEY_TEXT;

/// A peer's Ed25519 public key: a point of the curve, in canonical encoding, not weak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Checks 32 bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        if !is_canonical(bytes) {
            return Err(PublicKeyError::NotAKey);
        }
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError::NotAKey)?;
        if key.is_weak() { Err(PublicKeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Reads a PeerId in base58 (`12D3KooW…`).
    pub fn from_peer_id(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_base58(text, &PEER_ID_HEADER)
    }

    /// Reads a binary PeerId.
    pub fn from_peer_id_bytes(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        Self::after_header(bytes, &PEER_ID_HEADER)
    }

    /// Reads a DID (`did:key:z6Mk…`), without a fragment.
    pub fn from_did_key(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_base58(text.strip_prefix(DID_KEY).ok_or(PublicKeyError::Text)?, &ED25519_PUB)
    }

    /// Reads a registry key (`key_…`).
    pub fn from_registry_key(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_base58(text.strip_prefix(REGISTRY_KEY).ok_or(PublicKeyError::Text)?, &[])
    }

    /// The key's 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The binary PeerId.
    pub fn to_peer_id_bytes(&self) -> Vec<u8> {
        [&PEER_ID_HEADER, self.as_bytes().as_slice()].concat()
    }

    /// The PeerId, `12D3KooW…`.
    pub fn peer_id_string(&self) -> String {
        bs58::encode(self.to_peer_id_bytes()).into_string()
    }

    /// The DID, `did:key:z6Mk…`.
    pub fn did_key(&self) -> String {
        let bytes = [&ED25519_PUB, self.as_bytes().as_slice()].concat();
        format!("{DID_KEY}{}", bs58::encode(bytes).into_string())
    }

    /// The registry's name of the key, `key_…`.
    pub fn registry_key(&self) -> String {
        format!("{REGISTRY_KEY}{}", bs58::encode(self.as_bytes()).into_string())
    }

    /// Whether this key made this signature of this message, strictly (RFC 8032 without the leeway that lets
    /// implementations differ).
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn from_base58(text: &str, header: &[u8]) -> Result<Self, PublicKeyError> {
        if text.len() > PUBLIC_KEY_TEXT {
            return Err(PublicKeyError::Text);
        }
        // base58 without leading zeros left out or added: one number, one text.
        let bytes = bs58::decode(text).into_vec().map_err(|_| PublicKeyError::Text)?;
        Self::after_header(&bytes, header)
    }

    fn after_header(bytes: &[u8], header: &[u8]) -> Result<Self, PublicKeyError> {
        let key = bytes.strip_prefix(header).ok_or(PublicKeyError::NotEd25519)?;
        Self::from_bytes(key.try_into().map_err(|_| PublicKeyError::NotEd25519)?)
    }
}

/// The PeerId.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.peer_id_string())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why something is not a public key that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Not the spelling that was expected.
    #[error("not a public key: copy it whole")]
    Text,
    /// Another kind of key, or one that is cut off.
    #[error("not an Ed25519 key: other kinds are not supported")]
    NotEd25519,
    /// 32 bytes that are no point of the curve in its canonical encoding.
    #[error("not an Ed25519 public key")]
    NotAKey,
    /// A key for which anyone can make signatures.
    #[error("a weak key: anyone could sign with it")]
    Weak,
}

/// Whether the y coordinate is below 2^255 - 19, the field's prime; the highest bit is the sign of x. (The other odd
/// encoding, x = 0 with a negative sign, belongs to weak keys only.)
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = bytes;
    *lowest < 0xed || highest & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// Identity multihash (0x00) of 36 bytes: libp2p's PublicKey message, type 1 = Ed25519, data of 32 bytes.
/// <https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md>
const PEER_ID_HEADER: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Multicodec ed25519-pub, 0xed as a varint. <https://w3c-ccg.github.io/did-key-spec/>
const ED25519_PUB: [u8; 2] = [0xed, 0x01];

/// The method and the multibase letter of base58btc, the only one that did:key allows.
const DID_KEY: &str = "did:key:z";

const REGISTRY_KEY: &str = "key_";

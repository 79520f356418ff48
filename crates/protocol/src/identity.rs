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

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use proptest::prelude::*;

    use super::*;

    fn signer(seed: [u8; 32]) -> (SigningKey, PublicKey) {
        let secret = SigningKey::from_bytes(&seed);
        let public = PublicKey::from_bytes(secret.verifying_key().as_bytes()).unwrap();
        (secret, public)
    }

    /// Seed number, DID and base58 from the test vectors of did:key (ed25519-x25519.json), PeerId from js-libp2p.
    const VECTORS: [(u8, &str, &str, &str); 3] = [
        (
            0,
            "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
            "key_4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS",
            "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
        ),
        (
            1,
            "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG",
            "key_6ASf5EcmmEHTgDJ4X4ZT5vT6iHVJBXPg5AN5YoTCpGWt",
            "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
        ),
        (
            2,
            "did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf",
            "key_8pM1DN3RiT8vbom5u1sNryaNT1nyL8CTTW3b5PwWXRBH",
            "12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD",
        ),
    ];

    #[test]
    fn spellings_are_those_of_the_specifications() {
        for (number, did, registry, peer_id) in VECTORS {
            let mut seed = [0; 32];
            seed[31] = number;
            let key = signer(seed).1;
            assert_eq!((key.did_key().as_str(), key.registry_key().as_str(), key.peer_id_string().as_str()), (did, registry, peer_id));
            assert_eq!(key.to_string(), peer_id);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_spelling_reads_back(seed: [u8; 32]) {
            let key = signer(seed).1;
            prop_assert_eq!(PublicKey::from_did_key(&key.did_key()), Ok(key));
            prop_assert_eq!(PublicKey::from_registry_key(&key.registry_key()), Ok(key));
            prop_assert_eq!(PublicKey::from_peer_id(&key.peer_id_string()), Ok(key));
            prop_assert_eq!(PublicKey::from_peer_id_bytes(&key.to_peer_id_bytes()), Ok(key));
            prop_assert_eq!(PublicKey::from_bytes(key.as_bytes()), Ok(key));
        }

        /// One key, one text: whatever is read is written back as it was.
        #[test]
        fn one_character_makes_another_key_or_none(seed: [u8; 32], at: usize, character in "[0-9A-Za-z+/= ]") {
            let key = signer(seed).1;
            for (text, read, write) in [
                (key.did_key(), PublicKey::from_did_key as fn(&str) -> _, PublicKey::did_key as fn(&PublicKey) -> _),
                (key.registry_key(), PublicKey::from_registry_key, PublicKey::registry_key),
                (key.peer_id_string(), PublicKey::from_peer_id, PublicKey::peer_id_string),
            ] {
                let at = at % text.len();
                let changed = [&text[..at], &character, &text[at + 1..]].concat();
                let longer = [&text[..at], &character, &text[at..]].concat();
                for text in [changed, longer] {
                    if let Ok(key) = read(&text) {
                        prop_assert_eq!(write(&key), text);
                    }
                }
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            for prefix in ["", "did:key:z", "key_"] {
                let text = format!("{prefix}{text}");
                let _ = (PublicKey::from_did_key(&text), PublicKey::from_registry_key(&text), PublicKey::from_peer_id(&text));
            }
            if let Ok(key) = PublicKey::from_peer_id_bytes(&bytes) {
                prop_assert_eq!(key.to_peer_id_bytes(), bytes);
            }
        }

        #[test]
        fn signatures_fit_one_key_and_one_message(seed: [u8; 32], message: Vec<u8>, at in 0..64_usize, flip in 1..=255_u8) {
            let (secret, public) = signer(seed);
            let signature = secret.sign(&message).to_bytes();
            prop_assert!(public.verify(&message, &signature));
            prop_assert!(!signer(secret.verifying_key().to_bytes()).1.verify(&message, &signature));
            prop_assert!(!public.verify(&[message.as_slice(), b"!"].concat(), &signature));
            let mut forged = signature;
            forged[at] ^= flip;
            prop_assert!(!public.verify(&message, &forged));
        }
    }

    /// All encodings of the eight points of small order, and of the other y that have two.
    #[test]
    fn weak_and_non_canonical_keys_are_refused() {
        let small_order = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        ];
        for key in small_order {
            let mut bytes = [0; 32];
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap();
            }
            assert_eq!(PublicKey::from_bytes(&bytes), Err(PublicKeyError::Weak), "{key}");
        }
        for lowest in 0xed..=0xff {
            for highest in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (lowest, highest);
                assert_eq!(PublicKey::from_bytes(&bytes), Err(PublicKeyError::NotAKey));
            }
        }
    }

    #[test]
    fn other_spellings_and_kinds_are_refused() {
        let key = signer([7; 32]).1;
        let (did, registry, peer_id) = (key.did_key(), key.registry_key(), key.peer_id_string());
        let fragment = format!("{did}#{}", &did["did:key:".len()..]);
        let secp256k1 = "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme";
        let rsa_peer = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
        let padded = format!("key_1{}", &registry["key_".len()..]);
        for text in [&peer_id, &registry, &fragment, secp256k1, &did["did:key:".len()..], "did:key:z", "", &did.to_uppercase()] {
            assert!(PublicKey::from_did_key(text).is_err(), "{text}");
        }
        for text in [&did, &registry, rsa_peer, "12D3KooW", "", &did["did:key:z".len()..]] {
            assert!(PublicKey::from_peer_id(text).is_err(), "{text}");
        }
        for text in [&did, &peer_id, padded.as_str(), "key_", ""] {
            assert!(PublicKey::from_registry_key(text).is_err(), "{text}");
        }
    }
}

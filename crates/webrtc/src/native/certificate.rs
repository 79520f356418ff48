//! The listener's certificate, by which whoever dials recognizes it: one for each identity, for ever.
//!
//! A browser takes any certificate whose hash the description names, however long it is valid, so there is no reason for a second one: its key
//! follows from the identity, its bytes from the key, so a restart changes nothing, nothing is stored, and an address that somebody kept stays good.
//!
//! ```text
//! secret key   HKDF-SHA256 of the identity's secret with the info "shoal webrtc-direct certificate" ‖ attempt (1 byte);
//!              attempt 0, or the next that is a scalar of P-256
//! certificate  X.509 v3, serial 1, empty names, valid 2000 to 2100, signed with itself (ECDSA by RFC 6979: always the same bytes)
//! certhash     multihash of SHA-256 of the DER
//! ```

use std::fmt;

use dimpl::DtlsCertificate;
use libp2p_identity::Keypair;
use multihash::Multihash;
use p256::{
    SecretKey,
    ecdsa::{DerSignature, SigningKey, signature::Signer},
    pkcs8::EncodePrivateKey,
};
use rcgen::{CertificateParams, DistinguishedName, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

/// The multihash code of SHA2-256: <https://github.com/multiformats/multicodec/blob/master/table.csv>.
const SHA2_256: u64 = 0x12;
/// Keeps the key of the certificate apart from everything else that is derived from an identity.
const DOMAIN: &[u8] = b"shoal webrtc-direct certificate";
/// Seconds since the epoch: the beginning of 2000, and of 2100. Nobody looks at them.
const VALID: (i64, i64) = (946_684_800, 4_102_444_800);

/// SHA2-256 of a certificate, as a multiaddr holds it after `/certhash`.
pub type Certhash = Multihash<64>;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No secret can be derived from an identity of this kind: RSA.
    #[error("no certificate can be derived from this kind of identity; use an Ed25519 key")]
    Identity,
    /// The encoding failed, which no input should cause.
    #[error("the certificate cannot be encoded: {0}")]
    Encoding(String),
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Certificate {
    /// What it is known by.
    pub hash: Certhash,
    /// For DTLS.
    pub(super) dtls: DtlsCertificate,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Certificate").field(&self.hash).finish()
    }
}

impl Certificate {
    /// That of an identity: the same whenever it is made.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn derive(identity: &Keypair) -> Result<Self, CertificateError> {
        let key = signing_key(identity)?;
        let encoding = |error: &dyn fmt::Display| CertificateError::Encoding(error.to_string());
        let moment = |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds).map_err(|error| encoding(&error));
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (moment(VALID.0)?, moment(VALID.1)?);
        params.serial_number = Some(SerialNumber::from_slice(&[1]));
        params.distinguished_name = DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.key_identifier_method = KeyIdMethod::PreSpecified(Vec::new());
        let certificate = params.self_signed(&key).map_err(|error| encoding(&error))?.der().to_vec();
        let secret = SecretKey::from(&key.0).to_pkcs8_der().map_err(|error| encoding(&error))?;
        Ok(Self {
            hash: certhash_of(&certificate).ok_or_else(|| encoding(&"its hash is no multihash"))?,
            dtls: DtlsCertificate { certificate, private_key: secret.as_bytes().to_vec() },
        })
    }
}

/// That of a certificate in DER.
pub(super) fn certhash_of(certificate: &[u8]) -> Option<Certhash> {
    Multihash::wrap(SHA2_256, &Sha256::digest(certificate)).ok()
}

/// A P-256 key that signs without randomness (RFC 6979).
struct Key(SigningKey, Vec<u8>);

fn signing_key(identity: &Keypair) -> Result<Key, CertificateError> {
    // Nearly every 32 bytes are a P-256 scalar; of the others the next ones are taken.
    for attempt in 0_u8..=u8::MAX {
        let secret = identity.derive_secret(&[DOMAIN, &[attempt]].concat()).ok_or(CertificateError::Identity)?;
        if let Ok(key) = SigningKey::from_slice(&secret) {
            let public = key.verifying_key().to_encoded_point(false).as_bytes().to_vec();
            return Ok(Key(key, public));
        }
    }
    Err(CertificateError::Identity)
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.1
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = self.0.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: &Certhash) -> String {
        hash.digest().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// If this fails, an update changed the bytes of the certificate: every address that anybody has kept would be worthless.
    #[test]
    fn the_bytes_of_a_certificate_stay() {
        let identity = Keypair::ed25519_from_bytes([7; 32]).unwrap();
        assert_eq!(hex(&Certificate::derive(&identity).unwrap().hash), "72965acb6048c211273e55a99b05afe8e6a68fd769b468faaa377f3530cbbd1a");
    }

    #[test]
    fn two_identities_have_nothing_in_common() {
        let [one, two] = [7, 8].map(|byte| Certificate::derive(&Keypair::ed25519_from_bytes([byte; 32]).unwrap()).unwrap());
        assert_ne!(one.hash, two.hash);
        assert_ne!(one.dtls.private_key, two.dtls.private_key);
    }
}

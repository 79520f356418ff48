//! The certificates of a listener: which ones, from when until when, and their hashes.
//!
//! A browser takes a certificate that no authority signed if its hash is known beforehand, its key is on P-256, and it is valid for at most two
//! weeks (W3C WebTransport, `serverCertificateHashes`). So time is divided into periods, each with a certificate of its own, which is made
//! from the identity and the number of the period alone: a restart changes nothing, nothing but the identity is stored, and the hashes of
//! coming certificates can be told long before.
//!
//! ```text
//! period      n-1       │        n         │       n+1
//!        ───────────────┼──────────────────┼──────────────
//! valid            ├─ skew ──── n ──── skew ─┤
//!                                   ├─ skew ─── n+1 ─── skew ─┤
//! ```
//!
//! A certificate is valid for a skew longer on either side, for clocks that are wrong. The boundary between periods is another one for each
//! identity, so that not all listeners of the world change at once. The scheme is go-libp2p's
//! (`p2p/transport/webtransport/cert_manager.go`); the derivation of keys is ours, as nobody else has to repeat it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use libp2p_identity::{Keypair, PublicKey};
use multihash::Multihash;
use p256::{
    SecretKey,
    ecdsa::{DerSignature, SigningKey, signature::Signer},
    pkcs8::EncodePrivateKey,
};
use rcgen::{CertificateParams, DistinguishedName, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

/// How long a certificate is valid, in seconds: two weeks at most, says the W3C's draft; a second less, as both ends count.
pub const VALIDITY: i64 = 14 * 86_400 - 1;
/// By how many seconds the clock of a client may be wrong.
pub const SKEW: i64 = 3_600;
/// From one certificate to the next, in seconds.
pub const PERIOD: i64 = VALIDITY - 2 * SKEW;
/// The multihash code of SHA2-256: <https://github.com/multiformats/multicodec/blob/master/table.csv>.
const SHA2_256: u64 = 0x12;
/// Keeps the keys of certificates apart from everything else that is derived from an identity.
const DOMAIN: &[u8] = b"shoal webtransport certificate";

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

/// Which certificate is in use when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Seconds from the Unix epoch to the first boundary.
    offset: i64,
}

/// The number of a period, from the Unix epoch.
pub type Period = i64;

impl Schedule {
    /// That of an identity.
    pub fn of(identity: &PublicKey) -> Self {
        // Of the public key's hash, so that it tells nothing.
        let digest = Sha256::digest(identity.encode_protobuf());
        let minutes = u16::from_le_bytes([digest[0], digest[1]]);
        Self { offset: i64::from(minutes) * 60 % PERIOD }
    }

    /// Which period it is at this moment.
    pub fn at(&self, now: SystemTime) -> Period {
        (seconds(now) - self.offset).div_euclid(PERIOD)
    }

    /// When a period begins, in seconds since the epoch.
    fn start(&self, period: Period) -> i64 {
        self.offset.saturating_add(period.saturating_mul(PERIOD))
    }

    /// How long until the next period.
    pub fn left(&self, now: SystemTime) -> Duration {
        Duration::from_secs((self.start(self.at(now) + 1) - seconds(now)).unsigned_abs())
    }
}

/// Since the epoch. A clock that is before it, or beyond all of ours, is none to make certificates by.
fn seconds(now: SystemTime) -> i64 {
    i64::try_from(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()).unwrap_or(i64::MAX / 2)
}

/// One certificate with its key.
#[derive(Clone)]
pub struct Certificate {
    /// What it is known by.
    pub hash: Certhash,
    /// For TLS.
    pub key: Arc<CertifiedKey>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Certificate").field(&self.hash).finish()
    }
}

impl Certificate {
    /// That of an identity in a period: the same whenever it is made.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn derive(identity: &Keypair, schedule: &Schedule, period: Period) -> Result<Self, CertificateError> {
        let key = signing_key(identity, period)?;
        let encoding = |error: &dyn fmt::Display| CertificateError::Encoding(error.to_string());
        let start = schedule.start(period).saturating_sub(SKEW);
        let moment = |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds.max(0)).map_err(|error| encoding(&error));
        let mut params = CertificateParams::default();
        params.not_before = moment(start)?;
        params.not_after = moment(start.saturating_add(VALIDITY))?;
        // DER has integers without leading zeros; Chromium takes no others.
        let serial = period.unsigned_abs().to_be_bytes();
        let zeros = (period.unsigned_abs().leading_zeros() / 8).min(7) as usize;
        params.serial_number = Some(SerialNumber::from_slice(&serial[zeros..]));
        params.distinguished_name = DistinguishedName::new();
        // What it is for; and Chromium takes none without extensions.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.key_identifier_method = KeyIdMethod::PreSpecified(Vec::new());
        let certificate = params.self_signed(&key).map_err(|error| encoding(&error))?;
        let der: CertificateDer<'static> = certificate.der().clone();
        let hash = Multihash::wrap(SHA2_256, &Sha256::digest(&der)).map_err(|error| encoding(&error))?;
        let secret = SecretKey::from(&key.0).to_pkcs8_der().map_err(|error| encoding(&error))?;
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(secret.as_bytes().to_vec()));
        let secret = rustls::crypto::ring::sign::any_ecdsa_type(&secret).map_err(|error| encoding(&error))?;
        Ok(Self { hash, key: Arc::new(CertifiedKey::new(vec![der], secret)) })
    }
}

/// A P-256 key that signs without randomness (RFC 6979), so that a certificate is the same whenever it is made.
struct Key(SigningKey, Vec<u8>);

fn signing_key(identity: &Keypair, period: Period) -> Result<Key, CertificateError> {
    // Nearly every 32 bytes are a P-256 scalar; of the others the next ones are taken.
    for attempt in 0_u8..=u8::MAX {
        let domain = [DOMAIN, &period.to_be_bytes(), &[attempt]].concat();
        let secret = identity.derive_secret(&domain).ok_or(CertificateError::Identity)?;
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

/// The certificates around a moment.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// Which period it is.
    pub period: Period,
    /// The one in use.
    pub current: Certificate,
    /// The hashes before the present one, the latest last.
    past: Vec<Certhash>,
    /// The hashes from the present one on.
    future: Vec<Certhash>,
}

impl Certificates {
    /// The one of this moment, with the hashes of so many before and after it.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn at(identity: &Keypair, schedule: &Schedule, now: SystemTime, around: u16) -> Result<Self, CertificateError> {
        let period = schedule.at(now);
        let hash = |period: Period| Certificate::derive(identity, schedule, period).map(|certificate| certificate.hash);
        let around = Period::from(around.max(1));
        Ok(Self {
            period,
            current: Certificate::derive(identity, schedule, period)?,
            past: (period - around..period).map(hash).collect::<Result<_, _>>()?,
            future: (period..=period + around).map(hash).collect::<Result<_, _>>()?,
        })
    }

    /// What an address of this moment names: this certificate and the next.
    pub fn advertised(&self) -> &[Certhash] {
        self.future.get(..2).unwrap_or(&self.future)
    }

    /// What an address names that is to be kept: it holds until the last of these.
    pub fn lasting(&self) -> &[Certhash] {
        &self.future
    }

    /// What the listener confirms in the Noise handshake: whoever dialled an older address compares all that it named.
    pub fn confirmed(&self) -> impl Iterator<Item = &Certhash> {
        self.past.iter().chain(&self.future)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn identity() -> Keypair {
        Keypair::ed25519_from_bytes([7; 32]).unwrap()
    }

    fn day(days: f64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs_f64(20_000.0 * 86_400.0 + days * 86_400.0)
    }

    fn hex(hash: &Certhash) -> String {
        hash.digest().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_restart_changes_nothing_and_the_next_becomes_the_current_one() {
        let schedule = Schedule::of(&identity().public());
        let now = Certificates::at(&identity(), &schedule, day(0.0), 3).unwrap();
        let again = Certificates::at(&identity(), &schedule, day(0.0), 3).unwrap();
        assert!(now.advertised() == again.advertised() && now.current.key.cert == again.current.key.cert);
        let later = Certificates::at(&identity(), &schedule, day(0.0) + Duration::from_secs(PERIOD as u64), 3).unwrap();
        assert_eq!(later.period, now.period + 1);
        assert!(later.current.hash == now.advertised()[1]);
        assert!(now.lasting().iter().all(|hash| later.confirmed().any(|other| other == hash)), "an old address is confirmed");
    }

    /// If this fails, an update changed the bytes of certificates: every address that a page has stored would be worthless.
    #[test]
    fn the_bytes_of_a_certificate_stay() {
        let schedule = Schedule::of(&identity().public());
        let hash = Certificate::derive(&identity(), &schedule, 1_430).unwrap().hash;
        assert_eq!(hex(&hash), "dbb69ecfc7599466a6dd07a4944316f730437c86b876af7866de60a3546a705c");
    }

    #[test]
    fn it_is_valid_all_the_time_it_is_in_use_and_a_skew_around() {
        let schedule = Schedule::of(&identity().public());
        for hours in 0..24 * 40 {
            let now = day(f64::from(hours) / 24.0);
            let period = schedule.at(now);
            let (seconds, begins) = (seconds(now), schedule.start(period) - SKEW);
            assert!(begins + SKEW <= seconds && seconds + SKEW <= begins + VALIDITY);
            assert!(schedule.left(now) <= Duration::from_secs(PERIOD as u64));
            assert_eq!(schedule.at(now + schedule.left(now) + Duration::from_secs(1)), period + 1);
        }
    }

    #[test]
    fn two_identities_have_nothing_in_common() {
        let other = Keypair::ed25519_from_bytes([8; 32]).unwrap();
        let (one, two) = (Schedule::of(&identity().public()), Schedule::of(&other.public()));
        assert_ne!(one.offset, two.offset);
        assert_ne!(Certificate::derive(&identity(), &one, 5).unwrap().hash, Certificate::derive(&other, &one, 5).unwrap().hash);
    }
}

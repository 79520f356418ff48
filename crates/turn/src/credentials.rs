//! Credentials for some minutes, that the server need not remember: the name says who and until when, the password follows from the name and a secret.
//! The form is that of "A REST API For Access To TURN Services" (draft-uberti-behave-turn-rest-00), which other TURN servers understand too.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use multibase::Base;
use sha1::Sha1;

use crate::limits::{CREDENTIALS, USERNAME};

/// The realm of RFC 8489, section 9.2.2: one, and short, for it is in answers to strangers.
pub const REALM: &str = "turn";

/// What the passwords follow from.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

/// What a client shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Until when, in seconds since 1970, a colon, and who.
    pub username: String,
    /// What proves it.
    pub password: String,
}

impl Credentials {
    /// The key of MESSAGE-INTEGRITY with them: RFC 8489, section 9.2.2.
    #[must_use]
    pub fn key(&self) -> [u8; 16] {
        Md5::digest(format!("{}:{REALM}:{}", self.username, self.password)).into()
    }
}

/// Who shows credentials, as far as their name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The last second, since 1970, of their use.
    pub until: u64,
    /// The PeerId.
    pub peer: String,
}

impl Secret {
    /// Whoever knows these bytes makes credentials.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Credentials of a peer from this second (since 1970) on.
    #[must_use]
    pub fn credentials(&self, peer: &str, unix_seconds: u64) -> Credentials {
        self.expected(&format!("{}:{peer}", unix_seconds.saturating_add(CREDENTIALS.as_secs())))
    }

    fn password(&self, username: &str) -> String {
        Base::Base64Pad.encode(mac(&self.0, &[username.as_bytes()]))
    }

    /// What somebody of this name has to show.
    pub(crate) fn expected(&self, username: &str) -> Credentials {
        Credentials { username: username.to_owned(), password: self.password(username) }
    }

    /// Some bytes that nobody else can make, for this purpose and these bytes.
    pub(crate) fn proof(&self, purpose: &str, bytes: &[u8]) -> [u8; 20] {
        mac(&self.0, &[purpose.as_bytes(), &[0], bytes])
    }
}

/// Reads a name; nothing where it is none of ours.
pub(crate) fn holder(username: &str) -> Option<Holder> {
    let (until, peer) = username.split_once(':')?;
    let fits = username.len() <= USERNAME && !peer.is_empty();
    fits.then_some(())?;
    Some(Holder { until: until.parse().ok()?, peer: peer.to_owned() })
}

/// HMAC-SHA1 (RFC 2104).
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    keyed(key, parts).finalize().into_bytes().into()
}

/// Whether the code is that of these bytes, in a time that says nothing of where they differ.
pub(crate) fn is_mac(key: &[u8], parts: &[&[u8]], code: &[u8]) -> bool {
    keyed(key, parts).verify_slice(code).is_ok()
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha1> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_who_and_until_when() {
        let secret = Secret::new([7; 32]);
        let made = secret.credentials("12D3KooW", 1_000);
        assert_eq!(made.username, "1600:12D3KooW");
        assert_eq!(holder(&made.username), Some(Holder { until: 1_600, peer: "12D3KooW".to_owned() }));
        assert_eq!(made.password.len(), 28);
        assert_ne!(made.password, secret.credentials("12D3KooX", 1_000).password, "another peer");
        assert_ne!(made.password, secret.credentials("12D3KooW", 1_001).password, "another time");
        assert_ne!(made.password, Secret::new([8; 32]).credentials("12D3KooW", 1_000).password, "another secret");
        for name in ["", "x", "12D3KooW", "x:12D3KooW", "-1:12D3KooW", "1600:", &format!("1600:{}", "p".repeat(USERNAME))] {
            assert_eq!(holder(name), None, "{name}");
        }
    }

    #[test]
    fn codes_are_those_of_rfc_2202() {
        assert_eq!(mac(b"Jefe", &[b"what do ya want ", b"for nothing?"])[..4], [0xef, 0xfc, 0xdf, 0x6a]);
        assert!(is_mac(b"Jefe", &[b"x"], &mac(b"Jefe", &[b"x"])));
        assert!(!is_mac(b"Jefe", &[b"x"], &mac(b"Jefe", &[b"x"])[..19]));
    }
}

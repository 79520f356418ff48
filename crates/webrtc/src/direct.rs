//! `/webrtc-direct`: the descriptions with which a browser connects to a server that it exchanges none with.
//!
//! ```text
//!   browser's offer ──┬─► password, fingerprint, mid
//!   /ip4/…/udp/…/webrtc-direct/certhash/…  ──► address, fingerprint
//!                     └─► the answer that the server would have given: ice-ufrag = ice-pwd = libp2p+webrtc+v2/<password>
//! ```
//!
//! The server takes the credentials from the user name of the first STUN packet, `<answer's ufrag>:<offer's ufrag>`, and guesses the offer from them.
//! There are two agreements about that, and no address says which ones a server knows:
//!
//! | | the offer's ufrag and password | the server knows the password, since |
//! |---|---|---|
//! | [`Version::V1`] | both replaced by the answer's | all four are one text |
//! | [`Version::V2`] | as the browser made them | it stands in the answer's ufrag |
//!
//! Browsers are about to refuse offers in which they were replaced (Chromium's trial `WebRTC-NoSdpMangleUfrag`), servers older than the middle of 2026
//! know the first agreement alone. So the second one is tried first: nothing in a browser can refuse it, and a server that does not know it is silent.
//!
//! Source: libp2p/specs webrtc/webrtc-direct.md, and its pull request 715 for the second version; RFC 8839 for the grammar.

use std::net::{IpAddr, SocketAddr};

use multiaddr::{Multiaddr, Protocol};
use thiserror::Error;

use crate::limits::{ICE_CREDENTIAL, STRANGER_FRAME};

/// How the server learns the credentials of who dials it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// By an offer whose ufrag and password are replaced.
    V1,
    /// By a ufrag of the answer that contains the password of an offer that is not changed.
    V2,
}

impl Version {
    const fn prefix(self) -> &'static str {
        match self {
            Self::V1 => "libp2p+webrtc+v1/",
            Self::V2 => "libp2p+webrtc+v2/",
        }
    }
}

/// Why an address is none that a browser can dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Not `/ip4|ip6/…/udp/…/webrtc-direct/certhash/…`, with nothing behind it but a PeerId.
    #[error("not an address of WebRTC-direct with the hash of one certificate")]
    Form,
    /// Browsers compare certificates with other hashes, too, but the agreement knows this one alone.
    #[error("the certificate's hash is not a SHA-256")]
    Hash,
}

/// Why a browser's offer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the browser's offer has no {0} that can be used")]
pub struct OfferError(&'static str);

/// A server, as its address says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    address: SocketAddr,
    /// The SHA-256 of its certificate.
    certificate: Digest,
}

/// What both descriptions must be, and what Noise has to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptions {
    /// The offer, as it is to be set.
    pub offer: String,
    /// The answer that the server would have given.
    pub answer: String,
    /// The certificates of both, for the handshake in which the server begins.
    pub prologue: Vec<u8>,
}

type Digest = [u8; 32];

impl Server {
    /// Reads `/ip4|ip6/<ip>/udp/<port>/webrtc-direct/certhash/<hash>`, with or without `/p2p/<peer>` behind it.
    ///
    /// # Errors
    /// Where it is another address, or its hash is another one than SHA-256.
    pub fn new(address: &Multiaddr) -> Result<Self, AddressError> {
        let mut parts = address.iter();
        let ip: IpAddr = match parts.next() {
            Some(Protocol::Ip4(ip)) => ip.into(),
            Some(Protocol::Ip6(ip)) => ip.into(),
            _ => return Err(AddressError::Form),
        };
        let (Some(Protocol::Udp(port)), Some(Protocol::WebRTCDirect), Some(Protocol::Certhash(hash)), None | Some(Protocol::P2p(_)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AddressError::Form);
        };
        match <Digest>::try_from(hash.digest()) {
            Ok(certificate) if hash.code() == SHA_256 => Ok(Self { address: SocketAddr::new(ip, port), certificate }),
            _ => Err(AddressError::Hash),
        }
    }

    /// What to set, for the offer that the browser made.
    ///
    /// # Errors
    /// Where the offer lacks something. Browsers' own never do.
    pub fn describe(&self, offer: &str, version: Version) -> Result<Descriptions, OfferError> {
        let password = attribute(offer, PASSWORD).filter(|password| is_password(password)).ok_or(OfferError("password"))?;
        let certificate = attribute(offer, FINGERPRINT).and_then(digest_of).ok_or(OfferError("SHA-256 of its certificate"))?;
        let mid = attribute(offer, "a=mid:").ok_or(OfferError("part for data channels"))?;
        let credential = [version.prefix(), password].concat();
        let offer = match version {
            Version::V1 => with_credential(offer, &credential),
            Version::V2 => offer.to_owned(),
        };
        let prologue = [b"libp2p-webrtc-noise:", &SHA_256_PREFIX[..], &certificate, &SHA_256_PREFIX, &self.certificate].concat();
        Ok(Descriptions { offer, answer: self.answer(&credential, mid), prologue })
    }

    fn answer(&self, credential: &str, mid: &str) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let port = port.to_string();
        let (ip, fingerprint, most) = (ip.to_string(), text_of(&self.certificate), STRANGER_FRAME.to_string());
        // It answers checks and makes none (`ice-lite`), and waits for the browser to begin with DTLS (`passive`).
        [
            "v=0\r\no=- 0 0 IN ",
            family,
            " ",
            &ip,
            "\r\ns=-\r\nt=0 0\r\na=ice-lite\r\nm=application ",
            &port,
            " UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN ",
            family,
            " ",
            &ip,
            "\r\na=mid:",
            mid,
            "\r\na=ice-ufrag:",
            credential,
            "\r\n",
            PASSWORD,
            credential,
            "\r\n",
            FINGERPRINT,
            &fingerprint,
            "\r\na=setup:passive\r\na=sctp-port:5000\r\na=max-message-size:",
            &most,
            "\r\na=candidate:1 1 udp 1 ",
            &ip,
            " ",
            &port,
            " typ host\r\na=end-of-candidates\r\n",
        ]
        .concat()
    }
}

/// The offer with this as its ufrag and its password.
fn with_credential(offer: &str, credential: &str) -> String {
    let changed = offer.lines().flat_map(|line| {
        let kept = [UFRAG, PASSWORD].into_iter().find(|name| line.starts_with(name));
        [kept.unwrap_or(line), if kept.is_some() { credential } else { "" }, "\r\n"]
    });
    changed.collect()
}

/// What stands behind this at the beginning of a line: the first one.
fn attribute<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| line.strip_prefix(name))
}

/// At least 128 bits, and what a ufrag has room for (RFC 8839, section 5.4).
fn is_password(text: &str) -> bool {
    let room = ICE_CREDENTIAL - Version::V2.prefix().len();
    (22..=room).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// Reads `AB:CD:…` (RFC 8122).
fn digest_of(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    let mut pairs = text.split(':');
    for byte in &mut digest {
        let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(digest)
}

fn text_of(digest: &Digest) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::new();
    for byte in digest {
        if !text.is_empty() {
            text.push(':');
        }
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
    text
}

const UFRAG: &str = "a=ice-ufrag:";
const PASSWORD: &str = "a=ice-pwd:";
const FINGERPRINT: &str = "a=fingerprint:sha-256 ";

/// The number of SHA-256 in <https://github.com/multiformats/multicodec>.
const SHA_256: u64 = 0x12;

/// How a multihash of it begins: the number, and the length.
const SHA_256_PREFIX: [u8; 2] = [SHA_256 as u8, 32];

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    const HASH: &str = "/certhash/uEiAw_J9GnCB0Gd_dCqtfJ6hslzyU5AVI25N1zKLpFZc7mQ";
    const OURS: &str = "3E:79:AF:40:D6:05:96:17:A0:D8:3B:83:A5:2C:E7:3B:0C:1F:37:A7:2C:60:43:AD:29:69:E2:35:1B:DC:A8:70";
    const THEIRS: &str = "30:FC:9F:46:9C:20:74:19:DF:DD:0A:AB:5F:27:A8:6C:97:3C:94:E4:05:48:DB:93:75:CC:A2:E9:15:97:3B:99";
    const PASSWORD_OF_OFFER: &str = "Ck6+xhWBYx0fY/q6gFbNcH4L";

    fn server(address: &str) -> Result<Server, AddressError> {
        Server::new(&address.parse().unwrap())
    }

    fn direct(ip: &str) -> Server {
        server(&format!("/{ip}/udp/4001/webrtc-direct{HASH}{PEER}")).unwrap()
    }

    fn offer(password: &str, fingerprint: &str) -> String {
        format!(
            "v=0\r\no=- 5 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
             c=IN IP4 0.0.0.0\r\na=ice-ufrag:ZvJ5\r\na=ice-pwd:{password}\r\na=ice-options:trickle\r\na=fingerprint:sha-256 {fingerprint}\r\n\
             a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"
        )
    }

    #[test]
    fn the_answer_is_that_of_a_server_that_waits() {
        let Descriptions { offer: set, answer, .. } =
            direct("ip4/192.0.2.1").describe(&offer(PASSWORD_OF_OFFER, OURS), Version::V2).unwrap();
        assert_eq!(set, offer(PASSWORD_OF_OFFER, OURS), "the browser's own offer is left as it is");
        let credential = format!("libp2p+webrtc+v2/{PASSWORD_OF_OFFER}");
        assert_eq!(
            answer,
            format!(
                "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\nm=application 4001 UDP/DTLS/SCTP webrtc-datachannel\r\n\
                 c=IN IP4 192.0.2.1\r\na=mid:0\r\na=ice-ufrag:{credential}\r\na=ice-pwd:{credential}\r\na=fingerprint:sha-256 {THEIRS}\r\n\
                 a=setup:passive\r\na=sctp-port:5000\r\na=max-message-size:16384\r\n\
                 a=candidate:1 1 udp 1 192.0.2.1 4001 typ host\r\na=end-of-candidates\r\n"
            )
        );
        let six = direct("ip6/2001:db8::1").describe(&offer(PASSWORD_OF_OFFER, OURS), Version::V2).unwrap().answer;
        assert!(six.contains("c=IN IP6 2001:db8::1\r\n") && six.contains(" 2001:db8::1 4001 typ host"), "{six}");
    }

    #[test]
    fn the_first_version_has_one_text_in_all_four_places() {
        let Descriptions { offer: set, answer, .. } =
            direct("ip4/192.0.2.1").describe(&offer(PASSWORD_OF_OFFER, OURS), Version::V1).unwrap();
        let credential = format!("libp2p+webrtc+v1/{PASSWORD_OF_OFFER}");
        for description in [&set, &answer] {
            assert_eq!(attribute(description, UFRAG), Some(credential.as_str()));
            assert_eq!(attribute(description, PASSWORD), Some(credential.as_str()));
        }
        let restored = set.replace(&format!("ufrag:{credential}"), "ufrag:ZvJ5").replace("libp2p+webrtc+v1/", "");
        assert_eq!(restored, offer(PASSWORD_OF_OFFER, OURS), "nothing else is changed");
    }

    #[test]
    fn noise_binds_both_certificates() {
        // The specification's test vector.
        let prologue = "6c69627032702d7765627274632d6e6f6973653a12203e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870\
                        122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99";
        for fingerprint in [OURS, &OURS.to_lowercase()] {
            let described = direct("ip4/192.0.2.1").describe(&offer(PASSWORD_OF_OFFER, fingerprint), Version::V2).unwrap();
            let hex: String = described.prologue.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, prologue);
        }
    }

    #[test]
    fn other_addresses_and_hashes_are_refused() {
        let base = "/ip4/192.0.2.1/udp/4001/webrtc-direct";
        assert!(server(&format!("{base}{HASH}")).is_ok(), "a PeerId may be missing");
        for address in [
            base.to_owned(),
            format!("{base}{PEER}"),
            format!("{base}{HASH}{HASH}"),
            format!("{base}{HASH}{PEER}/p2p-circuit"),
            format!("/ip4/192.0.2.1/tcp/4001/webrtc-direct{HASH}"),
            format!("/dns4/server.example/udp/4001/webrtc-direct{HASH}"),
            format!("/ip4/192.0.2.1/udp/4001/quic-v1/webtransport{HASH}"),
            "/webrtc".to_owned(),
        ] {
            assert_eq!(server(&address), Err(AddressError::Form), "{address}");
        }
        for (code, length) in [(0x13, 64), (0x12, 31), (0x16, 32), (0x00, 32)] {
            let hash = multiaddr::multihash::Multihash::wrap(code, &vec![7; length]).unwrap();
            let address = base.parse::<Multiaddr>().unwrap().with(Protocol::Certhash(hash));
            assert_eq!(Server::new(&address), Err(AddressError::Hash), "{address}");
        }
    }

    #[test]
    fn an_offer_that_lacks_something_is_refused() {
        let server = direct("ip4/192.0.2.1");
        let good = offer(PASSWORD_OF_OFFER, OURS);
        for bad in [
            String::new(),
            offer("tooShort", OURS),
            offer(&"a".repeat(257 - 17), OURS),
            offer("Ck6+xhWBYx0fY:q6gFbNcH4L", OURS),
            offer(PASSWORD_OF_OFFER, &OURS[3..]),
            offer(PASSWORD_OF_OFFER, &format!("{OURS}:00")),
            offer(PASSWORD_OF_OFFER, &OURS.replace('A', "+")),
            good.replace("sha-256", "sha-512"),
            good.replace("a=mid:0\r\n", ""),
        ] {
            assert!(server.describe(&bad, Version::V2).is_err(), "{bad}");
        }
        assert!(server.describe(&offer(&"a".repeat(256 - 17), OURS), Version::V2).is_ok());
    }
}

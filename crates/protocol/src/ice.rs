//! What a relay tells a page that wants to connect to others directly: where its STUN and TURN server is, and credentials for it.
//! The exchange is specified in `docs/ice.md`.

use std::time::Duration;

use multiaddr::{Multiaddr, Protocol};

use crate::{
    limits::{ICE_ANSWER, ICE_TEXT},
    varint,
};

/// The servers of a relay. They are at the host by which the relay is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    /// The UDP port of STUN, and of TURN too where there are credentials.
    pub port: u16,
    /// Who may use TURN, and for how long.
    pub turn: Option<Credentials>,
}

/// Credentials of TURN's long-term mechanism (RFC 8489, section 9.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// How long they can be used for a new allocation, from now on.
    pub lifetime: Duration,
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// Why an answer cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the relay's answer about ICE servers cannot be read")]
pub struct Malformed;

impl Servers {
    /// Their URLs (RFC 7064, RFC 7065) where the relay is reached by this address: of STUN, and of TURN.
    #[must_use]
    pub fn urls(&self, relay: &Multiaddr) -> Option<[String; 2]> {
        let host = match relay.iter().next()? {
            Protocol::Ip4(ip) => ip.to_string(),
            Protocol::Ip6(ip) => format!("[{ip}]"),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.into_owned(),
            _ => return None,
        };
        Some(["stun", "turn"].map(|scheme| format!("{scheme}:{host}:{}", self.port)))
    }

    /// As they travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        varint::put(self.port.into(), &mut out);
        if let Some(Credentials { lifetime, username, password }) = &self.turn {
            varint::put(lifetime.as_secs(), &mut out);
            for text in [username, password] {
                varint::put(text.len() as u64, &mut out);
                out.extend_from_slice(text.as_bytes());
            }
        }
        out
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = bytes.get(..bytes.len()).filter(|bytes| bytes.len() <= ICE_ANSWER).ok_or(Malformed)?;
        let rest = &mut rest;
        let port = u16::try_from(number(rest)?).ok().filter(|port| *port > 0).ok_or(Malformed)?;
        if rest.is_empty() {
            return Ok(Self { port, turn: None });
        }
        let lifetime = Duration::from_secs(number(rest)?);
        let (username, password) = (text(rest)?, text(rest)?);
        // What a later version says behind it is for whoever knows it.
        Ok(Self { port, turn: Some(Credentials { lifetime, username, password }) })
    }
}

fn number(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    varint::take(bytes).map_err(|_| Malformed)
}

/// Letters that stand for themselves wherever a browser puts them.
fn text(bytes: &mut &[u8]) -> Result<String, Malformed> {
    let length = usize::try_from(number(bytes)?).ok().filter(|length| (1..=ICE_TEXT).contains(length)).ok_or(Malformed)?;
    let (text, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
    *bytes = rest;
    let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(text.to_owned()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_turn() -> Servers {
        let credentials =
            Credentials { lifetime: Duration::from_secs(600), username: "1600:12D3KooW".to_owned(), password: "c2VjcmV0".to_owned() };
        Servers { port: 3_478, turn: Some(credentials) }
    }

    #[test]
    fn what_is_said_is_understood() {
        let stun = Servers { port: 3_478, turn: None };
        assert_eq!(stun.encode(), [0x96, 0x1b]);
        assert_eq!(Servers::decode(&stun.encode()), Ok(stun));
        let bytes = with_turn().encode();
        assert_eq!(Servers::decode(&bytes), Ok(with_turn()));
        assert_eq!(Servers::decode(&[&bytes[..], b"more"].concat()), Ok(with_turn()), "of a later version");
        for cut in (3..bytes.len()).chain([0, 1]) {
            assert_eq!(Servers::decode(&bytes[..cut]), Err(Malformed), "{cut} bytes");
        }
    }

    #[test]
    fn they_are_at_the_relays_host() {
        let urls = |relay: &str| with_turn().urls(&relay.parse().unwrap());
        assert_eq!(urls("/dns4/relay.example/tcp/443/tls/ws").unwrap(), ["stun:relay.example:3478", "turn:relay.example:3478"]);
        assert_eq!(urls("/ip4/192.0.2.1/udp/4001/quic-v1/webtransport").unwrap()[0], "stun:192.0.2.1:3478");
        assert_eq!(urls("/ip6/2001:db8::1/tcp/80/ws").unwrap()[1], "turn:[2001:db8::1]:3478");
        assert_eq!(urls("/p2p-circuit"), None);
    }

    #[test]
    fn nothing_strange_reaches_the_browser() {
        for bytes in
            [&[0][..], &[0x80, 0x80, 0x04], &[1, 1, 0, 1, b'x'], &[1, 1, 1, b' ', 1, b'x'], &[1, 1, 1, 0xff, 1, b'x'], &[1; ICE_ANSWER + 1]]
        {
            assert_eq!(Servers::decode(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(servers) = Servers::decode(&bytes) {
                prop_assert_eq!(Servers::decode(&servers.encode()), Ok(servers));
            }
        }
    }
}

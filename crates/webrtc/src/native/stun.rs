//! The first packet of a stranger: ICE's connectivity check, and its answer. RFC 8445 7.3 and RFC 8489, as an agent that only answers (ICE-lite).
//!
//! The client has no way to tell its password beforehand, so libp2p/specs webrtc/webrtc-direct.md puts all that the listener has to know in the
//! name of the check:
//!
//! ```text
//! USERNAME  libp2p+webrtc+v1/<random> : libp2p+webrtc+v1/<random>      both the same
//!           libp2p+webrtc+v2/<password of the client> : <its own name>
//! ```
//!
//! The listener's own password is its name in both, so that a check can be verified, and answered, without anything being kept. The client's password
//! would be needed for checks in the other direction, which this agent never makes.

use std::net::{IpAddr, SocketAddr};

use crc::{CRC_32_ISO_HDLC, Crc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The first version: the client changes its own description, which browsers are about to forbid.
const V1: &[u8] = b"libp2p+webrtc+v1/";
/// The second: it leaves it alone.
const V2: &[u8] = b"libp2p+webrtc+v2/";

/// RFC 8489, section 5: the fixed second word of every message.
const COOKIE: u32 = 0x2112_A442;
/// Bytes of type, length, cookie and transaction.
const HEADER: usize = 20;
/// The method Binding as a request, and as a success.
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
/// Attributes: RFC 8489 18.3 and RFC 8445 16.1.
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
/// Those below have to be understood.
const OPTIONAL: u16 = 0x8000;
const KNOWN: [u16; 5] = [USERNAME, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, PRIORITY, USE_CANDIDATE];
/// Bytes of an attribute's type and length.
const HEAD: usize = 4;
/// Bytes of MESSAGE-INTEGRITY.
const MAC: usize = 20;
/// What FINGERPRINT is combined with: section 14.7.
const FINGERPRINT_MASK: u32 = 0x5354_554E;
/// CRC-32 as in section 14.7.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Lengths of names and passwords of ICE: RFC 8839 5.4.
const NAME: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD: std::ops::RangeInclusive<usize> = 22..=256;

/// A check that is whole and proven: whoever sent it knows the password that is in its name, and is libp2p.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check<'a> {
    /// The listener's name in it, which is its password, and another one for each connection.
    pub name: &'a [u8],
    transaction: [u8; 12],
}

impl<'a> Check<'a> {
    /// Reads one; nothing where the packet is anything else.
    #[must_use]
    pub fn read(packet: &'a [u8]) -> Option<Self> {
        let header = packet.get(..HEADER)?;
        let is_request = u16_at(header, 0)? == REQUEST && u32_at(header, 4)? == COOKIE;
        if !is_request || usize::from(u16_at(header, 2)?) != packet.len() - HEADER {
            return None;
        }
        let seen = Attributes::of(packet)?;
        let (name, theirs) = split(seen.username?)?;
        if !is_known(name, theirs) || !is_authentic(packet, seen.integrity?, name) || !has_fingerprint(packet, seen.fingerprint?) {
            return None;
        }
        Some(Self { name, transaction: header.get(8..HEADER)?.try_into().ok()? })
    }

    /// What to send back to where it came from. It is always shorter than the check.
    #[must_use]
    pub fn answer(&self, from: SocketAddr) -> Vec<u8> {
        let mut message = Vec::with_capacity(HEADER + (HEAD + 20) + (HEAD + MAC) + (HEAD + 4));
        message.extend(SUCCESS.to_be_bytes());
        message.extend([0, 0]);
        message.extend(COOKIE.to_be_bytes());
        message.extend(self.transaction);
        put(&mut message, XOR_MAPPED_ADDRESS, &xored(from, &self.transaction));
        set_length(&mut message, HEAD + MAC);
        let mac = mac(self.name, &[&message]).map(|mac| mac.finalize().into_bytes());
        put(&mut message, MESSAGE_INTEGRITY, mac.as_deref().unwrap_or_default());
        set_length(&mut message, HEAD + 4);
        let fingerprint = CRC.checksum(&message) ^ FINGERPRINT_MASK;
        put(&mut message, FINGERPRINT, &fingerprint.to_be_bytes());
        message
    }
}

/// Where the attributes that matter are.
#[derive(Default)]
struct Attributes<'a> {
    username: Option<&'a [u8]>,
    /// Where MESSAGE-INTEGRITY begins. What stands behind it, but for FINGERPRINT, counts for nothing (RFC 8489 14.5).
    integrity: Option<usize>,
    fingerprint: Option<usize>,
}

impl<'a> Attributes<'a> {
    fn of(packet: &'a [u8]) -> Option<Self> {
        let mut seen = Self::default();
        let mut at = HEADER;
        while at < packet.len() {
            let (kind, length) = (u16_at(packet, at)?, usize::from(u16_at(packet, at + 2)?));
            let value = packet.get(at + HEAD..at + HEAD + length)?;
            match kind {
                FINGERPRINT => seen.fingerprint = Some(at),
                _ if seen.integrity.is_some() => {}
                MESSAGE_INTEGRITY => seen.integrity = Some(at),
                USERNAME if seen.username.is_none() => seen.username = Some(value),
                kind if kind < OPTIONAL && !KNOWN.contains(&kind) => return None,
                _ => {}
            }
            at += HEAD + length.next_multiple_of(4);
        }
        (at == packet.len()).then_some(seen)
    }
}

/// The listener's name and the client's.
fn split(username: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = username.iter().position(|byte| *byte == b':')?;
    Some((username.get(..colon)?, username.get(colon + 1..)?))
}

fn is_known(name: &[u8], theirs: &[u8]) -> bool {
    let is_word = |word: &[u8]| word.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    if !NAME.contains(&name.len()) || !NAME.contains(&theirs.len()) || !is_word(name) || !is_word(theirs) {
        return false;
    }
    match name.strip_prefix(V2) {
        Some(password) => PASSWORD.contains(&password.len()),
        None => name.starts_with(V1) && name == theirs && PASSWORD.contains(&name.len()),
    }
}

fn is_authentic(packet: &[u8], at: usize, key: &[u8]) -> bool {
    let (Some(before), Some(value)) = (packet.get(4..at), packet.get(at + HEAD..at + HEAD + MAC)) else { return false };
    let Some(length) = (at + HEAD + MAC).checked_sub(HEADER).and_then(|length| u16::try_from(length).ok()) else { return false };
    let is_mac = u16_at(packet, at + 2) == Some(MAC as u16);
    is_mac && mac(key, &[&REQUEST.to_be_bytes(), &length.to_be_bytes(), before]).is_some_and(|mac| mac.verify_slice(value).is_ok())
}

/// It is the last attribute.
fn has_fingerprint(packet: &[u8], at: usize) -> bool {
    let Some(before) = packet.get(..at) else { return false };
    at + HEAD + 4 == packet.len() && u32_at(packet, at + HEAD) == Some(CRC.checksum(before) ^ FINGERPRINT_MASK)
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha1>> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac)
}

/// What the header says where so many bytes follow: sections 14.5 and 14.7.
fn set_length(message: &mut [u8], follow: usize) {
    let length = (message.len() - HEADER + follow) as u16;
    if let Some(place) = message.get_mut(2..4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Every value here is a multiple of four bytes.
fn put(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
}

/// An address, hidden from routers that rewrite addresses wherever they see them: section 14.2.
fn xored(address: SocketAddr, transaction: &[u8; 12]) -> Vec<u8> {
    let mask = || COOKIE.to_be_bytes().into_iter().chain(*transaction);
    let (family, ip): (u8, Vec<u8>) = match address.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().into_iter().zip(mask()).map(|(octet, mask)| octet ^ mask).collect()),
        IpAddr::V6(ip) => (2, ip.octets().into_iter().zip(mask()).map(|(octet, mask)| octet ^ mask).collect()),
    };
    let mut value = vec![0, family];
    value.extend((address.port() ^ (COOKIE >> 16) as u16).to_be_bytes());
    value.extend(ip);
    value
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME_V1: &[u8] = b"libp2p+webrtc+v1/0123456789abcdefghijklmnopqrstuv";
    const NAME_V2: &[u8] = b"libp2p+webrtc+v2/0123456789abcdefghijkl";

    /// A check as browsers make them.
    fn check(username: &[u8], key: &[u8]) -> Vec<u8> {
        let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        put(&mut message, USERNAME, username);
        message.resize(message.len().next_multiple_of(4), 0);
        put(&mut message, 0x802A, &[7; 8]);
        put(&mut message, USE_CANDIDATE, &[]);
        put(&mut message, PRIORITY, &[0x6e, 0, 1, 0xff]);
        set_length(&mut message, HEAD + MAC);
        let code = mac(key, &[&message]).unwrap().finalize().into_bytes();
        put(&mut message, MESSAGE_INTEGRITY, &code);
        set_length(&mut message, HEAD + 4);
        let fingerprint = CRC.checksum(&message) ^ FINGERPRINT_MASK;
        put(&mut message, FINGERPRINT, &fingerprint.to_be_bytes());
        message
    }

    fn both(one: &[u8], two: &[u8]) -> Vec<u8> {
        [one, b":", two].concat()
    }

    #[test]
    fn checks_of_both_versions_are_known() {
        for (name, theirs) in [(NAME_V1, NAME_V1), (NAME_V2, &b"abcd"[..])] {
            let packet = check(&both(name, theirs), name);
            assert_eq!(Check::read(&packet).map(|check| check.name), Some(name));
        }
    }

    #[test]
    fn no_other_name_is() {
        let short = &NAME_V1[..20];
        for (name, theirs) in [
            (&b"abcdefghijklmnopqrstuvwxyz"[..], &b"abcd"[..]),
            (b"libp2p+webrtc+v3/0123456789abcdefghijkl", b"abcd"),
            (NAME_V1, b"abcd"),
            (short, short),
            (NAME_V2, b"abc"),
            (NAME_V2, b"ab d"),
            (b"libp2p+webrtc+v2/0123456789abcdefghijk", b"abcd"),
        ] {
            assert_eq!(Check::read(&check(&both(name, theirs), name)), None, "{}", String::from_utf8_lossy(name));
        }
        assert_eq!(Check::read(&check(NAME_V1, NAME_V1)), None, "no colon");
        assert_eq!(Check::read(&check(&both(NAME_V2, b"abcd"), b"another password")), None);
    }

    #[test]
    fn a_check_with_any_byte_changed_is_none() {
        let packet = check(&both(NAME_V2, b"abcd"), NAME_V2);
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            assert_eq!(Check::read(&changed), None, "byte {at}");
            assert_eq!(Check::read(&packet[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn what_has_to_be_understood_and_is_not_makes_it_none() {
        let mut message = check(&both(NAME_V2, b"abcd"), NAME_V2);
        message.truncate(HEADER);
        put(&mut message, 0x0030, &[]);
        set_length(&mut message, 0);
        assert!(Attributes::of(&message).is_none());
    }

    #[test]
    fn the_answer_tells_the_address_and_is_proven() {
        let packet = check(&both(NAME_V2, b"abcd"), NAME_V2);
        let answer = Check::read(&packet).unwrap().answer("192.0.2.1:32853".parse().unwrap());
        assert_eq!(answer[..2], [1, 1]);
        assert_eq!(answer[4..HEADER], packet[4..HEADER]);
        // RFC 5769's address, with the part of the mask that no transaction changes.
        assert_eq!(answer[HEADER..HEADER + 12], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        assert!(has_fingerprint(&answer, answer.len() - 8));
        let mut before = answer[..HEADER + 12].to_vec();
        set_length(&mut before, HEAD + MAC);
        let code = mac(NAME_V2, &[&before]).unwrap().finalize().into_bytes();
        assert_eq!(answer[HEADER + 12 + HEAD..][..MAC], code[..]);
    }

    #[test]
    fn no_answer_is_longer_than_its_check() {
        // The shortest there is: nothing but what has to be.
        for from in ["192.0.2.1:1", "[2001:db8::1]:1"] {
            let packet = check(&both(NAME_V2, b"abcd"), NAME_V2);
            assert!(Check::read(&packet).unwrap().answer(from.parse().unwrap()).len() < packet.len(), "{from}");
        }
    }
}

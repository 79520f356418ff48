//! Messages of STUN as bytes: RFC 8489, section 5 and 14, <https://www.rfc-editor.org/rfc/rfc8489>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::credentials::{is_mac, mac};

/// Section 5: the fixed second word of every message.
const COOKIE: u32 = 0x2112_A442;
/// Bytes of type, length, cookie and transaction.
pub const HEADER: usize = 20;
/// Bytes of MESSAGE-INTEGRITY with its head.
const INTEGRITY: usize = 4 + 20;

/// Attributes below this have to be understood by whoever answers.
pub const OPTIONAL: u16 = 0x8000;

/// Types of attributes: RFC 8489, section 18.3, and RFC 8656, section 18.
pub mod attribute {
    /// Who asks.
    pub const USERNAME: u16 = 0x0006;
    /// The proof of the password.
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    /// Why not.
    pub const ERROR_CODE: u16 = 0x0009;
    /// What was not understood.
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
    /// The channel that is meant.
    pub const CHANNEL_NUMBER: u16 = 0x000C;
    /// Seconds for which something lives.
    pub const LIFETIME: u16 = 0x000D;
    /// The peer that is meant.
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    /// What is relayed.
    pub const DATA: u16 = 0x0013;
    /// Where the password is good.
    pub const REALM: u16 = 0x0014;
    /// What the server told before.
    pub const NONCE: u16 = 0x0015;
    /// The address of the relayed port.
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    /// IPv4 or IPv6.
    pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    /// How it is relayed: UDP.
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
    /// The proof by a younger hash.
    pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
    /// Of the younger way to show who one is.
    pub const PASSWORD_ALGORITHM: u16 = 0x001D;
    /// Who asks, in disguise.
    pub const USERHASH: u16 = 0x001E;
    /// The address of who asked.
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
}

/// The number that tells an answer's question.
pub type Transaction = [u8; 12];

/// A message whose attributes are whole.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Method and class: section 5.
    pub kind: u16,
    /// Which question it is, or is the answer to.
    pub transaction: Transaction,
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads one; nothing where the bytes are none.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, attributes) = bytes.split_at_checked(HEADER)?;
        let (kind, length, cookie) = (u16_at(header, 0)?, u16_at(header, 2)?, u32_at(header, 4)?);
        if kind & 0xC000 != 0 || cookie != COOKIE || usize::from(length) != attributes.len() {
            return None;
        }
        let message = Self { kind, transaction: header.get(8..HEADER)?.try_into().ok()?, bytes };
        let mut all = message.attributes();
        all.by_ref().for_each(drop);
        all.is_whole().then_some(message)
    }

    /// Its attributes in their order; those behind MESSAGE-INTEGRITY, which anybody may have put there, are none (section 14.5).
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { bytes: self.bytes, at: HEADER, proven: false }
    }

    /// The value of the first attribute of this type.
    #[must_use]
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// Its MESSAGE-INTEGRITY holds under this key.
    #[must_use]
    pub fn is_proven(&self, key: &[u8]) -> bool {
        let Some(Attribute { at, value, .. }) = self.attributes().find(|attribute| attribute.kind == attribute::MESSAGE_INTEGRITY) else {
            return false;
        };
        let (Some(before), Some(length)) = (self.bytes.get(4..at), length_with_integrity(at)) else { return false };
        is_mac(key, &[&self.kind.to_be_bytes(), &length, before], value)
    }
}

/// One attribute of a message.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// Its type.
    pub kind: u16,
    /// Its bytes, without filling.
    pub value: &'a [u8],
    /// Where it begins in the message.
    at: usize,
}

/// The attributes of a message.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
    proven: bool,
}

impl Attributes<'_> {
    /// Whether the message ended with the end of its last attribute.
    fn is_whole(&self) -> bool {
        self.proven || self.at == self.bytes.len()
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.proven {
            return None;
        }
        let at = self.at;
        let (kind, length) = (u16_at(self.bytes, at)?, usize::from(u16_at(self.bytes, at + 2)?));
        let value = self.bytes.get(at + 4..at + 4 + length)?;
        let end = at + 4 + length.next_multiple_of(4);
        self.bytes.get(..end)?;
        self.at = end;
        self.proven = kind == attribute::MESSAGE_INTEGRITY;
        Some(Attribute { kind, value, at })
    }
}

/// A message of these attributes.
#[must_use]
pub fn encode(kind: u16, transaction: &Transaction, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let length: usize = attributes.iter().map(|(_, value)| 4 + value.len().next_multiple_of(4)).sum();
    let mut message = Vec::with_capacity(HEADER + length + INTEGRITY);
    message.extend(kind.to_be_bytes());
    // Fits: a packet is shorter.
    message.extend((length as u16).to_be_bytes());
    message.extend(COOKIE.to_be_bytes());
    message.extend(transaction);
    for (kind, value) in attributes {
        put_attribute(*kind, value, &mut message);
    }
    message
}

/// The same, with its MESSAGE-INTEGRITY under this key.
#[must_use]
pub fn encode_proven(kind: u16, transaction: &Transaction, attributes: &[(u16, &[u8])], key: &[u8]) -> Vec<u8> {
    let mut message = encode(kind, transaction, attributes);
    if let Some(length) = length_with_integrity(message.len()) {
        message[2..4].copy_from_slice(&length);
        let code = mac(key, &[&message]);
        put_attribute(attribute::MESSAGE_INTEGRITY, &code, &mut message);
    }
    message
}

fn put_attribute(kind: u16, value: &[u8], message: &mut Vec<u8>) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// What the header says where MESSAGE-INTEGRITY, which begins `at` this byte, is the last attribute (section 14.5).
fn length_with_integrity(at: usize) -> Option<[u8; 2]> {
    Some(u16::try_from((at + INTEGRITY).checked_sub(HEADER)?).ok()?.to_be_bytes())
}

/// An address as the value of an attribute, hidden from routers that rewrite addresses wherever they see them: section 14.2.
#[must_use]
pub fn xored(address: SocketAddr, transaction: &Transaction) -> Vec<u8> {
    let family: u8 = if address.is_ipv4() { 1 } else { 2 };
    let mut value = Vec::with_capacity(20);
    value.extend([0, family]);
    value.extend((address.port() ^ (COOKIE >> 16) as u16).to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => value.extend(masked(ip.octets(), transaction)),
        IpAddr::V6(ip) => value.extend(masked(ip.octets(), transaction)),
    }
    value
}

/// The address of such a value.
#[must_use]
pub fn address_of(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let (head, ip) = value.split_at_checked(4)?;
    let port = u16_at(head, 2)? ^ (COOKIE >> 16) as u16;
    let ip = match head.get(1)? {
        1 => Ipv4Addr::from(masked(<[u8; 4]>::try_from(ip).ok()?, transaction)).into(),
        2 => Ipv6Addr::from(masked(<[u8; 16]>::try_from(ip).ok()?, transaction)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn masked<const N: usize>(mut octets: [u8; N], transaction: &Transaction) -> [u8; N] {
    let mask = COOKIE.to_be_bytes().into_iter().chain(*transaction);
    octets.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
    octets
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use md5::{Digest as _, Md5};

    /// RFC 5769, section 2.4: a request with long-term authentication.
    const LONG_TERM: [u8; 116] = [
        0x00, 0x01, 0x00, 0x60, 0x21, 0x12, 0xa4, 0x42, 0x78, 0xad, 0x34, 0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e, 0x00, 0x06,
        0x00, 0x12, 0xe3, 0x83, 0x9e, 0xe3, 0x83, 0x88, 0xe3, 0x83, 0xaa, 0xe3, 0x83, 0x83, 0xe3, 0x82, 0xaf, 0xe3, 0x82, 0xb9, 0x00, 0x00,
        0x00, 0x15, 0x00, 0x1c, 0x66, 0x2f, 0x2f, 0x34, 0x39, 0x39, 0x6b, 0x39, 0x35, 0x34, 0x64, 0x36, 0x4f, 0x4c, 0x33, 0x34, 0x6f, 0x4c,
        0x39, 0x46, 0x53, 0x54, 0x76, 0x79, 0x36, 0x34, 0x73, 0x41, 0x00, 0x14, 0x00, 0x0b, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2e,
        0x6f, 0x72, 0x67, 0x00, 0x00, 0x08, 0x00, 0x14, 0xf6, 0x70, 0x24, 0x65, 0x6d, 0xd6, 0x4a, 0x3e, 0x02, 0xb8, 0xe0, 0x71, 0x2e, 0x85,
        0xc9, 0xa2, 0x8c, 0xa8, 0x96, 0x66,
    ];

    #[test]
    fn the_long_term_example_of_rfc_5769_is_proven_and_can_be_made() {
        let message = Message::read(&LONG_TERM).unwrap();
        let key = Md5::digest("\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}:example.org:TheMatrIX");
        assert!(message.is_proven(&key));
        assert!(!message.is_proven(&Md5::digest("x:example.org:TheMatrIX")));
        let value = |kind| message.attribute(kind).unwrap();
        let attributes = [attribute::USERNAME, attribute::NONCE, attribute::REALM].map(|kind| (kind, value(kind)));
        assert_eq!(encode_proven(1, &message.transaction, &attributes, &key), LONG_TERM);
        for at in 0..LONG_TERM.len() {
            let mut changed = LONG_TERM;
            changed[at] ^= 1;
            // The filling behind USERNAME (section 14) is a part of what is proven too.
            assert!(Message::read(&changed).is_none_or(|message| !message.is_proven(&key)), "byte {at}");
        }
    }

    #[test]
    fn what_stands_behind_the_proof_is_not_read() {
        let key = [1; 16];
        let mut message = encode_proven(1, &[3; 12], &[(attribute::LIFETIME, &[0, 0, 0, 1])], &key);
        put_attribute(attribute::CHANNEL_NUMBER, &[0x40, 0, 0, 0], &mut message);
        let length = (message.len() - HEADER) as u16;
        message[2..4].copy_from_slice(&length.to_be_bytes());
        let read = Message::read(&message).unwrap();
        assert!(read.is_proven(&key));
        assert!(read.attribute(attribute::LIFETIME).is_some() && read.attribute(attribute::CHANNEL_NUMBER).is_none());
    }

    #[test]
    fn addresses_come_back_as_they_went() {
        // One that is mapped within IPv6 stays so.
        for address in ["192.0.2.1:32853", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:7"] {
            let address = address.parse().unwrap();
            assert_eq!(address_of(&xored(address, &[9; 12]), &[9; 12]), Some(address));
        }
        assert_eq!(address_of(&[0, 1, 0, 0, 1, 2, 3], &[0; 12]), None);
        assert_eq!(address_of(&[0, 3, 0, 0, 1, 2, 3, 4], &[0; 12]), None);
    }
}

//! What a server says to whoever asks by which address others see him: the Binding method of STUN, for anybody, as pure bytes.
//! RFC 8489, <https://www.rfc-editor.org/rfc/rfc8489>, whose sections are meant below.

use std::net::SocketAddr;

use crate::message::{Message, OPTIONAL, attribute, encode, xored};

/// Type of a Binding request (section 5); its answers have a class in bits 4 and 8.
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;
/// Section 6.1: what a client may send where it does not know the path, with IPv4's 576 bytes.
const LONGEST: usize = 548;

/// Those that have to be understood, and mean nothing to who asks nobody for a password.
const KNOWN: [u16; 7] = [
    attribute::USERNAME,
    attribute::MESSAGE_INTEGRITY,
    attribute::REALM,
    attribute::NONCE,
    attribute::MESSAGE_INTEGRITY_SHA256,
    attribute::PASSWORD_ALGORITHM,
    attribute::USERHASH,
];
/// Unknown attributes that are named in an answer.
const NAMED: usize = 8;
/// "Unknown Attribute", as hundreds and rest.
const UNKNOWN_ATTRIBUTE: [u8; 4] = [0, 0, 4, 20];

/// The answer to `message`, which came from `from`; nothing to what is no Binding request. It is at most one and a half times as long with the headers
/// of IP and UDP, so that it is no use for a flood in somebody else's name.
#[must_use]
pub fn answer(message: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let message = Message::read(message).filter(|read| read.kind == REQUEST && message.len() <= LONGEST)?;
    let unknown: Vec<u8> = message
        .attributes()
        .map(|attribute| attribute.kind)
        .filter(|kind| *kind < OPTIONAL && !KNOWN.contains(kind))
        .take(NAMED)
        .flat_map(u16::to_be_bytes)
        .collect();
    if unknown.is_empty() {
        // A socket of both families tells IPv4 addresses by mapped ones.
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let address = xored(from, &message.transaction);
        return Some(encode(SUCCESS, &message.transaction, &[(attribute::XOR_MAPPED_ADDRESS, &address)]));
    }
    let attributes: [(u16, &[u8]); 2] = [(attribute::ERROR_CODE, &UNKNOWN_ATTRIBUTE), (attribute::UNKNOWN_ATTRIBUTES, &unknown)];
    Some(encode(ERROR, &message.transaction, &attributes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::HEADER;

    /// The transaction of the test vectors in RFC 5769, section 2.
    const TRANSACTION: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        encode(REQUEST, &TRANSACTION, attributes)
    }

    fn from(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn addresses_are_told_as_in_the_test_vectors_of_rfc_5769() {
        let v4 = [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let v6 = [
            0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe,
            0xd2, 0xb9, 0xd9,
        ];
        let asked = request(&[]);
        let cases: [(&str, &[u8]); 3] =
            [("192.0.2.1:32853", &v4), ("[::ffff:192.0.2.1]:32853", &v4), ("[2001:db8:1234:5678:11:2233:4455:6677]:32853", &v6)];
        for (address, expected) in cases {
            let answer = answer(&asked, from(address)).unwrap();
            assert_eq!(&answer[..2], [0x01, 0x01], "{address}");
            assert_eq!(&answer[4..HEADER], &asked[4..HEADER], "{address}: cookie and transaction");
            assert_eq!(&answer[HEADER..], expected, "{address}");
        }
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_named() {
        // As a peer's ICE asks another (RFC 8445): PRIORITY is nothing for a server. USERNAME and SOFTWARE do no harm.
        let asked = request(&[(0x8022, b"STUN test client"), (0x0024, &[0x6e, 0, 1, 0xff]), (0x0006, b"evtj:h6vY"), (0x0025, &[])]);
        let answer = answer(&asked, from("192.0.2.1:1")).unwrap();
        assert_eq!(&answer[..2], [0x01, 0x11]);
        assert_eq!(&answer[HEADER..], [0x00, 0x09, 0, 4, 0, 0, 4, 20, 0x00, 0x0A, 0, 4, 0x00, 0x24, 0x00, 0x25]);
    }

    #[test]
    fn nothing_else_is_answered() {
        let good = request(&[(0x8022, b"abcd")]);
        assert!(answer(&good, from("192.0.2.1:1")).is_some());
        for cut in 0..good.len() {
            assert_eq!(answer(&good[..cut], from("192.0.2.1:1")), None, "{cut} bytes");
        }
        let changed = |at: usize, byte: u8| {
            let mut message = good.clone();
            message[at] = byte;
            answer(&message, from("192.0.2.1:1"))
        };
        assert_eq!(changed(0, 0x01), None, "an answer: two servers would talk for ever");
        assert_eq!(changed(1, 0x11), None, "an indication");
        assert_eq!(changed(1, 0x03), None, "TURN's Allocate");
        assert_eq!(changed(4, 0), None, "not STUN, or of 2003");
        assert_eq!(changed(23, 200), None, "an attribute that goes beyond the message");
        let long = request(&[(0x8022, &[0; LONGEST])]);
        assert_eq!(answer(&long, from("192.0.2.1:1")), None);
    }

    #[test]
    fn no_answer_is_worth_a_flood() {
        const PACKET: [(&str, usize); 2] = [("192.0.2.1:1", 20 + 8), ("[2001:db8::1]:1", 40 + 8)];
        for (address, headers) in PACKET {
            for unknown in 0..100 {
                let attributes: Vec<(u16, &[u8])> = (0..unknown).map(|number| (0x0030 + number, &[][..])).collect();
                let asked = request(&attributes);
                let answered = answer(&asked, from(address)).unwrap();
                let ratio = (answered.len() + headers) as f64 / (asked.len() + headers) as f64;
                assert!(ratio <= 1.5, "{address}, {unknown} unknown attributes: {ratio}");
            }
        }
    }
}

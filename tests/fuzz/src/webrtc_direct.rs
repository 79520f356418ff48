//! What a stranger sends to the port where WebRTC is dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crc::{CRC_32_ISO_HDLC, Crc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use shoal_webrtc::{Said, is_hello, stun::Check};

use crate::input::Input;

/// Bytes before the attributes.
const HEADER: usize = 20;
const USERNAME: u16 = 0x0006;

/// Any packet, or a check of any attributes that is proven: what is taken for one names libp2p and a password, and its answer belongs to it, is shorter, and no
/// check itself. And whatever begins DTLS, or a channel, is read without harm.
pub(crate) fn packet(data: &[u8]) {
    let mut input = Input::new(data);
    let ip = if input.flag() { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let packet = if input.flag() { proven(&mut input) } else { input.rest().to_vec() };
    let _ = (is_hello(&packet), Said::read(&packet));
    let Some(check) = Check::read(&packet) else { return };
    assert!(check.name.starts_with(b"libp2p+webrtc+v1/") || check.name.starts_with(b"libp2p+webrtc+v2/"));
    assert!((22..=256).contains(&check.name.len()));
    let answer = check.answer(SocketAddr::new(ip, 40_000));
    assert_eq!(answer[4..HEADER], packet[4..HEADER], "of another transaction");
    assert_eq!(usize::from(u16::from_be_bytes([answer[2], answer[3]])) + HEADER, answer.len());
    assert!(answer.len() < packet.len(), "{} bytes for {}", answer.len(), packet.len());
    assert_eq!(Check::read(&answer), None, "two listeners would talk for ever");
}

/// A request with attributes of the input's choice, its proof under the name that stands in it, and its fingerprint.
fn proven(input: &mut Input<'_>) -> Vec<u8> {
    let mut packet = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    packet.resize(HEADER, 7);
    let mut key = Vec::new();
    for _ in 0..input.below(5) {
        let kind = match input.below(5) {
            0 | 1 => USERNAME,
            2 => 0x0024,
            3 => 0x0025,
            _ => input.number() as u16,
        };
        let value = match (kind, input.below(4)) {
            (USERNAME, version @ 0..=2) => {
                let random: Vec<u8> = input.bytes(40).iter().map(|byte| b'a' + byte % 26).collect();
                let name = [&b"libp2p+webrtc+v"[..], &[b'1' + version as u8], b"/", &random].concat();
                [&name[..], b":", if version == 0 { &name[..] } else { b"abcd" }].concat()
            }
            _ => input.bytes(60).to_vec(),
        };
        if kind == USERNAME && key.is_empty() {
            key = value.split(|byte| *byte == b':').next().unwrap_or_default().to_vec();
        }
        put(&mut packet, kind, &value);
    }
    set_length(&mut packet, 24);
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).expect("a key of any length");
    mac.update(&packet);
    put(&mut packet, 0x0008, &mac.finalize().into_bytes());
    set_length(&mut packet, 8);
    let fingerprint = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&packet) ^ 0x5354_554e;
    put(&mut packet, 0x8028, &fingerprint.to_be_bytes());
    packet
}

fn put(packet: &mut Vec<u8>, kind: u16, value: &[u8]) {
    packet.extend(kind.to_be_bytes());
    packet.extend((value.len() as u16).to_be_bytes());
    packet.extend(value);
    packet.resize(packet.len().next_multiple_of(4), 0);
}

fn set_length(packet: &mut [u8], follow: usize) {
    let length = (packet.len() - HEADER + follow) as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
}

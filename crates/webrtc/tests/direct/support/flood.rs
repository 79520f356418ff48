//! Those who pretend: proven checks under any name, from any address of this machine's loopback network, each of which is a network of its own.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use crc::{CRC_32_ISO_HDLC, Crc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// A check, as a browser makes it.
pub(crate) fn check(number: u32) -> Vec<u8> {
    let name = format!("libp2p+webrtc+v2/{number:032}");
    let mut packet = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    packet.extend([number.to_be_bytes(), [0; 4], [1; 4]].concat());
    put(&mut packet, 0x0006, format!("{name}:abcd").as_bytes());
    set_length(&mut packet, 24);
    let mut mac = Hmac::<Sha1>::new_from_slice(name.as_bytes()).unwrap();
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
    let length = (packet.len() - 20 + follow) as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
}

/// Sends from as many addresses, from each as many checks and then a first packet of DTLS, and never reads an answer.
pub(crate) fn flood(to: SocketAddr, addresses: u32, checks_each: u32) {
    for address in 0..addresses {
        let from = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + address);
        let socket = UdpSocket::bind((from, 0)).unwrap();
        for number in 0..checks_each {
            // A full buffer of the listener drops it, as everywhere.
            let _ = socket.send_to(&check(address * checks_each + number), to);
        }
        let _ = socket.send_to(&hello(), to);
        // 20,000 packets a second: what gets lost in the socket's buffer is no matter of the listener.
        if address % 16 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(4));
        }
    }
}

/// A record that begins like a ClientHello.
pub(crate) fn hello() -> Vec<u8> {
    let mut packet = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 1];
    packet.resize(73, 0);
    packet
}

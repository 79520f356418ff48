//! STUN (RFC 8489): whoever asks is told his address, not too often, and nothing else is said.

use std::{net::UdpSocket, time::Duration};

use crate::support::program::{Relay, free_udp_port, refusal};

/// Long enough for an answer on this machine; short enough to wait for its absence.
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(300);

/// As Chromium and Firefox ask a server: a Binding request without attributes.
const REQUEST: [u8; 20] = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// A relay that answers, and somebody who asks it from `ip`.
fn asked_from(ip: &str, arguments: &[&str]) -> (Relay, UdpSocket) {
    let server = format!("127.0.0.1:{}", free_udp_port());
    let relay = Relay::start(&[&["--stun", &server], arguments].concat());
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    (relay, socket)
}

fn ask(socket: &UdpSocket, message: &[u8]) -> Option<Vec<u8>> {
    socket.send(message).unwrap();
    let mut answer = [0; 1_500];
    socket.recv(&mut answer).ok().map(|length| answer[..length].to_vec())
}

#[test]
fn whoever_asks_is_told_his_address() {
    let (relay, socket) = asked_from("127.0.0.7", &[]);
    let answer = ask(&socket, &REQUEST).unwrap();
    assert_eq!(answer[..4], [1, 1, 0, 12]);
    assert_eq!(answer[4..20], REQUEST[4..20]);
    let port = u16::from_be_bytes([answer[26] ^ 0x21, answer[27] ^ 0x12]);
    let address = [answer[28] ^ 0x21, answer[29] ^ 0x12, answer[30] ^ 0xa4, answer[31] ^ 0x42];
    assert_eq!((address, port), ([127, 0, 0, 7], socket.local_addr().unwrap().port()));
    assert_eq!(relay.counted("stunAnswers"), 1);
}

#[test]
fn what_is_no_request_is_not_answered() {
    let (relay, socket) = asked_from("127.0.0.1", &[]);
    let answer = ask(&socket, &REQUEST).unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    for message in [&answer[..], b"GET / HTTP/1.1\r\n\r\n", &[], &[0; 1_400]] {
        assert_eq!(ask(&socket, message), None, "{message:?}");
    }
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(ask(&socket, &REQUEST).is_some(), "it goes on");
    assert_eq!(relay.counted("stunAnswers"), 2);
}

#[test]
fn a_network_is_answered_so_often_and_others_are_not_concerned() {
    let (relay, often) = asked_from("127.0.0.2", &["--stun-per-minute-per-network", "5"]);
    often.set_read_timeout(Some(SILENCE)).unwrap();
    let answered = (0..12).filter(|_| ask(&often, &REQUEST).is_some()).count();
    assert!((5..=6).contains(&answered), "{answered} of 12");
    let other = UdpSocket::bind("127.0.0.3:0").unwrap();
    other.connect(often.peer_addr().unwrap()).unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(ask(&other, &REQUEST).is_some());
    assert!(relay.counted("refused") >= 6);
}

#[test]
fn a_port_in_use_is_said_with_its_setting() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refusal(&["--listen", "127.0.0.1:0", "--stun", &address]);
    assert!(line.contains(&format!("stun = {address}")), "{line}");
}

#[test]
fn two_protocols_do_not_get_one_port() {
    let line = refusal(&["--listen", "127.0.0.1:8080", "--webtransport", "same", "--stun", "same"]);
    assert!(line.contains("stun = same: webtransport has this port"), "{line}");
}

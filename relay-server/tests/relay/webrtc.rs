//! WebRTC for who dials it: where it listens is told, with its certificate; that it works is shown by browsers and go-libp2p
//! (`tests/interop/webrtc-direct.test.mjs`, `matrix.test.mjs`), and natively in `crates/webrtc/tests/direct`.

use std::net::UdpSocket;

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::support::program::{Relay, free_udp_port, hashes, refusal};

/// What `/bootstrap` says of it.
fn told(relay: &Relay) -> Vec<Multiaddr> {
    relay.told_of(&Protocol::WebRTCDirect)
}

#[test]
fn it_is_off_unless_it_is_asked_for() {
    assert_eq!(told(&Relay::start(&[])), []);
}

#[test]
fn a_restart_changes_no_address() {
    let data_dir = tempfile::tempdir().unwrap();
    let port = free_udp_port();
    let arguments = ["--webrtc-direct", &format!("127.0.0.1:{port}")];
    let relay = Relay::start_in(data_dir.path(), &arguments);
    let before = told(&relay);
    let begins = format!("/ip4/127.0.0.1/udp/{port}/webrtc-direct/certhash/");
    assert!(matches!(&before[..], [one] if hashes(one) == 1 && one.to_string().starts_with(&begins)), "{before:?}");
    relay.terminate();
    assert_eq!(told(&Relay::start_in(data_dir.path(), &arguments)), before);
}

#[test]
fn what_the_operator_says_gets_the_certificate() {
    let addresses = ["/ip4/192.0.2.1/udp/443/webrtc-direct", "/ip4/192.0.2.1/udp/444/quic-v1/webtransport"];
    let webtransport = format!("127.0.0.1:{}", free_udp_port());
    let relay = Relay::start(&["--webrtc-direct", "same", "--webtransport", &webtransport, "--external", &addresses.join(",")]);
    let told = told(&relay);
    assert!(
        matches!(&told[..], [one] if hashes(one) == 1 && one.to_string().starts_with(&format!("{}/certhash/", addresses[0]))),
        "{told:?}"
    );
}

#[test]
fn a_port_in_use_is_said_with_its_setting() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refusal(&["--listen", "127.0.0.1:0", "--webrtc-direct", &address]);
    assert!(line.contains(&format!("webrtc_direct = {address}")) && line.contains("in use"), "{line}");
}

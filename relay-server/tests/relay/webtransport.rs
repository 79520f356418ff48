//! WebTransport: where it listens is told, with certificates; that it works is shown by browsers and programs
//! (`tests/interop/webtransport.test.mjs`, `matrix.test.mjs`).

use std::net::UdpSocket;

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::support::program::{Relay, free_udp_port, hashes, refusal};

/// What `/bootstrap` says of it.
fn told(relay: &Relay) -> Vec<Multiaddr> {
    relay.told_of(&Protocol::WebTransport)
}

#[test]
fn it_is_off_unless_it_is_asked_for() {
    assert_eq!(told(&Relay::start(&[])), []);
}

#[test]
fn a_restart_changes_no_address() {
    let data_dir = tempfile::tempdir().unwrap();
    let port = free_udp_port();
    let arguments = ["--webtransport", &format!("127.0.0.1:{port}")];
    let relay = Relay::start_in(data_dir.path(), &arguments);
    let before = told(&relay);
    assert!(
        matches!(&before[..], [one] if hashes(one) == 27 && one.to_string().starts_with(&format!("/ip4/127.0.0.1/udp/{port}/"))),
        "{before:?}"
    );
    relay.terminate();
    assert_eq!(told(&Relay::start_in(data_dir.path(), &arguments)), before);
}

#[test]
fn what_the_operator_says_gets_the_certificates() {
    let address = "/ip4/192.0.2.1/udp/443/quic-v1/webtransport";
    let relay = Relay::start(&["--webtransport", "same", "--external", &format!("/dns4/a.example/tcp/443/tls/ws,{address}")]);
    let told = told(&relay);
    assert!(matches!(&told[..], [one] if hashes(one) == 27 && one.to_string().starts_with(&format!("{address}/certhash/"))), "{told:?}");
}

#[test]
fn a_port_in_use_is_said_with_its_setting() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refusal(&["--listen", "127.0.0.1:0", "--webtransport", &address]);
    assert!(line.contains(&format!("webtransport = {address}")), "{line}");
}

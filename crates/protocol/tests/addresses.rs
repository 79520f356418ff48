//! Which addresses told by others are dialled, and that no bytes make the filter panic or let an inner host through.
#![allow(clippy::panic, reason = "a test")]

use std::net::IpAddr;

use multiaddr::{Multiaddr, Protocol};
use proptest::prelude::*;
use shoal_protocol::{
    addresses::{Filter, Reach, Refusal, reach_of, reach_of_host, reach_of_ip},
    limits,
};

const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

fn address(text: &str) -> Multiaddr {
    text.replace("<peer>", PEER).parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn check(text: &str, reach: Reach) -> Result<(), Refusal> {
    Filter::new(Reach::Loopback).check(&address(text), reach)
}

#[test]
fn hosts_by_how_near_they_are() {
    let global = ["1.1.1.1", "192.0.1.1", "100.128.0.1", "172.32.0.1", "2600::1", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"];
    let private = ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1", "2002:a00:1::"];
    let loopback = ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1"];
    let nowhere = [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "2001:10::1",
        "3fff::1",
        "::ffff:169.254.169.254",
        "64:ff9b:1::a00:1",
        "::10.0.0.1",
        "100::1",
        "fec0::1",
        "2600::5efe:10.0.0.1",
        "64:ff9b::169.254.169.254",
    ];
    for (hosts, reach) in
        [(&global[..], Some(Reach::Global)), (&private, Some(Reach::Private)), (&loopback, Some(Reach::Loopback)), (&nowhere, None)]
    {
        for host in hosts {
            assert_eq!(reach_of_ip(host.parse::<IpAddr>().unwrap()), reach, "{host}");
            assert_eq!(reach_of_host(host), reach, "{host}");
        }
    }
}

#[test]
fn names_by_their_look() {
    for (name, reach) in [
        ("relay.example", Some(Reach::Global)),
        ("RELAY.example.", Some(Reach::Global)),
        ("xn--bcher-kva.example", Some(Reach::Global)),
        ("localhost", Some(Reach::Loopback)),
        ("a.LOCALHOST.", Some(Reach::Loopback)),
        ("printer", Some(Reach::Private)),
        ("printer.local", Some(Reach::Private)),
        ("router.home.arpa", Some(Reach::Private)),
        ("metadata.google.internal", Some(Reach::Private)),
        // A URL would read these as numbers, logins, ports or paths.
        ("0x7f.1", None),
        ("2130706433", None),
        ("relay.example@10.0.0.1", None),
        ("relay.example:22", None),
        ("a?b.example", None),
        ("a#b.example", None),
        ("%31%30.0.0.1", None),
        ("", None),
        (".", None),
        ("a..example", None),
    ] {
        assert_eq!(reach_of_host(name), reach, "{name}");
    }
    assert_eq!(reach_of_host(&"a".repeat(64)), None);
    assert_eq!(reach_of_host(&["a"; 200].join(".")), None);
}

#[test]
fn what_peers_of_the_internet_may_tell() {
    for good in [
        "/ip4/1.1.1.1/tcp/80/ws/p2p/<peer>",
        "/ip4/1.1.1.1/tcp/8080/ws/p2p/<peer>/p2p-circuit/p2p/<peer>",
        "/ip6/2600::1/tcp/4001/ws",
        "/dns4/relay.example/tcp/443/tls/ws/p2p/<peer>/p2p-circuit/webrtc/p2p/<peer>",
        "/dns/relay.example/tcp/4002/wss/p2p/<peer>",
        "/ip4/1.1.1.1/udp/4001/quic-v1/webtransport/p2p/<peer>",
        "/ip4/1.1.1.1/tcp/4001",
    ] {
        assert_eq!(check(good, Reach::Global), Ok(()), "{good}");
    }
    for (bad, refusal) in [
        ("/ip4/10.0.0.1/tcp/8080/ws", Refusal::Host),
        ("/ip6/::ffff:10.0.0.1/tcp/8080/ws", Refusal::Host),
        ("/ip4/127.0.0.1/tcp/8080/ws", Refusal::Host),
        ("/ip4/169.254.169.254/tcp/80/ws", Refusal::Host),
        ("/dns4/localhost/tcp/8080/ws", Refusal::Host),
        ("/dns4/printer.local/tcp/443/tls/ws", Refusal::Host),
        ("/dns4/relay.example/tcp/8080/ws", Refusal::PlainName),
        ("/ip4/1.1.1.1/tcp/22/ws", Refusal::Port),
        ("/dns4/relay.example/tcp/25/tls/ws", Refusal::Port),
        ("/ip4/1.1.1.1/tcp/0/ws", Refusal::Port),
        ("/ip4/1.1.1.1/tcp/8080/ws/p2p/<peer>/p2p-circuit/p2p/<peer>/p2p-circuit/p2p/<peer>", Refusal::Circuits),
        ("/ip4/1.1.1.1/tcp/8080/ws/p2p/<peer>/p2p-circuit/ip4/10.0.0.1/tcp/22/ws", Refusal::Form),
        ("/ip4/1.1.1.1/tcp/8080/ip4/10.0.0.1/tcp/22", Refusal::Form),
        ("/p2p/<peer>/p2p-circuit/p2p/<peer>", Refusal::Form),
        ("/ip4/1.1.1.1", Refusal::Form),
        ("/memory/7", Refusal::Form),
        ("/dnsaddr/relay.example/tcp/443/tls/ws", Refusal::Form),
    ] {
        assert_eq!(check(bad, Reach::Global), Err(refusal), "{bad}");
    }
    let mut path = address("/ip4/1.1.1.1/tcp/443/tls");
    path.push(Protocol::Ws("/logout".into()));
    assert_eq!(Filter::new(Reach::Loopback).check(&path, Reach::Loopback), Err(Refusal::Path));
}

#[test]
fn nearer_peers_may_tell_of_nearer_hosts_but_not_beyond_this_nodes_own_reach() {
    let inner = "/ip4/192.168.1.2/tcp/8080/ws";
    let own = "/ip4/127.0.0.1/tcp/8080/ws";
    assert_eq!(check(inner, Reach::Private), Ok(()));
    assert_eq!(check(own, Reach::Private), Err(Refusal::Host));
    assert_eq!(check(own, Reach::Loopback), Ok(()));
    // A page of the internet, whatever a peer says of itself.
    assert_eq!(Filter::new(Reach::Global).check(&address(inner), Reach::Loopback), Err(Refusal::Host));
}

#[test]
fn what_the_user_named_is_taken_at_that_port_only() {
    let mut filter = Filter::new(Reach::Global);
    filter.trust("Relay.Example", 81);
    filter.trust("[fd00::1]", 9000);
    assert_eq!(filter.check(&address("/dns4/relay.example/tcp/81/ws"), Reach::Global), Ok(()));
    assert_eq!(filter.check(&address("/ip6/fd00::1/tcp/9000/ws"), Reach::Global), Ok(()));
    assert_eq!(filter.check(&address("/ip6/fd00::1/tcp/22/ws"), Reach::Global), Err(Refusal::Host));
}

#[test]
fn a_path_is_taken_if_the_user_named_it() {
    let mut filter = Filter::new(Reach::Global);
    let [named, other] = ["/dns4/relay.example/tcp/443/tls/x-parity-ws/%2Frelay", "/dns4/relay.example/tcp/443/tls/x-parity-ws/%2Fother"];
    assert_eq!(filter.check(&address(named), Reach::Global), Err(Refusal::Path));
    filter.trust_path("/relay");
    assert_eq!(filter.check(&address(named), Reach::Global), Ok(()));
    assert_eq!(filter.check(&address(other), Reach::Global), Err(Refusal::Path));
}

#[test]
fn few_addresses_each_once() {
    let filter = Filter::new(Reach::Global);
    let many = (0..50)
        .flat_map(|n| [format!("/ip4/10.0.0.{n}/tcp/8080/ws"), format!("/ip4/1.1.1.{}/tcp/8080/ws", n / 2)].map(|text| address(&text)));
    let selected = filter.select(many, Reach::Global);
    assert_eq!(selected.len(), limits::ADDRESSES_PER_PEER);
    let expected: Vec<_> = (0..8).map(|n| address(&format!("/ip4/1.1.1.{n}/tcp/8080/ws"))).collect();
    assert_eq!(selected, expected);
}

/// What a WebSocket URL of the address would lead to, by an independent rule: the standard library's.
fn inner(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_unspecified() || ip.is_broadcast()
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(address) = Multiaddr::try_from(bytes) {
            let _ = (Filter::new(Reach::Loopback).check(&address, Reach::Loopback), reach_of(&address));
        }
    }

    #[test]
    fn no_inner_host_passes_from_the_internet(bits in any::<u128>(), four in any::<u32>(), port in 1024_u16.., coat in 0..5_usize) {
        let v4 = std::net::Ipv4Addr::from_bits(four);
        let ip: IpAddr = match coat {
            0 => std::net::Ipv6Addr::from_bits(bits).into(),
            1 => v4.to_ipv6_mapped().into(),
            2 => std::net::Ipv6Addr::from_bits(0x0064_ff9b_u128 << 96 | u128::from(four)).into(),
            3 => std::net::Ipv6Addr::from_bits(0x2002_u128 << 112 | u128::from(four) << 80 | (bits & (u128::MAX >> 48))).into(),
            _ => v4.into(),
        };
        let address = Multiaddr::from(ip).with(Protocol::Tcp(port)).with(Protocol::Ws("/".into()));
        if Filter::new(Reach::Loopback).check(&address, Reach::Global).is_ok() {
            prop_assert!(!inner(ip));
            prop_assert!(coat == 0 || !inner(v4.into()), "{ip} is {v4}");
        }
    }
}

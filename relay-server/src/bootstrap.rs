//! `/bootstrap`: what a page needs to know to dial this relay. The address by which the request came stands first, since
//! it has just been shown to work from where the page is.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, header, uri::Authority};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde::Serialize;

use crate::{addresses, way::Way};

/// The answer of `/bootstrap`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bootstrap {
    peer_id: String,
    /// Those that a page can dial.
    addresses: Vec<String>,
    /// Those that only programs can dial.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    native_addresses: Vec<String>,
}

/// Puts the address of the request, if it is a sound one, before the `known` ones; each ends in `/p2p/<peer>`. Loopback
/// addresses are told only to a requester on this machine: elsewhere they lead to somebody else's.
pub(crate) fn bootstrap(peer: PeerId, request: Option<Multiaddr>, known: Vec<Multiaddr>, requester: IpAddr) -> Bootstrap {
    let local = requester.to_canonical().is_loopback();
    let known = known.into_iter().filter(|address| local || !addresses::is_loopback(address));
    let mut answer = Bootstrap { peer_id: peer.to_string(), addresses: Vec::new(), native_addresses: Vec::new() };
    for address in request.into_iter().chain(known) {
        let for_pages = Way::of(&address).is_some_and(Way::is_for_pages);
        let list = if for_pages { &mut answer.addresses } else { &mut answer.native_addresses };
        let text = with_peer(address, peer).to_string();
        if !list.contains(&text) {
            list.push(text);
        }
    }
    answer
}

/// What a request that came by `way`, and its own headers, say about how the relay was reached. Only a proxy that the operator trusts may
/// speak of its own TLS, or of a host other than the one it asked for.
pub(crate) fn address_of_request(headers: &HeaderMap, trust_proxy: bool, way: Way) -> Option<Multiaddr> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let forwarded = |name| trust_proxy.then(|| text(name)).flatten();
    let tls = match forwarded("x-forwarded-proto") {
        Some(scheme) => scheme.eq_ignore_ascii_case("https"),
        None => way == Way::SecureWebSocket,
    };
    let host = forwarded("x-forwarded-host").or_else(|| text(header::HOST.as_str()))?;
    address_of_host(host, tls)
}

/// `host` or `host:port` as a WebSocket multiaddr.
fn address_of_host(host: &str, tls: bool) -> Option<Multiaddr> {
    if host.contains('@') {
        return None;
    }
    let authority: Authority = host.parse().ok()?;
    let port = match authority.port_u16() {
        Some(0) => return None,
        Some(port) => port,
        None if authority.as_str().len() != authority.host().len() => return None,
        None if tls => 443,
        None => 80,
    };
    let way = if tls { Way::SecureWebSocket } else { Way::WebSocket };
    Some(way.complete(base_of(authority.host())?, port))
}

fn base_of(host: &str) -> Option<Multiaddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => Some(addresses::with_ip(Ipv4Addr::LOCALHOST.into())),
        Ok(ip) => Some(addresses::with_ip(ip)),
        Err(_) if is_dns_name(bare) => Some(Multiaddr::from(Protocol::Dns(bare.to_ascii_lowercase().into()))),
        Err(_) => None,
    }
}

/// RFC 1123: labels of letters, digits and inner hyphens. Underscores, seen in container names, pass too.
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253
        && name.split('.').all(label)
        && !name.ends_with(|last: char| last.is_ascii_digit() && !name.contains(char::is_alphabetic))
}

/// Whether it is a name that can have an address and a certificate of its own.
pub(crate) fn is_domain(name: &str) -> bool {
    is_dns_name(name) && name.contains('.') && name.contains(char::is_alphabetic)
}

fn with_peer(address: Multiaddr, peer: PeerId) -> Multiaddr {
    match address.iter().last() {
        Some(Protocol::P2p(_)) => address,
        _ => address.with(Protocol::P2p(peer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_header_becomes_the_address_it_names() {
        for (host, tls, expected) in [
            ("127.0.0.1:8080", false, "/ip4/127.0.0.1/tcp/8080/ws"),
            ("[2001:db8::1]:8080", false, "/ip6/2001:db8::1/tcp/8080/ws"),
            ("0.0.0.0:8080", false, "/ip4/127.0.0.1/tcp/8080/ws"),
            ("localhost:8080", false, "/dns/localhost/tcp/8080/ws"),
            ("Relay.Example", false, "/dns/relay.example/tcp/80/ws"),
            ("relay.example", true, "/dns/relay.example/tcp/443/tls/ws"),
            ("relay.example:8443", true, "/dns/relay.example/tcp/8443/tls/ws"),
        ] {
            assert_eq!(address_of_host(host, tls).map(|address| address.to_string()).as_deref(), Some(expected), "{host}");
        }
    }

    #[test]
    fn anything_else_in_a_host_header_is_left_out() {
        let long = format!("{}.example", "a".repeat(300));
        for host in [
            "",
            ":80",
            "a b",
            "user@relay.example",
            "relay.example:0",
            "relay.example:99999",
            "relay.example:x",
            "-a.example",
            "a..b",
            "a/b",
            "a/ws/p2p",
            "1.2.3",
            "[::1",
            "é.example",
            &long,
        ] {
            assert_eq!(address_of_host(host, false), None, "{host}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "10.0.0.2:8080".parse().unwrap());
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        headers.insert("x-forwarded-host", "relay.example".parse().unwrap());
        let address = |trusted, way| address_of_request(&headers, trusted, way).unwrap().to_string();
        assert_eq!(address(false, Way::WebSocket), "/ip4/10.0.0.2/tcp/8080/ws");
        assert_eq!(address(true, Way::WebSocket), "/dns/relay.example/tcp/443/tls/ws");
        assert_eq!(address(false, Way::SecureWebSocket), "/ip4/10.0.0.2/tcp/8080/tls/ws");
    }

    #[test]
    fn the_requests_address_is_first_and_none_is_said_twice() {
        let peer = PeerId::random();
        let known = || ["/ip4/127.0.0.1/tcp/1/ws", "/ip4/192.0.2.1/tcp/1/ws"].map(|text| text.parse().unwrap()).to_vec();
        let request = || Some("/ip4/192.0.2.1/tcp/1/ws".parse().unwrap());
        let at_home = bootstrap(peer, request(), known(), "127.0.0.1".parse().unwrap());
        assert_eq!(at_home.addresses, [format!("/ip4/192.0.2.1/tcp/1/ws/p2p/{peer}"), format!("/ip4/127.0.0.1/tcp/1/ws/p2p/{peer}")]);
        let elsewhere = bootstrap(peer, None, known(), "192.0.2.9".parse().unwrap());
        assert_eq!(elsewhere.addresses, [format!("/ip4/192.0.2.1/tcp/1/ws/p2p/{peer}")]);
    }

    #[test]
    fn what_only_programs_dial_stands_apart() {
        let peer = PeerId::random();
        let known = ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1/tcp/1/ws", "/ip4/192.0.2.1/udp/1/quic-v1"].map(|text| text.parse().unwrap());
        let answer = bootstrap(peer, None, known.to_vec(), "192.0.2.9".parse().unwrap());
        assert_eq!(answer.addresses, [format!("/ip4/192.0.2.1/tcp/1/ws/p2p/{peer}")]);
        let programs = ["tcp/1", "udp/1/quic-v1"].map(|rest| format!("/ip4/192.0.2.1/{rest}/p2p/{peer}"));
        assert_eq!(answer.native_addresses, programs);
    }
}

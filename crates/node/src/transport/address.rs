//! What multiaddrs say: whose they are, and by which URL a page can dial them.

use libp2p::{
    Multiaddr, PeerId,
    multiaddr::{Protocol, multihash::Multihash},
};
use shoal_protocol::reservations::ways::Way;

/// Whose address it is: that of the `/p2p/<PeerId>` in which it ends.
pub fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// The relay through which it leads, if it is a circuit's.
pub fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    let mut parts = address.iter().skip_while(|part| !matches!(part, Protocol::P2p(_)));
    match (parts.next(), parts.next()) {
        (Some(Protocol::P2p(relay)), Some(Protocol::P2pCircuit)) => Some(relay),
        _ => None,
    }
}

/// The URL of a WebSocket multiaddr, or nothing where it is another kind of address. A trailing `/p2p/<PeerId>` is allowed.
pub fn websocket_url(address: &Multiaddr) -> Option<String> {
    let mut parts = address.iter();
    let host = host_of(parts.next()?)?;
    let Protocol::Tcp(port) = parts.next()? else { return None };
    let (scheme, path) = match parts.next()? {
        Protocol::Ws(path) => ("ws", path.into_owned()),
        Protocol::Wss(path) => ("wss", path.into_owned()),
        Protocol::Tls => match parts.next()? {
            Protocol::Ws(path) => ("wss", path.into_owned()),
            _ => return None,
        },
        _ => return None,
    };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some(format!("{scheme}://{host}:{port}{path}")),
        _ => None,
    }
}

/// The URL of a WebTransport multiaddr (its path is that of <https://github.com/libp2p/specs/tree/master/webtransport>) and the hashes of the certificates
/// of which the server shows one, none where a certificate authority vouches for it; or nothing where it is another kind of address. A trailing
/// `/p2p/<PeerId>` is allowed.
pub fn webtransport_url(address: &Multiaddr) -> Option<(String, Vec<Multihash<64>>)> {
    let mut parts = address.iter().peekable();
    let host = host_of(parts.next()?)?;
    let (Protocol::Udp(port), Protocol::QuicV1, Protocol::WebTransport) = (parts.next()?, parts.next()?, parts.next()?) else {
        return None;
    };
    let mut hashes = Vec::new();
    while let Some(Protocol::Certhash(hash)) = parts.next_if(|part| matches!(part, Protocol::Certhash(_))) {
        hashes.push(hash);
    }
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => {
            Some((format!("https://{host}:{port}/.well-known/libp2p-webtransport?type=noise"), hashes))
        }
        _ => None,
    }
}

/// A host as URLs have it, or nothing where an address does not begin with one that a browser can look up.
fn host_of(part: Protocol<'_>) -> Option<String> {
    match part {
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(format!("[{ip}]")),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(name.into_owned()),
        _ => None,
    }
}

/// By what a page dials it: a server's address of WebSocket, WebTransport or WebRTC-direct, on which nothing follows but a PeerId.
pub fn way_of(address: &Multiaddr) -> Option<Way> {
    if websocket_url(address).is_some() {
        Some(Way::WebSocket)
    } else if webtransport_url(address).is_some() {
        Some(Way::WebTransport)
    } else {
        is_webrtc_direct(address).then_some(Way::WebRtcDirect)
    }
}

/// There is no name in it: a browser has nobody to ask for what it stands for before it connects.
fn is_webrtc_direct(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let host = matches!(parts.next(), Some(Protocol::Ip4(_) | Protocol::Ip6(_)));
    let direct = (parts.next(), parts.next(), parts.next());
    host && matches!(direct, (Some(Protocol::Udp(_)), Some(Protocol::WebRTCDirect), Some(Protocol::Certhash(_))))
        && matches!((parts.next(), parts.next()), (None | Some(Protocol::P2p(_)), None))
}

/// The address as it can be told to others: of the hashes of certificates those of this fortnight and the next one.
pub fn shortened(address: &Multiaddr) -> Multiaddr {
    let mut hashes = 0;
    let told = |part: &Protocol<'_>| {
        hashes += usize::from(matches!(part, Protocol::Certhash(_)));
        !matches!(part, Protocol::Certhash(_)) || hashes <= 2
    };
    address.iter().filter(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = "/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    const HASH: &str = "/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g";

    #[test]
    fn a_page_dials_servers_by_one_of_three_ways() {
        let web_transport = format!("/ip4/192.0.2.1/udp/4001/quic-v1/webtransport{HASH}{HASH}{RELAY}");
        for (text, way) in [
            ("/dns4/relay.example/tcp/443/tls/ws", Some(Way::WebSocket)),
            (web_transport.as_str(), Some(Way::WebTransport)),
            ("/dns4/relay.example/udp/443/quic-v1/webtransport", Some(Way::WebTransport)),
            ("/ip6/::1/udp/443/quic-v1/webtransport", Some(Way::WebTransport)),
            ("/ip4/192.0.2.1/udp/4001/quic-v1", None),
            ("/ip4/192.0.2.1/tcp/4001/quic-v1/webtransport", None),
            ("/webtransport", None),
            (&format!("/ip4/192.0.2.1/udp/4001/webrtc-direct{HASH}{RELAY}"), Some(Way::WebRtcDirect)),
            (&format!("/ip6/2001:db8::1/udp/4001/webrtc-direct{HASH}"), Some(Way::WebRtcDirect)),
            (&format!("/dns4/relay.example/udp/4001/webrtc-direct{HASH}"), None),
            (&format!("/ip4/192.0.2.1/udp/4001/webrtc-direct{HASH}{RELAY}/p2p-circuit"), None),
            ("/ip4/192.0.2.1/udp/4001/webrtc-direct", None),
            ("/webrtc", None),
            (&format!("{web_transport}/p2p-circuit"), None),
            (&format!("{web_transport}{HASH}"), None),
        ] {
            assert_eq!(way_of(&text.parse().unwrap()), way, "{text}");
        }
    }

    #[test]
    fn the_url_of_webtransport_goes_with_the_hashes_of_its_certificates() {
        for (address, url, hashes) in [
            (format!("/ip4/192.0.2.1/udp/4001/quic-v1/webtransport{HASH}{HASH}{RELAY}"), "https://192.0.2.1:4001", 2),
            (format!("/ip6/::1/udp/4001/quic-v1/webtransport{HASH}"), "https://[::1]:4001", 1),
            ("/dns4/relay.example/udp/443/quic-v1/webtransport".to_owned(), "https://relay.example:443", 0),
        ] {
            let (found, told) = webtransport_url(&address.parse().unwrap()).unwrap();
            assert_eq!((found, told.len()), (format!("{url}/.well-known/libp2p-webtransport?type=noise"), hashes), "{address}");
        }
        assert_eq!(webtransport_url(&"/ip4/192.0.2.1/udp/4001/quic-v1".parse().unwrap()), None);
    }

    #[test]
    fn what_is_told_has_two_hashes() {
        let text = |hashes: usize| format!("/ip4/192.0.2.1/udp/4001/quic-v1/webtransport{}{RELAY}", HASH.repeat(hashes));
        assert_eq!(shortened(&text(27).parse().unwrap()).to_string(), text(2));
        assert_eq!(shortened(&text(1).parse().unwrap()).to_string(), text(1));
    }
}

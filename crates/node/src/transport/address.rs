//! What multiaddrs say: whose they are, and by which URL a page can dial them.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

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
    let mut parts = address.iter().peekable();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => format!("[{ip}]"),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.into_owned(),
        _ => return None,
    };
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

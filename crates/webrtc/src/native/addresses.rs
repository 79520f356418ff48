//! Between sockets' addresses and multiaddrs.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
};

use libp2p_core::multiaddr::{Multiaddr, Protocol};

/// The socket to open for `/ip4|ip6/…/udp/…/webrtc-direct`; nothing for any other address.
pub(super) fn socket_of(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    let Protocol::Udp(port) = parts.next()? else { return None };
    matches!((parts.next()?, parts.next()), (Protocol::WebRTCDirect, None)).then(|| SocketAddr::new(ip, port))
}

/// The address of a socket, without the certificate's hash: what to listen on for it, `/ip4|ip6/…/udp/…/webrtc-direct`.
pub fn address_of(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip().to_canonical()).with(Protocol::Udp(socket.port())).with(Protocol::WebRTCDirect)
}

/// The addresses at which an open socket can be reached: itself, or all of this machine where it listens on any.
pub(super) fn reached_at(socket: SocketAddr) -> io::Result<BTreeSet<SocketAddr>> {
    if !socket.ip().is_unspecified() {
        return Ok(BTreeSet::from([socket]));
    }
    let interfaces = if_addrs::get_if_addrs()?.into_iter().map(|interface| interface.ip());
    Ok(interfaces
        .filter(|ip| ip.is_ipv4() == socket.is_ipv4() && !is_link_local(*ip))
        .map(|ip| SocketAddr::new(ip, socket.port()))
        .collect())
}

/// No page can dial those of one link: they need the name of an interface.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_transport_listens_on_is_taken() {
        let socket = |text: &str| socket_of(&text.parse().unwrap());
        assert_eq!(socket("/ip4/127.0.0.1/udp/4001/webrtc-direct"), Some("127.0.0.1:4001".parse().unwrap()));
        assert_eq!(socket("/ip6/::/udp/0/webrtc-direct"), Some("[::]:0".parse().unwrap()));
        for other in [
            "/ip4/1.2.3.4/udp/1/quic-v1",
            "/ip4/1.2.3.4/udp/1",
            "/ip4/1.2.3.4/tcp/1/ws",
            "/dns4/a.example/udp/1/webrtc-direct",
            "/ip4/1.2.3.4/udp/1/webrtc",
        ] {
            assert_eq!(socket(other), None, "{other}");
        }
        let back = address_of("192.0.2.7:9".parse().unwrap());
        assert_eq!(back.to_string(), "/ip4/192.0.2.7/udp/9/webrtc-direct");
        assert_eq!(socket_of(&back), Some("192.0.2.7:9".parse().unwrap()));
    }
}

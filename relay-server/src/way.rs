//! The ways in: what a peer's address says of how it came, and an own address of how to come.

use std::net::SocketAddr;

use libp2p::{Multiaddr, multiaddr::Protocol};
use serde::Serialize;

use crate::addresses::with_ip;

/// How a connection is made, below what authenticates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A WebSocket.
    WebSocket,
    /// A WebSocket inside TLS.
    SecureWebSocket,
    /// TCP itself.
    Tcp,
    /// QUIC.
    Quic,
    /// WebTransport.
    WebTransport,
    /// WebRTC, dialled without knowing each other before.
    WebRtcDirect,
}

impl Way {
    /// That of an address, if it is one of ours.
    pub(crate) fn of(address: &Multiaddr) -> Option<Self> {
        let has = |wanted: fn(&Protocol<'_>) -> bool| address.iter().any(|part| wanted(&part));
        Some(if has(|part| matches!(part, Protocol::WebTransport)) {
            Self::WebTransport
        } else if has(|part| matches!(part, Protocol::WebRTCDirect)) {
            Self::WebRtcDirect
        } else if has(|part| matches!(part, Protocol::QuicV1)) {
            Self::Quic
        } else if has(|part| matches!(part, Protocol::Wss(_))) || has(|part| matches!(part, Protocol::Tls)) {
            Self::SecureWebSocket
        } else if has(|part| matches!(part, Protocol::Ws(_))) {
            Self::WebSocket
        } else if has(|part| matches!(part, Protocol::Tcp(_))) {
            Self::Tcp
        } else {
            return None;
        })
    }

    /// The address of a socket; of WebTransport and WebRTC, without the hashes of its certificates.
    pub(crate) fn address(self, socket: SocketAddr) -> Multiaddr {
        self.complete(with_ip(socket.ip()), socket.port())
    }

    /// The address at `port` of a host.
    pub(crate) fn complete(self, host: Multiaddr, port: u16) -> Multiaddr {
        match self {
            Self::WebSocket => host.with(Protocol::Tcp(port)).with(Protocol::Ws("/".into())),
            Self::SecureWebSocket => host.with(Protocol::Tcp(port)).with(Protocol::Tls).with(Protocol::Ws("/".into())),
            Self::Tcp => host.with(Protocol::Tcp(port)),
            Self::Quic => host.with(Protocol::Udp(port)).with(Protocol::QuicV1),
            Self::WebTransport => host.with(Protocol::Udp(port)).with(Protocol::QuicV1).with(Protocol::WebTransport),
            Self::WebRtcDirect => host.with(Protocol::Udp(port)).with(Protocol::WebRTCDirect),
        }
    }

    /// Whether a page can come by it; the others are for programs.
    pub(crate) const fn is_for_pages(self) -> bool {
        match self {
            Self::WebSocket | Self::SecureWebSocket | Self::WebTransport | Self::WebRtcDirect => true,
            Self::Tcp | Self::Quic => false,
        }
    }
}

/// A number for each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ByWay {
    web_socket: usize,
    secure_web_socket: usize,
    tcp: usize,
    quic: usize,
    web_transport: usize,
    web_rtc_direct: usize,
}

impl ByWay {
    /// The number of one.
    pub(crate) const fn of(&mut self, way: Way) -> &mut usize {
        match way {
            Way::WebSocket => &mut self.web_socket,
            Way::SecureWebSocket => &mut self.secure_web_socket,
            Way::Tcp => &mut self.tcp,
            Way::Quic => &mut self.quic,
            Way::WebTransport => &mut self.web_transport,
            Way::WebRtcDirect => &mut self.web_rtc_direct,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_its_way_name_each_other() {
        let socket = "192.0.2.7:81".parse().unwrap();
        for (way, expected) in [
            (Way::WebSocket, "/ip4/192.0.2.7/tcp/81/ws"),
            (Way::SecureWebSocket, "/ip4/192.0.2.7/tcp/81/tls/ws"),
            (Way::Tcp, "/ip4/192.0.2.7/tcp/81"),
            (Way::Quic, "/ip4/192.0.2.7/udp/81/quic-v1"),
            (Way::WebTransport, "/ip4/192.0.2.7/udp/81/quic-v1/webtransport"),
            (Way::WebRtcDirect, "/ip4/192.0.2.7/udp/81/webrtc-direct"),
        ] {
            let address = way.address(socket);
            assert_eq!(address.to_string(), expected);
            assert_eq!(Way::of(&address), Some(way));
        }
        assert_eq!(Way::of(&"/dns4/a.example/tcp/443/wss".parse().unwrap()), Some(Way::SecureWebSocket));
        assert_eq!(Way::of(&"/ip4/192.0.2.7/udp/81".parse().unwrap()), None);
    }
}

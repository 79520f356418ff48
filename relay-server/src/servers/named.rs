//! What the settings say of other servers.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::{
    only::is_circuit,
    settings::{Config, Port},
    way::Way,
};

/// The server at the end of an address.
pub(crate) fn server_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    }
}

/// Whether connections through other relays are to be made, or let in.
pub(crate) fn has_circuits(config: &Config) -> bool {
    !config.reserve_at.0.is_empty() || config.peers.0.iter().any(is_circuit)
}

/// Whether these are to give way to direct ones. Dials by TCP then leave from the port at which this server listens: a router which saw one leave
/// lets the other server's in.
pub(crate) fn punches(config: &Config) -> bool {
    has_circuits(config) && config.hole_punching
}

/// By which ways dials leave from a port at which this server listens.
pub(crate) fn from_own_port(config: &Config) -> Vec<Way> {
    let quic = (config.quic != Port::Off).then_some(Way::Quic);
    let tcp = (config.tcp != Port::Off && punches(config)).then_some(Way::Tcp);
    quic.into_iter().chain(tcp).collect()
}

/// It is a server that this one can dial.
///
/// # Errors
/// What to give instead.
pub(crate) fn check_server(address: &Multiaddr, circuit_allowed: bool) -> Result<(), &'static str> {
    if server_of(address).is_none() {
        return Err("it does not end in /p2p/<PeerId>: give that too, /bootstrap of the server tells it");
    }
    if is_circuit(address) && !circuit_allowed {
        return Err("a reservation is held at the relay itself: give its own address");
    }
    let base: Vec<_> = address.iter().take_while(|part| !matches!(part, Protocol::P2p(_))).collect();
    match &base[..] {
        [Protocol::Ip4(ip), ..] if ip.is_unspecified() => Err("nobody can dial 0.0.0.0: give the address that others see"),
        [_, Protocol::Tcp(0) | Protocol::Udp(0), ..] => Err("nobody can dial port 0: give the port that others see"),
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Udp(_), Protocol::QuicV1] => Ok(()),
        [_, Protocol::Udp(_), Protocol::QuicV1] => Err("by QUIC a name is not looked up: give its IP address, or its address over TCP"),
        [_, Protocol::Tcp(_)]
        | [_, Protocol::Tcp(_), Protocol::Ws(_) | Protocol::Wss(_)]
        | [_, Protocol::Tcp(_), Protocol::Tls, Protocol::Ws(_)] => Ok(()),
        _ => Err(
            "servers are dialled by …/tcp/<port>, …/udp/<port>/quic-v1, …/tcp/<port>/ws or …/tcp/<port>/tls/ws, with /p2p/<PeerId> behind it",
        ),
    }
}

//! Where the relay can be dialled: what the operator says, else what the machine's network interfaces say.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
};

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::way::Way;

/// The addresses that are true now, without `/p2p`, shared between the swarm's loop (which keeps them true) and
/// `/bootstrap`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    announced: Vec<Multiaddr>,
    lasting: Vec<Multiaddr>,
}

impl Addresses {
    /// What is announced to peers.
    pub(crate) fn current(&self) -> Vec<Multiaddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).announced.clone()
    }

    /// The same, with the hashes of many more certificates: for who keeps them.
    pub(crate) fn lasting(&self) -> Vec<Multiaddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).lasting.clone()
    }

    /// Replaces them, and returns what was announced until now.
    pub(crate) fn replace(&self, announced: Vec<Multiaddr>, lasting: Vec<Multiaddr>) -> Vec<Multiaddr> {
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), Known { announced, lasting }).announced
    }
}

/// The addresses under which what listens at `socket` is reachable by `way`, judged by this machine's interfaces: loopback
/// first (the same machine), then every other one.
pub(crate) fn of_interfaces(way: Way, socket: SocketAddr) -> Vec<Multiaddr> {
    reachable_ips(socket).into_iter().map(|ip| way.address(SocketAddr::new(ip, socket.port()))).collect()
}

/// The IP addresses behind `listen`: itself, or all the machine has if it is the unspecified address.
pub(crate) fn reachable_ips(listen: SocketAddr) -> Vec<IpAddr> {
    if !listen.ip().is_unspecified() {
        return vec![listen.ip().to_canonical()];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, remedy = "set `external`", "network interfaces unreadable");
        Vec::new()
    });
    let mut ips: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| dialable(*ip, listen.ip())).collect();
    ips.sort_by_key(|ip| (!ip.is_loopback(), ip.is_ipv6(), *ip));
    ips.dedup();
    ips
}

/// Of the family that `listen` accepts, and not one that needs a zone to be dialled (`fe80::`), which no URL in a page can
/// carry.
fn dialable(ip: IpAddr, listen: IpAddr) -> bool {
    match ip {
        // The IPv6 wildcard accepts both families on every system we know of.
        IpAddr::V4(ip) => !ip.is_link_local(),
        IpAddr::V6(ip) => listen.is_ipv6() && !ip.is_unicast_link_local(),
    }
}

/// `/ip4/…` or `/ip6/…`; an IPv4 address in IPv6 clothes is shown as what it is.
pub(crate) fn with_ip(ip: IpAddr) -> Multiaddr {
    Multiaddr::from(ip.to_canonical())
}

/// The IP address that a multiaddr starts with.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The UDP port in a multiaddr.
pub(crate) fn udp_port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Udp(port) => Some(port),
        _ => None,
    })
}

/// Whether only the machine itself can dial it.
pub(crate) fn is_loopback(address: &Multiaddr) -> bool {
    ip_of(address).is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_ip_is_the_only_address() {
        let addresses = of_interfaces(Way::WebSocket, "192.0.2.7:81".parse().unwrap());
        assert_eq!(addresses, ["/ip4/192.0.2.7/tcp/81/ws".parse().unwrap()]);
    }

    #[test]
    fn the_unspecified_ip_stands_for_every_interface() {
        let addresses = of_interfaces(Way::WebSocket, "0.0.0.0:8080".parse().unwrap());
        assert_eq!(addresses[0], "/ip4/127.0.0.1/tcp/8080/ws".parse().unwrap(), "{addresses:?}");
        assert!(addresses.iter().all(|address| matches!(address.iter().next(), Some(Protocol::Ip4(_)))), "{addresses:?}");
        let listed = if_addrs::get_if_addrs().unwrap();
        let first_outside = listed.iter().map(if_addrs::Interface::ip).find(|ip| ip.is_ipv4() && !ip.is_loopback());
        assert!(first_outside.is_none_or(|ip| addresses.contains(&Way::WebSocket.address((ip, 8080).into()))), "{addresses:?}");
    }

    #[test]
    fn addresses_that_need_a_zone_are_left_out() {
        let v6 = "::".parse().unwrap();
        assert!(!dialable("fe80::1".parse().unwrap(), v6));
        assert!(dialable("2001:db8::1".parse().unwrap(), v6));
        assert!(!dialable("2001:db8::1".parse().unwrap(), "0.0.0.0".parse().unwrap()));
    }
}

//! Where this server may be sent. What its operator named is not judged. Of what others say, only hosts of the internet are dialled, or ones as near
//! as the servers that the operator named: a stranger must not be able to make it knock at the doors of the network that it stands in.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use shoal_protocol::addresses::{Filter, Reach, Refusal, reach_of};

use crate::{addresses::ip_of, settings::Config};

/// What may be dialled now, shared between those who say so and the transport.
#[derive(Clone, Debug)]
pub(crate) struct Permits(Arc<Granted>);

#[derive(Debug)]
struct Granted {
    filter: Filter,
    /// As near as the servers of the settings.
    reach: Reach,
    /// Hosts and ports on the inner side that are dialled for a reason of their own, and for how many reasons. As many as there are known servers and
    /// dials under way.
    lent: Mutex<HashMap<(IpAddr, u16), usize>>,
}

impl Permits {
    /// Those of the servers that `config` names.
    pub(crate) fn new(config: &Config) -> Self {
        let named = config.peers.0.iter().chain(&config.reserve_at.0);
        let reach = named.clone().filter_map(reach_of).max().unwrap_or(Reach::Global);
        let mut filter = Filter::new(reach);
        for (host, port) in named.filter_map(host_and_port) {
            filter.trust(&host, port);
        }
        Self(Arc::new(Granted { filter, reach, lent: Mutex::default() }))
    }

    /// Whether `address` may be dialled.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn allows(&self, address: &Multiaddr) -> Result<(), Refusal> {
        if socket(address).is_some_and(|socket| self.lent().contains_key(&socket)) {
            return Ok(());
        }
        self.0.filter.check(address, self.0.reach)
    }

    /// Lets `address` be dialled until it is taken back as often as it was lent.
    pub(crate) fn lend(&self, address: &Multiaddr) {
        if let Some(socket) = socket(address) {
            *self.lent().entry(socket).or_insert(0) += 1;
        }
    }

    /// Ends that.
    pub(crate) fn take_back(&self, address: &Multiaddr) {
        let Some(socket) = socket(address) else { return };
        let mut lent = self.lent();
        if let Some(reasons) = lent.get_mut(&socket) {
            *reasons -= 1;
            if *reasons == 0 {
                lent.remove(&socket);
            }
        }
    }

    fn lent(&self) -> MutexGuard<'_, HashMap<(IpAddr, u16), usize>> {
        self.0.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn port(address: &Multiaddr) -> Option<u16> {
    match address.iter().nth(1)? {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    }
}

fn socket(address: &Multiaddr) -> Option<(IpAddr, u16)> {
    Some((ip_of(address)?, port(address)?))
}

fn host_and_port(address: &Multiaddr) -> Option<(String, u16)> {
    let host = match address.iter().next()? {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => ip.to_string(),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.into_owned(),
        _ => return None,
    };
    Some((host, port(address)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn permits(peers: &str) -> Permits {
        Permits::new(&Config { peers: peers.parse().unwrap(), ..crate::settings::Settings::default().or(Default::default()) })
    }

    #[test]
    fn strangers_send_nobody_to_inner_networks() {
        let permits = permits("/ip4/1.2.3.4/tcp/22/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN");
        for (text, allowed) in [
            ("/ip4/1.2.3.4/tcp/22", true),
            ("/ip4/1.2.3.5/tcp/22", false),
            ("/ip4/1.2.3.5/tcp/4001", true),
            ("/ip4/1.2.3.5/udp/4001/quic-v1", true),
            ("/ip4/192.168.1.1/tcp/4001", false),
            ("/ip4/169.254.169.254/tcp/80", false),
            ("/ip4/127.0.0.1/tcp/4001", false),
            ("/ip6/fd00::1/udp/4001/quic-v1", false),
            ("/dns4/inner.corp/tcp/443/tls/ws", false),
        ] {
            assert_eq!(permits.allows(&address(text)).is_ok(), allowed, "{text}");
        }
    }

    #[test]
    fn what_is_lent_is_allowed_until_it_is_taken_back_as_often() {
        let (permits, inner) = (permits(""), address("/ip4/192.168.1.7/udp/4001/quic-v1"));
        permits.lend(&inner);
        permits.lend(&inner);
        permits.take_back(&inner);
        assert!(permits.allows(&inner).is_ok() && permits.allows(&address("/ip4/192.168.1.7/udp/4002/quic-v1")).is_err());
        permits.take_back(&inner);
        permits.take_back(&inner);
        assert!(permits.allows(&inner).is_err());
    }

    #[test]
    fn a_server_of_the_same_network_may_tell_of_it() {
        let permits = permits("/ip4/10.0.0.9/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN");
        assert!(permits.allows(&address("/ip4/10.0.0.8/tcp/4001")).is_ok() && permits.allows(&address("/ip4/127.0.0.1/tcp/4001")).is_err());
    }
}

//! Who may come in: a bound on how many are inside at once, in all and from one network.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// What one subscriber controls: an IPv4 address or an IPv6 /64, within which anyone picks addresses at will.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into()),
            address => Self(address),
        }
    }
}

/// A door with two bounds.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    total: usize,
    per_network: usize,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    total: usize,
    /// Never an entry of 0, so at most `total` entries.
    networks: HashMap<Network, usize>,
}

impl Gate {
    /// Lets in `total` at once, `per_network` of them from one network.
    pub(crate) fn new(total: usize, per_network: usize) -> Self {
        Self { total, per_network, inside: Arc::default() }
    }

    /// A place, given back when the ticket is dropped; none if a bound is reached.
    pub(crate) fn enter(&self, network: Network) -> Option<Ticket> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = inside.networks.get(&network).copied().unwrap_or(0);
        if inside.total >= self.total || from_there >= self.per_network {
            return None;
        }
        inside.total += 1;
        inside.networks.insert(network, from_there + 1);
        Some(Ticket { inside: Arc::clone(&self.inside), network })
    }
}

/// A place inside a [`Gate`].
#[derive(Debug)]
pub(crate) struct Ticket {
    inside: Arc<Mutex<Inside>>,
    network: Network,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.total -= 1;
        if let Some(count) = inside.networks.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                inside.networks.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        Network::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_64() {
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }

    #[test]
    fn both_bounds_hold_and_places_are_given_back() {
        let gate = Gate::new(3, 2);
        let first = gate.enter(network("192.0.2.1"));
        let second = gate.enter(network("192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter(network("192.0.2.1")).is_none(), "one network holds two");
        let third = gate.enter(network("192.0.2.2"));
        assert!(third.is_some());
        assert!(gate.enter(network("192.0.2.3")).is_none(), "all hold three");
        drop((first, second, third));
        assert!(gate.inside.lock().unwrap().networks.is_empty());
        assert!(gate.enter(network("192.0.2.1")).is_some());
    }
}

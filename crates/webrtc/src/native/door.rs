//! Who is on the way in: attempts whose peer is not known yet, bounded in all and for each network.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// All attempts under way, by network.
#[derive(Debug)]
pub(super) struct Door {
    most: usize,
    most_per_network: usize,
    under_way: Arc<Mutex<BTreeMap<u128, usize>>>,
}

/// A place among them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    network: u128,
    under_way: Arc<Mutex<BTreeMap<u128, usize>>>,
}

impl Door {
    pub(super) fn new(most: usize, most_per_network: usize) -> Self {
        Self { most, most_per_network, under_way: Arc::default() }
    }

    /// Whether all places are taken.
    pub(super) fn is_full(&self) -> bool {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).values().sum::<usize>() >= self.most
    }

    /// A place for somebody at this address, if there is one.
    pub(super) fn enter(&self, from: IpAddr) -> Option<Place> {
        let network = network_of(from);
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = under_way.values().sum();
        let here = under_way.get(&network).copied().unwrap_or_default();
        if all >= self.most || here >= self.most_per_network {
            return None;
        }
        under_way.insert(network, here + 1);
        Some(Place { network, under_way: self.under_way.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(under_way.remove(&self.network)),
        }
    }
}

/// An IPv4 address by itself, or the 64 bits that one site has of IPv6.
pub(super) fn network_of(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_does_not_take_all_places() {
        let door = Door::new(4, 2);
        let from = |text: &str| door.enter(text.parse().unwrap());
        let one = (from("192.0.2.1"), from("::ffff:192.0.2.1"));
        assert!(one.0.is_some() && one.1.is_some() && from("192.0.2.1").is_none());
        let six = (from("2001:db8::1"), from("2001:db8::2"));
        assert!(six.0.is_some() && six.1.is_some() && from("2001:db8:0:0:7::").is_none());
        assert!(from("192.0.2.2").is_none(), "all places are taken");
        assert!(door.is_full());
        drop(one);
        assert!(from("192.0.2.1").is_some());
        drop(six);
        assert!(door.under_way.lock().unwrap().is_empty());
    }
}

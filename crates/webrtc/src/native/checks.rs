//! From which addresses connectivity checks came lately: only those may begin DTLS. Bounded in all and for each network, and the oldest are forgotten first,
//! so that whoever invents a hundred thousand names or addresses takes no more memory than this, and no network another's places.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Instant,
};

use super::{config::CHECK_COUNTS, door::network_of};

/// What is told of a connection: a hash of its name, as names are long.
pub(super) type Name = u64;

/// See above.
pub(super) struct Checks {
    most: usize,
    most_per_network: usize,
    by_address: BTreeMap<SocketAddr, (Name, Instant)>,
    by_network: BTreeMap<u128, usize>,
    /// In the order in which they came.
    order: VecDeque<(SocketAddr, Instant)>,
}

impl Checks {
    pub(super) fn new(most: usize, most_per_network: usize) -> Self {
        Self { most, most_per_network, by_address: BTreeMap::new(), by_network: BTreeMap::new(), order: VecDeque::new() }
    }

    /// A check came; whether there is a place for it, and an answer may be given. One that is repeated has a place, and under its latest name.
    pub(super) fn enter(&mut self, from: SocketAddr, name: Name, now: Instant) -> bool {
        self.forget(now);
        if let Some((known, _)) = self.by_address.get_mut(&from) {
            *known = name;
            return true;
        }
        let here = self.by_network.entry(network_of(from.ip())).or_default();
        if *here >= self.most_per_network {
            return false;
        }
        *here += 1;
        if self.by_address.len() >= self.most {
            self.forget_oldest();
        }
        self.by_address.insert(from, (name, now));
        self.order.push_back((from, now));
        true
    }

    /// The name under which this address may begin.
    pub(super) fn name_at(&mut self, from: &SocketAddr, now: Instant) -> Option<Name> {
        self.forget(now);
        self.by_address.get(from).map(|(name, _)| *name)
    }

    fn forget(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, came)| *came + CHECK_COUNTS <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((address, _)) = self.order.pop_front() else { return };
        self.by_address.remove(&address);
        let network = network_of(address.ip());
        match self.by_network.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.by_network.remove(&network)),
        }
    }

    #[cfg(test)]
    fn held(&self) -> (usize, usize, usize) {
        (self.by_address.len(), self.by_network.len(), self.order.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(number: u32) -> SocketAddr {
        SocketAddr::new(std::net::Ipv4Addr::from_bits(number).into(), 9)
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_the_oldest_goes_first() {
        let now = Instant::now();
        let mut checks = Checks::new(100, 4);
        for number in 0..100_000 {
            assert!(checks.enter(address(number), u64::from(number), now));
        }
        assert_eq!(checks.held(), (100, 100, 100));
        assert_eq!(checks.name_at(&address(99_899), now), None);
        assert_eq!(checks.name_at(&address(99_900), now), Some(99_900));
    }

    #[test]
    fn one_network_has_so_many_and_no_more() {
        let now = Instant::now();
        let mut checks = Checks::new(100, 4);
        let port = |port| SocketAddr::new([192, 0, 2, 1].into(), port);
        assert_eq!((1..=9).filter(|number| checks.enter(port(*number), 1, now)).count(), 4);
        assert!(checks.enter(port(1), 2, now), "it is there");
        assert_eq!(checks.name_at(&port(1), now), Some(2));
        assert!(checks.enter(address(7), 3, now));
        assert!(checks.enter(port(9), 4, now + CHECK_COUNTS), "the others were forgotten");
        assert_eq!(checks.name_at(&port(1), now + CHECK_COUNTS), None);
        checks.forget(now + CHECK_COUNTS * 2 + Duration::from_secs(1));
        assert_eq!(checks.held(), (0, 0, 0));
    }
}

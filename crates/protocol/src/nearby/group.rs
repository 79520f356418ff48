//! Who counts as near: devices that reach the relay from the address of one subscriber.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::connections::Network;

/// Devices that may see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Those in the relay's own network or on its machine: they come from private addresses, so from no further away.
    Lan,
    /// Those behind one public IPv4 address, or in one IPv6 /64.
    Public(Network),
}

/// Whose addresses can be believed to tell who is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Public and private ones.
    All,
    /// Public ones only: what comes from a private address may be a proxy, with the whole world behind it.
    Public,
}

impl Group {
    /// Where a device that comes from `address` belongs; nowhere, where that does not tell.
    pub fn of(address: IpAddr, scope: Scope) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(address) => of_v4(address, scope),
            IpAddr::V6(address) => of_v6(address, scope),
        }
    }

    fn lan(scope: Scope) -> Option<Self> {
        (scope == Scope::All).then_some(Self::Lan)
    }
}

fn of_v4(address: Ipv4Addr, scope: Scope) -> Option<Group> {
    let [first, ..] = address.octets();
    if address.is_private() || address.is_loopback() || address.is_link_local() {
        return Group::lan(scope);
    }
    // 0.0.0.0/8, multicast and the reserved rest are nobody's. A carrier's inner 100.64.0.0/10 (RFC 6598) is not one household, so
    // there each address is by itself.
    if first == 0 || first >= 224 { None } else { Some(Group::Public(Network::from(IpAddr::V4(address)))) }
}

fn of_v6(address: Ipv6Addr, scope: Scope) -> Option<Group> {
    let segments = address.segments();
    if address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local() {
        return Group::lan(scope);
    }
    match segments {
        // NAT64 (RFC 6052): all of IPv4 in one /64, so the address inside counts.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)), Scope::Public),
        // Local NAT64 (RFC 8215) and Teredo (RFC 4380), where strangers share a /64; and what lies outside of global unicast.
        [0x64, 0xff9b, ..] | [0x2001, 0, ..] => None,
        [first, ..] if first & 0xe000 != 0x2000 => None,
        _ => Some(Group::Public(Network::from(IpAddr::V6(address)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(address: &str) -> Option<Group> {
        Group::of(address.parse().unwrap(), Scope::All)
    }

    #[test]
    fn one_subscriber_is_one_group() {
        for (one, other, near) in [
            ("198.51.100.1", "198.51.100.1", true),
            ("198.51.100.1", "::ffff:198.51.100.1", true),
            ("198.51.100.1", "64:ff9b::198.51.100.1", true),
            ("198.51.100.1", "198.51.100.2", false),
            ("2001:db8:1::1", "2001:db8:1::ffff:1", true),
            ("2001:db8:1::1", "2001:db8:1:1::1", false),
            ("64:ff9b::198.51.100.1", "64:ff9b::198.51.100.2", false),
            ("127.0.0.1", "192.168.1.7", true),
            ("::1", "10.0.0.3", true),
            ("fe80::1", "fd00::1", true),
            ("192.168.1.7", "198.51.100.1", false),
            ("100.64.0.1", "100.64.0.2", false),
            ("100.64.0.1", "10.0.0.1", false),
        ] {
            assert!(group(one).is_some() && group(other).is_some(), "{one} {other}");
            assert_eq!(group(one) == group(other), near, "{one} {other}");
        }
    }

    #[test]
    fn addresses_that_strangers_share_are_no_group() {
        for address in
            ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "2001:0:53aa:64c::1", "64:ff9b:1::1", "64:ff9b::10.0.0.1"]
        {
            assert_eq!(group(address), None, "{address}");
        }
        for address in ["127.0.0.1", "192.168.0.1", "169.254.0.1", "fe80::1", "fd00::1", "::1", "::ffff:10.0.0.1"] {
            assert_eq!(group(address), Some(Group::Lan), "{address}");
            assert_eq!(Group::of(address.parse().unwrap(), Scope::Public), None, "{address}");
        }
    }
}

//! To whom packets are relayed: to hosts of the internet, and to nobody else.

use std::net::{IpAddr, Ipv6Addr};

use shoal_protocol::addresses::{Reach, reach_of_ip};

/// Whether packets may go to this address and come from it. Private, loopback, link-local, shared, multicast, reserved and documentation addresses may not,
/// nor any address that holds an IPv4 address in another coat (mapped, translated, tunnelled), whatever that address is: who means it writes it plainly.
#[must_use]
pub fn is_allowed(ip: IpAddr) -> bool {
    let in_disguise = matches!(ip, IpAddr::V6(ip) if is_disguise(ip));
    !in_disguise && reach_of_ip(ip) == Some(Reach::Global)
}

/// IPv4 within IPv6: mapped and compatible (RFC 4291), for translators (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380).
fn is_disguise(ip: Ipv6Addr) -> bool {
    matches!(
        ip.segments(),
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..]
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Addresses behind the server, or of nobody, in every spelling that has been a way in.
    pub(crate) fn forbidden() -> impl Iterator<Item = &'static str> {
        include_str!("../tests/forbidden.txt").lines()
    }

    #[test]
    fn nothing_but_the_internet_is_allowed() {
        assert!(forbidden().count() >= 40);
        for text in forbidden() {
            assert!(!is_allowed(text.parse().unwrap()), "{text}");
        }
        for text in
            ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450::1"]
        {
            assert!(is_allowed(text.parse().unwrap()), "{text}");
        }
    }
}

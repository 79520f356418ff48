//! Which two kinds of site can have a direct connection, and why. What the laboratory sees is compared with it.
//!
//! All routers here are Linux's, which let in only answers: from the same address and port to which something was sent (RFC 4787, "address and
//! port-dependent filtering"). So both sides have to send to where the other will be seen, which they know from STUN, unless the port is another for
//! each they talk to.

use serde::Deserialize;

use crate::site::Kind;

/// How bytes go between two peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// From one to the other.
    Direct,
    /// Through the relay.
    Relayed,
}

impl Path {
    /// As in scenarios and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
        }
    }
}

/// How peers come to a direct connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// UDP alone, both sides at once, to addresses learnt by STUN: pages.
    Udp,
    /// Both sides at once over UDP and over TCP, to addresses that the relay saw: programs, by DCUtR.
    UdpAndTcp,
}

/// The best path between two kinds of site, and why it is the best.
pub fn best(means: Means, one: Kind, other: Kind) -> (Path, &'static str) {
    use Kind::{Cone, Double, Firewalled, None, Symmetric, UdpBlocked};
    let direct = |why| (Path::Direct, why);
    let relayed = |why| (Path::Relayed, why);
    match (one.min(other), one.max(other)) {
        (None, UdpBlocked) if means == Means::UdpAndTcp => direct("TCP to a public address needs no hole"),
        (Symmetric, UdpBlocked) => relayed("no UDP leaves one side, and the other one's port for TCP is not the one that the relay saw"),
        (_, UdpBlocked) if means == Means::UdpAndTcp => {
            direct("both open a TCP connection to each other at once (RFC 9293, simultaneous open), from the port that the relay saw")
        }
        (_, UdpBlocked) => relayed("no UDP leaves one side"),
        (None, _) => direct("who has a public address and lets everything in is reached whatever port the other gets"),
        (Symmetric, Symmetric) => relayed("neither side knows the port that the other gets for it"),
        (Symmetric, _) | (_, Symmetric) => {
            relayed("the port that one side gets is another than STUN saw, and the other lets in only the one it sent to")
        }
        (Firewalled | Cone | Double | UdpBlocked, _) => direct("both keep their port for whomever they talk to, and both send first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_matter_who_begins() {
        for means in [Means::Udp, Means::UdpAndTcp] {
            for one in Kind::ALL {
                for other in Kind::ALL {
                    assert_eq!(best(means, one, other), best(means, other, one));
                }
            }
        }
    }

    #[test]
    fn of_twenty_one_pairs_eleven_of_pages_and_sixteen_of_programs_can_be_direct() {
        let direct = |means| {
            let with_each_from = |index: usize| {
                Kind::ALL.into_iter().skip(index).filter(move |other| best(means, Kind::ALL[index], *other).0 == Path::Direct)
            };
            (0..Kind::ALL.len()).map(|index| with_each_from(index).count()).sum::<usize>()
        };
        assert_eq!((direct(Means::Udp), direct(Means::UdpAndTcp)), (11, 16));
    }

    #[test]
    fn programs_need_no_udp_unless_a_port_is_unknown() {
        for kind in Kind::ALL {
            assert_eq!(best(Means::Udp, Kind::UdpBlocked, kind).0, Path::Relayed);
            let expected = if kind == Kind::Symmetric { Path::Relayed } else { Path::Direct };
            assert_eq!(best(Means::UdpAndTcp, Kind::UdpBlocked, kind).0, expected, "{kind:?}");
        }
    }
}

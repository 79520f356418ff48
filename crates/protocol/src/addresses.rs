//! Which of the addresses that others tell are dialled: a peer must not be able to make us knock at the doors of somebody's inner network,
//! nor send a browser, with its cookies, to a web server of the peer's choice.
//!
//! ```text
//!   /dns4/relay.example/tcp/443/tls/ws/p2p/…/p2p-circuit/webrtc/p2p/…
//!   └─ host ──────────┘└─ port ┘└ root path    └ at most one circuit
//! ```
//!
//! From a peer that was reached over the internet only hosts of the internet are taken; from one on a private network also private hosts;
//! loopback only where this node's own relay is on this machine. What the user configured is not judged: see [`Filter::trust`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use multiaddr::{Multiaddr, Protocol};

use crate::limits::{ADDRESS_BYTES, ADDRESSES_PER_PEER};

/// How far away a host is. A later one may tell of all earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// On the internet.
    Global,
    /// On a private network: a home, an office, a carrier's inner addresses.
    Private,
    /// On this machine.
    Loopback,
}

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than any honest one.
    #[error("it is too long")]
    Length,
    /// Not a host, a port and what follows, or with a second host further on.
    #[error("it does not lead to one host and port")]
    Form,
    /// The host is nearer than whoever told the address, or none that can be dialled.
    #[error("its host is not one that others may send us to")]
    Host,
    /// Ports below 1024 belong to other services.
    #[error("its port belongs to another service")]
    Port,
    /// A name says nothing of where it leads; without TLS nothing else does.
    #[error("a name is dialled with TLS only")]
    PlainName,
    /// A WebSocket at another path than the root and those that the user named: a request of the peer's choice.
    #[error("its WebSocket has a path")]
    Path,
    /// Each circuit costs its relay; two cost two.
    #[error("it leads through more than one relay")]
    Circuits,
}

/// What this node dials.
#[derive(Clone, Debug)]
pub struct Filter {
    reach: Reach,
    trusted: Vec<(String, u16)>,
    /// Of WebSockets, besides the root.
    paths: Vec<String>,
}

impl Filter {
    /// For a node whose own relays, as the user configured them, lie this near.
    pub const fn new(reach: Reach) -> Self {
        Self { reach, trusted: Vec::new(), paths: Vec::new() }
    }

    /// Takes addresses at this host and port from anybody: the user named it.
    pub fn trust(&mut self, host: &str, port: u16) {
        self.trusted.push((host.trim_matches(['[', ']']).to_ascii_lowercase(), port));
    }

    /// Takes WebSockets at this path: the user named it.
    pub fn trust_path(&mut self, path: &str) {
        self.paths.push(path.to_owned());
    }

    /// Judges an address told by somebody who was reached over `source`.
    ///
    /// # Errors
    /// Why it is not dialled.
    pub fn check(&self, address: &Multiaddr, source: Reach) -> Result<(), Refusal> {
        if address.len() > ADDRESS_BYTES {
            return Err(Refusal::Length);
        }
        let mut parts = address.iter();
        let host = parts.next().ok_or(Refusal::Form)?;
        let Some(Protocol::Tcp(port) | Protocol::Udp(port)) = parts.next() else { return Err(Refusal::Form) };
        let (mut circuits, mut secure) = (0, false);
        for part in parts {
            match part {
                Protocol::P2pCircuit => circuits += 1,
                Protocol::Tls | Protocol::Wss(_) | Protocol::Quic | Protocol::QuicV1 if circuits == 0 => secure = true,
                Protocol::Ws(_) if circuits == 0 => {}
                Protocol::P2p(_) | Protocol::WebRTC | Protocol::WebRTCDirect | Protocol::WebTransport | Protocol::Certhash(_) => {}
                _ => return Err(Refusal::Form),
            }
        }
        if circuits > 1 {
            return Err(Refusal::Circuits);
        }
        let known = |path: &str| path == "/" || self.paths.iter().any(|trusted| trusted == path);
        let elsewhere = |part| matches!(part, Protocol::Ws(path) | Protocol::Wss(path) if !known(&path));
        if address.iter().any(elsewhere) {
            return Err(Refusal::Path);
        }
        let (name, ip) = match &host {
            Protocol::Ip4(ip) => (ip.to_string(), Some(IpAddr::V4(*ip))),
            Protocol::Ip6(ip) => (ip.to_string(), Some(IpAddr::V6(*ip))),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => (name.to_ascii_lowercase(), None),
            _ => return Err(Refusal::Form),
        };
        if self.trusted.iter().any(|(host, trusted)| *host == name && *trusted == port) {
            return Ok(());
        }
        let near = ip.map_or_else(|| reach_of_name(&name), reach_of_ip).ok_or(Refusal::Host)?;
        if near > self.reach.min(source) {
            return Err(Refusal::Host);
        }
        if ip.is_none() && near == Reach::Global && !secure {
            return Err(Refusal::PlainName);
        }
        if port < 1024 && port != 80 && port != 443 { Err(Refusal::Port) } else { Ok(()) }
    }

    /// Those of a peer's addresses that are dialled, each once, in the peer's order, and not too many.
    pub fn select(&self, addresses: impl IntoIterator<Item = Multiaddr>, source: Reach) -> Vec<Multiaddr> {
        let mut selected = Vec::new();
        for address in addresses {
            if selected.len() == ADDRESSES_PER_PEER {
                break;
            }
            if self.check(&address, source).is_ok() && !selected.contains(&address) {
                selected.push(address);
            }
        }
        selected
    }
}

/// How near the first host of an address is, if it is one that can be dialled: the source of what the peer there tells.
pub fn reach_of(address: &Multiaddr) -> Option<Reach> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => reach_of_ip(ip.into()),
        Protocol::Ip6(ip) => reach_of_ip(ip.into()),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => reach_of_name(&name),
        _ => None,
    }
}

/// How near a host is, in the spelling of a URL: a name, an IPv4 address, an IPv6 address with or without brackets.
pub fn reach_of_host(host: &str) -> Option<Reach> {
    match host.trim_matches(['[', ']']).parse() {
        Ok(ip) => reach_of_ip(ip),
        Err(_) => reach_of_name(host),
    }
}

/// How near an IP address is; nothing where nobody should be sent (IANA's special-purpose registries, RFC 6890 and its updates).
pub fn reach_of_ip(ip: IpAddr) -> Option<Reach> {
    match ip {
        IpAddr::V4(ip) => reach_of_v4(ip),
        IpAddr::V6(ip) => reach_of_v6(ip),
    }
}

fn reach_of_v4(ip: Ipv4Addr) -> Option<Reach> {
    match ip.octets() {
        [127, ..] => Some(Reach::Loopback),
        // RFC 1918, and the carriers' share of RFC 6598.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Reach::Private),
        // "This network", link-local (where clouds keep their secrets), protocol assignments and the old 6to4 relays, benchmarks,
        // documentation, multicast, reserved, broadcast.
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] => None,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [224..=255, ..] => None,
        _ => Some(Reach::Global),
    }
}

fn reach_of_v6(ip: Ipv6Addr) -> Option<Reach> {
    let embedded = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Reach::Loopback),
        // An IPv4 address in another coat is that address: mapped, behind NAT64 (RFC 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            reach_of_v4(embedded(high, low))
        }
        [0xfc00..=0xfdff, ..] => Some(Reach::Private),
        // Teredo, ORCHID, benchmarks; documentation; and interface identifiers of ISATAP, which hold an IPv4 address as well.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => None,
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => None,
        [0x2000..=0x3fff, ..] => Some(Reach::Global),
        _ => None,
    }
}

/// Of a name only its look is known. One that a URL would read as something else than a name (a number, a login) is none.
fn reach_of_name(name: &str) -> Option<Reach> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    if name.len() > 253 || !name.split('.').all(label) || last.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    match last {
        "localhost" => Some(Reach::Loopback),
        "local" | "lan" | "home" | "internal" | "intranet" | "corp" | "private" | "arpa" => Some(Reach::Private),
        _ if name == last => Some(Reach::Private),
        _ => Some(Reach::Global),
    }
}

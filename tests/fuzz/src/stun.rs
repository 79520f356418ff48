//! What anybody sends to the STUN port of the relay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use shoal_turn::binding::answer;

use crate::input::Input;

/// Bytes of the headers of IP and UDP.
const HEADERS: [usize; 2] = [20 + 8, 40 + 8];

/// Any packet: an answer belongs to what was asked, is no use for a flood, and is not answered in its turn.
pub(crate) fn request(data: &[u8]) {
    let mut input = Input::new(data);
    let v6 = input.flag();
    let ip = if v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let from = SocketAddr::new(ip, 40_000);
    let asked = input.bytes(usize::MAX);
    let Some(answered) = answer(&asked, from) else { return };
    assert_eq!(answered[4..20], asked[4..20], "of another transaction");
    assert_eq!(usize::from(u16::from_be_bytes([answered[2], answered[3]])) + 20, answered.len());
    let headers = HEADERS[usize::from(v6)];
    assert!(2 * (answered.len() + headers) <= 3 * (asked.len() + headers), "{} bytes for {}", answered.len(), asked.len());
    assert_eq!(answer(&answered, from), None, "two servers would talk for ever");
}

//! Which ICE candidates of a peer are tried: each makes this page's browser send to an address of the peer's choice.
//!
//! ```text
//!   candidate:842163049 1 udp 1677729535 192.0.2.7 54321 typ srflx …
//!                         └ no TCP        └ host    └ no service's port
//! ```
//!
//! A browser sends STUN to it, a few dozen bytes that only another ICE agent answers. What would do more than that is left out: TCP, which
//! connects to whatever listens; ports of services; names, which are looked up; this machine itself; and addresses at which no peer can be, such
//! as the one where clouds keep their secrets. Private addresses stay: devices of one home reach each other by them.

use std::net::IpAddr;

use crate::limits::LEAST_PORT;

/// Whether a candidate, as `RTCIceCandidate.toJSON()` in JSON, is given to the browser.
pub(crate) fn may_be_tried(json: &str) -> bool {
    // Browsers escape nothing here: what is escaped hides something from us that the browser would see.
    let mut found = json.split("candidate:").skip(1);
    let (Some(candidate), None, false) = (found.next(), found.next(), json.contains('\\')) else { return false };
    candidate.split('"').next().is_some_and(may_lead)
}

/// The description without the candidates that are not tried. Strangers may put all of theirs into it.
pub(crate) fn without_others(sdp: String) -> String {
    let refused = |line: &str| line.trim().strip_prefix("a=candidate:").is_some_and(|candidate| !may_lead(candidate));
    if !sdp.lines().any(refused) {
        return sdp;
    }
    sdp.split_inclusive('\n').filter(|line| !refused(line)).collect()
}

/// Judges what follows `candidate:` (RFC 8839, section 5.1).
fn may_lead(candidate: &str) -> bool {
    let mut fields = candidate.split_ascii_whitespace().skip(2);
    let (Some(transport), Some(_priority), Some(host), Some(port)) = (fields.next(), fields.next(), fields.next(), fields.next()) else {
        return false;
    };
    let there = host.parse().map_or_else(|_| is_hidden(host), may_be_reached);
    there && transport.eq_ignore_ascii_case("udp") && port.parse::<u16>().is_ok_and(|port| port >= LEAST_PORT)
}

/// A name that browsers make up to hide an address, asked for by multicast only (draft-ietf-mmusic-mdns-ice-candidates): a UUID.
fn is_hidden(name: &str) -> bool {
    name.strip_suffix(".local").is_some_and(|uuid| uuid.len() == 36 && uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'))
}

fn may_be_reached(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_link_local() || matches!(ip.octets()[0], 0 | 224..=255)),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(host: &str) -> String {
        format!(r#"{{"candidate":"candidate:1 1 udp 2113937151 {host} typ host generation 0","sdpMid":"0","sdpMLineIndex":0}}"#)
    }

    const HIDDEN: &str = "4a3b5c6d-0000-4abc-8def-0123456789ab.local 54321";

    #[test]
    fn where_a_peer_can_be_is_tried() {
        for host in [HIDDEN, "192.168.1.7 54321", "10.0.0.1 1024", "8.8.8.8 65535", "2600::1 40000", "fd00::1 40000", "::ffff:8.8.8.8 4000"]
        {
            assert!(may_be_tried(&json(host)), "{host}");
        }
        let upper = json(HIDDEN).replace("udp", "UDP");
        assert!(may_be_tried(&upper));
    }

    #[test]
    fn nothing_else_is() {
        for host in [
            "127.0.0.1 54321",
            "::1 54321",
            "::ffff:127.0.0.1 54321",
            "0.0.0.0 54321",
            "169.254.169.254 54321",
            "fe80::1 54321",
            "224.0.0.251 5353",
            "255.255.255.255 54321",
            "ff02::fb 5353",
            "192.168.1.1 53",
            "8.8.8.8 0",
            "8.8.8.8 65536",
            "8.8.8.8",
            "router.local 54321",
            "printer.corp.example 54321",
            "",
        ] {
            assert!(!may_be_tried(&json(host)), "{host}");
        }
        let tcp = json("8.8.8.8 443").replace("udp", "tcp").replace("443", "4433");
        assert!(!may_be_tried(&tcp));
    }

    #[test]
    fn what_the_browser_would_read_otherwise_is_refused() {
        let good = json(HIDDEN);
        for text in [
            good.replace("candidate:1", r"candidate\u003a1"),
            good.replace('}', r#","candidate":"candidate:1 1 udp 1 127.0.0.1 54321 typ host"}"#),
            good.replace('}', r#","c\u0061ndidate":"1 1 udp 1 127.0.0.1 54321 typ host"}"#),
            "{}".to_owned(),
            "candidate:".to_owned(),
        ] {
            assert!(!may_be_tried(&text), "{text}");
        }
    }

    #[test]
    fn descriptions_lose_only_what_is_not_tried() {
        let kept = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=candidate:1 1 udp 1 8.8.8.8 54321 typ srflx\r\n";
        assert_eq!(without_others(kept.to_owned()), kept);
        let line = "a=candidate:1 1 tcp 1 192.168.0.1 8080 typ host tcptype passive\r\n";
        assert_eq!(without_others(format!("{line}{kept}{line}")), kept);
        assert!(!without_others(format!("{kept}a=candidate:1 1 udp 1 127.0.0.1 54321 typ host")).contains("127"));
    }
}

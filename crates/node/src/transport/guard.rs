//! Which addresses this page dials, by what its settings say of where it is: see [`Filter`]. Every connection of a page begins with a WebSocket
//! or WebTransport, so these transports are where it is asked.
//!
//! A page on a private network, or on this machine, was loaded from there or names a relay, or a resolver, there. To any other page an address
//! that lies there comes from somebody who wants it to look what is behind it.

use libp2p::{Multiaddr, multiaddr::Protocol};
use shoal_protocol::addresses::{Filter, Reach, Refusal, reach_of, reach_of_host};

use crate::config::{Bootstrap, Source};

/// An address that leads to where nobody may send this page.
#[derive(Debug, thiserror::Error)]
#[error("{address} is not dialled: {refusal}")]
pub struct Filtered {
    address: Multiaddr,
    refusal: Refusal,
}

/// Judges an address before it is dialled.
///
/// # Errors
/// Where nobody may send this page there: what is wrong with it.
pub fn admit(filter: &Filter, address: &Multiaddr) -> Result<(), Filtered> {
    filter.check(address, Reach::Loopback).map_err(|refusal| Filtered { address: address.clone(), refusal })
}

/// The filter of a page of this origin (empty where it has none), with these settings.
pub fn filter(bootstrap: &[Bootstrap], resolver: &str, origin: &str) -> Filter {
    let of_entry = |entry: &Bootstrap| match entry {
        Bootstrap::Address(address) => reach_of(address),
        Bootstrap::Source(Source::Server(url)) => near(url),
        Bootstrap::Source(Source::Name(_)) => near(resolver),
    };
    let reach = bootstrap.iter().filter_map(of_entry).chain(near(origin)).max();
    let mut filter = Filter::new(reach.unwrap_or(Reach::Global));
    for entry in bootstrap {
        match entry {
            Bootstrap::Address(address) => {
                let mut host = None;
                for part in address {
                    match part {
                        Protocol::Ip4(ip) => host = Some(ip.to_string()),
                        Protocol::Ip6(ip) => host = Some(ip.to_string()),
                        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => host = Some(name.into_owned()),
                        Protocol::Tcp(port) | Protocol::Udp(port) => {
                            if let Some(host) = host.take() {
                                filter.trust(&host, port);
                            }
                        }
                        Protocol::Ws(path) | Protocol::Wss(path) => filter.trust_path(&path),
                        _ => {}
                    }
                }
            }
            Bootstrap::Source(Source::Server(url)) => {
                if let Some((host, port)) = authority(url) {
                    filter.trust(host, port);
                }
            }
            Bootstrap::Source(Source::Name(_)) => {}
        }
    }
    filter
}

/// How near a server is that tells addresses: none that it tells may be nearer.
pub fn reach_of_url(url: &str) -> Reach {
    near(url).unwrap_or(Reach::Global)
}

fn near(url: &str) -> Option<Reach> {
    authority(url).and_then(|(host, _)| reach_of_host(host))
}

/// Host and port of a URL, as the page's `URL` has written it.
fn authority(url: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let default = if scheme == "https" { 443 } else { 80 };
    match authority.rsplit_once(':') {
        // Not the colons of an IPv6 address, which stands in brackets.
        Some((host, port)) if !port.ends_with(']') => Some((host, port.parse().ok()?)),
        _ => Some((authority, default)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Bootstrap {
        Bootstrap::Source(Source::Server(url.to_owned()))
    }

    /// Which of these a page dials because somebody told it to.
    fn dialled(filter: &Filter) -> Vec<&'static str> {
        let hosts = ["/ip4/127.0.0.1", "/ip6/::1", "/ip4/192.168.0.9", "/ip4/169.254.169.254", "/ip6/fe80::1", "/ip4/8.8.8.8"];
        let dials = |host: &&str| filter.check(&format!("{host}/tcp/8080/ws").parse().unwrap(), Reach::Loopback).is_ok();
        hosts.into_iter().filter(dials).collect()
    }

    #[test]
    fn where_a_page_is_decides_what_it_may_be_sent_to() {
        let resolver = "https://dns.example/query";
        let name = Bootstrap::Source(Source::Name("/dnsaddr/relays.example".to_owned()));
        let all = ["/ip4/127.0.0.1", "/ip6/::1", "/ip4/192.168.0.9", "/ip4/8.8.8.8"];
        let address = Bootstrap::Address("/ip4/192.168.0.2/tcp/80/ws".parse().unwrap());
        for (bootstrap, resolver, origin, expected) in [
            (vec![server("https://relay.example")], resolver, "https://app.example", &all[3..]),
            (vec![name.clone()], resolver, "", &all[3..]),
            (vec![server("http://192.168.0.2:8080")], resolver, "https://app.example", &all[2..]),
            (vec![address], resolver, "https://app.example", &all[2..]),
            (vec![], resolver, "http://10.0.0.7:8080", &all[2..]),
            (vec![server("http://localhost:8080")], resolver, "http://localhost:8080", &all),
            (vec![server("http://[::1]:8080/")], resolver, "", &all),
            (vec![name], "http://127.0.0.1:5300/dns", "", &all),
        ] {
            let filter = filter(&bootstrap, resolver, origin);
            assert_eq!(dialled(&filter), expected, "{bootstrap:?} at {origin}");
        }
    }

    #[test]
    fn what_the_settings_name_is_dialled_wherever_it_is() {
        let udp = Bootstrap::Address("/dns4/udp.example/udp/443/quic-v1/webtransport".parse().unwrap());
        let behind_a_proxy = Bootstrap::Address("/dns4/site.example/tcp/443/tls/x-parity-ws/%2Frelay".parse().unwrap());
        let filter = filter(&[server("http://relay.example:8080/"), behind_a_proxy, udp], "", "");
        for (address, dialled) in [
            ("/dns4/site.example/tcp/443/tls/x-parity-ws/%2Frelay", true),
            ("/dns4/site.example/tcp/443/tls/x-parity-ws/%2Flogout", false),
            ("/dns4/relay.example/tcp/8080/ws", true),
            ("/dns4/relay.example/udp/8080/quic-v1/webtransport", true),
            ("/dns4/udp.example/udp/443/quic-v1/webtransport", true),
            ("/ip4/192.168.0.1/udp/4001/quic-v1/webtransport", false),
            ("/dns4/relay.example/tcp/8081/ws", false),
            ("/dns4/other.example/tcp/8080/ws", false),
        ] {
            assert_eq!(filter.check(&address.parse().unwrap(), Reach::Loopback).is_ok(), dialled, "{address}");
        }
    }
}

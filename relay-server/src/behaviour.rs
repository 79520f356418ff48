//! What the relay does for its peers: circuits, identify, ping, and the provider half of a Kademlia server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, connection_limits, identify,
    identity::PublicKey,
    kad::{self, store::MemoryStore, store::MemoryStoreConfig},
    multiaddr::Protocol,
    ping, relay,
    swarm::NetworkBehaviour,
};

use crate::{addresses::ip_of, admission::Network, limits, rate::TokenBuckets, settings::Config};

/// Shoal's own DHT: its records follow our rules, so it must not be mixed with IPFS's.
const KAD_PROTOCOL: StreamProtocol = StreamProtocol::new("/shoal/kad/1.0.0");

/// The identify protocol's `protocolVersion`.
const PROTOCOL_VERSION: &str = "/shoal/1.0.0";

/// The behaviours of the swarm.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    relay: relay::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
}

impl Behaviour {
    /// For the relay with `key`, within the limits of `config`.
    pub(crate) fn new(key: &PublicKey, config: &Config, circuits: &CircuitsOfNetworks) -> Self {
        let peer = key.to_peer_id();
        let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), key.clone())
            .with_agent_version(concat!("shoal-relay/", env!("CARGO_PKG_VERSION")).to_owned())
            // The listen address is 0.0.0.0; what can be dialled are the external addresses.
            .with_hide_listen_addrs(true)
            // The relay dials nobody, so it has no use for the addresses that peers tell.
            .with_cache_size(0);
        Self {
            limits: connection_limits::Behaviour::new(connection_limits(config)),
            relay: relay::Behaviour::new(peer, relay_limits(config, circuits)),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(limits::PING)),
            kad: kad(peer),
        }
    }
}

fn connection_limits(config: &Config) -> connection_limits::ConnectionLimits {
    let most = |number: usize| Some(u32::try_from(number).unwrap_or(u32::MAX));
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(most(config.max_pending))
        .with_max_established(most(config.max_connections))
        .with_max_established_per_peer(Some(config.max_connections_per_peer))
}

fn relay_limits(config: &Config, circuits: &CircuitsOfNetworks) -> relay::Config {
    relay::Config {
        max_reservations: config.max_reservations,
        // libp2p refuses above these two numbers, not from them on.
        max_reservations_per_peer: config.max_reservations_per_peer - 1,
        max_circuits_per_peer: config.max_circuits_per_peer - 1,
        reservation_duration: Duration::from_secs(config.reservation_seconds),
        reservation_rate_limiters: vec![
            per_peer(config.reservations_per_minute_per_peer),
            per_network(config.reservations_per_minute_per_network),
        ],
        max_circuits: config.max_circuits,
        max_circuit_duration: Duration::from_secs(config.circuit_seconds),
        max_circuit_bytes: config.circuit_bytes,
        circuit_src_rate_limiters: vec![
            circuits.limiter(config.max_circuits_per_network),
            per_peer(config.circuits_per_minute_per_peer),
            per_network(config.circuits_per_minute_per_network),
        ],
    }
}

fn per_peer(per_minute: u32) -> Box<dyn relay::RateLimiter> {
    let mut buckets = TokenBuckets::new(per_minute, limits::RATE_BUCKETS);
    Box::new(move |peer: PeerId, _: &Multiaddr, now: Instant| buckets.take(peer, now))
}

fn per_network(per_minute: u32) -> Box<dyn relay::RateLimiter> {
    let mut buckets = TokenBuckets::new(per_minute, limits::RATE_BUCKETS);
    Box::new(move |_: PeerId, address: &Multiaddr, now: Instant| ip_of(address).is_some_and(|ip| buckets.take(Network::from(ip), now)))
}

/// How many circuits are open from each network, which libp2p's relay does not count itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct CircuitsOfNetworks(Arc<Mutex<HashMap<Network, usize>>>);

impl CircuitsOfNetworks {
    /// A circuit has been opened from `network`.
    pub(crate) fn opened(&self, network: Network) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(network).or_insert(0) += 1;
    }

    /// One of them has ended.
    pub(crate) fn closed(&self, network: Network) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&network);
            }
        }
    }

    fn limiter(&self, most: usize) -> Box<dyn relay::RateLimiter> {
        let counts = Arc::clone(&self.0);
        Box::new(move |_: PeerId, address: &Multiaddr, _: Instant| {
            let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            ip_of(address).is_some_and(|ip| counts.get(&Network::from(ip)).copied().unwrap_or(0) < most)
        })
    }
}

/// A server that keeps provider records only. Its routing table stays empty until relays know each other: pages are
/// clients, which nobody can dial for a lookup.
fn kad(peer: PeerId) -> kad::Behaviour<MemoryStore> {
    let store = MemoryStore::with_config(
        peer,
        MemoryStoreConfig { max_records: 0, max_value_bytes: 0, max_provided_keys: limits::PROVIDED_KEYS, ..MemoryStoreConfig::default() },
    );
    let mut config = kad::Config::new(KAD_PROTOCOL);
    config
        .set_max_packet_size(limits::KAD_MESSAGE)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_periodic_bootstrap_interval(None)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_caching(kad::Caching::Disabled);
    let mut kad = kad::Behaviour::with_config(peer, store, config);
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

/// What is kept of a provider record that a peer sent about itself: the addresses that can be of use to others. A value
/// record is never kept, since nothing here can tell a right one from a wrong one.
pub(crate) fn worth_keeping(mut record: kad::ProviderRecord) -> kad::ProviderRecord {
    record.addresses.retain(is_of_use_to_others);
    record.addresses.truncate(limits::ADDRESSES_PER_PROVIDER);
    record
}

/// Through a relay, by name, or at a global address. Private ones would send others to their own network's machines.
fn is_of_use_to_others(address: &Multiaddr) -> bool {
    if address.iter().any(|protocol| protocol == Protocol::P2pCircuit) {
        return true;
    }
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => {
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast())
        }
        Some(Protocol::Ip6(ip)) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() || ip.is_unique_local())
        }
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_records_lose_private_addresses_and_surplus_ones() {
        let circuit = "/ip4/127.0.0.1/tcp/8080/ws/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit";
        let mut addresses: Vec<Multiaddr> =
            ["/ip4/10.0.0.1/tcp/22", "/ip6/fd00::1/tcp/22", "/ip4/127.0.0.1/tcp/22", circuit, "/dns4/a.example/tcp/443/wss"]
                .map(|text| text.parse().unwrap())
                .to_vec();
        let provider = PeerId::random();
        let record = |addresses| kad::ProviderRecord::new(kad::RecordKey::new(b"key"), provider, addresses);
        let kept = worth_keeping(record(addresses.clone())).addresses;
        assert_eq!(kept, [circuit, "/dns4/a.example/tcp/443/wss"].map(|text| text.parse::<Multiaddr>().unwrap()));
        addresses.extend((1..=20).map(|port| format!("/ip4/198.51.100.1/tcp/{port}").parse::<Multiaddr>().unwrap()));
        assert_eq!(worth_keeping(record(addresses)).addresses.len(), limits::ADDRESSES_PER_PROVIDER);
    }

    #[test]
    fn circuits_of_a_network_are_bounded() {
        let circuits = CircuitsOfNetworks::default();
        let mut limiter = circuits.limiter(1);
        let address: Multiaddr = "/ip4/192.0.2.1/tcp/1/ws".parse().unwrap();
        let elsewhere: Multiaddr = "/ip4/192.0.2.2/tcp/1/ws".parse().unwrap();
        let network = Network::from(ip_of(&address).unwrap());
        let mut allowed = |address| limiter.try_next(PeerId::random(), address, Instant::now());
        assert!(allowed(&address));
        circuits.opened(network);
        assert!(!allowed(&address) && allowed(&elsewhere));
        circuits.closed(network);
        assert!(allowed(&address));
    }
}

//! What the relay does for its peers: circuits, identify, ping, nearby devices, and the provider half of a Kademlia server. And what it does with other
//! servers, where its settings say so.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, autonat, dcutr, identify,
    identity::PublicKey,
    kad::{self, store::MemoryStore, store::MemoryStoreConfig},
    multiaddr::Protocol,
    ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use shoal_protocol::connections::Network;

use crate::{
    addresses::ip_of,
    health::Health,
    ice, limits,
    liveness::Liveness,
    nearby,
    only::{Inbound, Names, Only},
    outgoing::Permits,
    pong::Pong,
    pool::Pool,
    rate::TokenBuckets,
    reachability::Answers,
    servers,
    settings::Config,
    upnp::Upnp,
};

/// Shoal's own DHT: its records follow our rules, so it must not be mixed with IPFS's.
const KAD_PROTOCOL: StreamProtocol = StreamProtocol::new("/shoal/kad/1.0.0");

/// The identify protocol's `protocolVersion`.
const PROTOCOL_VERSION: &str = "/shoal/1.0.0";

/// The behaviours of the swarm.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) pool: Pool,
    relay: relay::Behaviour,
    identify: identify::Behaviour,
    /// Before `ping`, which knows the same protocol.
    pong: Pong,
    ping: ping::Behaviour,
    liveness: Liveness,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
    nearby: Toggle<nearby::Behaviour>,
    ice: Toggle<ice::Behaviour>,
    pub(crate) servers: servers::Behaviour,
    reached_through: Toggle<Only<relay::client::Behaviour>>,
    pub(crate) upgrades: Toggle<Only<dcutr::Behaviour>>,
    pub(crate) asks: Toggle<Only<autonat::v2::client::Behaviour>>,
    answers: Toggle<Answers>,
    pub(crate) upnp: Toggle<Upnp>,
}

/// What the relay is to its peers, and each of them absent where it is switched off.
pub(crate) struct Services {
    /// Nearby devices.
    pub(crate) nearby: Option<nearby::Behaviour>,
    /// STUN and TURN servers, told to peers.
    pub(crate) ice: Option<ice::Behaviour>,
    /// Other servers.
    pub(crate) servers: servers::Behaviour,
    /// Circuits by which others reach this server, and it them.
    pub(crate) circuits: Option<relay::client::Behaviour>,
}

/// What the behaviours share with each other.
pub(crate) struct Shared {
    /// Who is a server.
    pub(crate) names: Names,
    /// What may be dialled.
    pub(crate) permits: Permits,
    /// The numbers.
    pub(crate) health: Arc<Health>,
}

impl Behaviour {
    /// For the relay with `key`, within the limits of `config`.
    pub(crate) fn new(key: &PublicKey, config: &Config, occupancy: &Occupancy, services: Services, shared: &Shared) -> Self {
        let peer = key.to_peer_id();
        let Shared { names, permits, health } = shared;
        let upgrades = (services.circuits.is_some() && config.hole_punching).then(|| dcutr::Behaviour::new(peer));
        let asks = config.autonat.asks().then(autonat::v2::client::Behaviour::default);
        let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), key.clone())
            .with_agent_version(concat!("shoal-relay/", env!("CARGO_PKG_VERSION")).to_owned())
            // The listen address is 0.0.0.0; what can be dialled are the external addresses.
            .with_hide_listen_addrs(true)
            // Of what peers tell of their addresses, nothing is dialled.
            .with_cache_size(0);
        Self {
            pool: Pool::new(config),
            relay: relay::Behaviour::new(peer, relay_limits(config, occupancy)),
            identify: identify::Behaviour::new(identify),
            pong: Pong,
            ping: ping::Behaviour::new(ping(config.silent_seconds)),
            liveness: Liveness::default(),
            kad: kad(peer),
            nearby: services.nearby.into(),
            ice: services.ice.into(),
            servers: services.servers,
            reached_through: services.circuits.map(|circuits| Only::new(circuits, Inbound::Servers, names)).into(),
            upgrades: upgrades.map(|upgrades| Only::new(upgrades, Inbound::Circuits, names)).into(),
            asks: asks.map(|asks| Only::new(asks, Inbound::Programs, names)).into(),
            answers: config.autonat.answers().then(|| Answers::new(config, names, permits, health)).into(),
            upnp: config.upnp.then(Upnp::new).into(),
        }
    }
}

/// libp2p forgives the first silence: a peer is dead after two waits, one patience, and [`limits::NEGOTIATION`] for the second question's stream.
fn ping(silent_seconds: u64) -> ping::Config {
    let third = Duration::from_secs(silent_seconds).saturating_sub(limits::NEGOTIATION) / 3;
    ping::Config::new().with_interval(third).with_timeout(third)
}

fn relay_limits(config: &Config, occupancy: &Occupancy) -> relay::Config {
    relay::Config {
        // libp2p refuses renewals too once this is reached; `Occupancy` holds the limit instead.
        max_reservations: usize::MAX,
        // libp2p refuses above these two numbers, not from them on.
        max_reservations_per_peer: config.max_reservations_per_peer - 1,
        max_circuits_per_peer: config.max_circuits_per_peer - 1,
        reservation_duration: Duration::from_secs(config.reservation_seconds),
        reservation_rate_limiters: vec![
            per_peer(config.reservations_per_minute_per_peer),
            per_network(config.reservations_per_minute_per_network),
            // The last one, because it grants a place.
            occupancy.reservations(config.max_reservations),
        ],
        max_circuits: config.max_circuits,
        max_circuit_duration: Duration::from_secs(config.circuit_seconds),
        max_circuit_bytes: config.circuit_bytes,
        circuit_src_rate_limiters: vec![
            occupancy.circuits(config.max_circuits_per_network),
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

/// Who holds reservations, and how many circuits are open from each network: what libp2p's relay does not limit, or not
/// well. Shared between its limiters and the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct Occupancy(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    /// Bounded by the limit of reservations.
    reserved: HashSet<PeerId>,
    /// Never an entry of 0: bounded by the limit of circuits.
    circuits: HashMap<Network, usize>,
}

impl Occupancy {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `peer` no longer holds a reservation.
    pub(crate) fn unreserved(&self, peer: &PeerId) {
        self.places().reserved.remove(peer);
    }

    /// A circuit has been opened from `network`.
    pub(crate) fn circuit_opened(&self, network: Network) {
        *self.places().circuits.entry(network).or_insert(0) += 1;
    }

    /// One of them has ended.
    pub(crate) fn circuit_closed(&self, network: Network) {
        let circuits = &mut self.places().circuits;
        if let Some(count) = circuits.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                circuits.remove(&network);
            }
        }
    }

    /// Grants places to `most` peers; who has one, keeps it.
    fn reservations(&self, most: usize) -> Box<dyn relay::RateLimiter> {
        let occupancy = self.clone();
        Box::new(move |peer: PeerId, _: &Multiaddr, _: Instant| {
            let reserved = &mut occupancy.places().reserved;
            let granted = reserved.len() < most || reserved.contains(&peer);
            if granted {
                reserved.insert(peer);
            }
            granted
        })
    }

    /// Allows circuits while fewer than `most` are open from the same network.
    fn circuits(&self, most: usize) -> Box<dyn relay::RateLimiter> {
        let occupancy = self.clone();
        Box::new(move |_: PeerId, address: &Multiaddr, _: Instant| {
            ip_of(address).is_some_and(|ip| occupancy.places().circuits.get(&Network::from(ip)).copied().unwrap_or(0) < most)
        })
    }
}

/// Whether a peer that speaks these protocols is a server like this one.
pub(crate) fn is_server(protocols: &[StreamProtocol]) -> bool {
    protocols.contains(&KAD_PROTOCOL) && protocols.contains(&relay::HOP_PROTOCOL_NAME)
}

/// A server that keeps provider records only. Its routing table has the other servers that its settings name or its link shows: pages are
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

/// What is kept of a provider record that a peer sent about itself: the addresses that can be of use to others. `own` are
/// the relay's addresses. A value record is never kept, since nothing here can tell a right one from a wrong one.
pub(crate) fn worth_keeping(mut record: kad::ProviderRecord, own: &[Multiaddr]) -> kad::ProviderRecord {
    record.addresses.retain(|address| is_global(address) || is_through(own, address));
    record.addresses.truncate(limits::ADDRESSES_PER_PROVIDER);
    record
}

/// Whether it leads through this relay, whose address may well be a private one.
fn is_through(own: &[Multiaddr], address: &Multiaddr) -> bool {
    let base: Multiaddr = address.iter().take_while(|protocol| !matches!(protocol, Protocol::P2p(_))).collect();
    own.contains(&base) && address.iter().any(|protocol| protocol == Protocol::P2pCircuit)
}

/// By name, or at a global IP address. A private one would send others to the machines of their own network.
pub(crate) fn is_global(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64; // 100.64.0.0/10, RFC 6598
            let reserved = ip.octets()[0] == 0 || ip.octets()[0] >= 224;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared || reserved)
        }
        Some(Protocol::Ip6(ip)) if ip.to_ipv4_mapped().is_none() => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() || ip.is_unique_local())
        }
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn provider_records_lose_private_addresses_and_surplus_ones() {
        let own = address("/ip4/192.168.0.2/tcp/8080/ws");
        let circuit = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit";
        let through_us = address(&format!("{own}{circuit}"));
        let through_another = address(&format!("/dns4/a.example/tcp/443/wss{circuit}"));
        let mut addresses = vec![through_us.clone(), through_another.clone()];
        for private in [
            "/ip4/10.0.0.1/tcp/22",
            "/ip6/fd00::1/tcp/22",
            "/ip4/127.0.0.1/tcp/22",
            "/ip4/100.64.0.1/tcp/22",
            "/ip6/::ffff:10.0.0.1/tcp/22",
        ] {
            addresses.extend([address(private), address(&format!("{private}{circuit}"))]);
        }
        addresses.push(own.clone());
        let record = |addresses| kad::ProviderRecord::new(kad::RecordKey::new(b"key"), PeerId::random(), addresses);
        let kept = worth_keeping(record(addresses), std::slice::from_ref(&own)).addresses;
        assert_eq!(kept, [through_us, through_another]);
        let many = (1..=20).map(|port| address(&format!("/ip4/198.51.100.1/tcp/{port}"))).collect();
        assert_eq!(worth_keeping(record(many), &[]).addresses.len(), limits::ADDRESSES_PER_PROVIDER);
    }

    #[test]
    fn circuits_of_a_network_are_bounded() {
        let occupancy = Occupancy::default();
        let mut limiter = occupancy.circuits(1);
        let (here, elsewhere) = (address("/ip4/192.0.2.1/tcp/1/ws"), address("/ip4/192.0.2.2/tcp/1/ws"));
        let network = Network::from(ip_of(&here).unwrap());
        let mut allowed = |address| limiter.try_next(PeerId::random(), address, Instant::now());
        assert!(allowed(&here));
        occupancy.circuit_opened(network);
        assert!(!allowed(&here) && allowed(&elsewhere));
        occupancy.circuit_closed(network);
        assert!(allowed(&here));
    }

    #[test]
    fn a_full_relay_still_renews() {
        let occupancy = Occupancy::default();
        let mut limiter = occupancy.reservations(2);
        let here = address("/ip4/192.0.2.1/tcp/1/ws");
        let peers = [PeerId::random(), PeerId::random(), PeerId::random()];
        let mut granted = |peer| limiter.try_next(peer, &here, Instant::now());
        assert!(granted(peers[0]) && granted(peers[1]) && !granted(peers[2]));
        assert!(granted(peers[0]), "a renewal");
        occupancy.unreserved(&peers[1]);
        assert!(granted(peers[2]) && !granted(peers[1]));
    }
}

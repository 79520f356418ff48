//! What this node speaks on every connection.
#![allow(missing_docs, reason = "the derive makes an enum of events without them")]

pub mod pool;
pub mod streams;

use std::time::Duration;

use libp2p::{StreamProtocol, identify, identity::Keypair, ping, relay, swarm::NetworkBehaviour};
use shoal_protocol::connections::Limits;

use crate::{config::Config, perf::PERF};

/// Our streams between Shoal peers: see `crates/protocol/docs/session.md`.
pub const SESSION: StreamProtocol = StreamProtocol::new("/shoal/session/1.0.0");

/// libp2p's ping, on streams of our own where an answer is needed now: `ping::Behaviour` asks by its own timer only.
pub const PING: StreamProtocol = ping::PROTOCOL_NAME;

/// How often a peer is asked whether it still lives, and how long it may take to answer. libp2p forgives the first silence, and waits ten
/// seconds for a new stream after it: who vanishes without a word is noticed after 35 seconds at most.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// See [`PING_INTERVAL`].
pub const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// All behaviours of a node in a page.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    /// Which connections stand. The first, so that what it refuses reaches nobody else.
    pub pool: pool::Behaviour,
    /// Reservations at relays and circuits through them.
    pub relay: relay::client::Behaviour,
    /// Direct connections to other pages.
    pub webrtc: shoal_webrtc::Behaviour,
    /// Who a peer is and what it speaks.
    pub identify: identify::Behaviour,
    /// Round-trip times, and dead connections noticed.
    pub ping: ping::Behaviour,
    /// Our own streams.
    pub streams: streams::Behaviour,
}

impl Behaviour {
    /// The behaviours of a node with this key and configuration.
    pub fn new(key: &Keypair, config: &Config, relay: relay::client::Behaviour, webrtc: shoal_webrtc::Behaviour) -> Self {
        // A quarter for our own dials: strangers alone must not keep this node from whom it wants. Of the rest at least two can be pruned.
        let total = config.max_connections;
        let limits = Limits {
            total,
            kept_for_dialling: total / 4,
            protected: total.saturating_sub(2),
            idle: config.idle_timeout(),
            ..Limits::default()
        };
        let agent = format!("{}/{}", config.metadata.client, config.metadata.version);
        Self {
            pool: pool::Behaviour::new(limits),
            relay,
            webrtc,
            identify: identify::Behaviour::new(identify::Config::new("/shoal/1.0.0".to_owned(), key.public()).with_agent_version(agent)),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
            streams: streams::Behaviour::new(vec![SESSION, PERF]),
        }
    }
}

//! What this node speaks on every connection.
#![allow(missing_docs, reason = "the derive makes an enum of events without them")]

pub mod streams;

use libp2p::{StreamProtocol, connection_limits, identify, identity::Keypair, ping, relay, swarm::NetworkBehaviour};

use crate::{config::Config, perf::PERF};

/// Our streams between Shoal peers: see `crates/protocol/docs/session.md`.
pub const SESSION: StreamProtocol = StreamProtocol::new("/shoal/session/1.0.0");

/// libp2p's ping, on streams of our own where an answer is needed now: `ping::Behaviour` asks by its own timer only.
pub const PING: StreamProtocol = ping::PROTOCOL_NAME;

/// All behaviours of a node in a page.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    /// Refuses connections beyond the configured number.
    pub limits: connection_limits::Behaviour,
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
        // A peer holds a relayed and a direct connection for a while, and both sides may dial at once.
        let per_peer = 4;
        let total = u32::try_from(config.max_connections).unwrap_or(u32::MAX).saturating_mul(2);
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_established_per_peer(Some(per_peer))
            .with_max_established(Some(total))
            .with_max_pending_incoming(Some(64))
            .with_max_pending_outgoing(Some(64));
        let agent = format!("{}/{}", config.metadata.client, config.metadata.version);
        Self {
            limits: connection_limits::Behaviour::new(limits),
            relay,
            webrtc,
            identify: identify::Behaviour::new(identify::Config::new("/shoal/1.0.0".to_owned(), key.public()).with_agent_version(agent)),
            ping: ping::Behaviour::new(ping::Config::new()),
            streams: streams::Behaviour::new(vec![SESSION, PERF]),
        }
    }
}

//! WebTransport: the listener of `shoal-webtransport` within the relay's limits, what its streams carry counted like everything else.

use std::{sync::Arc, time::Duration};

use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
    multiaddr::Protocol,
};
use shoal_webtransport::{Lasting, Transport};

use crate::{
    counted::Counted,
    health::{Agreed, Health},
    settings::Config,
};

/// What a listener of these settings allows.
fn allowed(config: &Config) -> shoal_webtransport::Config {
    shoal_webtransport::Config {
        handshake_timeout: Duration::from_secs(config.handshake_seconds),
        handshakes: config.max_pending,
        handshakes_per_network: config.max_pending_per_network,
        handshakes_unproven: config.max_pending / 4,
        idle_timeout: Duration::from_secs(config.silent_seconds),
        streams: u32::try_from(config.max_streams_per_connection).unwrap_or(u32::MAX),
        ..shoal_webtransport::Config::default()
    }
}

/// The transport, and those of its addresses that are worth keeping.
pub(crate) fn transport(config: &Config, key: &Keypair, health: Arc<Health>) -> (Boxed<(PeerId, StreamMuxerBox)>, Lasting) {
    let transport = Transport::new(key.clone(), allowed(config));
    let lasting = transport.lasting();
    let counted = move |(peer, connection), _| {
        tracing::debug!(%peer, security = "TLS 1.3, Noise", muxer = "WebTransport", "negotiated");
        health.agreed(Agreed::WebTransport);
        (peer, StreamMuxerBox::new(Counted::new(connection, Arc::clone(&health))))
    };
    (transport.map(counted).boxed(), lasting)
}

/// What an operator says where pages reach the relay, with the hashes of certificates, which are those of any address of the relay.
pub(crate) fn with_hashes_of(address: &Multiaddr, like: &Multiaddr) -> Multiaddr {
    let hashes = like.iter().filter(|part| matches!(part, Protocol::Certhash(_)));
    hashes.fold(address.clone(), |address, hash| address.with(hash))
}

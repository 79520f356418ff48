//! WebRTC for who dials it: the listener of `shoal-webrtc` within the relay's limits, what its streams carry counted like everything else.

use std::{sync::Arc, time::Duration};

use libp2p::{
    PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
};
use shoal_webrtc::{Error, Transport};

use crate::{
    counted::Counted,
    health::{Agreed, Health},
    settings::Config,
};

/// What a listener of these settings allows.
fn allowed(config: &Config) -> shoal_webrtc::Config {
    shoal_webrtc::Config {
        handshake_timeout: Duration::from_secs(config.handshake_seconds),
        handshakes: config.max_pending,
        handshakes_per_network: config.max_pending_per_network,
        checks_per_network: config.max_pending_per_network * 2,
        idle_timeout: Duration::from_secs(config.silent_seconds),
        streams: config.max_streams_per_connection,
        ..shoal_webrtc::Config::default()
    }
}

/// The transport.
///
/// # Errors
/// Where there is no certificate, which is no matter of settings.
pub(crate) fn transport(config: &Config, key: &Keypair, health: Arc<Health>) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Error> {
    let transport = Transport::new(key.clone(), allowed(config))?;
    let counted = move |(peer, connection), _| {
        tracing::debug!(%peer, security = "DTLS, Noise", muxer = "data channels", "negotiated");
        health.agreed(Agreed::WebRtcDirect);
        (peer, StreamMuxerBox::new(Counted::new(connection, Arc::clone(&health))))
    };
    Ok(transport.map(counted).boxed())
}

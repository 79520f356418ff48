//! Builds the libp2p swarm of a page: which transport takes which address, in which order.
//!
//! ```text
//!   …/p2p-circuit/webrtc/p2p/B   ──► WebRTC      (must stand first: the relay transport swallows whatever follows /p2p-circuit)
//!   /ip4/…/udp/…/webtransport/…  ──► WebTransport, secured by itself
//!   /ip4/…/udp/…/webrtc-direct/… ──► WebRTC-direct, secured by itself
//!   …/p2p-circuit/p2p/B          ──► relay       ──► Noise ──► yamux
//!   /ip4/…/tcp/…/ws              ──► WebSocket   ──► Noise ──► yamux
//! ```
//!
//! `SwarmBuilder` composes them the other way round, without a dial timeout for hand-made transports, so this is done by hand.

use std::time::Duration;

use libp2p::{
    PeerId, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::timeout::TransportTimeout, upgrade::Version},
    identity::Keypair,
    noise, relay, swarm, yamux,
};
use shoal_protocol::addresses::Filter;
use shoal_webrtc::Older;
use web_sys::MessagePort;

use crate::{
    behaviour::Behaviour,
    config::{Config, IceTransportPolicy},
    error::Error,
    transport::{noise::Noise, race::Race, webrtc_direct, websocket, webtransport},
};

/// A connection on which nothing of ours runs is closed after this: long enough for a signalling exchange to be repeated.
const IDLE: Duration = Duration::from_secs(30);
/// Streams one peer may have open on a yamux connection: sessions multiplex, so a page needs few.
const YAMUX_STREAMS: usize = 64;

/// Builds the swarm; nothing is dialled yet.
///
/// # Errors
/// [`Error::Internal`] where the key is unusable.
pub fn build(
    key: &Keypair,
    config: &Config,
    filter: Filter,
    (race, older): (Race, Older),
    shim: MessagePort,
) -> Result<Swarm<Behaviour>, Error> {
    let local = PeerId::from(key.public());
    let (relay_transport, relay_behaviour) = relay::client::new(local);
    let (webrtc_transport, webrtc_behaviour) = shoal_webrtc::new(local, shim, webrtc_config(config));

    let noise = noise::Config::new(key).map_err(|error| Error::Internal(format!("the key cannot be used: {error}")))?;
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(YAMUX_STREAMS);
    // Circuits and sockets are secured as one type, or Noise and yamux would be compiled once for each of them.
    let secured = relay_transport
        .or_transport(websocket::Transport::new(config.websocket.then(|| filter.clone()), race.clone()))
        .upgrade(Version::V1Lazy)
        .authenticate(Noise(noise))
        .multiplex(muxer)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let direct = webrtc_direct::Transport::new(webrtc_transport.to_servers(key, older), config.webrtc_direct.then(|| filter.clone()));
    let transport = webrtc_transport
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .or_transport(webtransport::Transport::new(key, config.webtransport.then_some(filter), race))
        .map(|either, _| either.into_inner())
        .or_transport(direct)
        .map(|either, _| either.into_inner())
        .or_transport(secured)
        .map(|either, _| either.into_inner());
    let transport = TransportTimeout::new(transport, config.timeout()).boxed();

    let behaviour = Behaviour::new(key, config, relay_behaviour, webrtc_behaviour);
    let settings = swarm::Config::with_wasm_executor().with_idle_connection_timeout(IDLE);
    Ok(Swarm::new(transport, behaviour, local, settings))
}

fn webrtc_config(config: &Config) -> shoal_webrtc::Config {
    let server = |server: &crate::config::IceServer| shoal_webrtc::IceServer {
        urls: server.urls.clone(),
        username: server.username.clone(),
        credential: server.credential.clone(),
    };
    shoal_webrtc::Config {
        ice_servers: config.ice_servers.iter().map(server).collect(),
        relay_only: config.ice_transport_policy == IceTransportPolicy::Relay,
        negotiation_timeout: config.timeout(),
        max_connections: config.max_connections,
        ..shoal_webrtc::Config::default()
    }
}

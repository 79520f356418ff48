//! What the peer can do, and how it is reached.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, dcutr, identify,
    identity::Keypair,
    noise, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};

/// Answers a size of eight bytes with so many.
pub(crate) const BYTES: StreamProtocol = StreamProtocol::new("/shoal/network-test/1.0.0");
/// A port, by TCP and UDP, that both the relay and the other peer see.
const PORT: u16 = 4_001;
/// The most that is sent at once.
const CHUNK: usize = 65_536;

/// The protocols.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    dcutr: dcutr::Behaviour,
    pub(crate) stream: libp2p_stream::Behaviour,
}

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How many addresses the relay said that it sees us by.
    pub(crate) observed: usize,
    /// Whether the relay holds a place for us.
    pub(crate) reserved: bool,
    /// When the first direct connection to a peer stood, and its address.
    pub(crate) direct: BTreeMap<PeerId, (Instant, Multiaddr)>,
    /// To whom there is no direct way, as DCUtR found out.
    pub(crate) gave_up: BTreeSet<PeerId>,
    /// By which addresses we are seen, and what went wrong.
    pub(crate) notes: Vec<String>,
}

/// What is shared with who asks.
pub(crate) type Shared = Arc<Mutex<Seen>>;

/// Looks.
pub(crate) fn look(seen: &Shared) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A swarm that listens.
pub(crate) fn swarm() -> Result<Swarm<Behaviour>, String> {
    let build = || -> Result<Swarm<Behaviour>, Box<dyn std::error::Error>> {
        let mut swarm = SwarmBuilder::with_existing_identity(Keypair::generate_ed25519())
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
            .with_quic()
            .with_relay_client(noise::Config::new, yamux::Config::default)?
            .with_behaviour(|key, relay| {
                let id = key.public().to_peer_id();
                let identify = identify::Behaviour::new(identify::Config::new("/shoal/network-test/1.0.0".to_owned(), key.public()));
                Behaviour { relay, identify, dcutr: dcutr::Behaviour::new(id), stream: libp2p_stream::Behaviour::new() }
            })?
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        swarm.listen_on(format!("/ip4/0.0.0.0/udp/{PORT}/quic-v1").parse()?)?;
        swarm.listen_on(format!("/ip4/0.0.0.0/tcp/{PORT}").parse()?)?;
        Ok(swarm)
    };
    build().map_err(|error| error.to_string())
}

/// Notes what happens.
pub(crate) fn note(event: SwarmEvent<BehaviourEvent>, seen: &Shared) {
    let mut seen = look(seen);
    match event {
        SwarmEvent::Behaviour(BehaviourEvent::Relay(relay::client::Event::ReservationReqAccepted { .. })) => seen.reserved = true,
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { info, .. })) => {
            seen.observed += 1;
            seen.notes.push(format!("seen as {}", info.observed_addr));
        }
        SwarmEvent::Behaviour(BehaviourEvent::Dcutr(dcutr::Event { remote_peer_id, result: Err(error) })) => {
            seen.gave_up.insert(remote_peer_id);
            seen.notes.push(error.to_string());
        }
        SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } if !endpoint.is_relayed() => {
            seen.direct.entry(peer_id).or_insert_with(|| (Instant::now(), endpoint.get_remote_address().clone()));
        }
        SwarmEvent::OutgoingConnectionError { error, .. } => seen.notes.push(error.to_string()),
        _ => {}
    }
}

/// Answers everybody who asks for bytes.
pub(crate) async fn serve(mut asking: libp2p_stream::IncomingStreams) {
    while let Some((_, mut stream)) = asking.next().await {
        tokio::spawn(async move {
            let mut size = [0; 8];
            stream.read_exact(&mut size).await?;
            let (mut left, chunk) = (u64::from_be_bytes(size), vec![7; CHUNK]);
            while left > 0 {
                let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                stream.write_all(&chunk[..length]).await?;
                left -= length as u64;
            }
            stream.close().await
        });
    }
}

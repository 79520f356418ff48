//! The process from its start to its end: key, port, swarm, and the one loop that all events go through.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures::StreamExt as _;
use libp2p::{
    PeerId, Swarm, TransportError,
    core::{Multiaddr, muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
    kad::{self, store::RecordStore as _},
    noise, ping, relay, swarm,
    swarm::SwarmEvent,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shoal_webtransport::Lasting;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use tracing::{debug, info, warn};

use crate::{
    addresses::{self, Addresses},
    admission::{Door, Gate, Visitors},
    behaviour::{Behaviour, BehaviourEvent, Occupancy, worth_keeping},
    health::Health,
    http::{self, Site},
    identity::{self, IdentityError},
    ledger::Ledger,
    limits,
    nearby::{self, Vantage},
    settings::{Config, LogFormat, Nearby},
    stun,
    websocket::{Bounds, Transport},
    webtransport,
};

/// The relay could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// See there.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The port is taken, or not ours to take.
    #[error("setting listen = {listen}: {error}: choose another address or port, or end the program that has it")]
    Listen {
        /// What was asked for.
        listen: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
    /// WebTransport cannot be offered.
    #[error("setting webtransport = {socket}: {error}: choose another address or port, or \"off\"")]
    WebTransport {
        /// Where.
        socket: SocketAddr,
        /// Why.
        error: String,
    },
    /// STUN cannot be offered.
    #[error("setting stun = {socket}: {error}: choose another address or port, or \"off\"")]
    Stun {
        /// Where.
        socket: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
    /// The process lacks something that every process has.
    #[error("cannot start: {0}")]
    System(io::Error),
}

/// Is the relay until it is told to stop (SIGTERM or SIGINT).
pub(crate) fn run(config: &Config) -> Result<(), ServerError> {
    start_log(config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServerError::System)?;
    let outcome = runtime.block_on(serve(config));
    runtime.shutdown_timeout(limits::SHUTDOWN);
    outcome
}

fn start_log(config: &Config) {
    // `config::check` has parsed it before.
    let filter = tracing_subscriber::EnvFilter::builder().parse_lossy(&config.log);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match config.log_format {
        LogFormat::Human => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

async fn serve(config: &Config) -> Result<(), ServerError> {
    raise_open_files(config);
    let key = identity::load_or_create(&config.data_dir)?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| ServerError::Listen { listen: config.listen, error })?;
    let listen = listener.local_addr().map_err(ServerError::System)?;
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [terminate, interrupt] = signals.map(|signal| signal.map_err(ServerError::System));
    let mut stop = Stop { terminate: terminate?, interrupt: interrupt? };

    let health = Arc::new(Health::new());
    let addresses = Addresses::default();
    let (arrivals, arriving) = mpsc::channel(limits::ARRIVALS);
    let vantage = Vantage::new(config);
    let visitors = Visitors::new();
    let site = Site {
        peer: key.public().to_peer_id(),
        addresses: addresses.clone(),
        health: Arc::clone(&health),
        trust_proxy: config.trust_proxy,
        // All connections of a proxy come from one address: bounding its clients is the proxy's task.
        connections: Gate::new(
            sockets(config),
            if config.trust_proxy {
                sockets(config)
            } else {
                config.max_connections_per_network + config.max_pending_per_network + limits::SILENT_PER_NETWORK
            },
        ),
        silent: Door::new(limits::SILENT, limits::SILENT_PER_NETWORK, &visitors),
        handshakes: Door::new(config.max_pending, config.max_pending_per_network, &visitors),
        vantage: vantage.clone(),
        arrivals,
    };
    if let Some(socket) = config.stun.socket(listen) {
        let offered = stun::serve(socket, config.stun_per_minute_per_network, Arc::clone(&health)).await;
        offered.map_err(|error| ServerError::Stun { socket, error })?;
    }
    let noise = noise::Config::new(&key).map_err(|error| ServerError::System(io::Error::other(error)))?;
    let bounds = Bounds { handshake: Duration::from_secs(config.handshake_seconds), streams: config.max_streams_per_connection };
    let transport = Transport::new(arriving, noise, Arc::clone(&health), bounds);
    let transports = webtransport::beside(transport, config, &key, Arc::clone(&health));
    let nearby = (config.nearby != Nearby::Off).then(|| nearby::Behaviour::new(config, vantage, Arc::clone(&health)));
    let occupancy = Occupancy::default();
    let behaviour = Behaviour::new(&key.public(), config, &occupancy, nearby);
    let mut relay = Relay::new(config, listen, &key, transports, behaviour, Ledger::new(occupancy, health), addresses)?;
    relay.update_addresses();
    let web = tokio::spawn(http::serve(listener, site, config.web_root.clone()));
    info!(peer = %key.public().to_peer_id(), %listen, addresses = ?relay.addresses.current(), "ready");
    say_ready(listen);
    relay.run(&mut stop).await;
    web.abort();
    relay.close().await;
    info!("stopped");
    Ok(())
}

/// Sockets at once: those that are authenticated, and those on their way, so that a newcomer can take the place of an unused one.
fn sockets(config: &Config) -> usize {
    config.max_connections + config.max_pending + limits::SILENT
}

/// Takes as many file descriptors as the system grants, since every connection needs one.
fn raise_open_files(config: &Config) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let open_files = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let needed = sockets(config) as u64 + limits::OWN_FILES;
    if let Some(open_files) = open_files.filter(|open_files| *open_files < needed) {
        warn!(open_files, needed, remedy = "raise `ulimit -Hn`, or lower max_connections", "too few open files allowed");
    }
}

/// For whoever started it, by hand or in a script: the first line carries the URL to open.
fn say_ready(listen: SocketAddr) {
    let urls: Vec<_> =
        addresses::reachable_ips(listen).into_iter().map(|ip| format!("http://{}/", SocketAddr::new(ip, listen.port()))).collect();
    let mut text = format!("Shoal relay {} ready: {}\n", env!("CARGO_PKG_VERSION"), urls.first().map_or("", String::as_str));
    for url in urls.iter().skip(1) {
        text.push_str(&format!("  also at {url}\n"));
    }
    let mut stdout = io::stdout().lock();
    // Nobody reads it: not a reason to stop.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Why a peer's connections are kept: it can be reached through the relay, …
const RESERVED: &str = "reservation";
/// … or it is the end of a circuit.
const CIRCUIT: &str = "circuit";

/// The swarm and what is known about it.
struct Relay {
    swarm: Swarm<Behaviour>,
    ledger: Ledger,
    addresses: Addresses,
    listen: SocketAddr,
    /// What the operator says; empty: look at the interfaces.
    external: Vec<Multiaddr>,
    /// Where WebTransport listens now, with this certificate's hash and the next one's.
    web_transport: Vec<Multiaddr>,
    /// The same, with those of many certificates to come.
    lasting: Lasting,
}

impl Relay {
    fn new(
        config: &Config,
        listen: SocketAddr,
        key: &Keypair,
        (transport, lasting): (Boxed<(PeerId, StreamMuxerBox)>, Lasting),
        behaviour: Behaviour,
        ledger: Ledger,
        addresses: Addresses,
    ) -> Result<Self, ServerError> {
        let swarm_config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(config.idle_seconds));
        let mut swarm = Swarm::new(transport, behaviour, key.public().to_peer_id(), swarm_config);
        let address = addresses::web_socket(listen.ip(), listen.port());
        swarm.listen_on(address).map_err(|error| ServerError::System(io::Error::other(error)))?;
        if let Some(socket) = config.webtransport.socket(listen) {
            let refused = |error: TransportError<io::Error>| ServerError::WebTransport { socket, error: error.to_string() };
            swarm.listen_on(shoal_webtransport::address_of(socket)).map_err(refused)?;
        }
        Ok(Self { swarm, ledger, addresses, listen, external: config.external.0.clone(), web_transport: Vec::new(), lasting })
    }

    /// Makes the addresses that are announced those that are true now.
    fn update_addresses(&mut self) {
        let now = self.reached_at(&self.web_transport);
        let before = self.addresses.replace(now.clone(), self.reached_at(&self.lasting.current()));
        if before == now {
            return;
        }
        for gone in before.iter().filter(|address| !now.contains(address)) {
            self.swarm.remove_external_address(gone);
        }
        for address in now.into_iter().filter(|address| !before.contains(address)) {
            self.swarm.add_external_address(address);
        }
    }

    /// Where pages reach the relay, given where WebTransport listens.
    fn reached_at(&self, web_transport: &[Multiaddr]) -> Vec<Multiaddr> {
        if self.external.is_empty() {
            return addresses::of_interfaces(self.listen).into_iter().chain(web_transport.iter().cloned()).collect();
        }
        let hashed = |address: &Multiaddr| match web_transport.first() {
            Some(like) if webtransport::is_web_transport(address) => webtransport::with_hashes_of(address, like),
            _ => address.clone(),
        };
        self.external.iter().map(hashed).collect()
    }

    async fn run(&mut self, stop: &mut Stop) {
        let mut interface_check = interval(limits::INTERFACE_CHECK);
        interface_check.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                _ = interface_check.tick() => self.update_addresses(),
                () = stop.told() => return,
            }
        }
    }

    /// Says goodbye to everybody, for a short while.
    async fn close(mut self) {
        let deadline = Instant::now() + limits::SHUTDOWN;
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // Only fails for a peer that has just left.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        while self.swarm.network_info().num_peers() > 0 {
            if timeout_at(deadline, self.swarm.select_next_some()).await.is_err() {
                return;
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                debug!(peer = %peer_id, address = %endpoint.get_remote_address(), "connected");
                self.ledger.connected(peer_id, addresses::ip_of(endpoint.get_remote_address()).map(Into::into));
            }
            SwarmEvent::ConnectionClosed { peer_id, cause, num_established, .. } => {
                if num_established == 0 {
                    self.release(peer_id, RESERVED);
                    self.release(peer_id, CIRCUIT);
                }
                debug!(peer = %peer_id, cause = ?cause, "disconnected");
                self.ledger.disconnected(peer_id);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                debug!(address = %send_back_addr, %error, "handshake failed");
                if let swarm::ListenError::Denied { .. } = error {
                    self.ledger.refused();
                }
            }
            SwarmEvent::NewListenAddr { address, .. } if webtransport::is_web_transport(&address) => {
                self.web_transport.push(address);
                self.update_addresses();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.web_transport.retain(|known| *known != address);
                self.update_addresses();
            }
            SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => self.on_relay(event),
            SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::InboundRequest { request })) => self.on_kad(request),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(failure) })) => match failure {
                ping::Failure::Unsupported => {}
                // A page that vanished without a word would keep its reservation until TCP gives up, a quarter of an hour. It is told as a
                // failed negotiation: the second question goes on a new stream.
                ping::Failure::Timeout | ping::Failure::Other { .. } => {
                    debug!(%peer, %failure, "silent");
                    self.swarm.close_connection(connection);
                }
            },
            _ => {}
        }
    }

    fn release(&mut self, peer: PeerId, tag: &'static str) {
        self.swarm.behaviour_mut().pool.release(peer, tag);
    }

    fn on_relay(&mut self, event: relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, renewed } => {
                debug!(peer = %src_peer_id, renewed, "reservation");
                self.ledger.reserved(src_peer_id);
                self.swarm.behaviour_mut().pool.protect(src_peer_id, RESERVED);
            }
            relay::Event::ReservationTimedOut { src_peer_id } => {
                debug!(peer = %src_peer_id, "reservation expired");
                self.ledger.unreserved(src_peer_id);
                self.release(src_peer_id, RESERVED);
            }
            relay::Event::ReservationReqDenied { src_peer_id, status } => {
                debug!(peer = %src_peer_id, ?status, "reservation refused");
                self.ledger.refused();
            }
            relay::Event::CircuitReqAccepted { src_peer_id, dst_peer_id } => {
                debug!(from = %src_peer_id, to = %dst_peer_id, "circuit opened");
                self.ledger.circuit_opened(src_peer_id, dst_peer_id);
                for peer in [src_peer_id, dst_peer_id] {
                    self.swarm.behaviour_mut().pool.protect(peer, CIRCUIT);
                }
            }
            relay::Event::CircuitClosed { src_peer_id, dst_peer_id, error } => {
                debug!(from = %src_peer_id, to = %dst_peer_id, ?error, "circuit closed");
                self.ledger.circuit_closed(src_peer_id, dst_peer_id);
                for peer in [src_peer_id, dst_peer_id] {
                    if !self.ledger.has_circuit(&peer) {
                        self.release(peer, CIRCUIT);
                    }
                }
            }
            relay::Event::CircuitReqDenied { src_peer_id, dst_peer_id, status } => {
                debug!(from = %src_peer_id, to = %dst_peer_id, ?status, "circuit refused");
                if let relay::StatusCode::ResourceLimitExceeded = status {
                    self.ledger.refused();
                }
            }
            event => debug!(?event, "relay"),
        }
    }

    fn on_kad(&mut self, request: kad::InboundRequest) {
        if let kad::InboundRequest::AddProvider { record: Some(record) } = request {
            let record = worth_keeping(record, &self.addresses.current());
            if let Err(error) = self.swarm.behaviour_mut().kad.store_mut().add_provider(record) {
                debug!(%error, "provider record refused");
            }
        }
    }
}

//! The process from its start to its end: key, ports, swarm.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use libp2p::{
    PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
    relay as circuits,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shoal_webtransport::Lasting;
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
};
use tracing::{info, warn};
use tracing_subscriber::{Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    acme::AcmeError,
    addresses::{self, Addresses},
    admission::{Door, Gate, Visitors},
    arrivals::{self, Arrival, Bounds},
    behaviour::{Behaviour, Occupancy, Services, Shared},
    causes::Causes,
    entrance::{Entrance, Purposes},
    health::Health,
    http::{self, Site},
    ice,
    identity::{self, IdentityError},
    ledger::Ledger,
    limits,
    nearby::{self, Vantage},
    negotiation::{Part, Security, authenticated},
    only::Names,
    outgoing::{Checked, Permits, Sockets},
    quic,
    relay::{Open, Relay},
    servers,
    settings::{Config, LogFormat, Nearby, Port},
    tls::{Tls, TlsError},
    webrtc, webtransport,
};

/// The relay could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// See there.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A port is taken, not ours to take, or of no use.
    #[error("setting {setting} = {socket}: {error}: choose another address or port{otherwise}")]
    Port {
        /// Which setting says so.
        setting: &'static str,
        /// What was asked for.
        socket: SocketAddr,
        /// What the operating system, or the protocol, said.
        error: String,
        /// What else can be done.
        otherwise: &'static str,
    },
    /// TLS cannot be offered.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its certificate is not to be had.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// The process lacks something that every process has.
    #[error("cannot start: {0}")]
    System(io::Error),
}

/// Why `setting` cannot be had at `socket`.
pub(crate) fn refused(setting: &'static str, socket: SocketAddr, error: &(dyn std::error::Error + 'static)) -> ServerError {
    let otherwise = if setting == "listen" { ", or end the program that has it" } else { ", or \"off\"" };
    ServerError::Port { setting, socket, error: Causes(error).to_string(), otherwise }
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
    let filter: Targets = config.log.parse().unwrap_or_default();
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match config.log_format {
        LogFormat::Human => lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

async fn serve(config: &Config) -> Result<(), ServerError> {
    raise_open_files(config);
    let key = identity::load_or_create(&config.data_dir)?;
    let punching = servers::punches(config);
    let (listener, listen) = bind("listen", config.listen, punching && config.tcp == Port::Same).await?;
    let own_tcp = bind_own("tcp", config.tcp, punching).await?;
    let own_tls = bind_own("tls", config.tls, false).await?;
    let tls = if config.tls == Port::Off { None } else { Some(Arc::new(Tls::load(config)?)) };
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
    let ice = match config.stun.socket(listen) {
        Some(socket) => {
            let offered = ice::serve(socket, config, &key, Arc::clone(&health)).await.map_err(|error| refused("stun", socket, &error))?;
            Some(ice::Behaviour::new(offered))
        }
        None => None,
    };
    let tls_socket = own_tls.as_ref().map(|(_, socket)| *socket).or(config.tls.socket(listen));
    let reached_by_tls = tls_socket.zip(tls.clone());
    let tcp = own_tcp.as_ref().map(|(_, socket)| *socket).or(config.tcp.socket(listen));
    let shared = Shared { names: Names::default(), permits: Permits::new(config), health: Arc::clone(&health) };
    let own = key.public().to_peer_id();
    let (at_relays, circuits) = if servers::has_circuits(config) { Some(circuits::client::new(own)) } else { None }.unzip();
    let ways = Ways { arriving, port: tcp.filter(|_| punching), at_relays };
    let transports = transports(config, &key, ways, &shared)?;
    let services = Services {
        nearby: (config.nearby != Nearby::Off).then(|| nearby::Behaviour::new(config, vantage, Arc::clone(&health))),
        ice,
        servers: servers::Behaviour::new(own, config, &shared.names, &shared.permits, &health).map_err(ServerError::System)?,
        circuits,
    };
    let occupancy = Occupancy::default();
    let behaviour = Behaviour::new(&key.public(), config, &occupancy, services, &shared);
    let mut relay = Relay::new(
        config,
        Open { listen, tcp, tls: reached_by_tls.clone() },
        &key,
        transports,
        behaviour,
        Ledger::new(occupancy, health),
        addresses,
    )?;
    relay.listening().await;
    relay.update_addresses();
    let router = http::router(site.clone(), &config.web_root);
    let entrance = Arc::new(Entrance::new(site, router, tls.clone()));
    let mut open = JoinSet::new();
    let shared = Purposes { http: true, tls: config.tls == Port::Same, libp2p: config.tcp == Port::Same };
    let [only_tls, only_libp2p] = [true, false].map(|tls| Purposes { http: false, tls, libp2p: !tls });
    let own = [own_tls.map(|(listener, _)| (listener, only_tls)), own_tcp.map(|(listener, _)| (listener, only_libp2p))];
    for (listener, purposes) in std::iter::once((listener, shared)).chain(own.into_iter().flatten()) {
        open.spawn(Arc::clone(&entrance).serve(listener, purposes));
    }
    if let Some(tls) = tls {
        tls.obtain().await?;
        relay.update_addresses();
        let hangup = signal(SignalKind::hangup()).map_err(ServerError::System)?;
        open.spawn(tls.keep_current(hangup));
    }
    info!(peer = %key.public().to_peer_id(), %listen, addresses = ?relay.announced(), "ready");
    say_ready(listen, reached_by_tls);
    relay.run(stop.told()).await;
    open.abort_all();
    relay.close().await;
    info!("stopped");
    Ok(())
}

/// Opens a port, `shared` if this program dials from it as well.
async fn bind(setting: &'static str, socket: SocketAddr, shared: bool) -> Result<(TcpListener, SocketAddr), ServerError> {
    let listener = if shared { listen_shared(socket) } else { TcpListener::bind(socket).await };
    let listener = listener.map_err(|error| refused(setting, socket, &error))?;
    let socket = listener.local_addr().map_err(ServerError::System)?;
    Ok((listener, socket))
}

fn listen_shared(socket: SocketAddr) -> io::Result<TcpListener> {
    let listener = if socket.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    listener.set_reuseaddr(true)?;
    listener.set_reuseport(true)?;
    listener.bind(socket)?;
    listener.listen(limits::BACKLOG)
}

/// The same where the port is not shared with the HTTP server.
async fn bind_own(setting: &'static str, port: Port, shared: bool) -> Result<Option<(TcpListener, SocketAddr)>, ServerError> {
    match port {
        Port::At(socket) => bind(setting, socket, shared).await.map(Some),
        Port::Off | Port::Same => Ok(None),
    }
}

/// What the transports are made of.
struct Ways {
    /// Sockets over TCP that have come in.
    arriving: mpsc::Receiver<Arrival>,
    /// From where dials by TCP leave, where that is of use.
    port: Option<SocketAddr>,
    /// Connections through other relays.
    at_relays: Option<circuits::client::Transport>,
}

/// All ways in and out as one transport, and the WebTransport addresses that are worth keeping.
fn transports(
    config: &Config,
    key: &Keypair,
    ways: Ways,
    shared: &Shared,
) -> Result<(Boxed<(PeerId, StreamMuxerBox)>, Lasting), ServerError> {
    let health = &shared.health;
    let bounds = Bounds { handshake: Duration::from_secs(config.handshake_seconds), streams: config.max_streams_per_connection };
    let security = Security::new(key).map_err(ServerError::System)?;
    let arrivals = arrivals::Transport::new(ways.arriving, security.clone(), Arc::clone(health), bounds);
    let sockets = arrivals.or_transport(Sockets::new(security.clone(), Arc::clone(health), bounds, ways.port));
    let sockets = sockets.map(|either, _| either.into_inner());
    let quic = quic::Transport::new(config, key, Arc::clone(health));
    let (web_transport, lasting) = webtransport::transport(config, key, Arc::clone(health));
    let webrtc = webrtc::transport(config, key, Arc::clone(health)).map_err(|error| ServerError::System(io::Error::other(error)))?;
    let either = sockets.or_transport(quic).map(|either, _| either.into_inner()).or_transport(web_transport);
    let either = either.map(|either, _| either.into_inner()).or_transport(webrtc);
    let direct = Checked::new(either.map(|either, _| either.into_inner()).boxed(), shared.permits.clone());
    let Some(at_relays) = ways.at_relays else { return Ok((direct.boxed(), lasting)) };
    let health = Arc::clone(health);
    let circuits = at_relays.and_then(move |circuit, endpoint| {
        let part = if endpoint.is_dialer() { Part::Dialler } else { Part::Listener };
        let secured = authenticated(circuit, security, part, true, bounds.streams, health);
        async move { tokio::time::timeout(bounds.handshake, secured).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) }
    });
    // First, since the others know their own addresses in those of circuits too.
    Ok((circuits.or_transport(direct).map(|either, _| either.into_inner()).boxed(), lasting))
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
fn say_ready(listen: SocketAddr, tls: Option<(SocketAddr, Arc<Tls>)>) {
    let urls: Vec<_> =
        addresses::reachable_ips(listen).into_iter().map(|ip| format!("http://{}/", SocketAddr::new(ip, listen.port()))).collect();
    let mut text = format!("Shoal relay {} ready: {}\n", env!("CARGO_PKG_VERSION"), urls.first().map_or("", String::as_str));
    for url in urls.iter().skip(1) {
        text.push_str(&format!("  also at {url}\n"));
    }
    for (socket, host) in tls.iter().flat_map(|(socket, tls)| tls.names().into_iter().map(move |name| (socket, name))) {
        text.push_str(&format!("  also at https://{host}:{}/\n", socket.port()));
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

//! A libp2p peer as a page is one, which dials the relay's WebSocket and can be reached through it; or as a program is one, which knows other ways as well.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures::{
    AsyncRead, AsyncWrite, FutureExt as _, SinkExt as _, StreamExt as _, TryStreamExt as _,
    future::{BoxFuture, Either, ready},
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport as _,
    core::{
        Endpoint,
        muxing::StreamMuxerBox,
        transport::{self, Boxed, ListenerId, OptionalTransport, PortUse, TransportError, TransportEvent},
        upgrade::{OutboundConnectionUpgrade as _, UpgradeInfo as _, Version},
    },
    identify,
    identity::Keypair,
    kad,
    multiaddr::Protocol,
    noise, ping, quic, relay, swarm,
    swarm::{NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, tls, yamux,
};
use multistream_select::dialer_select_proto;
use rw_stream_sink::RwStreamSink;
use tokio::{
    net::TcpSocket,
    sync::{mpsc, oneshot},
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _, handshake::client::Request};
use tokio_util::compat::TokioAsyncReadCompatExt as _;

use super::{soon, udp::Dialler};

/// What a page speaks, as far as the relay is concerned.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) relay: relay::client::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) kad: kad::Behaviour<kad::store::MemoryStore>,
    pub(crate) stream: libp2p_stream::Behaviour,
}

pub(crate) type Event = SwarmEvent<BehaviourEvent>;
type Task = Box<dyn FnOnce(&mut Swarm<Behaviour>) + Send>;

/// The protocol over which tests exchange bytes.
pub(crate) const BYTES: StreamProtocol = StreamProtocol::new("/test/bytes/1.0.0");

/// A peer, its swarm running in a task of its own until this is dropped.
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) streams: libp2p_stream::Control,
    tasks: mpsc::Sender<Task>,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Peer {
    /// A new one with a key of its own.
    pub(crate) fn new() -> Self {
        Self::with_key(Keypair::generate_ed25519())
    }

    /// A new one with `key`: two with the same key are two tabs of one page, as the relay sees it.
    pub(crate) fn with_key(key: Keypair) -> Self {
        Self::build(key, WebSockets::default(), None)
    }

    /// A new one that dials by TLS as well, and trusts whom `trust` does.
    pub(crate) fn trusting(trust: Arc<rustls::ClientConfig>) -> Self {
        Self::build(Keypair::generate_ed25519(), WebSockets { trust: Some(trust), ..Default::default() }, None)
    }

    /// A program: it dials what pages dial, and over TCP, secured as said, and by QUIC.
    pub(crate) fn program(security: Security) -> Self {
        Self::program_trusting(security, None)
    }

    /// The same, which dials by TLS as well where it is said whom to trust.
    pub(crate) fn program_trusting(security: Security, trust: Option<Arc<rustls::ClientConfig>>) -> Self {
        let key = Keypair::generate_ed25519();
        let native = native(&key, security);
        Self::build(key, WebSockets { trust, ..Default::default() }, Some(native))
    }

    /// A new one whose connections carry the header by which a proxy says whom it forwards.
    pub(crate) fn forwarded_for(address: &str) -> Self {
        Self::build(Keypair::generate_ed25519(), WebSockets { forwarded_for: Some(address.to_owned()), ..Default::default() }, None)
    }

    /// A new one that connects from an address of its own: all of 127.0.0.0/8 is this machine, and each address of it is a network to the relay.
    pub(crate) fn from(address: Ipv4Addr) -> Self {
        Self::build(Keypair::generate_ed25519(), WebSockets { from: Some(address), ..Default::default() }, None)
    }

    fn build(key: Keypair, sockets: WebSockets, native: Option<Boxed<(PeerId, StreamMuxerBox)>>) -> Self {
        let id = key.public().to_peer_id();
        let (circuits, relay) = relay::client::new(id);
        let noise = noise::Config::new(&key).unwrap();
        let page = circuits.or_transport(sockets).upgrade(Version::V1).authenticate(noise).multiplex(yamux::Config::default());
        let transport =
            page.or_transport(native.map_or_else(OptionalTransport::none, OptionalTransport::some)).map(|either, _| match either {
                Either::Left((peer, connection)) => (peer, StreamMuxerBox::new(connection)),
                Either::Right(native) => native,
            });
        let transport = transport.boxed();
        let mut kad = kad::Config::new(StreamProtocol::new("/shoal/kad/1.0.0"));
        kad.set_periodic_bootstrap_interval(None);
        // It asks whom a test tells it of, and dials nobody else: each connection here is one that a test made.
        kad.set_kbucket_inserts(kad::BucketInserts::Manual);
        let stream = libp2p_stream::Behaviour::new();
        let streams = stream.new_control();
        let behaviour = Behaviour {
            relay,
            identify: identify::Behaviour::new(identify::Config::new("/shoal/1.0.0".into(), key.public())),
            ping: ping::Behaviour::default(),
            kad: kad::Behaviour::with_config(id, kad::store::MemoryStore::new(id), kad),
            stream,
        };
        let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
        let mut swarm = Swarm::new(transport, behaviour, id, config);
        let (tasks, mut to_do) = mpsc::channel::<Task>(16);
        let (happened, events) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => drop(happened.send(event)),
                    task = to_do.recv() => match task {
                        Some(task) => task(&mut swarm),
                        None => return,
                    },
                }
            }
        });
        Self { id, streams, tasks, events }
    }

    /// Does something with the swarm.
    pub(crate) async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Swarm<Behaviour>) -> T + Send + 'static) -> T {
        let (done, result) = oneshot::channel();
        let task: Task = Box::new(move |swarm| drop(done.send(work(swarm))));
        self.tasks.send(task).await.ok().unwrap();
        result.await.unwrap()
    }

    /// The next event, however long it takes.
    pub(crate) async fn next(&mut self) -> Event {
        self.events.recv().await.expect("the swarm runs")
    }

    /// Waits for the event that `pick` takes, passing over all others.
    pub(crate) async fn event<T>(&mut self, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        soon(what, async {
            loop {
                let event = self.events.recv().await.expect("the swarm runs");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        })
        .await
    }

    /// Dials, and waits for the connection or what is said instead.
    pub(crate) async fn dial(&mut self, address: Multiaddr) -> Result<PeerId, String> {
        let dial = DialOpts::from(address);
        let ours = dial.connection_id();
        self.with(move |swarm| swarm.dial(dial)).await.map_err(|error| error.to_string())?;
        self.event("dial", |event| match event {
            SwarmEvent::ConnectionEstablished { connection_id, peer_id, .. } if connection_id == ours => Some(Ok(peer_id)),
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } if connection_id == ours => Some(Err(format!("{error:?}"))),
            _ => None,
        })
        .await
    }

    /// Connects to the relay at `address` and becomes reachable through it: under which addresses, or why not.
    pub(crate) async fn reserve(&mut self, address: Multiaddr) -> Result<Vec<Multiaddr>, String> {
        let circuit = address.with(Protocol::P2pCircuit);
        let listener = self.with(move |swarm| swarm.listen_on(circuit)).await.unwrap();
        let mut addresses = Vec::new();
        let accepted = self
            .event("reservation", |event| match event {
                SwarmEvent::NewListenAddr { address, .. } => {
                    addresses.push(address);
                    None
                }
                SwarmEvent::Behaviour(BehaviourEvent::Relay(relay::client::Event::ReservationReqAccepted { .. })) => Some(Ok(())),
                SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == listener => Some(Err(format!("{reason:?}"))),
                _ => None,
            })
            .await;
        accepted?;
        // The addresses follow from the reservation's: at least one.
        while addresses.is_empty() {
            let address = self
                .event("a listen address", |event| match event {
                    SwarmEvent::NewListenAddr { address, .. } => Some(address),
                    _ => None,
                })
                .await;
            addresses.push(address);
        }
        Ok(addresses)
    }

    /// Reaches `peer` through the relay at this address: the connection to it, or why not.
    pub(crate) async fn dial_by(&mut self, relay: &Multiaddr, peer: PeerId) -> Result<PeerId, String> {
        let circuit = relay.clone().with(Protocol::P2pCircuit).with(Protocol::P2p(peer));
        self.dial(circuit).await
    }

    /// Waits until the last connection to `peer` is gone.
    pub(crate) async fn disconnected_from(&mut self, peer: PeerId) {
        self.event("disconnection", |event| match event {
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } if peer_id == peer => Some(()),
            _ => None,
        })
        .await;
    }
}

/// What authenticates a connection over TCP.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Security {
    Noise,
    Tls,
}

/// What programs dial by themselves, and pages cannot or by their browser.
fn native(key: &Keypair, security: Security) -> Boxed<(PeerId, StreamMuxerBox)> {
    let tcp = tcp::tokio::Transport::default().upgrade(Version::V1);
    let tcp = match security {
        Security::Noise => tcp.authenticate(noise::Config::new(key).unwrap()).multiplex(yamux::Config::default()).boxed(),
        Security::Tls => tcp.authenticate(tls::Config::new(key).unwrap()).multiplex(yamux::Config::default()).boxed(),
    };
    let quic = quic::tokio::Transport::new(quic::Config::new(key)).map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let known = quic.or_transport(tcp).map(|either, _| either.into_inner());
    Dialler(key.clone()).or_transport(known).map(|either, _| either.into_inner()).boxed()
}

/// An authenticated connection to `relay` on which nothing is spoken: for those who keep to no limit of streams.
pub(crate) async fn raw(relay: Multiaddr) -> StreamMuxerBox {
    let noise = noise::Config::new(&Keypair::generate_ed25519()).unwrap();
    let mut muxer = yamux::Config::default();
    // As many as it allows; the relay allows far fewer.
    muxer.set_max_num_streams(4_096);
    let mut transport = WebSockets::default().upgrade(Version::V1).authenticate(noise).multiplex(muxer).boxed();
    let options = transport::DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let (_, connection) = transport.dial(relay, options).unwrap().await.unwrap();
    connection
}

/// Connects to a relay over TCP, shows who it is by Noise, and then knows one muxer only.
///
/// # Errors
/// Where the relay does not know that one.
pub(crate) async fn negotiate_muxer(relay: &str, muxer: &'static str) -> Result<(), multistream_select::NegotiationError> {
    let socket = tokio::net::TcpStream::connect(relay).await.unwrap().compat();
    let noise = noise::Config::new(&Keypair::generate_ed25519()).unwrap();
    let offered = noise.protocol_info();
    let (protocol, socket) = dialer_select_proto(socket, offered, multistream_select::Version::V1).await.unwrap();
    let (_, socket) = noise.upgrade_outbound(socket, protocol).await.unwrap();
    dialer_select_proto(socket, [muxer], multistream_select::Version::V1).await.map(drop)
}

/// The dialling half of a WebSocket transport, with no limits of its own.
#[derive(Clone, Default)]
struct WebSockets {
    forwarded_for: Option<String>,
    from: Option<Ipv4Addr>,
    trust: Option<Arc<rustls::ClientConfig>>,
}

/// A WebSocket as a byte stream.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> ByteStream for T {}

impl libp2p::Transport for WebSockets {
    type Output = Pin<Box<dyn ByteStream>>;
    type Error = io::Error;
    type ListenerUpgrade = futures::future::Pending<io::Result<Self::Output>>;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, _: transport::DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let parts = address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect::<Vec<_>>();
        match (&parts[..], &self.trust) {
            ([Protocol::Ip4(ip), Protocol::Tcp(port), Protocol::Ws(_)], _) => {
                Ok(connect((*ip, *port).into(), format!("ws://{ip}:{port}/"), self.clone()).boxed())
            }
            // All names lead to this machine.
            ([Protocol::Dns(name), Protocol::Tcp(port), Protocol::Tls, Protocol::Ws(_)], Some(_)) => {
                Ok(connect((Ipv4Addr::LOCALHOST, *port).into(), format!("wss://{name}:{port}/"), self.clone()).boxed())
            }
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        std::task::Poll::Pending
    }
}

async fn connect(
    to: SocketAddr,
    url: String,
    WebSockets { forwarded_for, from, trust }: WebSockets,
) -> io::Result<Pin<Box<dyn ByteStream>>> {
    let mut request = url.as_str().into_client_request().map_err(io::Error::other)?;
    if let Some(address) = forwarded_for {
        request.headers_mut().insert("x-forwarded-for", address.parse().map_err(io::Error::other)?);
    }
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    match (trust, request.uri().host().filter(|_| url.starts_with("wss:"))) {
        (Some(trust), Some(host)) => {
            let name = host.to_owned().try_into().map_err(io::Error::other)?;
            upgraded(request, TlsConnector::from(trust).connect(name, stream).await?).await
        }
        _ => upgraded(request, stream).await,
    }
}

async fn upgraded<S>(request: Request, stream: S) -> io::Result<Pin<Box<dyn ByteStream>>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(io::Error::other)?;
    let messages = socket
        .sink_map_err(io::Error::other)
        .with(|bytes: Vec<u8>| ready(Ok::<_, io::Error>(Message::Binary(bytes.into()))))
        .map_err(io::Error::other)
        .try_filter_map(|message| {
            ready(Ok(match message {
                Message::Binary(bytes) => Some(Vec::from(bytes)),
                _ => None,
            }))
        });
    Ok(Box::pin(RwStreamSink::new(messages)))
}

//! Two nodes in one page: each a swarm with its own peer connections, first connected through memory, as through a relay.

mod streams;

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use futures::{
    FutureExt, SinkExt, StreamExt,
    channel::{mpsc, oneshot},
};
use futures_timer::Delay;
use js_sys::{Array, Date};
use libp2p_core::{Multiaddr, Transport as _, multiaddr::Protocol, muxing::StreamMuxerBox, transport::MemoryTransport, upgrade::Version};
use libp2p_identity::{Keypair, PeerId};
use libp2p_swarm::{ConnectionId, NetworkBehaviour, Stream, Swarm, SwarmEvent, dial_opts::DialOpts};
use shoal_webrtc::Config;
use wasm_bindgen::prelude::*;

pub(crate) use streams::{Inbound, Streams};

#[wasm_bindgen(module = "/js/peer-connections.js")]
extern "C" {
    pub(crate) type PeerConnections;

    #[wasm_bindgen(constructor)]
    fn new(port: &JsValue, traces: Traces) -> PeerConnections;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn size(this: &PeerConnections) -> u32;

    #[wasm_bindgen(method, js_name = closeAll)]
    pub(crate) fn close_all(this: &PeerConnections);

    #[wasm_bindgen(js_name = localPorts)]
    fn local_ports() -> Array;
}

// Named here, so that wasm-bindgen serves the file that the one above imports.
#[wasm_bindgen(module = "/js/traces.js")]
extern "C" {
    type Traces;

    #[wasm_bindgen(constructor)]
    fn new() -> Traces;
}

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p_swarm::derive_prelude")]
struct Behaviour {
    webrtc: shoal_webrtc::Behaviour,
    streams: Streams,
}

/// A node in the page.
pub(crate) struct Page {
    pub(crate) peer: PeerId,
    pub(crate) shim: PeerConnections,
    pub(crate) memory: Multiaddr,
    /// Streams that others opened here.
    pub(crate) inbound: mpsc::Receiver<Inbound>,
    /// Connections that are open: who, and whether directly.
    pub(crate) connections: Connections,
    commands: mpsc::Sender<Command>,
}

pub(crate) type Connections = Rc<RefCell<HashMap<ConnectionId, (PeerId, bool)>>>;

enum Command {
    Dial(Multiaddr, oneshot::Sender<Result<(), String>>),
    Open(PeerId, oneshot::Sender<Result<Stream, String>>),
    Close(PeerId),
    Statistics(PeerId, oneshot::Sender<Option<shoal_webrtc::Statistics>>),
    Traces(PeerId, oneshot::Sender<JsValue>),
}

impl Page {
    pub(crate) fn start(config: Config) -> Self {
        let seed: [u8; 32] = std::array::from_fn(|_| (js_sys::Math::random() * 256.0) as u8);
        let keypair = Keypair::ed25519_from_bytes(seed).unwrap();
        let peer = keypair.public().to_peer_id();
        let ports = local_ports();
        let shim = PeerConnections::new(&ports.get(0), Traces::new());
        let (webrtc, webrtc_behaviour) = shoal_webrtc::new(peer, ports.get(1).unchecked_into::<shoal_webrtc::Port>(), config);
        let memory = MemoryTransport::new()
            .upgrade(Version::V1Lazy)
            .authenticate(libp2p_noise::Config::new(&keypair).unwrap())
            .multiplex(libp2p_yamux::Config::default());
        let transport = webrtc
            .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
            .or_transport(memory)
            .map(|either, _| match either {
                futures::future::Either::Left(left) => left,
                futures::future::Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
            })
            .boxed();
        let (streams, opener, inbound) = Streams::new();
        let behaviour = Behaviour { webrtc: webrtc_behaviour, streams };
        let config = libp2p_swarm::Config::with_wasm_executor().with_idle_connection_timeout(Duration::from_secs(60));
        let mut swarm = Swarm::new(transport, behaviour, peer, config);
        swarm.listen_on(Protocol::WebRTC.into()).unwrap();
        let number = (Date::now() as u64) << 16 | u64::from(js_sys::Math::random().to_bits() as u16);
        let memory: Multiaddr = Protocol::Memory(number).into();
        swarm.listen_on(memory.clone()).unwrap();
        let (commands, receiver) = mpsc::channel(16);
        let connections = Connections::default();
        wasm_bindgen_futures::spawn_local(drive(swarm, receiver, opener, connections.clone()));
        Self { peer, shim, memory, inbound, connections, commands }
    }

    /// Where others reach this page directly.
    pub(crate) fn webrtc_address(&self) -> Multiaddr {
        self.memory.clone().with(Protocol::WebRTC).with(Protocol::P2p(self.peer))
    }

    pub(crate) async fn dial(&self, address: Multiaddr) -> Result<(), String> {
        let (reply, result) = oneshot::channel();
        self.send(Command::Dial(address, reply)).await;
        result.await.unwrap()
    }

    /// A stream to `peer` over a direct connection.
    pub(crate) async fn open(&self, peer: PeerId) -> Result<Stream, String> {
        let (reply, result) = oneshot::channel();
        self.send(Command::Open(peer, reply)).await;
        result.await.unwrap()
    }

    pub(crate) async fn close(&self, peer: PeerId) {
        self.send(Command::Close(peer)).await;
    }

    pub(crate) async fn statistics(&self, peer: PeerId) -> Option<shoal_webrtc::Statistics> {
        let (reply, result) = oneshot::channel();
        self.send(Command::Statistics(peer, reply)).await;
        result.await.unwrap()
    }

    /// What the page remembers of its attempts to reach `peer`, as JSON.
    pub(crate) async fn traces(&self, peer: PeerId) -> String {
        let (reply, result) = oneshot::channel();
        self.send(Command::Traces(peer, reply)).await;
        js_sys::JSON::stringify(&result.await.unwrap()).unwrap().into()
    }

    /// How many direct connections to `peer` are open.
    pub(crate) fn direct(&self, peer: PeerId) -> usize {
        let connections = self.connections.borrow();
        connections.values().filter(|(other, direct)| *other == peer && *direct).count()
    }

    async fn send(&self, command: Command) {
        self.commands.clone().send(command).await.unwrap();
    }
}

/// Two pages with a direct connection, dialled by the first.
pub(crate) async fn connected(config: Config) -> (Page, Page) {
    let (left, right) = (Page::start(config.clone()), Page::start(config));
    left.dial(right.webrtc_address()).await.unwrap();
    until(Duration::from_secs(5), || right.direct(left.peer) == 1).await;
    (left, right)
}

/// Waits until `condition` holds; panics if it does not within `limit`.
#[track_caller]
pub(crate) fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> impl Future<Output = Duration> {
    let caller = std::panic::Location::caller();
    async move {
        let start = now();
        while !condition() {
            assert!(now() - start < limit, "not within {limit:?}: {caller}");
            Delay::new(Duration::from_millis(5)).await;
        }
        now() - start
    }
}

pub(crate) async fn sleep(duration: Duration) {
    Delay::new(duration).await;
}

pub(crate) fn now() -> Duration {
    Duration::from_secs_f64(Date::now() / 1000.0)
}

async fn drive(
    mut swarm: Swarm<Behaviour>,
    mut commands: mpsc::Receiver<Command>,
    mut opener: mpsc::Sender<streams::Open>,
    connections: Connections,
) {
    let mut dials = HashMap::new();
    loop {
        futures::select! {
            command = commands.next() => match command {
                None => return,
                Some(Command::Dial(address, reply)) => {
                    let options = DialOpts::unknown_peer_id().address(address).build();
                    let id = options.connection_id();
                    match swarm.dial(options) {
                        Ok(()) => { dials.insert(id, reply); }
                        Err(error) => { let _ = reply.send(Err(error.to_string())); }
                    }
                }
                Some(Command::Open(peer, reply)) => {
                    let _ = opener.try_send(streams::Open { peer, reply });
                }
                Some(Command::Close(peer)) => { let _ = swarm.disconnect_peer_id(peer); }
                Some(Command::Traces(peer, reply)) => {
                    let traces = swarm.behaviour().webrtc.traces(&peer);
                    wasm_bindgen_futures::spawn_local(traces.map(|traces| {
                        let _ = reply.send(traces);
                    }));
                }
                Some(Command::Statistics(peer, reply)) => {
                    let statistics = swarm.behaviour().webrtc.statistics(&peer);
                    wasm_bindgen_futures::spawn_local(statistics.map(|statistics| {
                        let _ = reply.send(statistics);
                    }));
                }
            },
            event = swarm.select_next_some() => match event {
                SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                    let direct = shoal_webrtc::is_direct(endpoint.get_remote_address());
                    connections.borrow_mut().insert(connection_id, (peer_id, direct));
                    if let Some(reply) = dials.remove(&connection_id) {
                        let _: Result<_, _> = oneshot::Sender::send(reply, Ok(()));
                    }
                }
                SwarmEvent::ConnectionClosed { connection_id, .. } => {
                    connections.borrow_mut().remove(&connection_id);
                }
                SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                    if let Some(reply) = dials.remove(&connection_id) {
                        let _ = reply.send(Err(chain(&error)));
                    }
                }
                _ => {}
            },
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

//! The swarm and what is known about it: the one loop that all events go through.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use libp2p::{
    PeerId, Swarm,
    core::{Multiaddr, muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
    kad::{self, store::RecordStore as _},
    ping, relay, swarm,
    swarm::SwarmEvent,
};
use shoal_webtransport::Lasting;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tracing::debug;

use crate::{
    addresses::{self, Addresses},
    apart::Apart,
    behaviour::{Behaviour, BehaviourEvent, worth_keeping},
    causes::Causes,
    ledger::Ledger,
    limits,
    server::{ServerError, refused},
    settings::Config,
    tls::Tls,
    way::Way,
    webtransport,
};

/// Why a peer's connections are kept: it can be reached through the relay, …
const RESERVED: &str = "reservation";
/// … or it is the end of a circuit.
const CIRCUIT: &str = "circuit";

/// The sockets over TCP, whose connections are handed in.
pub(crate) struct Open {
    /// The HTTP server.
    pub(crate) listen: SocketAddr,
    /// libp2p from the first byte on.
    pub(crate) tcp: Option<SocketAddr>,
    /// The HTTP server inside TLS.
    pub(crate) tls: Option<(SocketAddr, Arc<Tls>)>,
}

/// The swarm and what is known about it.
pub(crate) struct Relay {
    swarm: Swarm<Apart<Behaviour>>,
    ledger: Ledger,
    addresses: Addresses,
    /// What listens, but for WebTransport, whose addresses are more than its socket.
    reached: Vec<(Way, SocketAddr)>,
    /// Where TLS listens, and what knows the names in its certificate.
    tls: Option<(SocketAddr, Arc<Tls>)>,
    /// Where QUIC was told to listen.
    quic: Option<SocketAddr>,
    /// What the operator says; empty: look at the interfaces.
    external: Vec<Multiaddr>,
    /// Where WebTransport listens now, with this certificate's hash and the next one's.
    web_transport: Vec<Multiaddr>,
    /// The same, with those of many certificates to come.
    lasting: Lasting,
}

impl Relay {
    /// Listens over UDP as `config` says; `open` are the sockets over TCP.
    ///
    /// # Errors
    /// Where a port over UDP is not to be had.
    pub(crate) fn new(
        config: &Config,
        open: Open,
        key: &Keypair,
        (transport, lasting): (Boxed<(PeerId, StreamMuxerBox)>, Lasting),
        behaviour: Behaviour,
        ledger: Ledger,
        addresses: Addresses,
    ) -> Result<Self, ServerError> {
        let swarm_config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(config.idle_seconds));
        let mut swarm = Swarm::new(transport, Apart::new(behaviour), key.public().to_peer_id(), swarm_config);
        let listen = open.listen;
        swarm.listen_on(Way::WebSocket.address(listen)).map_err(|error| ServerError::System(io::Error::other(error)))?;
        for (setting, way, port) in [("quic", Way::Quic, config.quic), ("webtransport", Way::WebTransport, config.webtransport)] {
            if let Some(socket) = port.socket(listen) {
                swarm.listen_on(way.address(socket)).map_err(|error| refused(setting, socket, &error))?;
            }
        }
        let external = config.external.0.clone();
        let quic = config.quic.socket(listen);
        let mut reached: Vec<_> = std::iter::once((Way::WebSocket, listen)).chain(open.tcp.map(|socket| (Way::Tcp, socket))).collect();
        // A port that the system chooses is told later.
        reached.extend(quic.filter(|socket| socket.port() != 0).map(|socket| (Way::Quic, socket)));
        Ok(Self { swarm, ledger, addresses, reached, tls: open.tls, quic, external, web_transport: Vec::new(), lasting })
    }

    /// What is announced.
    pub(crate) fn announced(&self) -> Vec<Multiaddr> {
        self.addresses.current()
    }

    /// Waits until the ports that the system chooses are known.
    pub(crate) async fn listening(&mut self) {
        let deadline = Instant::now() + limits::LISTENING;
        while self.quic.is_some() && !self.reached.iter().any(|(way, _)| *way == Way::Quic) {
            let Ok(event) = timeout_at(deadline, self.swarm.select_next_some()).await else { return };
            self.on_event(event);
        }
    }

    /// Makes the addresses that are announced those that are true now.
    pub(crate) fn update_addresses(&mut self) {
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

    /// Where the relay is reached, given where WebTransport listens.
    fn reached_at(&self, web_transport: &[Multiaddr]) -> Vec<Multiaddr> {
        if self.external.is_empty() {
            let of_sockets = self.reached.iter().flat_map(|(way, socket)| addresses::of_interfaces(*way, *socket));
            let names = self.tls.iter().flat_map(|(socket, tls)| tls.hosts().into_iter().map(|host| (host, socket.port())));
            let by_name = names.map(|(host, port)| Way::SecureWebSocket.complete(host, port));
            return of_sockets.chain(by_name).chain(web_transport.iter().cloned()).collect();
        }
        let hashed = |address: &Multiaddr| match web_transport.first() {
            Some(like) if Way::of(address) == Some(Way::WebTransport) => webtransport::with_hashes_of(address, like),
            _ => address.clone(),
        };
        self.external.iter().map(hashed).collect()
    }

    /// Until `stopped`.
    pub(crate) async fn run(&mut self, stopped: impl Future<Output = ()>) {
        let mut stopped = pin!(stopped);
        let mut interface_check = interval(limits::INTERFACE_CHECK);
        interface_check.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                _ = interface_check.tick() => self.update_addresses(),
                () = &mut stopped => return,
            }
        }
    }

    /// Says goodbye to everybody, for a short while.
    pub(crate) async fn close(mut self) {
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
                let address = endpoint.get_remote_address();
                self.ledger.connected(peer_id, addresses::ip_of(address).map(Into::into), Way::of(address));
            }
            SwarmEvent::ConnectionClosed { peer_id, endpoint, cause, num_established, .. } => {
                if num_established == 0 {
                    self.release(peer_id, RESERVED);
                    self.release(peer_id, CIRCUIT);
                }
                debug!(peer = %peer_id, cause = ?cause, "disconnected");
                self.ledger.disconnected(peer_id, Way::of(endpoint.get_remote_address()));
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                debug!(address = %send_back_addr, error = %Causes(&error), "handshake failed");
                if let swarm::ListenError::Denied { .. } = error {
                    self.ledger.refused();
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
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

    fn on_listening(&mut self, address: Multiaddr) {
        match Way::of(&address) {
            Some(Way::WebTransport) => self.web_transport.push(address),
            // One event for each address of the machine: any says the port.
            Some(Way::Quic) if !self.reached.iter().any(|(way, _)| *way == Way::Quic) => {
                let Some(socket) = self.quic.and_then(|socket| Some(SocketAddr::new(socket.ip(), addresses::udp_port(&address)?))) else {
                    return;
                };
                self.reached.push((Way::Quic, socket));
            }
            _ => return,
        }
        self.update_addresses();
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

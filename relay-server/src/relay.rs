//! The swarm and what is known about it: the one loop that all events go through.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use libp2p::{
    PeerId, Swarm,
    core::{ConnectedPoint, Multiaddr, muxing::StreamMuxerBox, transport::Boxed},
    identify,
    identity::Keypair,
    kad::{self, store::RecordStore as _},
    ping, relay, swarm,
    swarm::{ConnectionId, SwarmEvent},
};
use shoal_webtransport::Lasting;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tracing::{debug, info};

use crate::{
    addresses::{self, Addresses},
    apart::Apart,
    behaviour::{Behaviour, BehaviourEvent, is_server, worth_keeping},
    causes::Causes,
    ledger::Ledger,
    limits,
    only::is_circuit,
    outer::Outer,
    server::{ServerError, refused},
    servers::Verdict,
    settings::Config,
    tls::Tls,
    way::Way,
    webtransport,
};

/// Why a peer's connections are kept: it can be reached through the relay, …
const RESERVED: &str = "reservation";
/// … or it is the end of a circuit, …
const CIRCUIT: &str = "circuit";
/// … or it is a server that the settings name, or the link shows.
const SERVER: &str = "server";

/// Where the other end is, if no relay is between.
fn direct_address(endpoint: &ConnectedPoint) -> Option<&Multiaddr> {
    (!endpoint.is_relayed()).then(|| endpoint.get_remote_address())
}

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
    /// What listens, but for WebTransport and WebRTC, whose addresses are more than their sockets.
    reached: Vec<(Way, SocketAddr)>,
    /// Where TLS listens, and what knows the names in its certificate.
    tls: Option<(SocketAddr, Arc<Tls>)>,
    /// Where QUIC was told to listen.
    quic: Option<SocketAddr>,
    /// What the operator says; empty: look at the interfaces.
    external: Vec<Multiaddr>,
    /// Where WebTransport listens now, with this certificate's hash and the next one's, and WebRTC, with its only one.
    hashed: Vec<Multiaddr>,
    /// WebTransport's, with those of many certificates to come.
    lasting: Lasting,
    /// How others reach this server besides.
    outer: Outer,
    /// Ways over UDP of which it is not known yet where they listen.
    awaited: Vec<Way>,
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
        let mut awaited = Vec::new();
        for (setting, way, port) in [
            ("quic", Way::Quic, config.quic),
            ("webtransport", Way::WebTransport, config.webtransport),
            ("webrtc_direct", Way::WebRtcDirect, config.webrtc_direct),
        ] {
            if let Some(socket) = port.socket(listen) {
                swarm.listen_on(way.address(socket)).map_err(|error| refused(setting, socket, &error))?;
                awaited.push(way);
            }
        }
        let external = config.external.0.clone();
        let quic = config.quic.socket(listen);
        let mut reached: Vec<_> = std::iter::once((Way::WebSocket, listen)).chain(open.tcp.map(|socket| (Way::Tcp, socket))).collect();
        // A port that the system chooses is told later.
        reached.extend(quic.filter(|socket| socket.port() != 0).map(|socket| (Way::Quic, socket)));
        Ok(Self {
            swarm,
            ledger,
            addresses,
            reached,
            tls: open.tls,
            quic,
            external,
            hashed: Vec::new(),
            lasting,
            outer: Outer::default(),
            awaited,
        })
    }

    /// What is announced.
    pub(crate) fn announced(&self) -> Vec<Multiaddr> {
        self.addresses.current()
    }

    /// Waits until it is known where everything over UDP listens: the first who asks is to be told all of it.
    pub(crate) async fn listening(&mut self) {
        let deadline = Instant::now() + limits::LISTENING;
        while !self.awaited.is_empty() {
            let Ok(event) = timeout_at(deadline, self.swarm.select_next_some()).await else { return };
            self.on_event(event);
        }
    }

    /// Makes the addresses that are announced those that are true now.
    pub(crate) fn update_addresses(&mut self) {
        let webrtc = self.hashed.iter().filter(|address| Way::of(address) == Some(Way::WebRtcDirect)).cloned();
        let lasting: Vec<_> = self.lasting.current().into_iter().chain(webrtc).collect();
        let (own, mut lasting) = (self.reached_at(&self.hashed), self.reached_at(&lasting));
        let behaviour = self.swarm.behaviour_mut();
        behaviour.servers.announce(&own);
        if let Some(upnp) = behaviour.upnp.as_mut() {
            upnp.announce(&own);
        }
        let outer = self.outer.addresses(self.external.is_empty(), self.swarm.behaviour().servers.circuits());
        // Of loopback there is nothing to ask, unless everything is there.
        let elsewhere = own.iter().any(|address| !addresses::is_loopback(address));
        for address in own.iter().chain(&outer).filter(|address| !(elsewhere && addresses::is_loopback(address))) {
            self.ask_about(address);
        }
        let mut now = own;
        for address in outer.into_iter().filter(|address| !now.contains(address)).collect::<Vec<_>>() {
            lasting.push(address.clone());
            now.push(address);
        }
        let before = self.addresses.replace(now.clone(), lasting);
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

    /// Where the relay is reached, given where WebTransport and WebRTC listen.
    fn reached_at(&self, hashed: &[Multiaddr]) -> Vec<Multiaddr> {
        if self.external.is_empty() {
            let of_sockets = self.reached.iter().flat_map(|(way, socket)| addresses::of_interfaces(*way, *socket));
            let names = self.tls.iter().flat_map(|(socket, tls)| tls.hosts().into_iter().map(|host| (host, socket.port())));
            let by_name = names.map(|(host, port)| Way::SecureWebSocket.complete(host, port));
            return of_sockets.chain(by_name).chain(hashed.iter().cloned()).collect();
        }
        let with_hashes = |address: &Multiaddr| match hashed.iter().find(|like| Way::of(like) == Way::of(address)) {
            Some(like) => webtransport::with_hashes_of(address, like),
            None => address.clone(),
        };
        self.external.iter().map(with_hashes).collect()
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
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        if peers.is_empty() {
            return;
        }
        for peer in peers {
            // Only fails for a peer that has just left.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let deadline = Instant::now() + limits::SHUTDOWN;
        while self.swarm.network_info().num_peers() > 0 {
            if timeout_at(deadline, self.swarm.select_next_some()).await.is_err() {
                return;
            }
        }
        sleep(limits::LAST_WORDS).await;
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                debug!(peer = %peer_id, address = %endpoint.get_remote_address(), "connected");
                let direct = direct_address(&endpoint);
                self.ledger.connected(peer_id, direct.and_then(addresses::ip_of).map(Into::into), direct.and_then(Way::of));
                if self.swarm.behaviour().servers.is_kept(&peer_id) {
                    self.swarm.behaviour_mut().pool.protect(peer_id, SERVER);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, endpoint, cause, num_established, .. } => {
                if num_established == 0 {
                    self.release(peer_id, RESERVED);
                    self.release(peer_id, CIRCUIT);
                    self.release(peer_id, SERVER);
                    self.swarm.behaviour_mut().kad.remove_peer(&peer_id);
                }
                debug!(peer = %peer_id, cause = ?cause, "disconnected");
                self.ledger.disconnected(peer_id, direct_address(&endpoint).and_then(Way::of));
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                debug!(address = %send_back_addr, error = %Causes(&error), "handshake failed");
                if let swarm::ListenError::Denied { .. } = error {
                    self.ledger.refused();
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => debug!(peer = ?peer_id, error = %Causes(&error), "not connected"),
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ListenerClosed { .. } => self.update_addresses(),
            SwarmEvent::ExternalAddrConfirmed { address } if !is_circuit(&address) => {
                self.outer.confirmed(address);
                self.update_addresses();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.hashed.retain(|known| *known != address);
                self.update_addresses();
            }
            SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => self.on_relay(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, connection_id, info })) => {
                self.on_identified(peer_id, connection_id, &info);
            }
            SwarmEvent::Behaviour(BehaviourEvent::ReachedThrough(event)) => self.on_circuit(event),
            SwarmEvent::Behaviour(BehaviourEvent::Upgrades(event)) => match event.result {
                Ok(_) => {
                    info!(peer = %event.remote_peer_id, "a connection through a relay became a direct one");
                    self.ledger.health().peering.upgraded.add(1);
                }
                Err(error) => debug!(peer = %event.remote_peer_id, %error, "no direct connection"),
            },
            SwarmEvent::Behaviour(BehaviourEvent::Asks(event)) => {
                self.outer.judged(&event.tested_addr, event.result.is_ok(), self.ledger.health())
            }
            SwarmEvent::Behaviour(BehaviourEvent::Answers(event)) => debug!(?event, "told whether it is reached"),
            SwarmEvent::Behaviour(BehaviourEvent::Upnp(event)) => {
                self.outer.on_upnp(event, self.ledger.health());
                self.update_addresses();
            }
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

    /// What a peer says of itself, and of where it sees this server.
    fn on_identified(&mut self, peer: PeerId, connection: ConnectionId, info: &identify::Info) {
        let network = self.ledger.network(&peer);
        let behaviour = self.swarm.behaviour_mut();
        match behaviour.servers.identified(peer, connection, network, is_server(&info.protocols), &info.listen_addrs) {
            Verdict::Peer => return,
            Verdict::Server(addresses) => {
                for address in addresses {
                    behaviour.kad.add_address(&peer, address);
                }
            }
        }
        if let Some(seen) = behaviour.servers.seen_as(&peer, connection, &info.observed_addr) {
            if let Some(upgrades) = behaviour.upgrades.as_mut() {
                upgrades.candidate(&seen);
            }
            self.ask_about(&seen);
        }
        self.update_addresses();
    }

    /// Has other servers asked whether they reach this one there.
    fn ask_about(&mut self, address: &Multiaddr) {
        if let Some(asks) = self.swarm.behaviour_mut().asks.as_mut()
            && self.outer.is_question(address)
        {
            asks.candidate(address);
        }
    }

    fn on_circuit(&mut self, event: relay::client::Event) {
        match event {
            relay::client::Event::ReservationReqAccepted { relay_peer_id, renewal, .. } => {
                debug!(relay = %relay_peer_id, renewal, "reachable through it");
                self.swarm.behaviour_mut().servers.reserved(&relay_peer_id);
                self.update_addresses();
            }
            event => debug!(?event, "circuit"),
        }
    }

    fn on_listening(&mut self, address: Multiaddr) {
        if is_circuit(&address) {
            return;
        }
        self.awaited.retain(|way| Way::of(&address) != Some(*way));
        match Way::of(&address) {
            Some(Way::WebTransport | Way::WebRtcDirect) => self.hashed.push(address),
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

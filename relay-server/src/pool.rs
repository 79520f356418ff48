//! Which authenticated connections stand, and which one goes when there is no room for all: asks [`Connections`] of the protocol crate.
//!
//! libp2p's own limits only refuse: whoever came first keeps the relay, used or not. Here peers that hold a reservation or a circuit are
//! kept, and an unused connection makes room for the next one.

use std::{
    collections::HashMap,
    convert::Infallible,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        dummy,
    },
};
use shoal_protocol::{
    connections::{Connections, Limits, Opened, Order, Path},
    time::Time,
};

use crate::{addresses::ip_of, settings::Config};

/// The table of connections as a behaviour.
pub(crate) struct Pool {
    connections: Connections<PeerId, ConnectionId>,
    /// Whose each open connection is: what the swarm wants to know to close it.
    peers: HashMap<ConnectionId, PeerId>,
    started: Instant,
}

impl Pool {
    /// Within the limits of `config`.
    pub(crate) fn new(config: &Config) -> Self {
        let limits = Limits {
            total: config.max_connections,
            kept_for_dialling: 0,
            // Reservations and circuits have limits of their own.
            protected: config.max_connections,
            per_peer: config.max_connections_per_peer as usize,
            // All connections of a proxy may come from one address: bounding its clients is the proxy's task.
            per_network: if config.trust_proxy { config.max_connections } else { config.max_connections_per_network },
            // The swarm closes idle connections, since it knows of their streams.
            idle: Duration::MAX,
        };
        Self { connections: Connections::new(limits, Time::default()), peers: HashMap::new(), started: Instant::now() }
    }

    /// Keeps a peer's connections.
    pub(crate) fn protect(&mut self, peer: PeerId, tag: &'static str) {
        if !self.connections.protect(peer, tag) {
            tracing::debug!(%peer, tag, "no more peers can be protected");
        }
    }

    /// Ends that.
    pub(crate) fn release(&mut self, peer: PeerId, tag: &'static str) {
        let now = self.now();
        self.connections.release(peer, tag, now);
    }

    fn open(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        inbound: bool,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        let relayed = remote.iter().any(|part| part == Protocol::P2pCircuit);
        let (path, network) = if relayed { (Path::Relayed, None) } else { (Path::Direct, ip_of(remote).map(Into::into)) };
        let now = self.now();
        self.connections.opened(id, Opened { peer, network, path, inbound }, now).map_err(ConnectionDenied::new)?;
        self.peers.insert(id, peer);
        Ok(dummy::ConnectionHandler)
    }

    fn now(&self) -> Time {
        Time::from_origin(self.started.elapsed())
    }
}

impl NetworkBehaviour for Pool {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.open(id, peer, remote, true)
    }

    /// To another server.
    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.open(id, peer, address, false)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let gone = match event {
            FromSwarm::ConnectionClosed(closed) => closed.connection_id,
            // Another behaviour may have refused what was let in here.
            FromSwarm::ListenFailure(failure) => failure.connection_id,
            FromSwarm::DialFailure(failure) => failure.connection_id,
            _ => return,
        };
        self.connections.closed(gone);
        self.peers.remove(&gone);
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    // Orders come with events of the swarm, which polls after each: nothing needs to be woken.
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        while let Some(Order::Close(id, reason)) = self.connections.poll_order() {
            if let Some(peer_id) = self.peers.remove(&id) {
                tracing::debug!(peer = %peer_id, %reason, "closed");
                return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) });
            }
        }
        Poll::Pending
    }
}

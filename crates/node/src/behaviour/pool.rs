//! Which connections stand, and which one goes when there is no room for all: asks [`Connections`] of the protocol crate.
//!
//! libp2p's own limits only refuse, so that whoever came first keeps a place, used or not; and it keeps a connection open as long as any
//! stream is, which for a session would be for ever.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy},
};
use shoal_protocol::{
    connections::{Connections, Limits, Opened, Order, Path, Reason, Refused},
    limits,
    time::Time,
};

use crate::clock::Clock;

/// The table of connections as a behaviour.
#[derive(Debug)]
pub struct Behaviour {
    connections: Connections<PeerId, ConnectionId>,
    /// Dials under way.
    dials: Vec<ConnectionId>,
    /// Others' dials under way. Whoever comes through a relay shows the relay's address only: nothing tells them apart.
    handshakes: Vec<ConnectionId>,
    clock: Clock,
}

impl Behaviour {
    /// Within these limits.
    pub fn new(limits: Limits) -> Self {
        let connections = Connections::new(limits, Time::default());
        Self { connections, dials: Vec::new(), handshakes: Vec::new(), clock: Clock::default() }
    }

    /// Which connection is to be closed, and why; to be asked after each event and tick.
    pub fn next_to_close(&mut self) -> Option<(ConnectionId, Reason)> {
        self.connections.poll_order().map(|Order::Close(id, reason)| (id, reason))
    }

    /// Keeps a peer's connections from being closed to make room, or for being idle.
    pub fn protect(&mut self, peer: PeerId, tag: &'static str) {
        if !self.connections.protect(peer, tag) {
            tracing::debug!(%peer, tag, "no more peers can be protected");
        }
    }

    /// Ends that.
    pub fn release(&mut self, peer: PeerId, tag: &'static str) {
        let now = self.clock.now();
        self.connections.release(peer, tag, now);
    }

    /// Tells how much came over a connection since it was last told, and went, and whether work is under way on it.
    pub fn seen(&mut self, id: ConnectionId, (received, sent): (u64, u64), busy: bool) {
        let now = self.clock.now();
        if received > 0 {
            self.connections.heard(id, now);
        }
        if received + sent > 0 {
            self.connections.moved(id, received + sent, now);
        }
        self.connections.busy(id, busy, now);
    }

    /// Something uses a connection of which no byte is counted: a circuit, a stranger's stream.
    pub fn used(&mut self, id: ConnectionId) {
        let now = self.clock.now();
        self.connections.moved(id, 0, now);
    }

    /// The peer answered.
    pub fn heard(&mut self, id: ConnectionId) {
        let now = self.clock.now();
        self.connections.heard(id, now);
    }

    /// The peer did not answer what was asked so long ago: if nothing else came since, it is dead.
    pub fn unanswered(&mut self, id: ConnectionId, ago: Duration) {
        let asked = self.clock.before(ago);
        self.connections.unanswered(id, asked);
    }

    /// Looks for idle ones; to be called about once a second or more often.
    pub fn tick(&mut self) {
        let now = self.clock.now();
        self.connections.tick(now);
    }

    fn opened(&mut self, id: ConnectionId, peer: PeerId, address: &Multiaddr, inbound: bool) -> Result<THandler<Self>, ConnectionDenied> {
        self.begun(id);
        let now = self.clock.now();
        let opened = Opened { peer, network: None, path: path(address), inbound };
        self.connections.opened(id, opened, now).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    /// It is no longer half open.
    fn begun(&mut self, id: ConnectionId) {
        self.dials.retain(|other| *other != id);
        self.handshakes.retain(|other| *other != id);
    }
}

/// Counts one more of what is half open, where there is room.
fn begin(half_open: &mut Vec<ConnectionId>, id: ConnectionId, most: usize) -> Result<(), ConnectionDenied> {
    if half_open.len() >= most {
        return Err(ConnectionDenied::new(Refused::Handshakes));
    }
    half_open.push(id);
    Ok(())
}

/// Of the two addresses of a connection, the one that says how it came about.
fn path(address: &Multiaddr) -> Path {
    let has = |wanted: Protocol<'_>| address.iter().any(|part| part == wanted);
    if has(Protocol::P2pCircuit) && !has(Protocol::WebRTC) { Path::Relayed } else { Path::Direct }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(&mut self, id: ConnectionId, _: &Multiaddr, _: &Multiaddr) -> Result<(), ConnectionDenied> {
        begin(&mut self.handshakes, id, limits::HANDSHAKES)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.opened(id, peer, local, true)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        begin(&mut self.dials, id, limits::DIALS).map(|()| Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.opened(id, peer, address, false)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let gone = match event {
            // Another behaviour may have refused what was let in here.
            FromSwarm::DialFailure(failure) => failure.connection_id,
            FromSwarm::ListenFailure(failure) => failure.connection_id,
            FromSwarm::ConnectionClosed(closed) => closed.connection_id,
            _ => return,
        };
        self.begun(gone);
        self.connections.closed(gone);
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    // The driver carries out the orders: it tells the page why.
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

//! A behaviour of libp2p on those connections only that have a use for it. Ten thousand pages need no handlers of what servers do with each other.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NewExternalAddrCandidate, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, dummy,
    },
};

use crate::{apart::Handler, way::Way};

/// The servers that are known, as all behaviours see them: bounded by their table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<RwLock<HashSet<PeerId>>>);

impl Names {
    /// Whether `peer` is one.
    pub(crate) fn contain(&self, peer: &PeerId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(peer)
    }

    /// It is, from now on.
    pub(crate) fn add(&self, peer: PeerId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(peer);
    }

    /// It no longer is.
    pub(crate) fn remove(&self, peer: &PeerId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(peer);
    }
}

/// Which of the connections that others make are of use. Those that this server makes are to other servers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Inbound {
    /// Of servers that are known.
    Servers,
    /// Of these, and whatever comes by a way of programs.
    Programs,
    /// Through another relay.
    Circuits,
}

impl Inbound {
    fn includes(self, names: &Names, peer: &PeerId, local: &Multiaddr, remote: &Multiaddr) -> bool {
        match self {
            Self::Circuits => is_circuit(local),
            _ if is_circuit(local) => false,
            Self::Servers => names.contain(peer),
            Self::Programs => names.contain(peer) || matches!(Way::of(remote), Some(Way::Tcp | Way::Quic)),
        }
    }
}

/// Whether an address leads through a relay.
pub(crate) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// `Inner` on some connections; on the others, where all handlers lie beside each other, it takes no room.
pub(crate) struct Only<Inner> {
    inner: Inner,
    inbound: Inbound,
    names: Names,
    /// The connections that `inner` knows of: those that stand.
    known: HashSet<ConnectionId>,
}

impl<Inner: NetworkBehaviour> Only<Inner> {
    /// On connections that this server makes, and on these.
    pub(crate) fn new(inner: Inner, inbound: Inbound, names: &Names) -> Self {
        Self { inner, inbound, names: names.clone(), known: HashSet::new() }
    }

    /// Tells it of an address by which this server may be reached. What arbitrary peers say of that does not get here.
    pub(crate) fn candidate(&mut self, address: &Multiaddr) {
        self.inner.on_swarm_event(FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr: address }));
    }
}

impl<Inner: NetworkBehaviour> NetworkBehaviour for Only<Inner> {
    type ConnectionHandler = Either<Handler<Inner::ConnectionHandler>, dummy::ConnectionHandler>;
    type ToSwarm = Inner::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.inbound.includes(&self.names, &peer, local, remote) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let handler = self.inner.handle_established_inbound_connection(id, peer, local, remote)?;
        self.known.insert(id);
        Ok(Either::Left(Handler::new(handler)))
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self.inner.handle_established_outbound_connection(id, peer, address, role, port)?;
        self.known.insert(id);
        Ok(Either::Left(Handler::new(handler)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let concerns = match &event {
            FromSwarm::ConnectionEstablished(established) => self.known.contains(&established.connection_id),
            FromSwarm::ConnectionClosed(closed) => self.known.remove(&closed.connection_id),
            FromSwarm::AddressChange(change) => self.known.contains(&change.connection_id),
            FromSwarm::NewExternalAddrCandidate(_) => false,
            // Another behaviour may have refused what was let in here.
            FromSwarm::DialFailure(failure) => {
                self.known.remove(&failure.connection_id);
                true
            }
            FromSwarm::ListenFailure(failure) => {
                self.known.remove(&failure.connection_id);
                true
            }
            _ => true,
        };
        if concerns {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, id, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(context).map(|order| order.map_in(Either::Left))
    }
}

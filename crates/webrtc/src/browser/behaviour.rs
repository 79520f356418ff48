//! Finds a signalling stream for every dial: on a connection that there is, or on one that it makes first.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use futures::StreamExt;
use libp2p_core::{Endpoint, Multiaddr, multiaddr::Protocol, transport::PortUse};
use libp2p_identity::PeerId;
use libp2p_swarm::{
    ConnectionDenied, ConnectionId, DialFailure, FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
    behaviour::{ConnectionClosed, ConnectionEstablished},
    dial_opts::{DialOpts, PeerCondition},
};
use litemap::LiteMap;
use send_wrapper::SendWrapper;
use wasm_bindgen::JsValue;

use super::{
    error::Error,
    handler::{Handler, OpenSignaling},
    is_direct,
    port::{IceServers, PathChange, Shim, Statistics},
    transport::{Ends, InboundSignaling, SignalingRequest},
};

/// What the behaviour tells of established connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The path to the peer is interrupted. It often recovers; if not, the connection closes after half a minute or so.
    Interrupted {
        /// The peer.
        peer: PeerId,
    },
    /// The path to the peer works again.
    Resumed {
        /// The peer.
        peer: PeerId,
    },
}

/// The behaviour that belongs to the [`Transport`](super::Transport). Made by [`new`](super::new).
///
/// While the transport listens, for every relayed external address `<relay>/p2p-circuit/p2p/<self>` it announces `<relay>/p2p-circuit/webrtc/p2p/<self>`,
/// so that identify tells it to others.
pub struct Behaviour {
    local: PeerId,
    shim: SendWrapper<Shim>,
    ends: Ends,
    /// Connections that are good for signalling: all but direct ones.
    connections: LiteMap<PeerId, Vec<ConnectionId>>,
    /// Whether the transport takes connections.
    listening: bool,
    /// Dials of ours, and the request that waits for each.
    dialling: LiteMap<ConnectionId, SignalingRequest>,
    actions: VecDeque<ToSwarm<Event, OpenSignaling>>,
}

impl Behaviour {
    pub(super) fn new(local: PeerId, shim: Shim, ends: Ends) -> Self {
        Self {
            local,
            shim: SendWrapper::new(shim),
            ends,
            connections: LiteMap::new(),
            listening: false,
            dialling: LiteMap::new(),
            actions: VecDeque::new(),
        }
    }

    /// What the browser knows of the path to `peer`; `None` if there is no direct connection to it.
    pub fn statistics(&self, peer: &PeerId) -> impl Future<Output = Option<Statistics>> + Send + 'static {
        let receiver = self.shim.statistics(peer);
        async move { receiver.await.ok() }
    }

    /// What became of the last attempts at a direct connection to `peer`, the oldest first: an array of `Attempt`s, see `js/traces.d.ts`.
    /// It is JavaScript's own value, as it is for people and for programs in the page. Empty if the page does not answer.
    pub fn traces(&self, peer: &PeerId) -> impl Future<Output = JsValue> + 'static {
        let receiver = self.shim.traces(peer);
        async move { receiver.await.unwrap_or_else(|_| js_sys::Array::new().into()) }
    }

    /// By which further servers are given to it while it runs.
    pub fn ice_servers(&self) -> IceServers {
        IceServers((*self.shim).clone())
    }

    fn request(&mut self, request: SignalingRequest) {
        let connection = self.connections.get(&request.peer).and_then(|connections| connections.first());
        match connection {
            Some(connection) => {
                let connection = *connection;
                self.signal(connection, request);
            }
            None => {
                let opts = DialOpts::peer_id(request.peer).condition(PeerCondition::Always).addresses(vec![request.base.clone()]).build();
                self.dialling.insert(opts.connection_id(), request);
                self.actions.push_back(ToSwarm::Dial { opts });
            }
        }
    }

    fn signal(&mut self, connection: ConnectionId, request: SignalingRequest) {
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id: request.peer,
            handler: NotifyHandler::One(connection),
            event: OpenSignaling(request.reply),
        });
    }

    fn established(&mut self, event: &ConnectionEstablished<'_>) {
        if !is_direct(event.endpoint.get_remote_address()) {
            self.connections.entry(event.peer_id).or_default().push(event.connection_id);
        }
        if let Some(request) = self.dialling.remove(&event.connection_id) {
            self.signal(event.connection_id, request);
        }
    }

    fn closed(&mut self, event: &ConnectionClosed<'_>) {
        if let Some(connections) = self.connections.get_mut(&event.peer_id) {
            connections.retain(|connection| *connection != event.connection_id);
            if connections.is_empty() {
                self.connections.remove(&event.peer_id);
            }
        }
    }

    fn dial_failed(&mut self, failure: &DialFailure<'_>) {
        if let Some(request) = self.dialling.remove(&failure.connection_id) {
            let error = Error::NoSignaling(failure.error.to_string());
            let _ = request.reply.send(Err(error));
        }
    }

    /// `<relay>/p2p-circuit/webrtc/p2p/<self>` for `<relay>/p2p-circuit/p2p/<self>`.
    fn webrtc_address(&self, relayed: &Multiaddr) -> Option<Multiaddr> {
        let mut base = relayed.clone();
        let mut last = base.pop()?;
        if last == Protocol::P2p(self.local) {
            last = base.pop()?;
        }
        (last == Protocol::P2pCircuit).then(|| base.with(Protocol::P2pCircuit).with(Protocol::WebRTC).with(Protocol::P2p(self.local)))
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => self.established(&event),
            FromSwarm::ConnectionClosed(event) => self.closed(&event),
            FromSwarm::DialFailure(failure) => self.dial_failed(&failure),
            FromSwarm::NewListenAddr(event) if is_direct(event.addr) => self.listening = true,
            FromSwarm::ExternalAddrConfirmed(event) if self.listening => {
                if let Some(address) = self.webrtc_address(event.addr) {
                    self.actions.push_back(ToSwarm::ExternalAddrConfirmed(address));
                }
            }
            FromSwarm::ExternalAddrExpired(event) => {
                if let Some(address) = self.webrtc_address(event.addr) {
                    self.actions.push_back(ToSwarm::ExternalAddrExpired(address));
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        let inbound = InboundSignaling { peer, stream: event.0 };
        if self.ends.inbound.try_send(inbound).is_err() {
            tracing::debug!(%peer, "too many inbound negotiations");
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            if let Poll::Ready(Some(request)) = self.ends.requests.poll_next_unpin(cx) {
                self.request(request);
                continue;
            }
            if let Poll::Ready(PathChange { peer, interrupted }) = self.shim.poll_path_change(cx) {
                let event = if interrupted { Event::Interrupted { peer } } else { Event::Resumed { peer } };
                return Poll::Ready(ToSwarm::GenerateEvent(event));
            }
            return Poll::Pending;
        }
    }
}

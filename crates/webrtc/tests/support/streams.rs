//! Plain streams over direct connections.

use std::{
    collections::{HashMap, VecDeque},
    task::{Context, Poll},
};

use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
};
use libp2p_core::{Endpoint, Multiaddr, transport::PortUse, upgrade::ReadyUpgrade};
use libp2p_identity::PeerId;
use libp2p_swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, Stream,
    StreamProtocol, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, handler::ConnectionEvent,
};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/test/1.0.0");

type Reply = oneshot::Sender<Result<Stream, String>>;

#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) peer: PeerId,
    pub(crate) reply: Reply,
}

#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) peer: PeerId,
    pub(crate) stream: Stream,
}

pub(crate) struct Streams {
    requests: mpsc::Receiver<Open>,
    inbound: mpsc::Sender<Inbound>,
    direct: HashMap<PeerId, Vec<ConnectionId>>,
}

impl Streams {
    pub(crate) fn new() -> (Self, mpsc::Sender<Open>, mpsc::Receiver<Inbound>) {
        let (opener, requests) = mpsc::channel(512);
        let (inbound, accepted) = mpsc::channel(512);
        let streams = Self { requests, inbound, direct: HashMap::new() };
        (streams, opener, accepted)
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = ();

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
            FromSwarm::ConnectionEstablished(event) if shoal_webrtc::is_direct(event.endpoint.get_remote_address()) => {
                self.direct.entry(event.peer_id).or_default().push(event.connection_id);
            }
            FromSwarm::ConnectionClosed(event) => {
                if let Some(connections) = self.direct.get_mut(&event.peer_id) {
                    connections.retain(|connection| *connection != event.connection_id);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, stream: THandlerOutEvent<Self>) {
        self.inbound.try_send(Inbound { peer, stream }).unwrap();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        while let Poll::Ready(Some(Open { peer, reply })) = self.requests.poll_next_unpin(cx) {
            match self.direct.get(&peer).and_then(|connections| connections.first()) {
                Some(connection) => {
                    return Poll::Ready(ToSwarm::NotifyHandler { peer_id: peer, handler: NotifyHandler::One(*connection), event: reply });
                }
                None => {
                    let _ = reply.send(Err("no direct connection".into()));
                }
            }
        }
        Poll::Pending
    }
}

#[derive(Default)]
pub(crate) struct Handler {
    requests: VecDeque<Reply>,
    inbound: VecDeque<Stream>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Reply;
    type ToBehaviour = Stream;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Reply;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        if let Some(stream) = self.inbound.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(stream));
        }
        if let Some(reply) = self.requests.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), reply),
            });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, reply: Self::FromBehaviour) {
        self.requests.push_back(reply);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, Self::InboundOpenInfo, Self::OutboundOpenInfo>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(event) => {
                self.inbound.push_back(event.protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(event) => {
                let _ = event.info.send(Ok(event.protocol));
            }
            ConnectionEvent::DialUpgradeError(event) => {
                let _ = event.info.send(Err(event.error.to_string()));
            }
            _ => {}
        }
    }
}

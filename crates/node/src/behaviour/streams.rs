//! Plain libp2p streams for our own protocols: open one on a chosen connection, and be told of each that a peer opens.
//!
//! `libp2p-stream` picks a random connection and drops inbound streams while its acceptor is busy; here the driver names the connection
//! (relayed and direct ones to the same peer exist side by side) and nothing is dropped below a stated bound.

use std::{
    collections::VecDeque,
    convert::Infallible,
    task::{Context, Poll},
};

use futures::future::{Ready, ready};
use libp2p::{
    InboundUpgrade, Multiaddr, OutboundUpgrade, PeerId, Stream, StreamProtocol,
    core::{Endpoint, UpgradeInfo, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
        SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

/// Streams that may wait on one connection for the driver, each way. A peer that opens more before the driver has looked once loses them.
const MAX_WAITING: usize = 64;

/// What happened to a stream.
#[derive(Debug)]
pub enum Event {
    /// A stream is open: one that was asked for, or one that the peer opened.
    Opened {
        /// The other side.
        peer: PeerId,
        /// On which connection.
        connection: ConnectionId,
        /// What it speaks.
        protocol: StreamProtocol,
        /// Whether the peer opened it.
        inbound: bool,
        /// The stream.
        stream: Stream,
    },
    /// A stream that was asked for could not be opened.
    Failed {
        /// The other side.
        peer: PeerId,
        /// On which connection.
        connection: ConnectionId,
        /// What it should have spoken.
        protocol: StreamProtocol,
        /// Whether the peer does not speak it at all (rather than the connection failing).
        unsupported: bool,
    },
}

/// Opens and accepts streams of a fixed list of protocols.
#[derive(Debug)]
pub struct Behaviour {
    protocols: Vec<StreamProtocol>,
    orders: VecDeque<ToSwarm<Event, Order>>,
}

impl Behaviour {
    /// Accepts streams that speak one of `protocols`.
    pub fn new(protocols: Vec<StreamProtocol>) -> Self {
        Self { protocols, orders: VecDeque::new() }
    }

    /// Opens a stream on one connection; [`Event`] tells how it went.
    pub fn open(&mut self, peer: PeerId, connection: ConnectionId, protocol: StreamProtocol) {
        self.orders.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event: Order::Open(protocol),
        });
    }

    /// Keeps a connection open although none of its streams does, or no longer.
    pub fn hold(&mut self, peer: PeerId, connection: ConnectionId, hold: bool) {
        self.orders.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler: NotifyHandler::One(connection), event: Order::Hold(hold) });
    }

    fn handler(&self) -> Handler {
        Handler { protocols: self.protocols.clone(), wanted: VecDeque::new(), happened: VecDeque::new(), hold: false }
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
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        let event = match event {
            FromHandler::Opened { protocol, inbound, stream } => Event::Opened { peer, connection, protocol, inbound, stream },
            FromHandler::Failed { protocol, unsupported } => Event::Failed { peer, connection, protocol, unsupported },
        };
        self.orders.push_back(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        self.orders.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// What one connection's handler is told.
#[derive(Debug)]
pub enum Order {
    /// Open a stream.
    Open(StreamProtocol),
    /// Whether to keep the connection open.
    Hold(bool),
}

/// What one connection's handler reports.
#[derive(Debug)]
pub enum FromHandler {
    #[allow(missing_docs)]
    Opened { protocol: StreamProtocol, inbound: bool, stream: Stream },
    #[allow(missing_docs)]
    Failed { protocol: StreamProtocol, unsupported: bool },
}

/// One connection's half of [`Behaviour`].
#[derive(Debug)]
pub struct Handler {
    protocols: Vec<StreamProtocol>,
    wanted: VecDeque<StreamProtocol>,
    happened: VecDeque<FromHandler>,
    hold: bool,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Order;
    type ToBehaviour = FromHandler;
    type InboundProtocol = Accept;
    type OutboundProtocol = Accept;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = StreamProtocol;

    fn listen_protocol(&self) -> SubstreamProtocol<Accept> {
        SubstreamProtocol::new(Accept(self.protocols.clone()), ())
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Accept, StreamProtocol, FromHandler>> {
        if let Some(event) = self.happened.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Some(protocol) = self.wanted.pop_front() {
            let upgrade = Accept(vec![protocol.clone()]);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol: SubstreamProtocol::new(upgrade, protocol) });
        }
        Poll::Pending
    }

    fn connection_keep_alive(&self) -> bool {
        self.hold
    }

    fn on_behaviour_event(&mut self, order: Order) {
        match order {
            Order::Open(protocol) => self.wanted.push_back(protocol),
            Order::Hold(hold) => self.hold = hold,
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Accept, Accept, (), StreamProtocol>) {
        let happened = match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: (stream, protocol), .. }) => {
                FromHandler::Opened { protocol, inbound: true, stream }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: (stream, protocol), .. }) => {
                FromHandler::Opened { protocol, inbound: false, stream }
            }
            ConnectionEvent::DialUpgradeError(failure) => {
                let unsupported = matches!(failure.error, libp2p::swarm::StreamUpgradeError::NegotiationFailed);
                FromHandler::Failed { protocol: failure.info, unsupported }
            }
            _ => return,
        };
        if self.happened.len() < MAX_WAITING {
            self.happened.push_back(happened);
        }
    }
}

/// Negotiates one of a list of protocols and hands the stream over.
#[derive(Debug, Clone)]
pub struct Accept(Vec<StreamProtocol>);

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Accept {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Accept {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

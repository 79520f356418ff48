//! Answers whoever asks whether the relay lives: <https://github.com/libp2p/specs/blob/master/ping/ping.md>.
//!
//! [`libp2p::ping`] asks and answers, but answers nobody any more who has refused its own question, and only the newest of several streams. js-libp2p
//! asks on a new stream each time and knows the protocol only where a service was added; it closes connections on which it is not answered. So
//! `libp2p::ping` asks, and this answers: of two behaviours with one protocol the first in [`Behaviour`](crate::behaviour::Behaviour) gets its streams.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    task::{Context, Poll},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{
        Endpoint,
        transport::PortUse,
        upgrade::{DeniedUpgrade, ReadyUpgrade},
    },
    ping,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, SubstreamProtocol,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound},
    },
};

use crate::limits;

/// The behaviour.
pub(crate) struct Pong;

impl NetworkBehaviour for Pong {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

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

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, never: THandlerOutEvent<Self>) {
        match never {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// One connection's streams on which it is asked, the oldest first.
#[derive(Default)]
pub(crate) struct Handler {
    streams: VecDeque<BoxFuture<'static, io::Result<()>>>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Infallible;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(ping::PROTOCOL_NAME), ())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, Infallible, Infallible>> {
        self.streams.retain_mut(|stream| stream.poll_unpin(context).is_pending());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, never: Infallible) {
        match never {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, DeniedUpgrade, (), Infallible>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: mut stream, .. }) = event {
            // Asking is no use of a connection.
            stream.ignore_for_keep_alive();
            if self.streams.len() == limits::PING_STREAMS {
                self.streams.pop_front();
            }
            self.streams.push_back(answer(stream).boxed());
        }
    }
}

/// Until the stream's end.
async fn answer(mut stream: Stream) -> io::Result<()> {
    let mut question = [0; 32];
    loop {
        stream.read_exact(&mut question).await?;
        stream.write_all(&question).await?;
        stream.flush().await?;
    }
}

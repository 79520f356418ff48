//! Tells peers where STUN and TURN are, with credentials of their own: `/shoal/ice/1.0.0`, specified in `crates/protocol/docs/ice.md`.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use futures::{AsyncWriteExt as _, FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{
        Endpoint,
        transport::PortUse,
        upgrade::{DeniedUpgrade, ReadyUpgrade},
    },
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, SubstreamProtocol,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound},
    },
};
use shoal_protocol::ice::{Credentials, Servers};
use shoal_turn::limits::CREDENTIALS;

use super::Offered;
use crate::limits;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/shoal/ice/1.0.0");

/// The behaviour.
pub(crate) struct Behaviour {
    offered: Offered,
}

impl Behaviour {
    pub(crate) const fn new(offered: Offered) -> Self {
        Self { offered }
    }

    fn handler(&self, peer: PeerId) -> Handler {
        Handler { offered: self.offered.clone(), peer, answers: VecDeque::new() }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, never: THandlerOutEvent<Self>) {
        match never {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// One connection's streams on which it was asked, the oldest first.
pub(crate) struct Handler {
    offered: Offered,
    peer: PeerId,
    answers: VecDeque<BoxFuture<'static, io::Result<()>>>,
}

impl Handler {
    /// What this peer is told now.
    fn servers(&self) -> Servers {
        let unix_seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let turn = self.offered.secret.as_ref().map(|secret| {
            let made = secret.credentials(&self.peer.to_base58(), unix_seconds);
            Credentials { lifetime: CREDENTIALS, username: made.username, password: made.password }
        });
        Servers { port: self.offered.port, turn }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Infallible;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, Infallible, Infallible>> {
        self.answers.retain_mut(|answer| answer.poll_unpin(context).is_pending());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, never: Infallible) {
        match never {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, DeniedUpgrade, (), Infallible>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: mut stream, .. }) = event {
            // Asking is no use of a connection.
            stream.ignore_for_keep_alive();
            if self.answers.len() == limits::ICE_STREAMS {
                self.answers.pop_front();
            }
            self.answers.push_back(answer(stream, self.servers().encode()).boxed());
        }
    }
}

async fn answer(mut stream: Stream, bytes: Vec<u8>) -> io::Result<()> {
    stream.write_all(&bytes).await?;
    stream.close().await
}

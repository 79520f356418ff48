//! A peer that connects anew may have lost its older connection without a word: its address changed, its device slept. Circuits to it must not go there:
//! libp2p's relay takes any of a peer's connections that has a reservation, and by the timer of [`ping`] a dead one is noticed after a minute. So each
//! older connection is asked at once, and closed if it stays silent. Another tab of the same page answers, and keeps its own.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    io,
    iter::once,
    task::{Context, Poll},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{
        Endpoint, UpgradeInfo,
        transport::PortUse,
        upgrade::{DeniedUpgrade, OutboundUpgrade},
    },
    ping,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, OneShotHandler, OneShotHandlerConfig,
        StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};

use crate::limits;

/// The behaviour.
#[derive(Default)]
pub(crate) struct Liveness {
    /// Bounded by the limits of connections.
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    /// Those that have not answered yet. One question at a time: of several, libp2p's ping answers the last.
    asked: HashSet<ConnectionId>,
    due: Vec<(PeerId, ConnectionId, Due)>,
}

enum Due {
    Ask,
    Close,
}

impl NetworkBehaviour for Liveness {
    type ConnectionHandler = OneShotHandler<DeniedUpgrade, Question, Alive>;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(opened) => {
                let connections = self.connections.entry(opened.peer_id).or_default();
                let ask = connections.iter().filter(|older| self.asked.insert(**older));
                self.due.extend(ask.map(|older| (opened.peer_id, *older, Due::Ask)));
                connections.push(opened.connection_id);
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.asked.remove(&closed.connection_id);
                self.due.retain(|(_, connection, _)| *connection != closed.connection_id);
                if let Some(connections) = self.connections.get_mut(&closed.peer_id) {
                    connections.retain(|connection| *connection != closed.connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&closed.peer_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, answer: THandlerOutEvent<Self>) {
        self.asked.remove(&connection);
        // Whoever refuses, or leaves the question for a newer one as libp2p does, has said something. What fails with its connection is closed without us.
        if let Err(StreamUpgradeError::Timeout) = answer {
            tracing::debug!(%peer, "closed an older connection that is silent");
            self.due.push((peer, connection, Due::Close));
        }
    }

    // What is due comes with events of the swarm, which polls after each: nothing needs to be woken.
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Ready(match self.due.pop() {
            None => return Poll::Pending,
            Some((peer_id, connection, Due::Ask)) => {
                ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(connection), event: Question }
            }
            Some((peer_id, connection, Due::Close)) => ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(connection) },
        })
    }
}

fn handler() -> OneShotHandler<DeniedUpgrade, Question, Alive> {
    // It never takes back what it counts of questions that failed.
    let config = OneShotHandlerConfig { outbound_substream_timeout: limits::SILENCE, max_dial_negotiated: u32::MAX };
    OneShotHandler::new(SubstreamProtocol::new(DeniedUpgrade, ()), config)
}

/// One ping on a stream of its own: <https://github.com/libp2p/specs/blob/master/ping/ping.md>.
#[derive(Debug)]
pub(crate) struct Question;

/// The answer.
#[derive(Debug)]
pub(crate) struct Alive;

/// Peers do not ask us here: that is `ping`'s.
impl From<Infallible> for Alive {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl UpgradeInfo for Question {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        once(ping::PROTOCOL_NAME)
    }
}

impl OutboundUpgrade<Stream> for Question {
    type Output = Alive;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Alive>>;

    fn upgrade_outbound(self, mut stream: Stream, _: StreamProtocol) -> Self::Future {
        async move {
            let mut bytes = [0; 32];
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            stream.read_exact(&mut bytes).await?;
            Ok(Alive)
        }
        .boxed()
    }
}

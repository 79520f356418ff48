//! Opens and accepts signalling streams on one connection.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use futures::channel::oneshot;
use libp2p_core::upgrade::ReadyUpgrade;
use libp2p_swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, SubstreamProtocol,
    handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
};

use super::error::Error;
use crate::signaling::PROTOCOL;

/// Who waits for a signalling stream.
type Reply = oneshot::Sender<Result<Stream, Error>>;

/// Asks the handler for a signalling stream.
#[derive(Debug)]
pub struct OpenSignaling(pub(super) Reply);

/// A signalling stream that the peer opened.
#[derive(Debug)]
pub struct SignalingOpened(pub(super) Stream);

/// The handler of [`Behaviour`](super::Behaviour).
#[derive(Default)]
pub struct Handler {
    requests: VecDeque<Reply>,
    opened: VecDeque<Stream>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenSignaling;
    type ToBehaviour = SignalingOpened;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Reply;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(StreamProtocol::new(PROTOCOL)), ())
    }

    fn connection_keep_alive(&self) -> bool {
        !self.requests.is_empty()
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        if let Some(stream) = self.opened.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(SignalingOpened(stream)));
        }
        if let Some(reply) = self.requests.pop_front() {
            let upgrade = ReadyUpgrade::new(StreamProtocol::new(PROTOCOL));
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol: SubstreamProtocol::new(upgrade, reply) });
        }
        // Both queues are filled from the task that polls next.
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, OpenSignaling(reply): Self::FromBehaviour) {
        self.requests.push_back(reply);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, Self::InboundOpenInfo, Self::OutboundOpenInfo>,
    ) {
        match event {
            // A peer negotiates one connection at a time; what is beyond is reset.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) if self.opened.len() < INBOUND => {
                self.opened.push_back(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                let _ = info.send(Ok(protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let _ = info.send(Err(Error::NoSignaling(error.to_string())));
            }
            _ => {}
        }
    }
}

/// How many signalling streams of one peer may wait for the behaviour.
const INBOUND: usize = 4;

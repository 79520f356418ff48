//! The transport: dials `<base>/webrtc/p2p/<peer>`, listens on `/webrtc`.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{
    FutureExt, SinkExt, StreamExt,
    channel::{mpsc, oneshot},
    future::BoxFuture,
};
use libp2p_core::{
    Multiaddr,
    multiaddr::Protocol,
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use libp2p_identity::{Keypair, PeerId};
use libp2p_swarm::Stream;
use send_wrapper::SendWrapper;

use super::{
    config::Config,
    connection::Connection,
    crossing::Crossings,
    direct::{Direct, Older},
    error::Error,
    negotiate::{self, Signaling},
    port::Shim,
};
use crate::signaling::Message;

/// A dial that needs a signalling stream.
#[derive(Debug)]
pub(super) struct SignalingRequest {
    pub(super) peer: PeerId,
    /// Where to find the peer if there is no connection to it yet.
    pub(super) base: Multiaddr,
    pub(super) reply: oneshot::Sender<Result<Stream, Error>>,
}

/// A signalling stream that a peer opened.
pub(super) struct InboundSignaling {
    pub(super) peer: PeerId,
    pub(super) stream: Stream,
}

/// The behaviour's ends of the channels to the transport.
pub(super) struct Ends {
    pub(super) requests: mpsc::Receiver<SignalingRequest>,
    pub(super) inbound: mpsc::Sender<InboundSignaling>,
}

/// The libp2p transport for `/webrtc`. Made by [`new`](super::new), together with its behaviour.
pub struct Transport {
    shared: SendWrapper<Shared>,
    requests: mpsc::Sender<SignalingRequest>,
    inbound: mpsc::Receiver<InboundSignaling>,
    listener: Option<ListenerId>,
    events: VecDeque<Event>,
    waker: Option<Waker>,
}

#[derive(Clone)]
struct Shared {
    shim: Shim,
    config: Config,
    crossings: Crossings,
}

type Upgrade = BoxFuture<'static, Result<(PeerId, Connection), Error>>;
type Event = TransportEvent<Upgrade, Error>;

impl Transport {
    pub(super) fn new(local: PeerId, shim: Shim, config: Config) -> (Self, Ends) {
        let (requests, requests_end) = mpsc::channel(QUEUE);
        let (inbound_end, inbound) = mpsc::channel(QUEUE);
        let transport = Self {
            shared: SendWrapper::new(Shared { shim, config, crossings: Crossings::new(local) }),
            requests,
            inbound,
            listener: None,
            events: VecDeque::new(),
            waker: None,
        };
        let ends = Ends { requests: requests_end, inbound: inbound_end };
        (transport, ends)
    }

    /// The transport to servers, which shares the page's peer connections and their bound with this one.
    /// It learns which of them are `older`, and heeds it.
    pub fn to_servers(&self, key: &Keypair, older: Older) -> Direct {
        let Config { negotiation_timeout, direct_version, .. } = self.shared.config;
        Direct::new(self.shared.shim.clone(), negotiation_timeout, direct_version, older, key.clone())
    }

    fn push(&mut self, event: Event) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Shared {
    async fn dial(
        self,
        peer: PeerId,
        base: Multiaddr,
        mut requests: mpsc::Sender<SignalingRequest>,
    ) -> Result<(PeerId, Connection), Error> {
        let crossings = self.crossings.clone();
        let connection = crossings
            .outbound(peer, |offering| async move {
                let (reply, stream) = oneshot::channel();
                let request = SignalingRequest { peer, base, reply };
                requests.send(request).await.map_err(|_| Error::NoBehaviour)?;
                let lost = |_| Error::NoSignaling("the first connection closed".into());
                let signaling = Signaling::new(stream.await.map_err(lost)??);
                let attempt = negotiate::initiate(&self.shim, &self.config, peer, signaling, move || offering.now());
                negotiate::within(self.config.negotiation_timeout, attempt).await
            })
            .await?;
        Ok((peer, connection))
    }

    async fn accept(self, peer: PeerId, stream: Stream) -> Result<(PeerId, Connection), Error> {
        let limit = self.config.negotiation_timeout;
        let connection = negotiate::within(limit, async {
            let mut signaling = Signaling::new(stream);
            let first = signaling.receive().await?;
            let extended = match &first {
                Message::Offer(offer) => offer.max_frame.is_some(),
                _ => false,
            };
            let attempt = negotiate::respond(&self.shim, &self.config, peer, signaling, first);
            if extended { self.crossings.inbound(peer, attempt).await } else { attempt.await }
        })
        .await?;
        Ok((peer, connection))
    }
}

impl libp2p_core::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    /// Listens on `/webrtc`: any connection that the peer may have to this node serves for signalling.
    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        if address != Multiaddr::from(Protocol::WebRTC) || self.listener.is_some() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        self.listener = Some(id);
        self.push(TransportEvent::NewAddress { listener_id: id, listen_addr: address });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        if self.listener != Some(id) {
            return false;
        }
        self.listener = None;
        self.push(TransportEvent::ListenerClosed { listener_id: id, reason: Ok(()) });
        true
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Self::Error>> {
        match parse(&address) {
            Some((base, peer)) if options.role.is_dialer() => {
                let shared = (*self.shared).clone();
                let dial = shared.dial(peer, base, self.requests.clone());
                Ok(SendWrapper::new(dial).boxed())
            }
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        while let Poll::Ready(Some(InboundSignaling { peer, stream })) = self.inbound.poll_next_unpin(cx) {
            // Not listening: the stream is reset.
            let Some(listener_id) = self.listener else {
                continue;
            };
            let upgrade = (*self.shared).clone().accept(peer, stream);
            return Poll::Ready(TransportEvent::Incoming {
                listener_id,
                upgrade: SendWrapper::new(upgrade).boxed(),
                local_addr: Protocol::WebRTC.into(),
                send_back_addr: Multiaddr::from(Protocol::WebRTC).with(Protocol::P2p(peer)),
            });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Splits `<base>/webrtc/p2p/<peer>`.
fn parse(address: &Multiaddr) -> Option<(Multiaddr, PeerId)> {
    let mut base = address.clone();
    let Some(Protocol::P2p(peer)) = base.pop() else {
        return None;
    };
    let Some(Protocol::WebRTC) = base.pop() else {
        return None;
    };
    (!base.is_empty()).then_some((base, peer))
}

/// How many dials may wait for the behaviour, and how many inbound signalling streams for the transport: both are fast.
const QUEUE: usize = 32;

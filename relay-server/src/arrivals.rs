//! The libp2p transport of all sockets over TCP: those that the HTTP server upgraded to WebSockets, and those that speak libp2p from their
//! first byte. It authenticates them within limits. Dials are another transport's: [`crate::outgoing`].

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::extract::ws::WebSocket;
use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        muxing::StreamMuxerBox,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
};
use tokio::sync::mpsc;

use crate::{
    admission::Knock,
    health::Health,
    negotiation::{Part, Security, authenticated},
    tcp,
    way::Way,
    websocket,
};

/// A socket: who it is, is still to be shown.
pub(crate) struct Arrival {
    /// The socket.
    pub(crate) socket: Socket,
    /// How it came.
    pub(crate) way: Way,
    /// Where it comes from; behind a trusted proxy, what the proxy says.
    pub(crate) remote: SocketAddr,
    /// Its place among the handshakes under way, given back when it is authenticated or gone.
    pub(crate) knock: Knock,
}

/// What carries the bytes.
pub(crate) enum Socket {
    /// Fresh from the upgrade.
    WebSocket(Box<WebSocket>),
    /// From its first byte on.
    Tcp(tcp::Guarded),
}

/// What one socket may cost.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// How long it may take from its arrival to an authenticated, multiplexed connection.
    pub(crate) handshake: Duration,
    /// Its streams, both directions together.
    pub(crate) streams: usize,
}

/// The transport: listens on one address, in whose name all sockets are handed in.
pub(crate) struct Transport {
    arrivals: mpsc::Receiver<Arrival>,
    security: Security,
    health: Arc<Health>,
    bounds: Bounds,
    listener: Option<Listener>,
}

struct Listener {
    id: ListenerId,
    address: Multiaddr,
    announced: bool,
}

impl Transport {
    /// Takes sockets from `arrivals` and authenticates them with `security`.
    pub(crate) const fn new(arrivals: mpsc::Receiver<Arrival>, security: Security, health: Arc<Health>, bounds: Bounds) -> Self {
        Self { arrivals, security, health, bounds, listener: None }
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, StreamMuxerBox);
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Self::Output>>;
    type Dial = futures::future::Pending<io::Result<Self::Output>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        if Way::of(&address) != Some(Way::WebSocket) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        if self.listener.is_some() {
            return Err(TransportError::Other(io::ErrorKind::AddrInUse.into()));
        }
        self.listener = Some(Listener { id, address, announced: false });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listener.take_if(|listener| listener.id == id).is_some()
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let this = self.get_mut();
        let Some(listener) = &mut this.listener else { return Poll::Pending };
        if !listener.announced {
            listener.announced = true;
            return Poll::Ready(TransportEvent::NewAddress { listener_id: listener.id, listen_addr: listener.address.clone() });
        }
        let Some(arrival) = ready!(this.arrivals.poll_recv(context)) else {
            let listener_id = listener.id;
            this.listener = None;
            return Poll::Ready(TransportEvent::ListenerClosed { listener_id, reason: Ok(()) });
        };
        Poll::Ready(TransportEvent::Incoming {
            listener_id: listener.id,
            local_addr: listener.address.clone(),
            send_back_addr: arrival.way.address(arrival.remote),
            upgrade: secured(arrival, this.security.clone(), Arc::clone(&this.health), this.bounds).boxed(),
        })
    }
}

/// From a socket to an authenticated connection with streams, within `bounds`.
async fn secured(arrival: Arrival, security: Security, health: Arc<Health>, bounds: Bounds) -> io::Result<(PeerId, StreamMuxerBox)> {
    let Arrival { socket, knock, .. } = arrival;
    let told_to_leave = knock.told_to_leave();
    let handshake = match socket {
        Socket::WebSocket(socket) => {
            let bytes = websocket::Bytes::new(*socket, Arc::clone(&health));
            authenticated(bytes, security, Part::Listener, false, bounds.streams, Arc::clone(&health)).boxed()
        }
        Socket::Tcp(socket) => {
            let bytes = tcp::Bytes::new(socket, Arc::clone(&health));
            authenticated(bytes, security, Part::Listener, true, bounds.streams, Arc::clone(&health)).boxed()
        }
    };
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(bounds.handshake, handshake) => outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        () = told_to_leave.notified() => {
            health.refused.add(1);
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    };
    if outcome.is_ok() {
        knock.come_in();
    }
    outcome
}

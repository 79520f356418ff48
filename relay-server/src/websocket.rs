//! The libp2p transport: WebSockets that the HTTP server upgraded, as byte streams, then Noise and yamux over them.
//!
//! libp2p's own WebSocket transport binds a port of its own and accepts frames of 256 MiB before it knows who sends them;
//! here the port is shared with the files, and the frame limit stands before the first byte. The relay never dials.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::extract::ws::{Message, WebSocket};
use bytes::{Buf as _, Bytes};
use futures::{AsyncRead, AsyncWrite, FutureExt as _, Sink as _, StreamExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        UpgradeInfo as _,
        muxing::StreamMuxerBox,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
        upgrade::InboundConnectionUpgrade as _,
    },
    multiaddr::Protocol,
    noise,
};
use multistream_select::listener_select_proto;
use tokio::sync::mpsc;

use crate::{addresses::with_ip, admission::Knock, health::Health, limits, muxer};

/// A socket fresh from the upgrade: who it is, is still to be shown.
pub(crate) struct Arrival {
    /// The upgraded socket.
    pub(crate) socket: WebSocket,
    /// Where it comes from; behind a trusted proxy, what the proxy says.
    pub(crate) remote: SocketAddr,
    /// Its place among the handshakes under way, given back when it is authenticated or gone.
    pub(crate) knock: Knock,
}

/// What one socket may cost.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// How long it may take from its upgrade to an authenticated, multiplexed connection.
    pub(crate) handshake: Duration,
    /// Its streams, both directions together.
    pub(crate) streams: usize,
}

/// The transport: listens on one address, over which the HTTP server hands in sockets.
pub(crate) struct Transport {
    arrivals: mpsc::Receiver<Arrival>,
    noise: noise::Config,
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
    /// Takes sockets from `arrivals` and authenticates them with `noise`.
    pub(crate) fn new(arrivals: mpsc::Receiver<Arrival>, noise: noise::Config, health: Arc<Health>, bounds: Bounds) -> Self {
        Self { arrivals, noise, health, bounds, listener: None }
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, StreamMuxerBox);
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Self::Output>>;
    type Dial = futures::future::Pending<io::Result<Self::Output>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        if !address.iter().any(|part| matches!(part, Protocol::Ws(_))) {
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
        let send_back_addr = with_ip(arrival.remote.ip()).with(Protocol::Tcp(arrival.remote.port())).with(Protocol::Ws("/".into()));
        Poll::Ready(TransportEvent::Incoming {
            listener_id: listener.id,
            local_addr: listener.address.clone(),
            send_back_addr,
            upgrade: secured(arrival, this.noise.clone(), Arc::clone(&this.health), this.bounds).boxed(),
        })
    }
}

/// From a socket to an authenticated connection with streams, within `bounds`.
async fn secured(arrival: Arrival, noise: noise::Config, health: Arc<Health>, bounds: Bounds) -> io::Result<(PeerId, StreamMuxerBox)> {
    let Arrival { socket, knock, .. } = arrival;
    let told_to_leave = knock.told_to_leave();
    let handshake = async {
        let socket = ByteStream { socket, unread: Bytes::new(), health: Arc::clone(&health) };
        let (protocol, socket) = listener_select_proto(socket, noise.protocol_info()).await.map_err(io::Error::other)?;
        let (peer, socket) = noise.upgrade_inbound(socket, protocol).await.map_err(io::Error::other)?;
        let (_, socket) = listener_select_proto(socket, [muxer::PROTOCOL]).await.map_err(io::Error::other)?;
        Ok((peer, StreamMuxerBox::new(muxer::Muxer::new(socket, bounds.streams, Arc::clone(&health)))))
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

/// The binary messages of a WebSocket as a stream of bytes (libp2p: message borders carry no meaning).
struct ByteStream {
    socket: WebSocket,
    /// The rest of the message that was read last.
    unread: Bytes,
    health: Arc<Health>,
}

impl AsyncRead for ByteStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            match ready!(this.socket.poll_next_unpin(context)) {
                Some(Ok(Message::Binary(bytes))) => {
                    this.health.bytes_received.add(bytes.len());
                    this.unread = bytes;
                }
                // A goodbye is answered as the socket is read on, and then nothing more comes. Left unanswered, it counts as a failure
                // in Firefox, which makes the page's next socket wait for 200 to 400 ms.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => {}
                Some(Ok(Message::Text(_))) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                None => return Poll::Ready(Ok(0)),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let length = buffer.len().min(this.unread.len());
        this.unread.copy_to_slice(&mut buffer[..length]);
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.socket).poll_ready(context)).map_err(io::Error::other)?;
        let length = buffer.len().min(limits::WEBSOCKET_MESSAGE);
        let message = Message::Binary(Bytes::copy_from_slice(&buffer[..length]));
        Pin::new(&mut this.socket).start_send(message).map_err(io::Error::other)?;
        this.health.bytes_sent.add(length);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context).map_err(io::Error::other)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_close(context).map_err(io::Error::other)
    }
}

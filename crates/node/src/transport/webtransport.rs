//! WebTransport from a page to a relay: [`libp2p_webtransport_websys`], with what browsers and others make necessary.
//!
//! * An address is judged before it is dialled, like one of a WebSocket.
//! * A dial goes on when the WebSocket was faster, for at most [`WAYS_PATIENCE`]: what becomes of it decides how the relay is dialled next time.
//! * A stream that is dropped before its end is read on to it, within bounds, instead of being cancelled: Firefox 153 gives no credit back for a
//!   cancelled stream that the relay opened, so that after about a hundred of them the relay can open none.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{
    AsyncRead, AsyncWrite, FutureExt,
    channel::oneshot,
    future::{BoxFuture, Either, select},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        StreamMuxer,
        muxing::{StreamMuxerBox, StreamMuxerEvent},
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
    identity::Keypair,
};
use libp2p_webtransport_websys as websys;
use shoal_protocol::{
    addresses::{Filter, Reach, Refusal},
    limits::{WAYS_ANSWER, WAYS_PATIENCE},
    reservations::ways::{Failure, Way},
};
use web_time::Instant;

use super::{
    address::{peer_of, way_of},
    race::Race,
};
use crate::platform;

/// How much of what nobody reads any more is still taken from a stream, and for how long. What our relay sends on a stream before it is asked for more is less;
/// who sends on is told to stop, at the price of one stream's credit in Firefox.
const DRAIN_BYTES: usize = 256 * 1024;
/// See [`DRAIN_BYTES`].
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// What is read at once of it.
const DRAIN_CHUNK: usize = 4 * 1024;

/// Dials `/ip4|ip6|dns…/udp/<port>/quic-v1/webtransport/certhash/…`. It never listens: a page cannot.
pub struct Transport {
    inner: websys::Transport,
    filter: Option<Filter>,
    race: Race,
}

/// Whether this browser has it, here: in a secure context only.
pub fn is_supported() -> bool {
    js_sys::Reflect::has(&js_sys::global(), &"WebTransport".into()).unwrap_or(false)
}

impl Transport {
    /// A transport that dials what this filter lets pass, nothing without one, and proves this key.
    pub fn new(key: &Keypair, filter: Option<Filter>, race: Race) -> Self {
        Self { inner: websys::Transport::new(websys::Config::new(key)), filter, race }
    }
}

/// Why a dial failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It leads to where nobody may send this page.
    #[error("{address} is not dialled: {refusal}")]
    Filtered {
        /// The address that was told.
        address: Multiaddr,
        /// What is wrong with it.
        refusal: Refusal,
    },
    /// Nobody listens there, or not with a certificate of the address, or not the peer of the address.
    #[error("no WebTransport: {0}")]
    Refused(#[from] websys::Error),
    /// Nothing came back.
    #[error("no answer to WebTransport; does a firewall let no UDP through?")]
    Silent,
}

impl libp2p::core::Transport for Transport {
    type Output = (PeerId, StreamMuxerBox);
    type Error = Error;
    type ListenerUpgrade = futures::future::Pending<Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        let Some(filter) = self.filter.as_ref().filter(|_| way_of(&address) == Some(Way::WebTransport)) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        if let Err(refusal) = filter.check(&address, Reach::Loopback) {
            return Err(TransportError::Other(Error::Filtered { address, refusal }));
        }
        let peer = peer_of(&address);
        let dial = self.inner.dial(address, options).map_err(|error| error.map(Error::Refused))?;
        let (answer, answered) = oneshot::channel();
        let race = self.race.clone();
        platform::spawn(async move {
            let began = Instant::now();
            let result = match select(dial, Box::pin(platform::sleep(WAYS_PATIENCE))).await {
                Either::Left((Ok((peer, connection)), _)) => Ok((peer, StreamMuxerBox::new(Connection(connection)))),
                Either::Left((Err(error), _)) if began.elapsed() < WAYS_ANSWER => Err(Error::Refused(error)),
                // Browsers do not say why, only when.
                _ => Err(Error::Silent),
            };
            if let Some(peer) = peer {
                let failure = |error: &Error| if matches!(error, Error::Silent) { Failure::Silent } else { Failure::Refused };
                race.ended(peer, result.as_ref().map(|_| ()).map_err(failure));
            }
            // Where the WebSocket was faster nobody takes it, and it is closed.
            let _ = answer.send(result);
        });
        Ok(answered.map(|result| result.unwrap_or(Err(Error::Silent))).boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

/// A connection whose streams are read to their end.
#[derive(Debug)]
struct Connection(websys::Connection);

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = websys::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, websys::Error>> {
        Pin::new(&mut self.0).poll_inbound(context).map_ok(Stream::new)
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, websys::Error>> {
        Pin::new(&mut self.0).poll_outbound(context).map_ok(Stream::new)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), websys::Error>> {
        Pin::new(&mut self.0).poll_close(context)
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, websys::Error>> {
        Pin::new(&mut self.0).poll(context)
    }
}

/// A stream that is read to its end, by a task where nobody else does it.
#[derive(Debug)]
struct Stream {
    /// Until it is dropped.
    inner: Option<websys::Stream>,
    ended: bool,
}

impl Stream {
    const fn new(inner: websys::Stream) -> Self {
        Self { inner: Some(inner), ended: false }
    }

    fn inner(&mut self) -> io::Result<Pin<&mut websys::Stream>> {
        self.inner.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = ready!(self.inner()?.poll_read(context, buffer));
        self.ended |= !buffer.is_empty() && matches!(read, Ok(0) | Err(_));
        Poll::Ready(read)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_close(context)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(stream) = self.inner.take().filter(|_| !self.ended) {
            platform::spawn(async {
                select(Box::pin(drain(stream)), Box::pin(platform::sleep(DRAIN_TIME))).await;
            });
        }
    }
}

/// Ends our half, and reads the other one to its end or to [`DRAIN_BYTES`].
fn drain(mut stream: websys::Stream) -> impl Future<Output = ()> {
    let mut taken = 0;
    poll_fn(move |context| {
        // Begins to close. Nobody waits until it is done.
        let _ = Pin::new(&mut stream).poll_close(context);
        let mut chunk = [0; DRAIN_CHUNK];
        while taken < DRAIN_BYTES {
            match ready!(Pin::new(&mut stream).poll_read(context, &mut chunk)) {
                Ok(length) if length > 0 => taken += length,
                _ => break,
            }
        }
        Poll::Ready(())
    })
}

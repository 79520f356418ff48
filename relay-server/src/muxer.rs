//! The streams of one connection: yamux (specs `yamux/README.md`) with limits that fit a relay.
//!
//! libp2p's own wrapper cannot set the receive window (1 GiB per connection), and ends the whole connection when the relay
//! itself opens one stream too many, so that anyone could cut a peer off by asking for circuits to it. Here such a
//! stream waits until another one ends.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use futures::{AsyncRead, AsyncWrite, task::AtomicWaker};
use libp2p::core::{StreamMuxer, muxing::StreamMuxerEvent};

use crate::{health::Health, limits, meter::Meter, negotiation::Part};

/// The protocol's name in the negotiation.
pub(crate) const PROTOCOL: &str = "/yamux/1.0.0";

/// yamux on `C`, its streams counted.
pub(crate) struct Muxer<C> {
    connection: yamux::Connection<C>,
    /// Streams that the peer opened and the swarm has not asked for yet: by yamux's own limit at most as many as there may be.
    opened: VecDeque<Stream>,
    on_opened: Option<Waker>,
    /// From this many on the relay opens no further ones.
    before_opening: usize,
    alive: Arc<Alive>,
    health: Arc<Health>,
}

/// How many streams live, and who waits for fewer.
#[derive(Default)]
struct Alive {
    streams: AtomicUsize,
    on_fewer: AtomicWaker,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    /// Takes this part on `socket`, and holds at most `streams`.
    pub(crate) fn new(socket: C, part: Part, streams: usize, health: Arc<Health>) -> Self {
        let mode = match part {
            Part::Listener => yamux::Mode::Server,
            Part::Dialler => yamux::Mode::Client,
        };
        let mut config = yamux::Config::default();
        config.set_max_num_streams(streams).set_max_connection_receive_window(Some(streams * limits::STREAM_WINDOW));
        Self {
            connection: yamux::Connection::new(socket, config, mode),
            opened: VecDeque::new(),
            on_opened: None,
            before_opening: streams - streams / limits::STREAMS_KEPT,
            alive: Arc::default(),
            health,
        }
    }

    fn wrap(&self, stream: yamux::Stream, opener: Opener) -> Stream {
        self.alive.streams.fetch_add(1, Ordering::Relaxed);
        let meter = match opener {
            Opener::Peer => Meter::of_peer(),
            Opener::Relay => Meter::Off,
        };
        Stream { stream, meter, alive: Arc::clone(&self.alive), health: Arc::clone(&self.health) }
    }

    /// Lets yamux work until it has nothing to do, keeping the streams that the peer opened.
    fn drive(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            match ready!(self.connection.poll_next_inbound(context)) {
                Some(Ok(stream)) => {
                    let stream = self.wrap(stream, Opener::Peer);
                    self.opened.push_back(stream);
                    if let Some(waker) = self.on_opened.take() {
                        waker.wake();
                    }
                }
                Some(Err(error)) => return Poll::Ready(io::Error::other(error)),
                None => return Poll::Ready(io::ErrorKind::ConnectionAborted.into()),
            }
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let this = self.get_mut();
        if this.opened.is_empty()
            && let Poll::Ready(error) = this.drive(context)
        {
            return Poll::Ready(Err(error));
        }
        match this.opened.pop_front() {
            Some(stream) => Poll::Ready(Ok(stream)),
            None => {
                this.on_opened = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_outbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let this = self.get_mut();
        // yamux forgets dropped streams only when it is driven; until then they count against its limit.
        if let Poll::Ready(error) = this.drive(context) {
            return Poll::Ready(Err(error));
        }
        this.alive.on_fewer.register(context.waker());
        if this.alive.streams.load(Ordering::Relaxed) >= this.before_opening {
            return Poll::Pending;
        }
        let stream = ready!(this.connection.poll_new_outbound(context)).map_err(io::Error::other)?;
        Poll::Ready(Ok(this.wrap(stream, Opener::Relay)))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().connection.poll_close(context).map_err(io::Error::other)
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.get_mut().drive(context).map(Err)
    }
}

#[derive(Clone, Copy)]
enum Opener {
    Peer,
    Relay,
}

/// One stream.
pub(crate) struct Stream {
    stream: yamux::Stream,
    meter: Meter,
    alive: Arc<Alive>,
    health: Arc<Health>,
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.health.relayed_bytes.add(this.meter.received(&buffer[..length]));
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(Pin::new(&mut this.stream).poll_write(context, buffer))?;
        this.health.relayed_bytes.add(this.meter.relayed(length));
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(context)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.alive.streams.fetch_sub(1, Ordering::Relaxed);
        self.alive.on_fewer.wake();
    }
}

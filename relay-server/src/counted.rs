//! Connections that bring streams of their own (QUIC, WebTransport): what these carry is counted as what sockets do.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::{StreamMuxer, muxing::StreamMuxerEvent};

use crate::{health::Health, meter::Meter};

/// A connection whose bytes are counted.
pub(crate) struct Counted<Connection> {
    connection: Connection,
    health: Arc<Health>,
}

impl<Connection> Counted<Connection> {
    /// Counts in `health`.
    pub(crate) const fn new(connection: Connection, health: Arc<Health>) -> Self {
        Self { connection, health }
    }

    fn stream<S>(&self, stream: S, meter: Meter) -> Stream<S> {
        Stream { stream, meter, health: Arc::clone(&self.health) }
    }
}

impl<Connection: StreamMuxer + Unpin> StreamMuxer for Counted<Connection>
where
    Connection::Substream: Unpin,
{
    type Substream = Stream<Connection::Substream>;
    type Error = Connection::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = ready!(Pin::new(&mut self.connection).poll_inbound(context))?;
        Poll::Ready(Ok(self.stream(stream, Meter::of_peer())))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = ready!(Pin::new(&mut self.connection).poll_outbound(context))?;
        Poll::Ready(Ok(self.stream(stream, Meter::Off)))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.connection).poll_close(context)
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.connection).poll(context)
    }
}

/// One of its streams.
pub(crate) struct Stream<S> {
    stream: S,
    meter: Meter,
    health: Arc<Health>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.health.bytes_received.add(length);
        this.health.relayed_bytes.add(this.meter.received(&buffer[..length]));
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(Pin::new(&mut this.stream).poll_write(context, buffer))?;
        this.health.bytes_sent.add(length);
        this.health.relayed_bytes.add(this.meter.relayed(length));
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

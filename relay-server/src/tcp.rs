//! TCP sockets: with their place among all, and for libp2p, whose traits are those of `futures`, with their bytes counted.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use tokio::{io::ReadBuf, net::TcpStream};

use crate::{admission::Ticket, health::Health};

/// A TCP stream that gives its place back when it is closed, also after an upgrade took it over.
pub(crate) struct Guarded {
    stream: TcpStream,
    _ticket: Option<Ticket>,
}

impl Guarded {
    /// Keeps `ticket` for as long as the stream is open.
    pub(crate) fn new(stream: TcpStream, ticket: Ticket) -> Self {
        Self::with(stream, Some(ticket))
    }

    /// One that this server opened itself: it takes nobody's place.
    pub(crate) fn dialled(stream: TcpStream) -> Self {
        Self::with(stream, None)
    }

    fn with(stream: TcpStream, ticket: Option<Ticket>) -> Self {
        // Small frames answer small frames here: waiting to gather them (Nagle) costs up to 200 ms each.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY refused");
        }
        Self { stream, _ticket: ticket }
    }

    /// The first byte, which stays to be read.
    pub(crate) async fn first(&self) -> io::Result<u8> {
        let mut first = [0];
        match self.stream.peek(&mut first).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(first[0]),
        }
    }
}

mod guarded {
    //! Everything is the stream's own.

    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::Guarded;

    impl AsyncRead for Guarded {
        fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Guarded {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(context, buffer)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffers: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
        }

        fn is_write_vectored(&self) -> bool {
            self.stream.is_write_vectored()
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(context)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(context)
        }
    }
}

/// The bytes of one socket.
pub(crate) struct Bytes {
    socket: Guarded,
    health: Arc<Health>,
}

impl Bytes {
    /// Counts in `health`.
    pub(crate) const fn new(socket: Guarded, health: Arc<Health>) -> Self {
        Self { socket, health }
    }

    fn sent(&self, outcome: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(length)) = outcome {
            self.health.bytes_sent.add(*length);
        }
    }
}

impl AsyncRead for Bytes {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(tokio::io::AsyncRead::poll_read(Pin::new(&mut self.socket), context, &mut buffer))?;
        self.health.bytes_received.add(buffer.filled().len());
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.socket), context, buffer);
        self.sent(&outcome);
        outcome
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outcome = tokio::io::AsyncWrite::poll_write_vectored(Pin::new(&mut self.socket), context, buffers);
        self.sent(&outcome);
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.socket), context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.socket), context)
    }
}

//! A stream of a connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, ready};
use quinn::{RecvStream, SendStream};
use tokio::io::ReadBuf;

/// What is read after nobody wants it any more, so that the other side's end is not answered with STOP_SENDING, and for how long.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// A stream, in both directions. Dropping it ends what was not closed, as libp2p's QUIC does: a reset would cost a page in Firefox what it has not read
/// yet, and behaviours of libp2p drop streams whose other side has said all.
#[derive(Debug)]
pub struct Stream {
    send: SendStream,
    /// Nothing once it was handed to be drained.
    receive: Option<RecvStream>,
    received_all: bool,
    finished: bool,
}

impl Stream {
    pub(crate) fn new((send, receive): (SendStream, RecvStream)) -> Self {
        Self { send, receive: Some(receive), received_all: false, finished: false }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(receive) = self.receive.as_mut().filter(|_| !buffer.is_empty()) else { return Poll::Ready(Ok(0)) };
        let mut buffer = ReadBuf::new(buffer);
        ready!(tokio::io::AsyncRead::poll_read(Pin::new(receive), context, &mut buffer))?;
        let length = buffer.filled().len();
        self.received_all |= length == 0;
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.send), context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.send), context)
    }

    /// Says that nothing more comes. It does not wait until the other side has everything: QUIC sees to that.
    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            ready!(tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.send), context))?;
            self.finished = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // quinn answers a read half that is dropped before its end with STOP_SENDING, for which Firefox (153) fails the page's own reading of
        // what was sent and finished before.
        if let Some(receive) = self.receive.take().filter(|_| !self.received_all)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(DRAIN_TIME, drain(receive)));
        }
    }
}

async fn drain(mut receive: RecvStream) {
    let mut left = DRAIN_BYTES;
    while left > 0 {
        match receive.read_chunk(left, true).await {
            Ok(Some(chunk)) => left = left.saturating_sub(chunk.bytes.len()),
            Ok(None) | Err(_) => return,
        }
    }
}

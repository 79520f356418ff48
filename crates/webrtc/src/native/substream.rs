//! A stream of a connection.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures::{AsyncRead, AsyncWrite};

use super::session::{Key, Shared};
use crate::stream::{Read, WriteError};

/// A stream of a [`Connection`](crate::Connection), in both directions.
///
/// Closing it finishes this side's half. Dropping it resets what is unfinished; see [`Stream::abandon`](crate::stream::Stream::abandon).
pub struct Stream {
    shared: Arc<Shared>,
    key: Key,
    /// Noise's channel is left without a word.
    silent: bool,
}

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, key: Key) -> Self {
        Self { shared, key, silent: false }
    }

    pub(super) fn of_noise(shared: Arc<Shared>, key: Key) -> Self {
        Self { shared, key, silent: true }
    }

    fn poll_write_parts(&self, context: &Context<'_>, parts: &[&[u8]]) -> Poll<io::Result<usize>> {
        let written = self.shared.lock().poll_write(self.key, context, parts, Instant::now());
        self.shared.driver.notify_one();
        written.map_err(write_error)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Stream").field(&self.key).finish()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let (read, made_room) = self.shared.lock().poll_read(self.key, context, buffer, Instant::now());
        if made_room {
            self.shared.driver.notify_one();
        }
        match read {
            Poll::Ready(Ok(length)) => Poll::Ready(Ok(length)),
            Poll::Ready(Err(Read::Failed(failure))) => Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, failure))),
            Poll::Ready(Err(Read::Finished)) => Poll::Ready(Ok(0)),
            Poll::Ready(Err(Read::Pending | Read::Data(_))) | Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_parts(context, &[buffer])
    }

    /// Puts all parts into one frame, as far as they fit.
    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let parts: Vec<&[u8]> = buffers.iter().map(|buffer| &**buffer).collect();
        self.poll_write_parts(context, &parts)
    }

    /// What was written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Finishes this side's half. Does not wait for the peer to confirm that: the channel lives on until it did.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().finish(self.key, Instant::now());
        self.shared.driver.notify_one();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut session = self.shared.lock();
        if self.silent {
            session.leave_silently(self.key);
        } else {
            session.abandon(self.key, Instant::now());
        }
        drop(session);
        self.shared.driver.notify_one();
    }
}

fn write_error(error: WriteError) -> io::Error {
    let kind = match error {
        WriteError::Failed(_) => io::ErrorKind::ConnectionReset,
        WriteError::Stopped | WriteError::Finished => io::ErrorKind::BrokenPipe,
    };
    io::Error::new(kind, error)
}

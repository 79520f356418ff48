//! A stream of a session: the browser's two halves as one that libp2p reads and writes.
//!
//! * One chunk is on its way to the browser at a time, as its queue wants it; who writes waits until it was taken.
//! * What the browser gives is copied once, into the reader's buffer. Where it is too small, the rest waits here.
//! * A stream that is dropped before its end is read on to it, within bounds, instead of being cancelled: Firefox 153 gives no credit back for a
//!   cancelled stream that the relay opened, so that after about a hundred of them the relay can open none.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures::{AsyncRead, AsyncWrite, future::select};
use js_sys::Uint8Array;
use send_wrapper::SendWrapper;
use wasm_bindgen::JsCast;
use web_sys::{ReadableStreamDefaultReader, WritableStreamDefaultWriter};

use super::{promised::Promised, session::Received};
use crate::platform;

/// Most bytes given to the browser at once: as in a message of a WebSocket.
const MAX_CHUNK: usize = 64 * 1024;
/// How much of what nobody reads any more is still taken from a stream, and for how long. What our relay sends on a stream before it is asked for more is less;
/// who sends on is told to stop, at the price of one stream's credit in Firefox.
const DRAIN_BYTES: usize = 256 * 1024;
/// See [`DRAIN_BYTES`].
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// What is read at once of it.
const DRAIN_CHUNK: usize = 4 * 1024;

/// A stream that is read to its end, by a task where nobody else does it.
#[derive(Debug)]
pub(super) struct Stream {
    /// Until it is dropped.
    halves: Option<SendWrapper<Halves>>,
}

#[derive(Debug)]
struct Halves {
    reader: ReadableStreamDefaultReader,
    read: Promised,
    /// Of a chunk that was larger than the reader's buffer.
    unread: Bytes,
    ended: bool,
    writer: WritableStreamDefaultWriter,
    written: Promised,
    /// It was closed, or a write has failed.
    finished: bool,
}

impl Stream {
    pub(super) fn new(reader: ReadableStreamDefaultReader, writer: WritableStreamDefaultWriter) -> Self {
        let halves =
            Halves { reader, read: Promised::new(), unread: Bytes::new(), ended: false, writer, written: Promised::new(), finished: false };
        Self { halves: Some(SendWrapper::new(halves)) }
    }

    fn halves(&mut self) -> io::Result<&mut Halves> {
        self.halves.as_deref_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Halves {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.unread.is_empty() && !self.ended && !buffer.is_empty() {
            if !self.read.is_waiting() {
                self.read.wait_for(&self.reader.read());
            }
            let received = ready!(self.read.poll(context))?;
            let Ok(chunk) = received.unchecked_into::<Received>().value().dyn_into::<Uint8Array>() else {
                self.ended = true;
                break;
            };
            let length = chunk.length() as usize;
            if let Some(room) = buffer.get_mut(..length).filter(|room| !room.is_empty()) {
                chunk.copy_to(room);
                return Poll::Ready(Ok(length));
            }
            self.unread = chunk.to_vec().into();
        }
        let length = self.unread.len().min(buffer.len());
        self.unread.split_to(length).copy_to_slice(&mut buffer[..length]);
        Poll::Ready(Ok(length))
    }

    /// Until the browser has taken what was written.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.written.is_waiting() && !self.finished {
            ready!(self.written.poll(context)).inspect_err(|_| self.finished = true)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(context))?;
        if self.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = bytes.len().min(MAX_CHUNK);
        self.written.wait_for(&self.writer.write_with_chunk(&Uint8Array::new_from_slice(&bytes[..length])));
        Poll::Ready(Ok(length))
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            ready!(self.poll_written(context))?;
            self.finished = true;
            self.written.wait_for(&self.writer.close());
        }
        if self.written.is_waiting() {
            // Whoever wants no more refuses the end, and has perhaps answered.
            let _ = ready!(self.written.poll(context));
        }
        Poll::Ready(Ok(()))
    }

    /// Ends our half, and reads the other one to its end or to [`DRAIN_BYTES`].
    fn drain(mut self) -> impl Future<Output = ()> {
        let mut taken = 0;
        poll_fn(move |context| {
            // Begins to close. Nobody waits until it is done.
            let _ = self.poll_close(context);
            let mut chunk = [0; DRAIN_CHUNK];
            while taken < DRAIN_BYTES {
                match ready!(self.poll_read(context, &mut chunk)) {
                    Ok(length) if length > 0 => taken += length,
                    _ => break,
                }
            }
            Poll::Ready(())
        })
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        if !self.finished {
            self.written.wait_for(&self.writer.close());
        }
        if !self.ended {
            self.read.wait_for(&self.reader.cancel());
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(halves) = self.halves.take().filter(|halves| !halves.ended) {
            platform::spawn(async {
                select(Box::pin(halves.take().drain()), Box::pin(platform::sleep(DRAIN_TIME))).await;
            });
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.halves()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.halves()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.halves()?.poll_written(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.halves()?.poll_close(context)
    }
}

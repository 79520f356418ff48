//! One stream of a session, as the node's tasks use it.

use std::{cell::Cell, future::poll_fn, task::Poll};

use bytes::Bytes;
use shoal_protocol::session::{Read, StreamId};

use super::{Ended, PeerSession};

/// The code of a stream that was dropped before its end.
const DROPPED: u64 = 0;

/// One stream of a session. Dropping it gives up what did not end: what was written before [`finish`](Self::finish) still goes out.
#[derive(Debug)]
pub struct SessionStream {
    session: PeerSession,
    id: StreamId,
    finished: Cell<bool>,
}

impl SessionStream {
    pub(super) fn new(session: PeerSession, id: StreamId) -> Self {
        Self { session, id, finished: Cell::new(false) }
    }

    /// The next bytes, or nothing at the end. They keep occupying the peer's credit until [`consumed`](Self::consumed) gives it back.
    ///
    /// # Errors
    /// [`Ended`] where the peer reset the stream or the session ended.
    pub async fn read(&self) -> Result<Option<Bytes>, Ended> {
        poll_fn(|context| {
            let mut inner = self.session.0.borrow_mut();
            match inner.session.read(self.id) {
                Read::Data(bytes) => {
                    // Reading gives back credit of the connection as a whole.
                    if inner.session.wants_transmit() {
                        inner.wake_pumps();
                    }
                    Poll::Ready(Ok(Some(bytes)))
                }
                Read::Finished => Poll::Ready(Ok(None)),
                Read::Reset(code) => Poll::Ready(Err(Ended(format!("the other side gave up the stream (code {code})")))),
                Read::Unknown => Poll::Ready(Err(inner.check().err().unwrap_or_else(|| Ended("the stream is over".to_owned())))),
                Read::Blocked => {
                    if let Err(ended) = inner.check() {
                        return Poll::Ready(Err(ended));
                    }
                    if let Some(stream) = inner.streams.get_mut(&self.id) {
                        stream.reader = Some(context.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Gives the peer credit for this many bytes more: they were dealt with.
    pub fn consumed(&self, bytes: u64) {
        let mut inner = self.session.0.borrow_mut();
        inner.session.consumed(self.id, bytes);
        inner.wake_pumps();
    }

    /// Writes all of it, waiting for credit and room.
    ///
    /// # Errors
    /// [`Ended`] where the peer no longer wants it or the session ended.
    pub async fn write(&self, mut bytes: Bytes) -> Result<(), Ended> {
        while !bytes.is_empty() {
            let accepted = poll_fn(|context| {
                let mut inner = self.session.0.borrow_mut();
                if let Err(ended) = inner.check() {
                    return Poll::Ready(Err(ended));
                }
                match inner.session.write(self.id, bytes.clone()) {
                    Ok(0) => {
                        if let Some(stream) = inner.streams.get_mut(&self.id) {
                            stream.writer = Some(context.waker().clone());
                        }
                        Poll::Pending
                    }
                    Ok(accepted) => {
                        inner.wake_pumps();
                        Poll::Ready(Ok(accepted))
                    }
                    Err(error) => Poll::Ready(Err(Ended(error.to_string()))),
                }
            })
            .await?;
            let _ = bytes.split_to(accepted);
        }
        Ok(())
    }

    /// Ends the writing half.
    pub fn finish(&self) {
        self.finished.set(true);
        let mut inner = self.session.0.borrow_mut();
        let _ = inner.session.finish(self.id);
        inner.wake_pumps();
    }
}

impl Drop for SessionStream {
    fn drop(&mut self) {
        let mut inner = self.session.0.borrow_mut();
        inner.streams.remove(&self.id);
        if !self.finished.get() {
            inner.session.reset(self.id, DROPPED);
        }
        // Nothing happens to a half that was read to its end.
        inner.session.stop(self.id, DROPPED);
        inner.wake_pumps();
    }
}

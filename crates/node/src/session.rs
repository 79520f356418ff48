//! A session with a peer, running: the pure state machine of [`shoal_protocol::session`] joined to the stream that carries it (one of libp2p's).
//!
//! One task pumps bytes both ways; streams of the session are handles that share its state on this one thread.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite};
use shoal_protocol::session::{Event, Read, Session, Side, StreamId};

use crate::{notify::Notify, platform};

/// Bytes read from the carrier at once: one large WebRTC message.
const READ_BUFFER: usize = 128 * 1024;
/// Bytes of frames built at once for the carrier.
const WRITE_BATCH: usize = 128 * 1024;
/// Rounds of reading and writing before other tasks of the thread get their turn.
const ROUNDS: usize = 32;
/// The code of a stream that was dropped before its end.
const DROPPED: u64 = 0;

/// A running session. Clones are the same session.
#[derive(Debug, Clone)]
pub struct PeerSession(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    session: Session,
    streams: BTreeMap<StreamId, Waiting>,
    opened: VecDeque<StreamId>,
    acceptor: Option<Waker>,
    openable: Notify,
    pump: Option<Waker>,
    closed: Option<String>,
    violated: bool,
    received: u64,
    sent: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The session ended, for this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended: {0}")]
pub struct Ended(pub String);

impl PeerSession {
    /// Runs a session over `carrier` until it ends; `ended` is then called once, with the reason and whether the peer broke the protocol.
    pub fn start(
        session: Session,
        carrier: impl AsyncRead + AsyncWrite + Unpin + 'static,
        ended: impl FnOnce(String, bool) + 'static,
    ) -> Self {
        let this = Self(Rc::new(RefCell::new(Inner {
            session,
            streams: BTreeMap::new(),
            opened: VecDeque::new(),
            acceptor: None,
            openable: Notify::default(),
            pump: None,
            closed: None,
            violated: false,
            received: 0,
            sent: 0,
        })));
        let inner = this.0.clone();
        platform::spawn(async move {
            let mut pump = Pump { carrier, buffer: vec![0; READ_BUFFER], outgoing: None };
            let reason = poll_fn(|context| pump.poll(&inner, context)).await;
            let violated = {
                let mut inner = inner.borrow_mut();
                inner.close(&reason);
                inner.violated
            };
            ended(reason, violated);
        });
        this
    }

    /// Which side of the session the opener of the carrying stream is.
    pub fn side(outbound: bool) -> Side {
        if outbound { Side::Dialler } else { Side::Listener }
    }

    /// Opens a stream; costs no round trip. Waits while as many are open as both sides allow.
    ///
    /// # Errors
    /// [`Ended`] where the session ended.
    pub async fn open(&self) -> Result<SessionStream, Ended> {
        loop {
            let openable = {
                let mut inner = self.0.borrow_mut();
                inner.check()?;
                if let Ok(id) = inner.session.open() {
                    inner.streams.insert(id, Waiting::default());
                    return Ok(SessionStream::new(self.clone(), id));
                }
                inner.openable.changed()
            };
            openable.await;
        }
    }

    /// The next stream that the peer opened, or nothing once the session ended.
    pub async fn accept(&self) -> Option<SessionStream> {
        poll_fn(|context| {
            let mut inner = self.0.borrow_mut();
            if let Some(id) = inner.opened.pop_front() {
                inner.streams.entry(id).or_default();
                return Poll::Ready(Some(SessionStream::new(self.clone(), id)));
            }
            if inner.closed.is_some() {
                return Poll::Ready(None);
            }
            inner.acceptor = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Whether it ended.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().closed.is_some()
    }

    /// Ends it.
    pub fn close(&self, reason: &str) {
        self.0.borrow_mut().close(reason);
    }

    /// Streams open now, both ways.
    pub fn streams(&self) -> usize {
        self.0.borrow().streams.len()
    }

    /// Bytes that came and went over the carrier.
    pub fn traffic(&self) -> (u64, u64) {
        let inner = self.0.borrow();
        (inner.received, inner.sent)
    }
}

impl Inner {
    fn check(&self) -> Result<(), Ended> {
        self.closed.as_ref().map_or(Ok(()), |reason| Err(Ended(reason.clone())))
    }

    fn close(&mut self, reason: &str) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(reason.to_owned());
        let waiting = self.streams.values_mut().flat_map(|stream| [stream.reader.take(), stream.writer.take()]);
        waiting.chain([self.acceptor.take(), self.pump.take()]).flatten().for_each(Waker::wake);
        self.openable.notify();
    }

    fn wake_pump(&mut self) {
        if let Some(pump) = self.pump.take() {
            pump.wake();
        }
    }

    fn handle_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Opened(id) => {
                    self.opened.push_back(id);
                    if let Some(acceptor) = self.acceptor.take() {
                        acceptor.wake();
                    }
                }
                Event::Readable(id) => {
                    if let Some(reader) = self.streams.get_mut(&id).and_then(|stream| stream.reader.take()) {
                        reader.wake();
                    }
                }
                Event::Writable(id) | Event::Stopped { stream: id, .. } => {
                    if let Some(writer) = self.streams.get_mut(&id).and_then(|stream| stream.writer.take()) {
                        writer.wake();
                    }
                }
                Event::Closed(id) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        [stream.reader.take(), stream.writer.take()].into_iter().flatten().for_each(Waker::wake);
                    }
                }
                Event::Openable => self.openable.notify(),
                Event::Ready | Event::Pong(_) => {}
            }
        }
    }
}

struct Pump<C> {
    carrier: C,
    buffer: Vec<u8>,
    outgoing: Option<Bytes>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Pump<C> {
    /// Resolves with the reason when the session is over.
    fn poll(&mut self, inner: &RefCell<Inner>, context: &mut Context<'_>) -> Poll<String> {
        for _ in 0..ROUNDS {
            if let Some(reason) = inner.borrow().closed.clone() {
                let _ = Pin::new(&mut self.carrier).poll_close(context);
                return Poll::Ready(reason);
            }
            let wrote = match self.write(inner, context) {
                Ok(wrote) => wrote,
                Err(error) => return Poll::Ready(error.to_string()),
            };
            match Pin::new(&mut self.carrier).poll_read(context, &mut self.buffer) {
                Poll::Ready(Ok(0)) => return Poll::Ready("the other side closed".to_owned()),
                Poll::Ready(Ok(length)) => {
                    let mut inner = inner.borrow_mut();
                    inner.received += length as u64;
                    if let Err(violation) = inner.session.receive(&self.buffer[..length]) {
                        inner.violated = true;
                        return Poll::Ready(violation.to_string());
                    }
                    inner.handle_events();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(error.to_string()),
                Poll::Pending if wrote => {}
                Poll::Pending => {
                    inner.borrow_mut().pump = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what can be written now; tells whether any byte went.
    fn write(&mut self, inner: &RefCell<Inner>, context: &mut Context<'_>) -> io::Result<bool> {
        let mut wrote = false;
        loop {
            if self.outgoing.is_none() {
                let mut inner = inner.borrow_mut();
                self.outgoing = inner.session.transmit(WRITE_BATCH);
                inner.handle_events();
            }
            let Some(bytes) = &mut self.outgoing else { break };
            match Pin::new(&mut self.carrier).poll_write(context, bytes) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(length)) => {
                    wrote = true;
                    inner.borrow_mut().sent += length as u64;
                    let _ = bytes.split_to(length);
                    if bytes.is_empty() {
                        self.outgoing = None;
                    }
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.carrier).poll_flush(context) {
            return Err(error);
        }
        Ok(wrote)
    }
}

/// One stream of a session. Dropping it gives up what did not end: what was written before [`finish`](Self::finish) still goes out.
#[derive(Debug)]
pub struct SessionStream {
    session: PeerSession,
    id: StreamId,
    finished: Cell<bool>,
}

impl SessionStream {
    fn new(session: PeerSession, id: StreamId) -> Self {
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
                        inner.wake_pump();
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
        inner.wake_pump();
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
                        inner.wake_pump();
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
        inner.wake_pump();
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
        inner.wake_pump();
    }
}

//! Moves bytes between one path of a session and the libp2p stream that is the path.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use futures::{AsyncRead, AsyncWrite};
use libp2p::swarm::ConnectionId;
use shoal_protocol::pipe::{Greeting, PathId, Violation, greeting};

use super::PeerSession;
use crate::{
    allowance::Allowance,
    peers::{Path, RoundTrips},
};

/// Bytes read from the carrier at once: one large WebRTC message.
pub(super) const READ_BUFFER: usize = 128 * 1024;
/// Rounds of reading and writing before other tasks of the thread get their turn.
const ROUNDS: usize = 32;

/// What a path is made of.
#[derive(Debug, Clone)]
pub struct Route {
    /// The connection.
    pub connection: ConnectionId,
    /// Of which kind it is.
    pub path: Path,
    /// Bytes that came and went over the connection in all sessions.
    pub traffic: Rc<Cell<(u64, u64)>>,
    /// Its round trips.
    pub round_trip: Rc<Cell<RoundTrips>>,
    /// What a relayed one may carry.
    pub allowance: Option<Allowance>,
}

impl Route {
    /// Notes what came and went.
    pub fn count(&self, received: usize, sent: usize) {
        let (before, gone) = self.traffic.get();
        self.traffic.set((before + received as u64, gone + sent as u64));
        if let Some(allowance) = &self.allowance {
            allowance.spend(received + sent);
        }
    }

    /// Whether no more content may go this way.
    pub(super) fn is_spent(&self) -> bool {
        self.allowance.as_ref().is_some_and(Allowance::is_spent)
    }
}

/// What a session knows of the pump of one of its paths.
#[derive(Debug)]
pub(super) struct Carrying {
    pub(super) route: Route,
    pub(super) waker: Option<Waker>,
}

/// Why a pump stopped.
pub(super) enum Stopped {
    /// The path broke.
    Lost,
    /// The session ended.
    Over,
    /// The peer broke the protocol.
    Violated(String),
    /// The peer does not know the session and began another on this path; what came behind its greeting stays with the pump.
    Forgotten(Greeting),
}

/// See the module's head.
pub(super) struct Pump<C> {
    pub(super) carrier: C,
    pub(super) buffer: Vec<u8>,
    /// Came and is not given to the session yet: a greeting that is not complete, or what came with it.
    pub(super) unread: Vec<u8>,
    pub(super) outgoing: Option<Bytes>,
    pub(super) route: Route,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Pump<C> {
    /// Resolves when the path is of no use to the session any more.
    pub(super) fn poll(&mut self, session: &PeerSession, id: PathId, context: &mut Context<'_>) -> Poll<Stopped> {
        if !self.unread.is_empty() {
            let unread = std::mem::take(&mut self.unread);
            if let Some(stopped) = self.receive(session, id, &unread) {
                return Poll::Ready(stopped);
            }
        }
        for _ in 0..ROUNDS {
            let Ok(wrote) = self.write(session, id, context) else { return Poll::Ready(Stopped::Lost) };
            if session.is_closed() && self.outgoing.is_none() {
                let _ = Pin::new(&mut self.carrier).poll_close(context);
                return Poll::Ready(Stopped::Over);
            }
            let mut buffer = std::mem::take(&mut self.buffer);
            let read = Pin::new(&mut self.carrier).poll_read(context, &mut buffer);
            let stopped = match read {
                Poll::Ready(Ok(0) | Err(_)) => Some(Stopped::Lost),
                Poll::Ready(Ok(length)) => {
                    self.route.count(length, 0);
                    self.receive(session, id, &buffer[..length])
                }
                Poll::Pending => None,
            };
            self.buffer = buffer;
            if let Some(stopped) = stopped {
                return Poll::Ready(stopped);
            }
            if read.is_pending() && !wrote {
                if let Some(carrying) = session.0.borrow_mut().paths.get_mut(&id) {
                    carrying.waker = Some(context.waker().clone());
                }
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn receive(&mut self, session: &PeerSession, id: PathId, bytes: &[u8]) -> Option<Stopped> {
        let mut inner = session.0.borrow_mut();
        let mut input = bytes;
        let gathered;
        if !inner.pipe.is_greeted(id) {
            self.unread.extend_from_slice(bytes);
            let (greeting, used) = match greeting(&self.unread) {
                Ok(None) => return None,
                Ok(Some(found)) => found,
                Err(violation) => return Some(violated(violation)),
            };
            self.unread.drain(..used);
            match inner.pipe.greeted(id, greeting) {
                Ok(true) => {}
                Ok(false) => return Some(Stopped::Forgotten(greeting)),
                Err(violation) => return Some(violated(violation)),
            }
            gathered = std::mem::take(&mut self.unread);
            input = &gathered;
        }
        loop {
            match inner.pipe.receive(id, &mut input) {
                Ok(Some(piece)) => {
                    if let Err(violation) = inner.session.receive(&piece) {
                        return Some(Stopped::Violated(violation.to_string()));
                    }
                }
                Ok(None) => break,
                Err(violation) => return Some(violated(violation)),
            }
        }
        inner.pace();
        inner.handle_events();
        if inner.pipe.ended().is_some() {
            inner.close("the other side ended it");
        }
        // What came by this path may be a reason to speak on another.
        inner.wake_pumps();
        None
    }

    /// Writes what can be written now; tells whether any byte went.
    fn write(&mut self, session: &PeerSession, id: PathId, context: &mut Context<'_>) -> io::Result<bool> {
        let mut wrote = false;
        loop {
            if self.outgoing.is_none() {
                let mut inner = session.0.borrow_mut();
                let batch = inner.batch();
                let super::Inner { pipe, session, .. } = &mut *inner;
                self.outgoing = pipe.transmit(id, batch, |most| session.transmit_chunks(most));
                if self.outgoing.is_some() {
                    inner.pace();
                }
                inner.handle_events();
            }
            let Some(bytes) = &mut self.outgoing else { break };
            match Pin::new(&mut self.carrier).poll_write(context, bytes) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(length)) => {
                    wrote = true;
                    self.route.count(0, length);
                    bytes.advance(length);
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

fn violated(violation: Violation) -> Stopped {
    Stopped::Violated(violation.to_string())
}

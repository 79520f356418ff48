//! Two ends of a connection in memory, which can be cut in the middle of a byte stream.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, FutureExt, future::LocalBoxFuture, ready};
use shoal_node::{notify::Notify, platform};

/// Bytes one direction holds before writers wait.
const CAPACITY: usize = 256 * 1024;

#[derive(Default)]
struct Direction {
    bytes: VecDeque<u8>,
    passed: u64,
    cut_at: Option<u64>,
    /// How long each read takes.
    late: Duration,
    closed: bool,
    waiting: Vec<Waker>,
}

impl Direction {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// One end.
pub(crate) struct End {
    incoming: Rc<RefCell<Direction>>,
    outgoing: Rc<RefCell<Direction>>,
    happened: Notify,
    reading: Option<LocalBoxFuture<'static, ()>>,
}

/// Breaks the connection.
#[derive(Clone)]
pub(crate) struct Cut {
    towards_first: Rc<RefCell<Direction>>,
    other: Rc<RefCell<Direction>>,
    happened: Notify,
}

impl Cut {
    /// Breaks both directions once so many bytes have gone towards the first end.
    pub(crate) fn after(&self, bytes: u64) {
        let mut direction = self.towards_first.borrow_mut();
        direction.cut_at = Some(direction.passed + bytes);
    }

    /// From now on each read at the first end takes so long.
    pub(crate) fn slow(&self, late: Duration) {
        self.towards_first.borrow_mut().late = late;
    }

    /// The same cut, counting what goes towards the second end.
    pub(crate) fn swapped(self) -> Self {
        Self { towards_first: self.other, other: self.towards_first, happened: self.happened }
    }

    /// Waits until it is broken.
    pub(crate) async fn happened(&self) {
        loop {
            let changed = self.happened.changed();
            if self.towards_first.borrow().closed {
                self.other.borrow_mut().closed = true;
                self.other.borrow_mut().wake();
                return;
            }
            changed.await;
        }
    }
}

/// Two ends, joined.
pub(crate) fn pair() -> (End, End, Cut) {
    let (a, b) = (Rc::new(RefCell::new(Direction::default())), Rc::new(RefCell::new(Direction::default())));
    let happened = Notify::default();
    let cut = Cut { towards_first: a.clone(), other: b.clone(), happened: happened.clone() };
    let end = |incoming, outgoing| End { incoming, outgoing, happened: happened.clone(), reading: None };
    (end(a.clone(), b.clone()), end(b, a), cut)
}

impl AsyncRead for End {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let late = self.incoming.borrow().late;
        if !late.is_zero() && !self.incoming.borrow().bytes.is_empty() {
            ready!(self.reading.get_or_insert_with(|| platform::sleep(late).boxed_local()).poll_unpin(context));
            self.reading = None;
        }
        let mut incoming = self.incoming.borrow_mut();
        if incoming.bytes.is_empty() {
            if incoming.closed {
                return Poll::Ready(Ok(0));
            }
            incoming.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        let length = buffer.len().min(incoming.bytes.len());
        for (place, byte) in buffer.iter_mut().zip(incoming.bytes.drain(..length)) {
            *place = byte;
        }
        incoming.wake();
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut outgoing = self.outgoing.borrow_mut();
        if outgoing.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = CAPACITY.saturating_sub(outgoing.bytes.len());
        if room == 0 {
            outgoing.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        let length = bytes.len().min(room);
        outgoing.bytes.extend(&bytes[..length]);
        outgoing.passed += length as u64;
        if outgoing.cut_at.is_some_and(|at| outgoing.passed >= at) {
            outgoing.closed = true;
            // Part of what is on its way never arrives.
            let arrives = outgoing.bytes.len() / 2;
            outgoing.bytes.truncate(arrives);
            self.happened.notify();
        }
        outgoing.wake();
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.closed = true;
        outgoing.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        for direction in [&self.incoming, &self.outgoing] {
            let mut direction = direction.borrow_mut();
            direction.closed = true;
            direction.wake();
        }
    }
}

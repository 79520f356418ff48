//! "Something changed": wakes every waiter of this thread. Used where a state is shared and its readers look again.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// A change counter with waiters. Cheap to clone; clones are the same counter.
#[derive(Debug, Clone, Default)]
pub struct Notify(Rc<RefCell<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    version: u64,
    waiting: Vec<Waker>,
}

impl Notify {
    /// Wakes everybody.
    pub fn notify(&self) {
        let waiting = {
            let mut inner = self.0.borrow_mut();
            inner.version += 1;
            std::mem::take(&mut inner.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Resolves at the first [`notify`](Self::notify) after this call (not after the first poll, so that nothing is missed between
    /// looking at the state and waiting).
    pub fn changed(&self) -> Changed {
        Changed { notify: self.clone(), seen: self.0.borrow().version }
    }
}

/// See [`Notify::changed`].
#[derive(Debug)]
pub struct Changed {
    notify: Notify,
    seen: u64,
}

impl Future for Changed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.notify.0.borrow_mut();
        if inner.version != self.seen {
            return Poll::Ready(());
        }
        if !inner.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            inner.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

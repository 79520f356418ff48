//! What WebTransport and WebSocket to one relay know of each other while both are dialled: [`shoal_protocol::reservations::ways`] says who begins, and
//! is told what became of it. libp2p dials all addresses of a peer at once, takes the first connection and drops the rest.

use std::{cell::RefCell, future::Future, rc::Rc, time::Duration};

use futures::future::select;
use libp2p::PeerId;
use send_wrapper::SendWrapper;
use shoal_protocol::{limits::RESERVATION_CANDIDATES, reservations::ways::Failure};

use crate::{notify::Notify, platform};

/// How a WebTransport dial ended.
pub type Ended = (PeerId, Result<(), Failure>);

/// The dials under way. Clones are the same.
#[derive(Debug, Clone)]
pub struct Race(SendWrapper<Rc<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// To whom WebSockets begin later, and by how much.
    led: RefCell<Vec<(PeerId, Duration)>>,
    /// Not read yet.
    ended: RefCell<Vec<Ended>>,
    changed: Notify,
}

impl Default for Race {
    fn default() -> Self {
        Self(SendWrapper::new(Rc::default()))
    }
}

impl Race {
    /// From now on, and until that has failed, WebSockets to this relay begin so much later than WebTransport.
    pub fn begin(&self, peer: PeerId, head_start: Duration) {
        let mut led = self.0.led.borrow_mut();
        led.retain(|(other, _)| *other != peer);
        if !head_start.is_zero() {
            led.push((peer, head_start));
        }
    }

    /// When it is the WebSocket's turn; nothing where that is now.
    pub fn turn(&self, peer: PeerId) -> Option<impl Future<Output = ()> + use<>> {
        let head_start = self.head_start(&peer)?;
        let race = self.clone();
        let failed = async move {
            loop {
                let changed = race.0.changed.changed();
                if race.head_start(&peer).is_none() {
                    return;
                }
                changed.await;
            }
        };
        Some(async move {
            select(Box::pin(failed), Box::pin(platform::sleep(head_start))).await;
        })
    }

    fn head_start(&self, peer: &PeerId) -> Option<Duration> {
        self.0.led.borrow().iter().find(|(other, _)| other == peer).map(|(_, head_start)| *head_start)
    }

    /// A WebTransport dial ended, whether anybody still waited for it or not.
    pub fn ended(&self, peer: PeerId, how: Result<(), Failure>) {
        if how.is_err() {
            self.begin(peer, Duration::ZERO);
        }
        let mut ended = self.0.ended.borrow_mut();
        // Nobody reads any more once the node has stopped.
        if ended.len() < RESERVATION_CANDIDATES {
            ended.push((peer, how));
        }
        drop(ended);
        self.0.changed.notify();
    }

    /// The next one that ended.
    pub async fn next_ended(&self) -> Ended {
        loop {
            let changed = self.0.changed.changed();
            if let Some(ended) = self.0.ended.borrow_mut().pop() {
                return ended;
            }
            changed.await;
        }
    }
}

//! Whom to ask for content: of the peers that may have it, each by what it delivered lately, in bytes (`shoal_protocol::choice`).

use std::cell::RefCell;

use libp2p::PeerId;
use shoal_protocol::{choice::Choice, time::Time};
use web_time::Instant;

use crate::{platform, shared::Shared};

/// What is known of the peers that were asked.
#[derive(Debug)]
pub struct Senders {
    choice: RefCell<Choice<PeerId>>,
    started: Instant,
}

impl Default for Senders {
    fn default() -> Self {
        Self { choice: RefCell::default(), started: Instant::now() }
    }
}

impl Senders {
    /// One of these. Where all rest after a failure, the first: nothing else can be done.
    pub fn pick(&self, candidates: &[PeerId]) -> Option<PeerId> {
        self.choice.borrow().pick(candidates, self.now(), platform::random_fraction()).or(candidates.first().copied())
    }

    fn now(&self) -> Time {
        Time::from_origin(self.started.elapsed())
    }
}

/// A request to a peer; it ends when this is dropped.
#[derive(Debug)]
pub struct Asked {
    shared: Shared,
    peer: PeerId,
    failed: bool,
}

impl Asked {
    /// A request begins.
    pub fn new(shared: &Shared, peer: PeerId) -> Self {
        let senders = &shared.senders;
        senders.choice.borrow_mut().asked(peer, senders.now());
        Self { shared: shared.clone(), peer, failed: false }
    }

    /// So many bytes came.
    pub fn delivered(&self, bytes: u64) {
        let senders = &self.shared.senders;
        senders.choice.borrow_mut().delivered(self.peer, bytes, senders.now());
    }

    /// It ends by the peer's fault.
    pub fn fail(mut self) {
        self.failed = true;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let senders = &self.shared.senders;
        let now = senders.now();
        let mut choice = senders.choice.borrow_mut();
        if self.failed { choice.failed(self.peer, now) } else { choice.done(self.peer, now) }
    }
}

//! Which of several peers to turn to, by what each delivered lately: [`Choice`] with this machine's clock and randomness.

use std::cell::RefCell;

use libp2p::PeerId;
use shoal_protocol::choice::Choice;

use crate::{clock::Clock, platform};

/// What is known of the peers that were asked for something, in a unit of the user's: bytes, connections.
#[derive(Debug, Default)]
pub struct Chooser {
    choice: RefCell<Choice<PeerId>>,
    clock: Clock,
}

impl Chooser {
    /// One of these. Where all rest after a failure, the first: nothing else can be done.
    pub fn pick(&self, candidates: &[PeerId]) -> Option<PeerId> {
        self.choice.borrow().pick(candidates, self.clock.now(), platform::random_fraction()).or(candidates.first().copied())
    }

    /// Who should take over a long request from `current`, if anybody.
    pub fn faster(&self, current: PeerId, others: &[PeerId]) -> Option<PeerId> {
        self.choice.borrow().faster(&current, others, self.clock.now())
    }

    /// A peer is asked.
    pub fn asked(&self, peer: PeerId) {
        self.choice.borrow_mut().asked(peer, self.clock.now());
    }

    /// It delivered so much.
    pub fn delivered(&self, peer: PeerId, amount: u64) {
        self.choice.borrow_mut().delivered(peer, amount, self.clock.now());
    }

    /// What it was asked for ended, not by a fault of its own.
    pub fn done(&self, peer: PeerId) {
        self.choice.borrow_mut().done(peer, self.clock.now());
    }

    /// It ended by the peer's fault.
    pub fn failed(&self, peer: PeerId) {
        self.choice.borrow_mut().failed(peer, self.clock.now());
    }
}

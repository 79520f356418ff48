//! How much may still go through each relay that our settings do not lead to: [`Allowances`] with this machine's clock, and with what is known of
//! whose relay is whose.
//!
//! ```text
//!   relays ── the relays of the settings ──► ForeignRelays ◄── bytes that went, as they go ── pump of a relayed path
//!                                                  │
//!                    fetch, serve ── may go on? ───┘
//! ```

use std::{cell::RefCell, rc::Rc};

use libp2p::PeerId;
use shoal_protocol::allowance::Allowances;

use crate::clock::Clock;

/// All relays of others. Clones are the same.
#[derive(Debug, Clone)]
pub struct ForeignRelays(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    allowances: RefCell<Allowances<PeerId>>,
    /// Those that are no others': as few as the settings lead to.
    own: RefCell<Vec<PeerId>>,
    clock: Clock,
}

impl ForeignRelays {
    /// Allows this many bytes for each.
    pub fn new(bytes: u64) -> Self {
        let inner = Inner { allowances: RefCell::new(Allowances::new(bytes)), own: RefCell::default(), clock: Clock::default() };
        Self(Rc::new(inner))
    }

    /// These are the relays that the settings lead to: what goes through them is not counted.
    pub fn set_own(&self, own: Vec<PeerId>) {
        *self.0.own.borrow_mut() = own;
    }

    fn is_own(&self, relay: &PeerId) -> bool {
        self.0.own.borrow().contains(relay)
    }

    /// The allowance of a path through this relay.
    pub fn through(&self, relay: PeerId) -> Allowance {
        Allowance { relays: self.clone(), relay }
    }
}

/// What a path through one relay may carry.
#[derive(Debug, Clone)]
pub struct Allowance {
    relays: ForeignRelays,
    relay: PeerId,
}

impl Allowance {
    /// The relay.
    pub const fn relay(&self) -> PeerId {
        self.relay
    }

    /// Bytes went or came.
    pub fn spend(&self, bytes: usize) {
        if !self.relays.is_own(&self.relay) {
            self.relays.0.allowances.borrow_mut().spend(self.relay, bytes as u64, self.relays.0.clock.now());
        }
    }

    /// How many more may. Nothing: as many as it likes, as the relay is one of the settings.
    pub fn left(&self) -> Option<u64> {
        (!self.relays.is_own(&self.relay)).then(|| self.relays.0.allowances.borrow().left(self.relay, self.relays.0.clock.now()))
    }

    /// Whether no more may.
    pub fn is_spent(&self) -> bool {
        self.left() == Some(0)
    }
}

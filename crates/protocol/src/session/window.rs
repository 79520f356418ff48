//! Credits as state: absolute counts that only grow, so that a grant can be said again, or late, and mean the same.
//!
//! One rule for three things: bytes of a stream, bytes of the session, streams of one side. The receiver grants up to
//! `used + size`; the grant therefore also acknowledges that everything below `granted - size` was used up.

use super::Violation;

/// What we let the peer send.
#[derive(Debug)]
pub(crate) struct Granted {
    size: u64,
    received: u64,
    used: u64,
    announced: u64,
}

impl Granted {
    pub(crate) fn new(size: u64) -> Self {
        Self { size, received: 0, used: 0, announced: size }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Received and not used up yet: what this window makes us hold.
    pub(crate) fn held(&self) -> u64 {
        self.received - self.used
    }

    /// Counts `amount` more from the peer; `false` where the peer was not allowed to send it.
    #[must_use]
    pub(crate) fn receive(&mut self, amount: u64) -> bool {
        match self.received.checked_add(amount) {
            Some(received) if received <= self.announced => {
                self.received = received;
                true
            }
            _ => false,
        }
    }

    /// Counts up to `amount` as used up, at most what was received.
    pub(crate) fn use_up(&mut self, amount: u64) {
        self.used += amount.min(self.held());
    }

    /// Whether the peer should hear of a new grant: a quarter of the window has become free.
    pub(crate) fn is_due(&self) -> bool {
        self.used + self.size - self.announced >= (self.size / 4).max(1)
    }

    /// The grant to put on the wire now.
    pub(crate) fn announce(&mut self) -> u64 {
        self.announced = self.used + self.size;
        self.announced
    }
}

/// What the peer lets us send.
#[derive(Debug)]
pub(crate) struct Allowed {
    size: u64,
    sent: u64,
    limit: u64,
}

impl Allowed {
    pub(crate) fn new(size: u64) -> Self {
        Self { size, sent: 0, limit: size }
    }

    /// The peer's HELLO states its window: at least what we assumed until now.
    pub(crate) fn enlarge(&mut self, size: u64) {
        self.size = size;
        self.limit = self.limit.max(size);
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn left(&self) -> u64 {
        self.limit - self.sent
    }

    /// Counts `amount` as sent; callers ask [`Allowed::left`] first.
    pub(crate) fn send(&mut self, amount: u64) {
        self.sent += amount.min(self.left());
    }

    /// The peer grants up to `limit`.
    pub(crate) fn raise(&mut self, limit: u64) -> Result<(), Violation> {
        if limit < self.limit {
            return Err(Violation::CreditBackwards);
        }
        if limit > self.sent + self.size {
            return Err(Violation::CreditForUnsent);
        }
        self.limit = limit;
        Ok(())
    }
}

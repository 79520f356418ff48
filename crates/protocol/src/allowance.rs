//! How much may go through relays of others: those that our settings do not name, and that serve us by courtesy.
//!
//! A relay that a link names, or a peer's own one, carries what is needed to connect, and small things until a direct connection stands. Where none
//! can be made, it would carry everything, at its operator's cost. So each such relay has an allowance for a period, which begins with the
//! first byte that goes through it; both ways count, as the operator pays for both. Whoever has used it up waits for another path.

use crate::{
    limits::{FOREIGN_RELAY_PERIOD, FOREIGN_RELAYS},
    time::Time,
};

/// What went through each relay lately.
#[derive(Debug)]
pub struct Allowances<Relay> {
    each: u64,
    used: Vec<Used<Relay>>,
}

#[derive(Debug)]
struct Used<Relay> {
    relay: Relay,
    since: Time,
    bytes: u64,
}

impl<Relay: Copy + PartialEq> Allowances<Relay> {
    /// Allows this many bytes for each relay and period.
    pub const fn new(each: u64) -> Self {
        Self { each, used: Vec::new() }
    }

    /// Bytes went through this relay. Those of many relays are counted; beyond [`FOREIGN_RELAYS`], that through which least went is forgotten.
    pub fn spend(&mut self, relay: Relay, bytes: u64, now: Time) {
        self.used.retain(|used| now.since(used.since) < FOREIGN_RELAY_PERIOD);
        if let Some(used) = self.used.iter_mut().find(|used| used.relay == relay) {
            used.bytes = used.bytes.saturating_add(bytes);
            return;
        }
        if self.used.len() >= FOREIGN_RELAYS
            && let Some((least, _)) = self.used.iter().enumerate().min_by_key(|(_, used)| used.bytes)
        {
            self.used.swap_remove(least);
        }
        self.used.push(Used { relay, since: now, bytes });
    }

    /// How many bytes may still go through this relay.
    pub fn left(&self, relay: Relay, now: Time) -> u64 {
        let used = self.used.iter().find(|used| used.relay == relay && now.since(used.since) < FOREIGN_RELAY_PERIOD);
        self.each.saturating_sub(used.map_or(0, |used| used.bytes))
    }
}

//! Whether several paths would carry more than one does: whether it is the carrier's own control of congestion that holds the path back, and not the
//! rate of the link.
//!
//! Looked at once a round trip, as BBR does to find out whether its beginning is over. Where the link is the bound, the window ([`Window`](super::Window))
//! fills. Where losses are, the carrier takes less than might be under way, and what it delivers no longer grows.
//!
//! ```text
//!   the window was full half of the time, or nothing waited, or the rate grew by a quarter: one less     none of these: one more     enough at 3
//! ```
//!
//! On a long way nobody waits for that: browsers begin with ten packets and need a dozen round trips to use a good link.
//!
//! The same look tells whether the carrier is still beginning: until the rate has not grown by a quarter for three round trips.

use std::time::Duration;

use crate::{
    limits::{
        PIPE_LANE_AFTER, PIPE_LANE_LONG, PIPE_LANE_MAKING, PIPE_LANE_ROUND, PIPE_LANE_WAITS, PIPE_LANE_WAY, PIPE_LANES, PIPE_LANES_LONG,
    },
    time::Time,
};

/// By what the rate of a carrier that is only beginning grows in a round trip at least.
const GROWS: f64 = 1.25;
/// In how many round trips in a row it must not have grown before the carrier is no longer beginning: as many as BBR waits for.
const EVEN: u32 = 3;

/// The rounds of one path.
#[derive(Debug)]
pub(super) struct Rounds {
    /// From when on, and from which byte on, this one is measured.
    since: (Time, u64),
    /// It ends when everything before this byte is acknowledged.
    end: u64,
    /// The highest rate of those before: bytes in a second.
    best: f64,
    /// Since when as much is under way as may be, and for how long of this round that was so.
    full: (Option<Time>, Duration),
    /// Nothing waited at a moment of this round.
    dry: bool,
    held_back: u32,
    /// Those in a row in which the rate did not grow.
    even: u32,
    waiting: u64,
}

impl Rounds {
    pub(super) const fn new(offset: u64, now: Time) -> Self {
        Self { since: (now, offset), end: offset, best: 0.0, full: (None, Duration::ZERO), dry: false, held_back: 0, even: 0, waiting: 0 }
    }

    /// Something is sent after nothing was under way.
    pub(super) const fn begin(&mut self, offset: u64, now: Time) {
        (self.since, self.end) = ((now, offset), offset);
    }

    /// What was seen so far says nothing of the paths that there are now.
    pub(super) const fn forget(&mut self) {
        (self.best, self.held_back) = (0.0, 0);
    }

    pub(super) const fn waits(&mut self, bytes: u64) {
        self.waiting = bytes;
        self.dry |= bytes == 0;
    }

    /// Whether as much is under way as may be, from now on.
    pub(super) fn filled(&mut self, full: bool, now: Time) {
        let (since, sum) = &mut self.full;
        *sum += since.map_or(Duration::ZERO, |since| now.since(since));
        *since = full.then_some(now);
    }

    pub(super) fn acknowledged(&mut self, received: u64, sent: u64, now: Time) {
        let (since, from) = self.since;
        let took = now.since(since);
        if received < self.end || took < PIPE_LANE_ROUND {
            return;
        }
        let rate = received.saturating_sub(from) as f64 / took.as_secs_f64();
        self.filled(self.full.0.is_some(), now);
        let grows = rate >= GROWS * self.best;
        self.even = if grows { 0 } else { self.even.saturating_add(1) };
        let excused = self.dry || self.full.1 > took / 2 || grows;
        self.held_back = if excused { self.held_back.saturating_sub(1) } else { self.held_back + 1 };
        self.best = self.best.max(rate);
        (self.since, self.end, self.full.1, self.dry) = ((now, received), sent, Duration::ZERO, self.waiting == 0);
    }

    /// The highest rate while the carrier is beginning, in bytes in a second: what it delivers in the next round trip is more than in the last one.
    pub(super) fn beginning(&self) -> Option<f64> {
        (self.best > 0.0 && self.even < EVEN).then_some(self.best)
    }

    /// How many paths it pays to have, itself included, at the shortest round trip of what went by the path, that of something else before, which did not
    /// wait for a carrier that was only beginning, and a rate.
    pub(super) fn wanted(&self, measured: f64, guessed: Option<f64>, rate: f64) -> usize {
        let way = guessed.map_or(measured, |guessed| guessed.min(measured));
        let lanes = lanes_of(way);
        // What was measured of a full line alone says nothing of the way.
        let long = guessed.is_some() && lanes == PIPE_LANES_LONG;
        let held_back = self.held_back >= PIPE_LANE_AFTER || long;
        let leaves_meanwhile = rate * PIPE_LANE_MAKING * way;
        let pays = held_back && self.waiting >= PIPE_LANE_WAITS && self.waiting as f64 > leaves_meanwhile;
        let most = if long { PIPE_LANES_LONG } else { PIPE_LANES };
        if pays { lanes.min(most) } else { 1 }
    }
}

/// How many paths it pays to have, at the round trip of an idle one, in seconds.
pub(super) fn lanes_of(way: f64) -> usize {
    if way < PIPE_LANE_WAY.as_secs_f64() {
        1
    } else if way < PIPE_LANE_LONG.as_secs_f64() {
        PIPE_LANES
    } else {
        PIPE_LANES_LONG
    }
}

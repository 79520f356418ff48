//! How much a browser may hold of a data channel's bytes before it sends them.
//!
//! What it holds stands in line in front of everything that is written later, so it should be little. But it must never hold nothing while there is
//! something to send, and whoever writes needs a moment to hear that there is room. So it may hold what leaves within that moment, which on a
//! line that loses packets is a tenth of what it is on a good one, and changes from second to second.
//!
//! ```text
//!   allowed = rate × 6 ms         rate: of what left lately
//!   one message = half of that    so that what is written next waits for 9 ms at most
//! ```
//!
//! Faster than any line of the outside are only two browsers of one machine, or of one house. There it is processors that take turns, and a source that
//! pauses for a block from its disk, so the browser may hold more.
//!
//! The rate is measured while bytes wait all the time. Where the browser had nothing to send in between, there was less to send, or too little was held: a
//! higher rate is believed at once then, and a lower one slowly.
//!
//! At first no rate is known, and on a long way none can be: a browser sends one burst for each round trip there, so that a fifth of a second goes by from
//! one look to the next although bytes wait, and what was measured within a burst says nothing of the next one. Then it may hold one burst, and twice as
//! much each time that nothing is left when the writer has its turn. A line of less than 40 kB/s looks the same, so on one some of what is urgent waits for
//! a burst.

use std::time::Duration;

/// What may be held, as the time in which it leaves: several times what a browser's threads need to take turns.
const HELD: Duration = Duration::from_millis(6);
/// What may always be held: bytes. A browser sends two packets for each acknowledgement, and three while it is beginning; over the slowest links these come
/// seldom enough, and what is urgent would wait a tenth of a second for each 8 KiB.
const LEAST: usize = 4 * 1024;
/// What may be held at first where no rate is known: bytes. As much as a browser that is beginning sends in one burst; what stands behind that waits for round
/// trips.
const BURST: usize = 16 * 1024;
/// What may be held at most: bytes. Enough for any path, and far below the 16 MiB at which Chromium closes the channel.
const MOST: usize = 256 * 1024;
/// From this rate on it is not a line that is slow: bytes in a second, 64 Mbit/s.
const FAST: f64 = 8e6;
/// The share of a lower rate that is believed, where the browser had nothing to send in between.
const DOUBTED: f64 = 0.1;
/// Over what time a rate is measured: shorter, and the turns of threads would be measured; …
const MEASURED: Duration = Duration::from_millis(20);
/// … longer, and there was nothing to send, or nothing that could leave.
const TOO_LONG: Duration = Duration::from_millis(200);

/// What is known of one channel's line.
#[derive(Debug, Clone, Default)]
pub struct Backlog {
    /// Bytes given to the browser so far.
    given: u64,
    /// Bytes that left in a second.
    rate: Option<f64>,
    /// Since when, and behind how many bytes that left, the next rate is measured.
    since: Option<(Duration, u64)>,
    /// Whether the browser had nothing to send in between.
    dry: bool,
    /// What may be held while no rate is known: bytes, or nothing for [`BURST`].
    burst: Option<usize>,
    /// Whether the writer waits for room.
    full: bool,
}

impl Backlog {
    /// How many bytes may be given to the browser now, which holds `held` of those before; nothing: the writer has to wait until it holds
    /// [`Backlog::threshold`]. `now` is the time since any fixed moment.
    pub fn room(&mut self, held: u32, now: Duration) -> usize {
        self.measure(u64::from(held), now);
        if self.full && held == 0 && self.rate.is_none() {
            self.burst = Some((2 * self.allowed()).min(MOST));
        }
        let allowed = self.allowed();
        self.full = held as usize >= allowed;
        if self.full { 0 } else { allowed / 2 }
    }

    /// So many bytes were given to it.
    pub fn gave(&mut self, bytes: usize) {
        self.given += bytes as u64;
    }

    /// When it holds no more than this, there is room.
    #[must_use]
    pub fn threshold(&self) -> u32 {
        // At most 128 KiB.
        (self.allowed() / 2) as u32
    }

    fn allowed(&self) -> usize {
        match self.rate {
            // Converts with saturation; a rate is never negative.
            Some(rate) if rate < FAST => ((rate * HELD.as_secs_f64()) as usize).max(LEAST),
            Some(_) => MOST,
            None => self.burst.unwrap_or(BURST),
        }
    }

    fn measure(&mut self, held: u64, now: Duration) {
        let left = self.given.saturating_sub(held);
        self.dry |= held == 0;
        let Some((since, before)) = self.since else {
            self.since = Some((now, left));
            return;
        };
        let took = now.saturating_sub(since);
        if took < MEASURED {
            return;
        }
        let rate = left.saturating_sub(before) as f64 / took.as_secs_f64();
        self.rate = match (self.rate, self.dry) {
            (known, true) if took > TOO_LONG => known,
            (_, false) if took > TOO_LONG => {
                self.burst = None;
                None
            }
            (None, true) => Some(rate).filter(|rate| *rate >= FAST),
            (None, false) => Some(rate),
            (Some(known), false) => Some(f64::midpoint(known, rate)),
            (Some(known), true) if rate > known => Some(rate),
            (Some(known), true) => Some(known + (rate - known) * DOUBTED),
        };
        self.since = Some((now, left));
        self.dry = held == 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A browser that sends at a rate, and a writer that always has something. What waits in the end: bytes, and how many left.
    fn send(backlog: &mut Backlog, from: Duration, rate: f64, time: Duration) -> (f64, f64) {
        let (step, mut now, mut held, mut left) = (Duration::from_millis(1), from, 0.0_f64, 0.0);
        while now < from + time {
            loop {
                let room = backlog.room(held as u32, now);
                if room == 0 {
                    break;
                }
                backlog.gave(room);
                held += room as f64;
            }
            now += step;
            let leaves = (rate * step.as_secs_f64()).min(held);
            (held, left) = (held - leaves, left + leaves);
        }
        (held, left)
    }

    #[test]
    fn what_waits_leaves_within_nine_milliseconds_and_the_line_never_runs_dry() {
        for rate in [1e6, 2e6, 7e6] {
            let mut backlog = Backlog::default();
            let second = Duration::from_secs(1);
            send(&mut backlog, Duration::ZERO, rate, second);
            let (held, left) = send(&mut backlog, second, rate, second);
            assert!(held <= (rate * 0.009).max(LEAST as f64 * 1.5), "{held} bytes wait at {rate} B/s");
            assert!(left >= rate * 0.99, "{left} of {rate} bytes left");
        }
    }

    #[test]
    fn a_line_that_became_slower_holds_little_within_half_a_second() {
        let mut backlog = Backlog::default();
        send(&mut backlog, Duration::ZERO, 2e7, Duration::from_secs(1));
        assert!(backlog.threshold() > 32 * 1024);
        send(&mut backlog, Duration::from_secs(1), 1e6, Duration::from_millis(500));
        assert!(backlog.threshold() <= 3_100, "{} bytes at a megabyte in a second", backlog.threshold());
    }

    #[test]
    fn a_line_that_became_faster_is_used_at_once() {
        let mut backlog = Backlog::default();
        send(&mut backlog, Duration::ZERO, 1e6, Duration::from_secs(1));
        let (_, left) = send(&mut backlog, Duration::from_secs(1), 7e6, Duration::from_secs(1));
        assert!(left >= 6.5e6, "{left} bytes left");
    }

    #[test]
    fn what_leaves_in_bursts_has_one_of_them_waiting() {
        for known in [false, true] {
            let mut backlog = Backlog::default();
            let (mut held, mut now) = (0usize, Duration::from_secs(1));
            if known {
                send(&mut backlog, Duration::ZERO, 2e7, now);
            }
            for round_trip in 0..20 {
                // Two packets for each acknowledgement, one of which comes in a millisecond; then none for the rest of the round trip.
                for _ in 0..8 {
                    held = held.saturating_sub(2_400);
                    while let room @ 1.. = backlog.room(held as u32, now) {
                        backlog.gave(room);
                        held += room;
                    }
                    let most = if known && round_trip == 0 { MOST } else { BURST };
                    let most = most.max(held.saturating_sub(2_400)) + BURST / 2;
                    assert!((LEAST..=most).contains(&held), "{held} bytes wait after {round_trip} round trips");
                    now += Duration::from_millis(1);
                }
                // Nothing was given to it meanwhile, and what it held is less.
                held = held.min(2 * BURST);
                now += Duration::from_millis(590);
            }
            assert_eq!(backlog.threshold() as usize, BURST / 2, "no rate is believed");
        }
    }

    #[test]
    fn a_writer_that_has_its_turn_seldom_keeps_a_fast_line_busy() {
        let mut backlog = Backlog::default();
        let mut given = Vec::new();
        // All that is held has left after each turn.
        for turn in 0..20 {
            let mut held = 0;
            while let room @ 1.. = backlog.room(held, Duration::from_millis(15 * turn)) {
                backlog.gave(room);
                held += room as u32;
            }
            given.push(held as usize);
        }
        assert_eq!((given[0], given[1]), (BURST, 2 * BURST), "{given:?}");
        assert!(given[6..].iter().all(|given| *given == MOST), "{given:?}");
    }

    #[test]
    fn a_pause_says_nothing_of_the_line() {
        for rate in [1e6, 2e7] {
            let mut backlog = Backlog::default();
            send(&mut backlog, Duration::ZERO, rate, Duration::from_secs(1));
            let before = backlog.threshold();
            backlog.room(0, Duration::from_secs(60));
            assert_eq!(backlog.threshold(), before, "{rate} B/s");
        }
    }
}

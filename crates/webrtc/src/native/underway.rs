//! How much may be under way to a peer: given to SCTP, and not acknowledged.
//!
//! What a line holds is its rate times its round trip; what is sent beyond that waits somewhere, at best. A browser's socket has room for some fifty packets, and what
//! finds none is lost: then each acknowledgement names what came behind the gap, packet by packet, which costs the sender's processor more than the sending. So it is
//! twice what the line holds, measured on what is written: how long until it is acknowledged, at best, and how much is acknowledged in such a time.
//!
//! ```text
//!   allowed = 2 × rate × shortest round trip, from 64 to 256 KiB        this machine: 64; 25 Mbit/s at 80 ms: 256
//! ```

use std::time::{Duration, Instant};

use super::config::{LEAST_UNSENT, STREAM_UNSENT};

/// How long a shortest round trip counts: whoever changes the network has another one.
const COUNTS: Duration = Duration::from_secs(10);

/// What is known of one connection's line.
#[derive(Debug)]
pub(super) struct Underway {
    /// Bytes given to SCTP so far.
    given: u64,
    /// What is waited for: since when, the bytes until its end, and those that were acknowledged before.
    mark: Option<(Instant, u64, u64)>,
    /// The shortest round trip, and when it was measured.
    shortest: Option<(Duration, Instant)>,
    allowed: usize,
}

impl Default for Underway {
    fn default() -> Self {
        Self { given: 0, mark: None, shortest: None, allowed: LEAST_UNSENT }
    }
}

impl Underway {
    /// Bytes that a writer may have under way.
    pub(super) fn allowed(&self) -> usize {
        self.allowed
    }

    /// So many bytes were given to SCTP, which has so many that are not acknowledged now.
    pub(super) fn gave(&mut self, bytes: usize, unsent: usize, now: Instant) {
        self.given += bytes as u64;
        let given = self.given;
        self.mark.get_or_insert_with(|| (now, given, given.saturating_sub(unsent as u64)));
    }

    /// So many bytes are not acknowledged.
    pub(super) fn left(&mut self, unsent: usize, now: Instant) {
        let acknowledged = self.given.saturating_sub(unsent as u64);
        let Some((since, _, before)) = self.mark.take_if(|(_, until, _)| acknowledged >= *until) else { return };
        let took = now.saturating_duration_since(since);
        let shortest = match self.shortest {
            Some((shortest, at)) if shortest < took && now.saturating_duration_since(at) < COUNTS => shortest,
            _ => {
                self.shortest = Some((took, now));
                took
            }
        };
        // Of what took no time at all nothing is known.
        let trips = took.as_secs_f64() / shortest.as_secs_f64();
        let held = (acknowledged - before) as f64 / trips;
        // Converts with saturation.
        self.allowed = ((2.0 * held) as usize).clamp(LEAST_UNSENT, STREAM_UNSENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of this rate and round trip, and a writer that has always something. What was under way in the end, and the rate that was reached.
    fn send(rate: f64, trip: Duration) -> (usize, f64) {
        let (mut underway, begun, step) = (Underway::default(), Instant::now(), Duration::from_micros(100));
        // What the peer has taken is acknowledged a round trip later.
        let (mut given, mut taken, mut acknowledged) = (0_usize, 0.0_f64, 0_usize);
        let mut under = std::collections::VecDeque::new();
        for tick in 0..30_000_u32 {
            let now = begun + step * tick;
            while given - acknowledged < underway.allowed() {
                given += 16_000;
                underway.gave(16_000, given - acknowledged, now);
            }
            taken = (taken + rate * step.as_secs_f64()).min(given as f64);
            under.push_back((now + trip, taken as usize));
            while under.front().is_some_and(|(at, _)| *at <= now) {
                acknowledged = under.pop_front().map_or(0, |(_, bytes)| bytes);
            }
            underway.left(given - acknowledged, now);
        }
        (given - acknowledged, acknowledged as f64 / (step * 30_000).as_secs_f64())
    }

    #[test]
    fn a_near_peer_has_little_under_way_and_a_far_one_what_its_line_holds() {
        let near = send(2.5e7, Duration::from_millis(1));
        assert!(near.0 <= 100_000, "{near:?}");
        assert!(near.1 >= 2.4e7, "{near:?}");
        let far = send(3e6, Duration::from_millis(80));
        assert!(far.0 >= 240_000, "{far:?}");
        assert!(far.1 >= 2.7e6, "{far:?}");
    }

    #[test]
    fn what_was_never_given_leaves_nothing_behind() {
        let mut underway = Underway::default();
        underway.left(0, Instant::now());
        underway.left(1_000, Instant::now());
        assert_eq!(underway.allowed(), LEAST_UNSENT);
    }
}

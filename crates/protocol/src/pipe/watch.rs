//! Notices a path that delivers nothing although something is under way: long before the browser, which takes up to half a minute to declare a peer
//! connection dead.
//!
//! How long a path may be silent follows from its round trips, as the timeout of TCP and SCTP does (RFC 6298), of which it leaves room for two in a row:
//! the carrier sends again what was lost after one, and after twice as long what was lost once more.
//!
//! ```text
//!   patience = 3 × (smoothed round trip + 4 × its variation)      at least 2 s, at most 10 s
//! ```
//!
//! So what broke between two homes is noticed after two seconds, and a satellite or an overloaded cell is not taken for dead while it is only slow. Where the
//! other side has given the path up, it has been patient already, and two seconds are enough.

use std::time::Duration;

use super::PathId;
use crate::{
    limits::{PIPE_ASK, PIPE_FIRST_PATIENCE, PIPE_LEAST_PATIENCE, PIPE_MOST_PATIENCE, PIPE_MOVES},
    time::Time,
};

/// How long one path may be silent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// The smoothed round trip and its variation, in seconds.
    round_trip: Option<(f64, f64)>,
    /// It is only a guess.
    guessed: bool,
}

impl Patience {
    /// A round trip took so long, waiting in line and being lost on the way included.
    pub fn note(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        let known = self.round_trip.filter(|_| !std::mem::take(&mut self.guessed));
        self.round_trip = Some(match known {
            None => (took, took / 2.0),
            Some((smoothed, variation)) => (smoothed + (took - smoothed) / 8.0, variation + ((took - smoothed).abs() - variation) / 4.0),
        });
    }

    /// A round trip of something else took so long, before any is known of what the path carries: it may have waited behind that, and counts until then.
    pub fn guess(&mut self, took: Duration) {
        self.note(took);
        self.guessed = true;
    }

    /// So long.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.round_trip.map_or(PIPE_FIRST_PATIENCE, |(smoothed, variation)| {
            // Converts with saturation; no round trip is negative.
            let silence = Duration::from_millis((3_000.0 * (smoothed + 4.0 * variation)) as u64);
            silence.clamp(PIPE_LEAST_PATIENCE, PIPE_MOST_PATIENCE)
        })
    }
}

/// How a pipe stands at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// By which path it sends.
    pub path: Option<PathId>,
    /// How much the other side has acknowledged.
    pub acknowledged: u64,
    /// Whether that is all.
    pub idle: bool,
    /// What came and went over the path's connection, in whatever session.
    pub traffic: (u64, u64),
    /// Whether the other side sends by a worse one: see [`Pipe::is_left`](super::Pipe::is_left).
    pub left: bool,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Fine,
    /// It is only silent so far.
    Waits,
    /// The other side is to be asked for an acknowledgement: it sends none by itself for the last few bytes.
    Ask,
    /// The path is suspect, and another is to be used.
    Silent,
}

/// What was seen when something last moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    moved: Time,
    seen: Sight,
    asked: bool,
}

impl Watch {
    /// Looks; to be called a few times a second.
    pub fn look(&mut self, sight: Sight, patience: Duration, now: Time) -> Verdict {
        let (came, went) = self.seen.traffic;
        let moves = sight.acknowledged != self.seen.acknowledged || sight.traffic.0 != came || sight.traffic.1.abs_diff(went) > PIPE_MOVES;
        let patience = if sight.left { patience.min(PIPE_LEAST_PATIENCE) } else { patience };
        if sight.idle || moves || sight.path != self.seen.path {
            *self = Self { moved: now, seen: sight, asked: false };
            return Verdict::Fine;
        }
        let silent = now.since(self.moved);
        if silent >= PIPE_ASK && !self.asked {
            self.asked = true;
            Verdict::Ask
        } else if silent >= patience {
            Verdict::Silent
        } else {
            Verdict::Waits
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: u64 = 250;

    /// After how long a path is taken for dead, if at all: it has these round trips, and then brings nothing for so long. In milliseconds.
    fn given_up(round_trips: &[u64], silence: u64) -> Option<u64> {
        let mut patience = Patience::default();
        round_trips.iter().for_each(|took| patience.note(Duration::from_millis(*took)));
        let mut watch = Watch::default();
        let mut sight = Sight { acknowledged: 1, ..Sight::default() };
        for now in (0..60_000).step_by(LOOK as usize) {
            if now >= silence {
                sight.acknowledged += 1;
            }
            let time = Time::from_origin(Duration::from_millis(now));
            if watch.look(sight, patience.silence(), time) == Verdict::Silent {
                return Some(now);
            }
        }
        None
    }

    #[test]
    fn a_path_that_broke_between_two_homes_is_noticed_after_two_seconds() {
        for round_trips in [[1; 20], [20; 20], [100; 20], [300; 20]] {
            assert_eq!(given_up(&round_trips, u64::MAX), Some(2_000), "{round_trips:?}");
        }
    }

    #[test]
    fn a_satellite_that_loses_a_packet_twice_is_not_taken_for_dead() {
        // A timeout of one second and more, then one of twice as long, and the way back.
        assert_eq!(given_up(&[600], 4_000), None);
        assert_eq!(given_up(&[600, 650, 900, 700, 1_200, 2_100], 4_500), None);
    }

    #[test]
    fn an_overloaded_cell_may_let_seconds_wait_in_line() {
        assert_eq!(given_up(&[300, 900, 1_500, 400, 2_200, 900], 6_000), None);
    }

    #[test]
    fn no_path_is_waited_for_longer_than_ten_seconds() {
        assert_eq!(given_up(&[30_000; 20], u64::MAX), Some(10_000));
    }

    #[test]
    fn what_the_other_side_has_given_up_is_waited_for_two_seconds() {
        let slow = Duration::from_secs(9);
        for (left, expected) in [(true, Verdict::Silent), (false, Verdict::Waits)] {
            let mut watch = Watch::default();
            let sight = Sight { acknowledged: 1, left, ..Sight::default() };
            let looks = [0, 500, 2_000].map(|at| watch.look(sight, slow, Time::from_origin(Duration::from_millis(at))));
            assert_eq!(looks, [Verdict::Fine, Verdict::Ask, expected]);
        }
    }

    #[test]
    fn a_guess_is_forgotten_at_the_first_round_trip() {
        let mut patience = Patience::default();
        patience.guess(Duration::from_millis(700));
        assert!(patience.silence() > Duration::from_secs(6));
        patience.note(Duration::from_millis(50));
        assert_eq!(patience.silence(), PIPE_LEAST_PATIENCE);
    }

    #[test]
    fn the_first_round_trip_may_be_one_by_satellite_that_is_lost_once() {
        assert_eq!(given_up(&[], 3_500), None);
        assert_eq!(given_up(&[], u64::MAX), Some(4_000));
    }

    #[test]
    fn who_is_silent_is_asked_once() {
        let mut watch = Watch::default();
        let sight = Sight { acknowledged: 1, ..Sight::default() };
        let mut look = |at| watch.look(sight, Duration::from_secs(2), Time::from_origin(Duration::from_millis(at)));
        assert_eq!([0, 250, 500, 750, 1_750, 2_000].map(&mut look), {
            use Verdict::{Ask, Fine, Silent, Waits};
            [Fine, Waits, Ask, Waits, Waits, Silent]
        });
    }
}

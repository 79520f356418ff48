//! Whether further paths are made before there is anything large to send, so that a transfer finds them there: made while it runs, they take processors and
//! round trips from it, and where it takes a second it is half over before they stand.
//!
//! ```text
//!   something went ─► nothing for half a second ─► the way is long enough ─► others beside it, once
//! ```
//!
//! The side that sent more of what went so far makes them: it is likelier to send the next large thing, and both would make too many.

use std::time::Duration;

use super::{Counts, PathId, rounds::lanes_of};
use crate::{limits::PIPE_READY_AFTER, time::Time};

/// What is remembered between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    /// What had gone and come when that last grew, and when.
    moved: (u64, Time),
    /// Beside which path others were made last, and what had gone and come by then.
    readied: Option<(PathId, u64)>,
}

impl Ready {
    /// By how many paths it would pay to go, `path` included; one where they are not to be made now. `way`: the round trip of `path` while it was idle. To be
    /// called a few times a second.
    pub fn look(&mut self, path: PathId, counts: Counts, way: Duration, now: Time) -> usize {
        let Counts { sent, acknowledged, received, .. } = counts;
        if self.moved.0 != sent + received || sent != acknowledged {
            self.moved = (sent + received, now);
        }
        let calm = now.since(self.moved.1) >= PIPE_READY_AFTER;
        // Those of a pair that has nothing more to do are closed one after the other, and each becomes the path in use before its turn.
        let anew = self.readied.is_none_or(|(beside, sum)| beside != path && sum != self.moved.0);
        if calm && sent > received && anew { lanes_of(way.as_secs_f64()) } else { 1 }
    }

    /// Others are made beside this path, or stand: not again, even if they are closed for being idle.
    pub const fn readied(&mut self, path: PathId) {
        self.readied = Some((path, self.moved.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{PIPE_LANES, PIPE_LANES_LONG};

    const HOME: Duration = Duration::from_millis(16);
    const PATH: PathId = PathId(0);

    fn at(milliseconds: u64) -> Time {
        Time::from_origin(Duration::from_millis(milliseconds))
    }

    /// So much went and came, and is acknowledged.
    fn moved(sent: u64, received: u64) -> Counts {
        Counts { sent, acknowledged: sent, received, ..Counts::default() }
    }

    #[test]
    fn they_are_made_when_nothing_went_for_half_a_second_and_not_before() {
        let mut ready = Ready::default();
        assert_eq!([1_000, 1_250, 1_499, 1_500].map(|now| ready.look(PATH, moved(1_000, 100), HOME, at(now))), [1, 1, 1, PIPE_LANES]);
        assert_eq!(ready.look(PATH, moved(1_000, 200), HOME, at(1_600)), 1, "something came");
        let under_way = Counts { sent: 2_000, ..moved(1_000, 200) };
        assert_eq!([1_700, 9_000].map(|now| ready.look(PATH, under_way, HOME, at(now))), [1, 1], "something is under way");
        assert_eq!([9_250, 9_500].map(|now| ready.look(PATH, moved(2_000, 200), HOME, at(now))), [1, PIPE_LANES]);
    }

    #[test]
    fn one_side_makes_them_and_nobody_who_sent_nothing() {
        for (sent, received) in [(0, 0), (100, 1_000), (1_000, 1_000)] {
            let mut ready = Ready::default();
            assert_eq!([0, 60_000].map(|now| ready.look(PATH, moved(sent, received), HOME, at(now))), [1, 1], "{sent} and {received}");
        }
    }

    #[test]
    fn they_are_as_many_as_the_way_is_worth() {
        let wanted = |way| {
            let mut ready = Ready::default();
            ready.look(PATH, moved(1_000, 0), Duration::from_millis(way), at(0));
            ready.look(PATH, moved(1_000, 0), Duration::from_millis(way), at(500))
        };
        assert_eq!([0, 7, 8, 279, 280, 900].map(wanted), [1, 1, PIPE_LANES, PIPE_LANES, PIPE_LANES_LONG, PIPE_LANES_LONG]);
    }

    #[test]
    fn they_are_made_once_for_each_path() {
        let mut ready = Ready::default();
        ready.look(PATH, moved(1_000, 0), HOME, at(0));
        ready.look(PATH, moved(1_000, 0), HOME, at(500));
        ready.readied(PATH);
        assert_eq!(ready.look(PATH, moved(1_000, 0), HOME, at(60_000)), 1);
        let other = PathId(1);
        assert_eq!(ready.look(other, moved(1_000, 0), HOME, at(61_000)), 1, "it is in use only because the first one was idle");
        assert_eq!([61_500, 62_000].map(|now| ready.look(other, moved(9_000, 0), HOME, at(now))), [1, PIPE_LANES], "another way is used");
        ready.readied(other);
        assert_eq!([62_500, 63_000].map(|now| ready.look(other, moved(10_000, 0), HOME, at(now))), [1, 1]);
    }
}

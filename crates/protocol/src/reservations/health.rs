//! How well a relay did lately, as the chance with which it is chosen.
//!
//! Chance, and not a ranking: if every page took the best relay, it would not stay the best.

use std::time::Duration;

use crate::limits::RESERVATION_FORGIVEN;
use crate::time::Time;

/// What the time from dialling to the reservation is taken for where it was not measured yet.
const TYPICAL_SETUP: Duration = Duration::from_millis(300);
/// Added to every such time, so that 1 ms is not thirty times as good as 30 ms.
const FLOOR: Duration = Duration::from_millis(100);
/// How much less likely each failure makes a relay.
const PENALTY: f64 = 4.0;

/// One relay's record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health {
    failures: u32,
    failed_at: Time,
    setup: Option<Duration>,
}

impl Health {
    /// It granted a reservation, this long after it was dialled.
    pub(super) fn worked(&mut self, setup: Option<Duration>) {
        self.failures = 0;
        // Half of it is the last measurement: a relay that becomes slow is noticed at once, one slow answer is forgiven.
        self.setup = match (setup, self.setup) {
            (Some(new), Some(old)) => Some((new + old) / 2),
            (new, old) => new.or(old),
        };
    }

    /// It failed.
    pub(super) fn failed(&mut self, now: Time) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
    }

    /// Failures are forgotten: the network or the page came back, and they say nothing about the relay.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// When it failed last.
    pub(super) fn failed_at(&self) -> Time {
        self.failed_at
    }

    /// Its weight among others. What failed lately comes later; failures count less as they grow old.
    pub(super) fn weight(&self, now: Time) -> f64 {
        let age = now.since(self.failed_at).as_secs_f64() / RESERVATION_FORGIVEN.as_secs_f64();
        let failures = f64::from(self.failures.min(8)) * (1.0 - age).max(0.0);
        PENALTY.powf(-failures) / (self.setup.unwrap_or(TYPICAL_SETUP) + FLOOR).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::draw;

    fn at(seconds: u64) -> Time {
        Time::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn what_failed_lately_is_chosen_less_and_is_forgiven_in_time() {
        let healthy = Health::default();
        let mut failed = Health::default();
        failed.failed(at(100));
        failed.failed(at(100));
        assert!(failed.weight(at(101)) < healthy.weight(at(101)) / 10.0);
        let later = at(100) + RESERVATION_FORGIVEN;
        assert!(failed.weight(later) >= healthy.weight(later));
        failed.worked(None);
        assert_eq!(failed.failures(), 0);
    }

    #[test]
    fn a_quick_relay_is_chosen_more_than_a_slow_one_and_neither_always() {
        let with = |milliseconds| {
            let mut health = Health::default();
            health.worked(Some(Duration::from_millis(milliseconds)));
            health.weight(Time::default())
        };
        let weighted = [(&"quick", with(50)), (&"slow", with(2_000))];
        let drawn: Vec<&str> = (0..100).filter_map(|step| draw(&weighted, f64::from(step) / 100.0)).copied().collect();
        let quick = drawn.iter().filter(|name| **name == "quick").count();
        assert!((90..100).contains(&quick), "{quick}");
    }

    #[test]
    fn one_is_drawn_wherever_there_is_one() {
        assert_eq!(draw(&[(&1, 0.0)], 0.999), Some(&1));
        assert_eq!(draw::<u8>(&[], 0.5), None);
    }
}

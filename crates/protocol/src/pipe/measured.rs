//! What a window is made from: the shortest round trip and the highest rate of late.

use std::time::Duration;

use crate::time::Time;

/// For how long the shortest round trip counts.
const ROUND_TRIP_COUNTS: Duration = Duration::from_secs(10);
/// … or for so many of them, where that is longer: finding it anew costs half of two.
const ROUND_TRIPS_COUNTED: f64 = 30.0;
/// Round trips that are longer by this share are as short as the shortest.
const AS_SHORT: f64 = 1.1;
/// For how long, and two round trips, the line is left to run empty.
const DRAIN: Duration = Duration::from_millis(150);

/// The shortest round trip.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundTrip {
    pub(super) seconds: f64,
    /// When one as short came last.
    at: Time,
    /// Until when the line is left to run empty, and the shortest since then.
    pub(super) draining: Option<(Time, f64)>,
}

impl RoundTrip {
    pub(super) const fn new(now: Time) -> Self {
        Self { seconds: f64::INFINITY, at: now, draining: None }
    }

    /// Whether it still counts.
    pub(super) fn is_fresh(&self, now: Time) -> bool {
        now.since(self.at).as_secs_f64() < ROUND_TRIP_COUNTS.as_secs_f64().max(ROUND_TRIPS_COUNTED * self.seconds)
    }

    pub(super) fn note(&mut self, took: Duration, now: Time) {
        let seconds = took.as_secs_f64();
        let fresh = self.is_fresh(now);
        match &mut self.draining {
            None if seconds <= self.seconds * AS_SHORT => (self.seconds, self.at) = (seconds.min(self.seconds), now),
            None if !fresh => self.draining = Some((now + DRAIN + 2 * took, seconds)),
            None => {}
            Some((until, shortest)) => {
                *shortest = shortest.min(seconds);
                if now >= *until {
                    *self = Self { seconds: *shortest, at: now, draining: None };
                }
            }
        }
    }
}

/// The highest of what was noted lately: of this span of time and of the one before.
#[derive(Debug)]
pub(super) struct Best {
    span: Duration,
    since: Time,
    before: Option<f64>,
    now: Option<f64>,
}

impl Best {
    pub(super) const fn new(now: Time, span: Duration) -> Self {
        Self { span, since: now, before: None, now: None }
    }

    pub(super) fn note(&mut self, value: f64, now: Time) {
        if now.since(self.since) >= self.span {
            (self.before, self.now, self.since) = (self.now, None, now);
        }
        if self.now.is_none_or(|best| value > best) {
            self.now = Some(value);
        }
    }

    pub(super) fn best(&self) -> Option<f64> {
        match (self.before, self.now) {
            (Some(before), Some(now)) if before > now => Some(before),
            (before, now) => now.or(before),
        }
    }
}

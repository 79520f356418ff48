//! Whether this page slept: timers did not run, and connections may be gone.

use std::time::Duration;

use shoal_protocol::time::Time;
use web_time::Instant;

use crate::{clock::Clock, platform};

/// A pause between two ticks, by either clock, that means that this page was frozen or the device asleep. Hidden tabs tick once a second.
const SLEPT: Duration = Duration::from_secs(5);

/// Two clocks that go wrong in different ways: the monotonic one may stand still while the device sleeps, the other one is set by people.
#[derive(Debug)]
pub(super) struct Clocks {
    decisions: Clock,
    /// By both clocks, when they were looked at last.
    looked: (Instant, f64),
}

impl Clocks {
    pub(super) fn new() -> Self {
        Self { decisions: Clock::default(), looked: (Instant::now(), platform::unix_milliseconds()) }
    }

    pub(super) fn now(&self) -> Time {
        self.decisions.now()
    }

    /// Whether either clock went on by far more than a tick since the last look, or the second one was set back.
    pub(super) fn slept(&mut self) -> bool {
        let (now, unix) = (Instant::now(), platform::unix_milliseconds());
        let (before, unix_before) = std::mem::replace(&mut self.looked, (now, unix));
        now.duration_since(before) > SLEPT || (unix - unix_before).abs() > SLEPT.as_secs_f64() * 1_000.0
    }
}

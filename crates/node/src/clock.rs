//! The time that decisions in `shoal_protocol` are given: they have no clock of their own.

use std::time::Duration;

use shoal_protocol::time::Time;
use web_time::Instant;

/// Counts from the moment at which it was made. What is decided together has one clock, as the times of two cannot be compared.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock {
    /// This moment.
    pub fn now(&self) -> Time {
        self.before(Duration::ZERO)
    }

    /// So long before this moment; at the earliest, when the clock was made.
    pub fn before(&self, ago: Duration) -> Time {
        Time::from_origin(self.0.elapsed().saturating_sub(ago))
    }
}

//! "At most 20 times a second": reports that would otherwise cost more than the work they tell of.

use std::time::Duration;

use web_time::Instant;

/// The shortest time between two reports.
const INTERVAL: Duration = Duration::from_millis(50);

/// Says when the next report is due.
#[derive(Debug, Default)]
pub struct Throttle {
    last: Option<Instant>,
}

impl Throttle {
    /// One whose first report is due only after the interval.
    pub fn started() -> Self {
        Self { last: Some(Instant::now()) }
    }

    /// Whether a report is due now; counts as one if so.
    pub fn due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.last.is_none_or(|last| now.duration_since(last) >= INTERVAL);
        if due {
            self.last = Some(now);
        }
        due
    }
}

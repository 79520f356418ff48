//! Where relays are learnt from: a server's `/bootstrap`, a name. Asked at the start, and again when what it named does not work.

use super::{Problem, Random, Standing, backoff};
use crate::limits::{RESERVATION_OUTDATED, RESERVATION_PATIENCE};
use crate::time::Time;

/// One source.
#[derive(Debug, Default)]
pub(super) struct Source {
    state: State,
    failures: u32,
    pub(super) problem: Option<Problem>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Due,
    Asked {
        until: Time,
    },
    Answered {
        at: Time,
    },
    Waiting {
        until: Time,
    },
}

impl Source {
    /// Whether it is to be asked: at the start, and after a failure while relays are `missing`.
    pub(super) fn is_due(&self, missing: bool, now: Time) -> bool {
        match self.state {
            State::Due => true,
            State::Waiting { until } => missing && until <= now,
            State::Asked { .. } | State::Answered { .. } => false,
        }
    }

    pub(super) fn is_asked(&self) -> bool {
        matches!(self.state, State::Due | State::Asked { .. })
    }

    /// Whether its answer is older than a failure of what it named.
    pub(super) fn may_be_stale(&self, failed_at: Time) -> bool {
        matches!(self.state, State::Answered { at } if at <= failed_at)
    }

    pub(super) fn ask(&mut self, now: Time) {
        self.state = State::Asked { until: now + RESERVATION_PATIENCE };
    }

    pub(super) fn answered(&mut self, now: Time) {
        self.state = State::Answered { at: now };
        self.failures = 0;
        self.problem = None;
    }

    pub(super) fn fail(&mut self, problem: Problem, now: Time, random: Random<'_>) {
        self.failures = self.failures.saturating_add(1);
        self.problem = Some(problem);
        self.state = State::Waiting { until: now + backoff::wait(self.failures, random) };
    }

    /// What it said is not right any more. Not more often than a person would ask again: the server may say the same.
    pub(super) fn outdated(&mut self, now: Time) {
        if matches!(self.state, State::Answered { at } if now.since(at) >= RESERVATION_OUTDATED) {
            self.state = State::Due;
        }
    }

    pub(super) fn expire(&mut self, now: Time, random: Random<'_>) {
        if matches!(self.state, State::Asked { until } if until <= now) {
            self.fail(Problem::Silent, now, random);
        }
    }

    pub(super) fn hurry(&mut self) {
        if let State::Waiting { .. } = self.state {
            self.failures = 0;
            self.state = State::Due;
        }
    }

    pub(super) fn standing(&self) -> Standing {
        match self.state {
            State::Due | State::Asked { .. } => Standing::Connecting,
            State::Answered { .. } => Standing::Connected,
            State::Waiting { .. } => Standing::Waiting,
        }
    }
}

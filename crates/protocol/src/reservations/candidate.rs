//! One relay that may hold a reservation.

use std::fmt;

use super::{Random, backoff, health::Health};
use crate::limits::RESERVATION_PROBE;
use crate::time::Time;

/// How one relay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Known, and not needed now.
    Idle,
    /// On the way.
    Connecting,
    /// Connected, the reservation is asked for.
    Connected,
    /// Others can reach this page through it.
    Reserved,
    /// Failed; tried again by itself.
    Waiting,
}

/// Where a relay is known from; the first is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The settings name it, or a source that they name does.
    Configured,
    /// It worked in an earlier visit.
    Remembered,
}

/// What went wrong with a relay or a source, in words that say what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It cannot be reached.
    Unreachable,
    /// The connection to it broke.
    Broken,
    /// It did not answer in time.
    Silent,
    /// It has no room.
    Full,
    /// It takes no pages like this one.
    Refused,
    /// What answers is no relay.
    NoRelay,
    /// A source names no relay that a page can dial.
    Empty,
    /// Something else, in words.
    Other(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unreachable => "it cannot be reached; check that it runs and that this device is online",
            Self::Broken => "the connection to it broke; it is made again by itself",
            Self::Silent => "it did not answer in time; check that it runs",
            Self::Full => "it has no room for another page; use a second relay, or let its operator raise `max_reservations`",
            Self::Refused => "it refuses to hold a reservation for this page; use another relay",
            Self::NoRelay => "a peer answers there that is no relay; correct the address",
            Self::Empty => "it names no relay that a page can dial; let its operator set `external`",
            Self::Other(words) => words,
        })
    }
}

impl Problem {
    /// Whether the relay itself said no, so that asking again at once is of no use.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Full | Self::Refused | Self::NoRelay)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Idle,
    Waiting {
        until: Time,
    },
    Dialling {
        since: Time,
        until: Time,
    },
    Reserving {
        since: Time,
        until: Time,
    },
    Reserved {
        since: Time,
        renew_at: Time,
    },
    /// Held, as far as is known; asked for again.
    Renewing {
        until: Time,
    },
    /// Held, as far as is known; asked whether it is there.
    Probing {
        until: Time,
        renew_at: Time,
    },
}

#[derive(Debug)]
pub(super) struct Candidate<Id, Address> {
    pub(super) id: Id,
    pub(super) addresses: Vec<Address>,
    pub(super) tier: Tier,
    /// Which source named it last.
    pub(super) source: Option<usize>,
    pub(super) state: State,
    pub(super) health: Health,
    pub(super) problem: Option<Problem>,
    /// Whether a connection to it stands.
    pub(super) connected: bool,
    /// Whether the probe was ordered.
    pub(super) asked: bool,
}

impl<Id, Address> Candidate<Id, Address> {
    pub(super) fn new(id: Id, addresses: Vec<Address>, tier: Tier, source: Option<usize>) -> Self {
        Self { id, addresses, tier, source, state: State::Idle, health: Health::default(), problem: None, connected: false, asked: false }
    }

    pub(super) fn standing(&self) -> Standing {
        match self.state {
            State::Idle => Standing::Idle,
            State::Waiting { .. } => Standing::Waiting,
            State::Dialling { .. } => Standing::Connecting,
            State::Reserving { .. } => Standing::Connected,
            State::Reserved { .. } | State::Renewing { .. } | State::Probing { .. } => Standing::Reserved,
        }
    }

    /// Whether it is in use, or on the way to be.
    pub(super) fn is_engaged(&self) -> bool {
        !matches!(self.state, State::Idle | State::Waiting { .. })
    }

    /// Whether it may be tried now.
    pub(super) fn is_ready(&self, now: Time) -> bool {
        match self.state {
            State::Idle => true,
            State::Waiting { until } => until <= now,
            _ => false,
        }
    }

    /// Since when it is on its way, if it is.
    pub(super) fn started(&self) -> Option<Time> {
        match self.state {
            State::Dialling { since, .. } | State::Reserving { since, .. } => Some(since),
            _ => None,
        }
    }

    /// It failed, and waits the longer the more often it did.
    pub(super) fn fail(&mut self, problem: Problem, now: Time, random: Random<'_>) {
        self.health.failed(now);
        let wait = if problem.is_refusal() { backoff::wait_after_refusal(random) } else { backoff::wait(self.health.failures(), random) };
        self.rest(problem, now + wait);
    }

    /// It is not tried before `until`.
    pub(super) fn rest(&mut self, problem: Problem, until: Time) {
        self.problem = Some(problem);
        self.state = State::Waiting { until };
    }

    /// It may be tried at once, and with a clean record.
    pub(super) fn hurry(&mut self) {
        self.health.forgive();
        self.state = State::Waiting { until: Time::default() };
    }

    /// What is under way may have been under way in a sleep: its answer has to come soon.
    pub(super) fn hasten(&mut self, now: Time) {
        if let State::Dialling { until, .. } | State::Reserving { until, .. } | State::Renewing { until } = &mut self.state {
            *until = (*until).min(now + 2 * RESERVATION_PROBE);
        }
    }

    /// It is to be asked whether it is still there, and where `renew` for the reservation again.
    pub(super) fn suspect(&mut self, renew: bool, now: Time) {
        if let State::Reserved { renew_at, .. } = self.state {
            self.state = State::Probing { until: now + RESERVATION_PROBE, renew_at: if renew { now } else { renew_at } };
            self.asked = false;
        }
    }
}

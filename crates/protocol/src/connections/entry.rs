//! One connection, and what it is worth compared with another one.

use std::{cmp::Reverse, time::Duration};

use super::{Network, Path};
use crate::time::Time;

/// What is known of an open connection.
#[derive(Clone, Debug)]
pub(super) struct Entry<Peer> {
    pub(super) peer: Peer,
    pub(super) network: Option<Network>,
    pub(super) path: Path,
    pub(super) inbound: bool,
    pub(super) opened: Time,
    /// When anything came over it last: the evidence that the peer lives.
    pub(super) heard: Time,
    /// When it was last of use: opened, or payload went or came.
    pub(super) used: Time,
    /// Payload so far, both ways.
    pub(super) bytes: u64,
    /// Whether work is under way on it.
    pub(super) busy: bool,
    /// Requests in a row that failed.
    pub(super) failures: u32,
}

/// What a connection is worth; the least is closed first. Read from the top: a later line decides only where all earlier ones are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Usefulness {
    /// The peer could not be reached without it.
    only: bool,
    /// What was asked over it was answered lately.
    healthy: bool,
    /// It costs no relay anything.
    direct: bool,
    /// Used lately: the fewer doublings of a second ago, the better.
    recent: Reverse<u32>,
    /// Used much: doublings of a kilobyte.
    volume: u32,
    /// Stood long: who stayed so far is likely to stay.
    age: Duration,
}

impl<Peer> Entry<Peer> {
    pub(super) fn usefulness(&self, only: bool, now: Time) -> Usefulness {
        Usefulness {
            only,
            healthy: self.failures == 0,
            direct: self.path == Path::Direct,
            recent: Reverse(doublings(now.since(self.used).as_secs())),
            volume: doublings(self.bytes / 1024),
            age: now.since(self.opened),
        }
    }
}

/// 0 for 0, 1 for 1, 2 for 2 and 3, 3 for 4 to 7, …
const fn doublings(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

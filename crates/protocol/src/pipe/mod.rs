//! A pipe: bytes both ways between two peers over **paths** that come and go, each byte once and in order.
//!
//! ```text
//!    session                          pipe                              paths
//!    frames ──▶ transmit ──▶ log ──▶ [one path at a time]  ──▶  relayed substream   (rank 0)
//!                             │                                 direct substream    (rank 1)  ◀── data now
//!                             └── unacknowledged: sent again on the next path from where the other side stands
//!    frames ◀── receive  ◀──────────  [from one path at a time] ◀── whichever the sender moved to
//! ```
//!
//! A path is one substream of one connection: ordered, reliable while it lives, authenticated by libp2p to the same peer. It
//! may die at any byte, and may go on delivering old bytes after another has taken over. The pipe sees to it that
//! whoever uses it notices nothing but a pause:
//!
//! - The sender keeps what is not acknowledged, at most [`limits::PIPE_UNACKNOWLEDGED`], and sends on one path at a time: the best by
//!   rank that is not suspect. Lanes apart.
//! - To change paths it asks on the new one (MOVE); the receiver answers (GO) with the byte from which it wants to go on, and from
//!   then on takes bytes from that path only. While the old path works, it answers only when everything sent there has
//!   arrived, so nothing travels twice. When the old path is dead, what had not arrived is sent again, and no byte more.
//! - Where packets are lost, several direct paths are lanes of one pipe: what goes by them says where it belongs, and each takes the next piece when it
//!   has room. What a lane had when it broke is sent again by the others.
//! - Every request has a number, so that requests and answers on different paths cannot be taken for each other.
//!
//! Each direction does this for itself. Paths are attached by a secret key that each side gives the other on the first path: who was
//! started anew, or is another instance with the same PeerId, has it not.
//!
//! Pure: no clock, IO or randomness. Which paths there are, how good they are, and how long to wait for one is up to the
//! caller. The wire format is specified in `crates/protocol/docs/session.md`.

mod inbound;
mod log;
mod measured;
mod outbound;
mod ready;
mod record;
mod rounds;
mod watch;
mod window;

pub use self::{
    ready::Ready,
    record::{Greeting, greeting},
    watch::{Patience, Sight, Verdict, Watch},
    window::Window,
};

use self::{inbound::Inbound, outbound::Outbound, record::Decoder};
use crate::limits;
use litemap::LiteMap;
use std::fmt;

/// The secret by which the other side attaches further paths to a pipe: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(secret)")
    }
}

/// A path of one pipe; numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(u64);

/// The peer broke the protocol: drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A record that cannot be read.
    #[error("malformed record")]
    MalformedRecord,
    /// A record longer than its kind allows.
    #[error("record longer than allowed")]
    RecordTooLong,
    /// A record of an unknown kind that may not be ignored.
    #[error("unknown critical record kind {0:#04x}")]
    UnknownRecord(u8),
    /// A greeting must be the first record of a path, and only the first.
    #[error("greeting missing or repeated")]
    MisplacedGreeting,
    /// The answer to a greeting does not fit it: another kind, or another key.
    #[error("greeting with a wrong key")]
    WrongKey,
    /// Bytes on a path that was never granted for them.
    #[error("bytes on a path that was never granted")]
    BytesUnasked,
    /// A grant or an acknowledgement of bytes that were never sent, or a grant of bytes acknowledged before.
    #[error("acknowledgement of what was never sent")]
    AcknowledgesUnsent,
    /// A grant that was never asked for.
    #[error("grant of a move that was never asked for")]
    GoUnasked,
}

/// Why a path could not be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are as many as a pipe may have.
    #[error("the pipe has as many paths as it may have")]
    TooManyPaths,
    /// The other side's key is not known yet, or is none of this pipe's: it belongs to another.
    #[error("the path does not belong to this pipe")]
    NotOurs,
}

/// Bytes both ways over paths that come and go. See the module's documentation.
#[derive(Debug)]
pub struct Pipe {
    key: Key,
    peer_key: Option<Key>,
    paths: LiteMap<PathId, Path>,
    next_path: u64,
    outbound: Outbound,
    inbound: Inbound,
    /// This side ended it, with this code.
    ending: Option<u64>,
    /// The peer ended it, with this code.
    ended: Option<u64>,
    violation: Option<Violation>,
}

#[derive(Debug)]
struct Path {
    /// The higher the better.
    rank: u8,
    /// Seems not to deliver: used only where there is no other.
    suspect: bool,
    /// The pipe began with it.
    begins: bool,
    /// The byte behind the last one that was sent on it.
    sent: u64,
    /// The greeting that is to be sent on it.
    greeting: Option<Greeting>,
    /// Whether the other side greeted on it: only then other records may come.
    greeted: bool,
    /// Bytes were granted on it once; what is still on its way is dropped when they are no longer.
    granted: bool,
    decoder: Decoder,
    acknowledge: bool,
    probe: bool,
    /// MOVE to be sent: turn, after and until.
    ask: Option<(u64, u64, u64)>,
    /// GO to be sent: turn and received.
    answer: Option<(u64, u64)>,
    end_sent: bool,
}

impl Pipe {
    /// A pipe before its first path. `key`: 16 random bytes of its own.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self {
            key,
            peer_key: None,
            paths: LiteMap::new(),
            next_path: 0,
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            ending: None,
            ended: None,
            violation: None,
        }
    }

    /// What the other side says to attach a path to this pipe.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// Carries the pipe over a new path on which this side speaks first: begins the pipe if it is the first, else attaches to it.
    /// [`Pipe::greeted`] must be called with the answer.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn open(&mut self, rank: u8) -> Result<PathId, Refused> {
        let greeting = match self.peer_key {
            Some(key) => Greeting::Attach { key, own: self.key },
            None if self.next_path == 0 => Greeting::Open(self.key),
            None => return Err(Refused::NotOurs),
        };
        self.add(rank, greeting, false)
    }

    /// Carries the pipe over a path on which the other side spoke first, with this [`greeting`].
    ///
    /// # Errors
    /// [`Refused`].
    pub fn accept(&mut self, rank: u8, greeting: Greeting) -> Result<PathId, Refused> {
        match (greeting, self.peer_key) {
            (Greeting::Open(key), None) if self.next_path == 0 => {
                self.peer_key = Some(key);
                self.add(rank, Greeting::Open(self.key), true)
            }
            // The answer to our own greeting, which would have told the other's key, may have been lost.
            (Greeting::Attach { key, own }, peer_key) if key == self.key && peer_key.is_none_or(|known| known == own) => {
                self.peer_key = Some(own);
                self.add(rank, Greeting::Attach { key: own, own: key }, true)
            }
            _ => Err(Refused::NotOurs),
        }
    }

    /// The answering [`greeting`] on a path that this side opened. `Ok(false)`: the other side no longer knows this pipe and began
    /// another on the path, which is lost for this one.
    ///
    /// # Errors
    /// When the peer breaks the protocol: drop it.
    pub fn greeted(&mut self, id: PathId, greeting: Greeting) -> Result<bool, Violation> {
        let (key, peer_key) = (self.key, self.peer_key);
        let Some(path) = self.paths.get_mut(&id) else { return Ok(true) };
        if path.greeted {
            return Err(self.break_off(Violation::MisplacedGreeting));
        }
        match greeting {
            Greeting::Open(own) if path.begins && peer_key.is_none_or(|known| known == own) => self.peer_key = Some(own),
            Greeting::Open(_) if !path.begins => {
                self.lost(id);
                return Ok(false);
            }
            Greeting::Attach { key: named, own } if !path.begins && named == key && peer_key == Some(own) => {}
            _ => return Err(self.break_off(Violation::WrongKey)),
        }
        path.greeted = true;
        self.choose();
        Ok(true)
    }

    fn add(&mut self, rank: u8, greeting: Greeting, greeted: bool) -> Result<PathId, Refused> {
        if self.paths.len() >= limits::PIPE_PATHS {
            return Err(Refused::TooManyPaths);
        }
        let id = PathId(self.next_path);
        let first = self.next_path == 0;
        self.next_path += 1;
        let path = Path {
            rank,
            suspect: false,
            begins: first,
            sent: 0,
            greeting: Some(greeting),
            greeted,
            granted: first,
            decoder: Decoder::default(),
            acknowledge: false,
            probe: false,
            ask: None,
            answer: None,
            end_sent: false,
        };
        self.paths.insert(id, path);
        if first {
            // Nothing can be under way elsewhere: both directions begin here, unasked.
            self.outbound.begin(id);
            self.inbound.begin(id);
        } else {
            self.choose();
        }
        Ok(id)
    }

    /// The path is gone. Call it only when everything that came by it has been given to [`Pipe::receive`].
    pub fn lost(&mut self, id: PathId) {
        self.leave(id);
        if self.paths.remove(&id).is_some() {
            self.outbound.lost(id);
            self.inbound_lost(id);
            self.choose();
        }
    }

    /// How good a path is now.
    pub fn rank(&mut self, id: PathId, rank: u8) {
        if let Some(path) = self.paths.get_mut(&id) {
            path.rank = rank;
            self.choose();
        }
    }

    /// The path seems not to deliver: used only where there is no other, until the other side answers on it.
    pub fn suspect(&mut self, id: PathId) {
        self.leave(id);
        if let Some(path) = self.paths.get_mut(&id) {
            path.suspect = true;
            self.choose();
        }
    }

    /// Asks the other side, by the path on which this side sends, to acknowledge now.
    pub fn probe(&mut self) {
        if let Some(path) = self.outbound.path().and_then(|id| self.paths.get_mut(&id)) {
            path.probe = true;
        }
    }

    /// Asks for an answer on every suspect path, which ends the suspicion.
    pub fn probe_suspects(&mut self) {
        for (_, path) in self.paths.iter_mut().filter(|(_, path)| path.suspect && path.greeted) {
            path.probe = true;
        }
    }

    /// Ends the pipe for both sides; what is unacknowledged may be lost.
    pub fn end(&mut self, code: u64) {
        self.ending.get_or_insert(code);
    }

    /// The code with which the other side ended it, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<u64> {
        self.ended
    }

    /// Paths now, whether or not the other side has answered on them.
    #[must_use]
    pub fn paths(&self) -> usize {
        self.paths.len()
    }

    /// Whether the other side has answered: from then on it can be attached to.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.peer_key.is_some()
    }

    /// Whether the other side has greeted on this path.
    #[must_use]
    pub fn is_greeted(&self, id: PathId) -> bool {
        self.paths.get(&id).is_some_and(|path| path.greeted)
    }

    /// The path on which this side sends, or wants to.
    #[must_use]
    pub fn sends_on(&self) -> Option<PathId> {
        self.outbound.path()
    }

    /// Whether the path on which this side sends seems not to deliver: there is no better one.
    #[must_use]
    pub fn sends_on_suspect(&self) -> bool {
        self.outbound.path().and_then(|id| self.paths.get(&id)).is_some_and(|path| path.suspect)
    }

    /// Whether the other side sends by a worse path than this side: it has given up the one that this side uses, or, for a moment, not taken it yet.
    #[must_use]
    pub fn is_left(&self) -> bool {
        let path = |id: Option<PathId>| self.paths.get(&id?);
        path(self.takes_from()).zip(path(self.sends_on())).is_some_and(|(theirs, ours)| theirs.rank < ours.rank)
    }

    /// The path on which what was sent last went: while the other side is asked for another one, still the one before.
    #[must_use]
    pub fn sent_on(&self) -> Option<PathId> {
        self.outbound.granted_path()
    }

    /// Sends no more than so many bytes at once that are not acknowledged; [`Window`] says how many are good for a path.
    pub fn limit(&mut self, bytes: u64) {
        if self.outbound.limit(bytes) {
            self.probe();
        }
    }

    /// Up to which byte this side's stream is acknowledged, and up to which it was sent on the path now in use.
    #[must_use]
    pub fn under_way(&self) -> (u64, u64) {
        self.outbound.under_way()
    }

    /// The path from which this side takes bytes.
    #[must_use]
    pub fn takes_from(&self) -> Option<PathId> {
        self.inbound.current()
    }

    /// Bytes acknowledged by the other side, bytes sent, bytes received, and bytes sent again.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            acknowledged: self.outbound.acknowledged(),
            sent: self.outbound.sent(),
            received: self.inbound.received(),
            sent_again: self.outbound.sent_again(),
        }
    }

    fn break_off(&mut self, violation: Violation) -> Violation {
        *self.violation.get_or_insert(violation)
    }
}

/// Bytes of one pipe so far, see [`Pipe::counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent by this side, and acknowledged.
    pub acknowledged: u64,
    /// Sent by this side, each counted once.
    pub sent: u64,
    /// Received in order.
    pub received: u64,
    /// Sent a second time, because a path broke.
    pub sent_again: u64,
}

//! The half that receives: takes bytes from one path at a time, and says when and from where on another may take over.

use super::{
    PathId, Pipe, Violation,
    record::{Item, Record},
};
use crate::limits;

#[derive(Debug, Default)]
pub(super) struct Inbound {
    received: u64,
    acknowledged: u64,
    /// The path from which bytes are taken.
    current: Option<PathId>,
    /// The last MOVE, while it waits for what comes by the current path.
    waiting: Option<Move>,
    /// Number of the last MOVE.
    turn: u64,
    /// Number of the last MOVE that was granted: the one by which `current` is; 0 for the first path.
    granted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Move {
    path: PathId,
    after: u64,
    until: u64,
}

impl Inbound {
    pub(super) fn begin(&mut self, path: PathId) {
        self.current = Some(path);
    }

    pub(super) fn current(&self) -> Option<PathId> {
        self.current
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// The count to be acknowledged now.
    pub(super) fn acknowledge(&mut self) -> u64 {
        self.acknowledged = self.received;
        self.received
    }
}

impl Pipe {
    /// Takes what came by a path and gives the next piece of the stream in it; to be called until it gives none, when `input` is used
    /// up. Nothing is copied.
    ///
    /// # Errors
    /// When the peer breaks the protocol: drop it.
    pub fn receive<'a>(&mut self, id: PathId, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Violation> {
        if let Some(violation) = self.violation {
            return Err(violation);
        }
        match self.take(id, input) {
            Err(violation) => Err(self.break_off(violation)),
            taken => taken,
        }
    }

    fn take<'a>(&mut self, id: PathId, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Violation> {
        loop {
            let Some(path) = self.paths.get_mut(&id).filter(|_| self.ended.is_none()) else { return Ok(None) };
            if !input.is_empty() && !path.greeted {
                return Err(Violation::MisplacedGreeting);
            }
            let granted = path.granted;
            match path.decoder.next(input)? {
                None => return Ok(None),
                Some(Item::Record(record)) => self.on_record(id, record)?,
                Some(Item::Bytes(_)) if !granted => return Err(Violation::BytesUnasked),
                // Late: another path has taken over, and what these bytes say comes by that one.
                Some(Item::Bytes(_)) if self.inbound.current != Some(id) => {}
                Some(Item::Bytes(bytes)) => {
                    self.inbound.received += bytes.len() as u64;
                    self.answer_move();
                    return Ok(Some(bytes));
                }
            }
        }
    }

    fn on_record(&mut self, id: PathId, record: Record) -> Result<(), Violation> {
        match record {
            Record::Greeting(_) => Err(Violation::MisplacedGreeting),
            Record::Acknowledge { received } => {
                self.on_acknowledge(received)?;
                self.trust(id);
                Ok(())
            }
            Record::Probe => {
                if let Some(path) = self.paths.get_mut(&id) {
                    path.acknowledge = true;
                }
                Ok(())
            }
            Record::Move { turn, after, until } => {
                // An earlier question may come late, by another path.
                if turn > self.inbound.turn {
                    self.inbound.turn = turn;
                    self.inbound.waiting = Some(Move { path: id, after, until });
                    self.answer_move();
                }
                Ok(())
            }
            Record::Go { turn, received } => {
                self.on_go(id, turn, received)?;
                self.trust(id);
                Ok(())
            }
            Record::End { code } => {
                self.ended = Some(code);
                Ok(())
            }
        }
    }

    /// The other side answers on this path. What else comes by it says nothing of the way there, where old bytes may stand in line for seconds.
    fn trust(&mut self, id: PathId) {
        if self.paths.get_mut(&id).is_some_and(|path| std::mem::take(&mut path.suspect)) {
            self.choose();
        }
    }

    pub(super) fn inbound_lost(&mut self, id: PathId) {
        if self.inbound.current == Some(id) {
            self.inbound.current = None;
        }
        if self.inbound.waiting.is_some_and(|waiting| waiting.path == id) {
            self.inbound.waiting = None;
        }
        self.answer_move();
    }

    /// Grants the last MOVE, once everything that it wants to see first has arrived or cannot arrive any more.
    fn answer_move(&mut self) {
        let Inbound { received, current, waiting, turn, granted, .. } = self.inbound;
        let Some(Move { path: id, after, until }) = waiting else { return };
        if received < until && after == granted && current.is_some_and(|current| current != id) {
            return;
        }
        self.inbound.waiting = None;
        self.inbound.granted = turn;
        self.inbound.current = Some(id);
        if let Some(path) = self.paths.get_mut(&id) {
            path.granted = true;
            path.answer = Some((turn, received));
            self.inbound.acknowledged = received;
        }
    }

    /// Whether enough has come to be acknowledged unasked, by the path it came from.
    pub(super) fn acknowledgement_due(&self, id: PathId) -> bool {
        let Inbound { received, acknowledged, current, .. } = self.inbound;
        current == Some(id) && received - acknowledged >= limits::PIPE_ACKNOWLEDGE
    }
}

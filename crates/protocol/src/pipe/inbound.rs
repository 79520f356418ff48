//! The half that receives: takes bytes from one path at a time, and says when and from where on another may take over.

use super::{
    PathId, Pipe, Violation,
    record::{Item, Record, cut},
};
use crate::limits;
use std::borrow::Cow;

#[derive(Debug, Default)]
pub(super) struct Inbound {
    received: u64,
    /// Pieces behind a gap, with the offset of each, in order, none of them twice.
    held: Vec<(u64, Vec<u8>)>,
    /// Bytes in them.
    ahead: u64,
    /// How many bytes had come when that was last said.
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
    pub(super) fn acknowledge(&mut self) -> Record {
        self.acknowledged = self.received + self.ahead;
        Record::Acknowledge { received: self.received, ahead: self.ahead }
    }

    /// Takes a piece that begins at an offset, and gives what of it is the next one of the stream; what comes too early is held.
    fn take<'a>(&mut self, mut at: u64, mut bytes: &'a [u8]) -> Result<&'a [u8], Violation> {
        if at.saturating_add(bytes.len() as u64) > self.received + limits::PIPE_UNACKNOWLEDGED || self.held.len() >= limits::PIPE_GAPS {
            return Err(Violation::BytesUnasked);
        }
        at += cut(&mut bytes, self.received.saturating_sub(at)).len() as u64;
        if at == self.received {
            self.received += bytes.len() as u64;
            self.forget_what_came();
            return Ok(bytes);
        }
        while !bytes.is_empty() {
            let next = self.held.partition_point(|(start, _)| *start <= at);
            let room = self.held.get(next).map_or(u64::MAX, |(start, _)| start - at);
            let before = next.checked_sub(1).and_then(|before| self.held.get_mut(before));
            let end = before.as_ref().map_or(0, |(start, piece)| *start + piece.len() as u64);
            if end > at {
                at += cut(&mut bytes, end - at).len() as u64;
                continue;
            }
            let piece = cut(&mut bytes, room);
            match before {
                Some((_, before)) if end == at => before.extend_from_slice(piece),
                _ => self.held.insert(next, (at, piece.to_vec())),
            }
            at += piece.len() as u64;
            self.ahead += piece.len() as u64;
        }
        Ok(bytes)
    }

    /// Forgets of what is held what came once more, in order: it counts once.
    fn forget_what_came(&mut self) {
        while let Some((at, piece)) = self.held.first_mut().filter(|(at, _)| *at < self.received) {
            // No more than the piece has.
            let again = (self.received - *at).min(piece.len() as u64);
            piece.drain(..again as usize);
            *at += again;
            self.ahead -= again;
            if piece.is_empty() {
                self.held.remove(0);
            }
        }
    }

    /// What was held and is the next piece of the stream now.
    fn release(&mut self) -> Option<Vec<u8>> {
        self.held.first().filter(|(at, _)| *at == self.received)?;
        let (_, piece) = self.held.remove(0);
        self.ahead -= piece.len() as u64;
        self.received += piece.len() as u64;
        Some(piece)
    }
}

impl Pipe {
    /// Takes what came by a path and gives the next piece of the stream in it; to be called until it gives none, when `input` is used
    /// up. Only what came too early is copied.
    ///
    /// # Errors
    /// When the peer breaks the protocol: drop it.
    pub fn receive<'a>(&mut self, id: PathId, input: &mut &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, Violation> {
        if let Some(violation) = self.violation {
            return Err(violation);
        }
        match self.take(id, input) {
            Err(violation) => Err(self.break_off(violation)),
            taken => taken,
        }
    }

    fn take<'a>(&mut self, id: PathId, input: &mut &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, Violation> {
        loop {
            if let Some(piece) = self.inbound.release() {
                self.answer_move();
                return Ok(Some(piece.into()));
            }
            let Some(path) = self.paths.get_mut(&id).filter(|_| self.ended.is_none()) else { return Ok(None) };
            if !input.is_empty() && !path.greeted {
                return Err(Violation::MisplacedGreeting);
            }
            let granted = path.granted;
            match path.decoder.next(input)? {
                None => return Ok(None),
                Some(Item::Record(record)) => self.on_record(id, record)?,
                Some(Item::Bytes(None, _)) if !granted => return Err(Violation::BytesUnasked),
                // Late: another path has taken over, and what these bytes say comes by that one.
                Some(Item::Bytes(None, _)) if self.inbound.current != Some(id) => {}
                Some(Item::Bytes(at, bytes)) => {
                    let piece = self.inbound.take(at.unwrap_or(self.inbound.received), bytes)?;
                    if !piece.is_empty() {
                        self.answer_move();
                        return Ok(Some(piece.into()));
                    }
                }
            }
        }
    }

    fn on_record(&mut self, id: PathId, record: Record) -> Result<(), Violation> {
        match record {
            Record::Greeting(_) => Err(Violation::MisplacedGreeting),
            Record::Lanes => {
                self.outbound.takes_parts();
                Ok(())
            }
            Record::Acknowledge { received, ahead } => {
                self.on_acknowledge(received, ahead)?;
                self.trust(id);
                self.ask_lanes();
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
        // What was acknowledged by it may not have arrived.
        if let Some(path) = self.inbound.current.and_then(|id| self.paths.get_mut(&id)) {
            path.acknowledge = self.inbound.received > 0;
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
            self.inbound.acknowledged = received + self.inbound.ahead;
        }
    }

    /// Whether enough has come to be acknowledged unasked, by the path it came from.
    pub(super) fn acknowledgement_due(&self, id: PathId) -> bool {
        let Inbound { received, ahead, acknowledged, current, .. } = self.inbound;
        current == Some(id) && received + ahead - acknowledged >= limits::PIPE_ACKNOWLEDGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_early_and_comes_again_in_order_counts_once() {
        let mut inbound = Inbound::default();
        assert_eq!(inbound.take(10, &[1; 10]), Ok(&[][..]));
        assert_eq!(inbound.take(30, &[3; 5]), Ok(&[][..]));
        assert_eq!(inbound.acknowledge(), Record::Acknowledge { received: 0, ahead: 15 });
        assert_eq!(inbound.take(0, &[0; 15]), Ok(&[0; 15][..]));
        assert_eq!(inbound.acknowledge(), Record::Acknowledge { received: 15, ahead: 10 });
        assert_eq!(inbound.release(), Some(vec![1; 5]));
        assert_eq!(inbound.take(20, &[2; 20]), Ok(&[2; 20][..]));
        assert_eq!(inbound.acknowledge(), Record::Acknowledge { received: 40, ahead: 0 });
        assert_eq!(inbound.release(), None);
    }
}

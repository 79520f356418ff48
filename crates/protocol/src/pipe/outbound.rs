//! The half that sends: one path at a time, what is unacknowledged kept, and a question before every change of path.

use super::{
    PathId, Pipe, Violation,
    log::Log,
    record::{BYTES_HEAD, Record, put_bytes_head},
};
use crate::limits;
use bytes::Bytes;

/// Payload is not sent for less room than this, unless alone: a record for a few bytes is not worth its head.
const WORTH_A_RECORD: u64 = 1024;
/// Of a PROBE: its length and its kind.
const PROBE_LENGTH: usize = 2;

#[derive(Debug)]
pub(super) struct Outbound {
    log: Log,
    /// The next byte to send: behind the log's end there are only bytes that were never sent.
    position: u64,
    sending: Sending,
    /// Number of the last MOVE.
    turn: u64,
    /// Number of the last MOVE that was granted; 0 for the first path.
    granted: u64,
    again: u64,
    /// Bytes that may be under way on the path.
    limit: u64,
    /// The byte behind the last one that the other side was asked to acknowledge.
    asked: u64,
    /// The same by every lane.
    asked_lanes: u64,
    /// Bytes that the other side has behind a gap.
    ahead: u64,
    /// The other side takes parts, so nothing is sent without its offset from here on.
    parts: Option<u64>,
    /// Whether all goes by one path for now.
    alone: bool,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            log: Log::default(),
            position: 0,
            sending: Sending::Nowhere,
            turn: 0,
            granted: 0,
            again: 0,
            limit: limits::PIPE_UNACKNOWLEDGED,
            asked: 0,
            asked_lanes: 0,
            ahead: 0,
            parts: None,
            alone: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sending {
    /// There is no path that could be asked.
    #[default]
    Nowhere,
    /// MOVE is under way on `path`; what was sent by `before`, if that still works, shall arrive there.
    Asked {
        path: PathId,
        before: Option<PathId>,
    },
    On(PathId),
}

impl Outbound {
    pub(super) fn begin(&mut self, path: PathId) {
        self.sending = Sending::On(path);
    }

    /// The path on which bytes go, or shall go.
    pub(super) fn path(&self) -> Option<PathId> {
        match self.sending {
            Sending::Nowhere => None,
            Sending::On(path) | Sending::Asked { path, .. } => Some(path),
        }
    }

    /// The path on which bytes go as long as no other is granted.
    pub(super) fn granted_path(&self) -> Option<PathId> {
        match self.sending {
            Sending::Nowhere => None,
            Sending::On(path) => Some(path),
            Sending::Asked { before, .. } => before,
        }
    }

    pub(super) fn lost(&mut self, lost: PathId) {
        match self.sending {
            Sending::On(path) | Sending::Asked { path, .. } if path == lost => self.sending = Sending::Nowhere,
            _ => {}
        }
    }

    /// Whether the other side is to be asked for an acknowledgement by that.
    pub(super) fn limit(&mut self, bytes: u64) -> bool {
        self.limit = bytes;
        self.asks()
    }

    pub(super) fn under_way(&self) -> (u64, u64) {
        let arrived = self.log.start() + self.ahead;
        (arrived, self.position.max(arrived))
    }

    /// The other side takes parts.
    pub(super) fn takes_parts(&mut self) {
        self.parts.get_or_insert(self.log.end());
    }

    /// Where a part begins, for a side that takes parts.
    fn part(&self) -> Option<u64> {
        self.parts.map(|_| self.position)
    }

    /// Room for bytes on the path, sent before or not, where it is worth it.
    fn open(&self) -> Option<u64> {
        let (arrived, sent) = self.under_way();
        let open = self.limit.saturating_sub(sent - arrived);
        (open >= WORTH_A_RECORD).then_some(open)
    }

    /// Whether an acknowledgement is to be asked for: where little may be under way, the other side's own would come too late.
    fn asks(&mut self) -> bool {
        let waits = self.position - self.asked.max(self.log.start()).min(self.position);
        let enough = (self.limit / 8).max(limits::PIPE_LEAST_WINDOW / 4).min(self.limit / 4);
        let asks = self.limit < 4 * limits::PIPE_ACKNOWLEDGE && waits >= enough;
        if asks {
            self.asked = self.position;
        }
        asks
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.log.start()
    }

    pub(super) fn sent(&self) -> u64 {
        self.log.end()
    }

    pub(super) fn sent_again(&self) -> u64 {
        self.again
    }
}

impl Pipe {
    /// What to put on this path next: about `max` bytes, a little more only where a single small frame needs it. `source` gives
    /// the next bytes of the stream, up to about as many as it is asked for; they are copied once, into the piece that is returned.
    pub fn transmit(&mut self, id: PathId, max: usize, source: impl FnOnce(usize) -> Vec<Bytes>) -> Option<Bytes> {
        let mut out = Vec::new();
        self.records(id, &mut out);
        if self.carries(id) {
            let room = max.saturating_sub(out.len() + BYTES_HEAD);
            if self.outbound.position < self.outbound.log.end() {
                if let Some(open) = self.outbound.open() {
                    self.send_again(id, room.min(open as usize), &mut out);
                }
            } else if let Some(room) = self.room(room) {
                return self.send_on(id, source(room), out);
            }
        }
        (!out.is_empty()).then(|| out.into())
    }

    /// Whether [`Pipe::transmit`] has something to put on this path, `source` having something to give or not.
    #[must_use]
    pub fn wants_transmit(&self, id: PathId, source: bool) -> bool {
        let Some(path) = self.paths.get(&id) else { return false };
        let owed = path.probe || path.acknowledge || path.ask.is_some() || path.answer.is_some() || self.acknowledgement_due(id);
        let records = path.greeting.is_some() || if self.ending.is_some() { !path.end_sent } else { owed };
        let again = || self.outbound.position < self.outbound.log.end() && self.outbound.open().is_some();
        let bytes = || again() || (source && self.room(usize::MAX).is_some());
        self.violation.is_none() && (records || (self.carries(id) && bytes()))
    }

    fn carries(&self, id: PathId) -> bool {
        let on = match self.outbound.sending {
            Sending::On(path) => path == id || (!self.outbound.alone && self.is_lane(path, id)),
            _ => false,
        };
        on && self.ending.is_none() && self.violation.is_none()
    }

    /// Whether a path carries bytes beside another one: it is direct as well, and seems to deliver. Not before everything has arrived that was sent
    /// without its offset.
    fn is_lane(&self, main: PathId, id: PathId) -> bool {
        let Outbound { log, parts, .. } = &self.outbound;
        match (self.paths.get(&main), self.paths.get(&id)) {
            (Some(main), Some(path)) if parts.is_some_and(|from| log.start() >= from) => {
                path.rank > 0 && path.rank == main.rank && path.greeted && !path.suspect
            }
            _ => false,
        }
    }

    /// Whether bytes go or come by a path, or might at any moment.
    #[must_use]
    pub fn uses(&self, id: PathId) -> bool {
        let [sends, takes] = [self.sends_on(), self.takes_from()];
        sends == Some(id) || takes == Some(id) || sends.is_some_and(|path| self.is_lane(path, id))
    }

    /// By how many paths bytes go at once, or might.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.sends_on().map_or(0, |main| self.paths.keys().filter(|id| **id == main || self.is_lane(main, **id)).count())
    }

    /// Whether bytes go by one path for now, whatever others there are: what is urgent would wait for the slowest of them.
    pub fn alone(&mut self, alone: bool) {
        self.outbound.alone = alone;
    }

    /// Nothing was acknowledged for too long: the paths in use seem not to deliver, and are used only where there is no other until the other side
    /// answers on them.
    pub fn silent(&mut self) {
        let Some(main) = self.sends_on() else { return };
        while let Some(lane) = self.paths.keys().copied().find(|id| *id != main && self.is_lane(main, *id)) {
            self.suspect(lane);
        }
        self.suspect(main);
    }

    /// What was sent on a lane that is gone may not have arrived, and which bytes these were is not known: everything is sent again, on whatever paths, and
    /// nothing depends any more on where it was sent before.
    fn go_back(&mut self) {
        let Outbound { log, position, asked, asked_lanes, ahead, .. } = &mut self.outbound;
        (*position, *asked, *asked_lanes, *ahead) = (log.start(), log.start(), 0, 0);
        for (_, path) in &mut self.paths {
            path.sent = 0;
        }
    }

    /// To be called before a path is believed to deliver no longer: what was sent on it as one of several is sent again.
    pub(super) fn leave(&mut self, id: PathId) {
        if self.paths.get(&id).is_none_or(|path| path.sent <= self.outbound.log.start()) {
            return;
        }
        match self.outbound.sending {
            Sending::On(main) if main != id => self.go_back(),
            // What it waits for may never arrive.
            Sending::Asked { path, before: Some(_) } if path != id => self.ask(path, None),
            _ => {}
        }
    }

    /// Where nothing more may be sent, asks by every lane: an acknowledgement that was asked for on one of them says nothing of what is under way on the
    /// others, and frees nothing behind a gap.
    pub(super) fn ask_lanes(&mut self) {
        let Outbound { position, asked_lanes, ref log, .. } = self.outbound;
        let open = if position < log.end() { self.outbound.open().is_some() } else { self.room(usize::MAX).is_some() };
        if open || asked_lanes == position || log.len() == 0 || self.lanes() < 2 {
            return;
        }
        self.outbound.asked_lanes = position;
        let from = self.outbound.log.start();
        for (_, path) in self.paths.iter_mut().filter(|(_, path)| path.greeted && path.sent > from) {
            path.probe = true;
        }
    }

    fn note_sent(&mut self, id: PathId) {
        if let Some(path) = self.paths.get_mut(&id) {
            path.sent = path.sent.max(self.outbound.position);
        }
    }

    /// Room for bytes never sent before, where it is worth it.
    fn room(&self, most: usize) -> Option<usize> {
        let room = limits::PIPE_UNACKNOWLEDGED.saturating_sub(self.outbound.log.len()).min(self.outbound.open()?);
        (room >= WORTH_A_RECORD).then(|| most.max(WORTH_A_RECORD as usize).min(room as usize))
    }

    fn records(&mut self, id: PathId, out: &mut Vec<u8>) {
        let due = self.acknowledgement_due(id);
        let Some(path) = self.paths.get_mut(&id).filter(|_| self.violation.is_none()) else { return };
        if let Some(greeting) = path.greeting.take() {
            Record::Greeting(greeting).encode(out);
            if path.begins {
                Record::Lanes.encode(out);
            }
        }
        if let Some(code) = self.ending {
            // Where the other side has not answered, it may know nothing of this pipe.
            if !std::mem::replace(&mut path.end_sent, true) && (path.greeted || path.begins) {
                Record::End { code }.encode(out);
            }
            return;
        }
        if let Some((turn, received)) = path.answer.take() {
            Record::Go { turn, received }.encode(out);
        }
        if std::mem::take(&mut path.acknowledge) || due {
            self.inbound.acknowledge().encode(out);
        }
        if let Some((turn, after, until)) = path.ask.take() {
            Record::Move { turn, after, until }.encode(out);
        }
        if std::mem::take(&mut path.probe) {
            Record::Probe.encode(out);
        }
    }

    fn send_again(&mut self, id: PathId, room: usize, out: &mut Vec<u8>) {
        let part = self.outbound.part();
        let Outbound { log, position, again, .. } = &mut self.outbound;
        let bytes = log.slice(*position, room.max(WORTH_A_RECORD as usize));
        put_bytes_head(bytes.len() as u64, part, out);
        out.extend_from_slice(bytes);
        *position += bytes.len() as u64;
        *again += bytes.len() as u64;
        self.note_sent(id);
        if self.outbound.asks() {
            Record::Probe.encode(out);
        }
    }

    fn send_on(&mut self, id: PathId, chunks: Vec<Bytes>, mut out: Vec<u8>) -> Option<Bytes> {
        let length: usize = chunks.iter().map(Bytes::len).sum();
        if length == 0 {
            return (!out.is_empty()).then(|| out.into());
        }
        out.reserve_exact(length + BYTES_HEAD + PROBE_LENGTH);
        put_bytes_head(length as u64, self.outbound.part(), &mut out);
        let start = out.len();
        chunks.iter().for_each(|chunk| out.extend_from_slice(chunk));
        let end = out.len();
        self.outbound.position += length as u64;
        self.note_sent(id);
        if self.outbound.asks() {
            Record::Probe.encode(&mut out);
        }
        let out = Bytes::from(out);
        self.outbound.log.push(out.slice(start..end));
        // Full behind a gap, perhaps, of which no acknowledgement tells: too little is under way for one that comes unasked.
        if self.outbound.log.len() + WORTH_A_RECORD > limits::PIPE_UNACKNOWLEDGED {
            self.ask_lanes();
        }
        Some(out)
    }

    /// Looks whether another path than that in use has become the best, and asks for the change.
    pub(super) fn choose(&mut self) {
        let current = self.outbound.path();
        let usable = self.paths.iter().filter(|(id, path)| path.greeted || current == Some(**id));
        let best = usable.max_by_key(|(id, path)| (!path.suspect, path.rank, current == Some(**id), **id)).map(|(id, _)| *id);
        let (path, before) = match (self.outbound.sending, best) {
            (Sending::Nowhere, None) => return,
            (_, None) => return self.outbound.sending = Sending::Nowhere,
            (Sending::Nowhere, Some(best)) => (best, None),
            (Sending::On(path), Some(best)) if path == best => return,
            (Sending::On(path), Some(best)) => (best, Some(path)),
            // The question stands, as long as what it waits for can still arrive.
            (Sending::Asked { path, before }, Some(best)) if path == best && self.delivers(before) == before => return,
            (Sending::Asked { before, .. }, Some(best)) => (best, before),
        };
        let before = self.delivers(before);
        self.ask(path, before);
    }

    /// `path`, where it can be hoped that what was sent on it arrives.
    fn delivers(&self, path: Option<PathId>) -> Option<PathId> {
        path.filter(|id| self.paths.get(id).is_some_and(|path| !path.suspect))
    }

    fn ask(&mut self, id: PathId, before: Option<PathId>) {
        let until = if before.is_some() { self.outbound.position } else { self.outbound.log.start() };
        self.outbound.turn += 1;
        self.outbound.sending = Sending::Asked { path: id, before };
        for (other, path) in &mut self.paths {
            path.ask = (*other == id).then_some((self.outbound.turn, self.outbound.granted, until));
        }
    }

    /// GO: the receiver takes bytes from this path, from `received` on.
    pub(super) fn on_go(&mut self, id: PathId, turn: u64, received: u64) -> Result<(), Violation> {
        let outbound = &mut self.outbound;
        if turn == 0 || turn > outbound.turn {
            return Err(Violation::GoUnasked);
        }
        // The answer to a question that was given up since.
        if turn < outbound.turn {
            return Ok(());
        }
        let unsent = self.paths.get(&id).is_some_and(|path| path.ask.is_some());
        if unsent || !matches!(outbound.sending, Sending::Asked { path, .. } if path == id) {
            return Err(Violation::GoUnasked);
        }
        // Parts may have come by other paths since it was said, and been acknowledged.
        let before = received < outbound.log.start() && outbound.parts.is_none();
        if before || received > outbound.log.end() {
            return Err(Violation::AcknowledgesUnsent);
        }
        outbound.log.forget(received.max(outbound.log.start()));
        outbound.granted = turn;
        outbound.sending = Sending::On(id);
        self.go_back();
        Ok(())
    }

    pub(super) fn on_acknowledge(&mut self, received: u64, ahead: u64) -> Result<(), Violation> {
        let Outbound { log, position, ahead: before, .. } = &mut self.outbound;
        if received.saturating_add(ahead) > log.end() {
            return Err(Violation::AcknowledgesUnsent);
        }
        // An earlier one may come late, by another path.
        if received + ahead >= log.start() + *before {
            log.forget(received.max(log.start()));
            *before = (received + ahead).saturating_sub(log.start());
            *position = log.start().max(*position);
        }
        Ok(())
    }
}

//! What leaves: owed control frames first, then data of urgent streams, then bulk, streams of a kind in turns of one
//! frame each.

use super::{
    Priority, Session, StreamId,
    frame::{Control, DATA_OVERHEAD, Data},
    stream::Sending,
};
use crate::limits;
use bytes::{Bytes, BytesMut};

/// A frame is not started for less room than this, unless it would be the only one.
const WORTH_A_FRAME: u64 = 1024;
/// Payload below this is copied next to its header; above, it travels as the chunk it is.
const COPIED: usize = 1024;

impl Session {
    /// The next whole frames for the wire as one piece: about `max` bytes, a little more only where a single small frame needs it.
    pub fn transmit(&mut self, max: usize) -> Option<Bytes> {
        let mut chunks = self.transmit_chunks(max);
        if chunks.len() < 2 {
            return chunks.pop();
        }
        let mut whole = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
        for chunk in &chunks {
            whole.extend_from_slice(chunk);
        }
        Some(whole.freeze())
    }

    /// As [`Session::transmit`], in chunks to be written one after the other: payload is not copied.
    pub fn transmit_chunks(&mut self, max: usize) -> Vec<Bytes> {
        let mut wire = Wire { chunks: Vec::new(), heads: Vec::new(), length: 0, most: max as u64 };
        if self.violation.is_none() {
            self.session_frames(&mut wire);
            self.control_frames(&mut wire);
            self.data_frames(&mut wire);
        }
        wire.done()
    }

    /// Whether [`Session::transmit`] has something to give.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        self.violation.is_none()
            && (!self.hello_sent
                || self.pong_owed.is_some()
                || self.ping.is_some_and(|ping| !ping.sent)
                || self.inbound.is_due()
                || self.peer_streams.is_due()
                || !self.control.is_empty()
                || (self.outbound.left() > 0 && !(self.urgent.is_empty() && self.bulk.is_empty())))
    }

    fn session_frames(&mut self, wire: &mut Wire) {
        if !self.hello_sent {
            self.hello_sent = true;
            wire.control(Control::Hello(self.config.hello()));
        }
        if let Some(token) = self.pong_owed.take() {
            wire.control(Control::Pong(token));
        }
        if let Some(ping) = self.ping.as_mut().filter(|ping| !ping.sent) {
            ping.sent = true;
            wire.control(Control::Ping(ping.token));
        }
        if self.inbound.is_due() {
            wire.control(Control::ConnectionCredit { limit: self.inbound.announce() });
        }
        if self.peer_streams.is_due() {
            wire.control(Control::StreamCredit { limit: self.peer_streams.announce() });
        }
    }

    fn control_frames(&mut self, wire: &mut Wire) {
        while wire.has_room() {
            let Some(stream) = self.control.pop_front() else { return };
            let Some(entry) = self.streams.get_mut(&stream) else { continue };
            entry.control_queued = false;
            if let Sending::Resetting(code) = entry.send.state {
                entry.send.state = Sending::ResetSent(code);
                wire.control(Control::Reset { stream, code, end: entry.send.window.sent() });
            } else if entry.send.owes_bare_finish() {
                entry.send.state = Sending::Finished;
                let urgent = is_urgent_opening(self.side, stream, entry);
                wire.data(Data { stream, offset: entry.send.window.sent(), length: 0, finish: true, urgent });
            }
            if entry.receive.stop_owed {
                entry.receive.stop_owed = false;
                wire.control(Control::Stop { stream, code: entry.receive.stop_code().unwrap_or(0) });
            }
            if entry.receive.owes_credit() {
                wire.control(Control::Credit { stream, limit: entry.receive.window.announce() });
            }
            self.settle(stream);
        }
    }

    fn data_frames(&mut self, wire: &mut Wire) {
        let longest = self.peer.map_or(limits::SESSION_FIRST_FRAME_PAYLOAD, |hello| hello.frame_payload).min(self.config.frame_payload);
        while wire.has_room() && self.outbound.left() > 0 {
            let Some(stream) = self.urgent.pop_front().or_else(|| self.bulk.pop_front()) else { return };
            let Some(entry) = self.streams.get_mut(&stream) else { continue };
            entry.data_queued = false;
            let wanted = entry.send.sendable().min(self.outbound.left()).min(longest);
            if wanted == 0 {
                continue;
            }
            let length = wanted.min(wire.payload_room());
            if length < wanted.min(WORTH_A_FRAME) {
                // Its turn stays its turn.
                self.queue_data_first(stream);
                return;
            }
            let finish = entry.send.state == Sending::Finishing && length == entry.send.buffer.len();
            let urgent = is_urgent_opening(self.side, stream, entry);
            wire.data(Data { stream, offset: entry.send.window.sent(), length, finish, urgent });
            let mut left = length;
            while let Some(bytes) = entry.send.buffer.pop(usize::try_from(left).unwrap_or(usize::MAX)) {
                left -= bytes.len() as u64;
                wire.payload(bytes);
            }
            entry.send.window.send(length);
            if finish {
                entry.send.state = Sending::Finished;
            }
            self.outbound.send(length);
            self.queue_data(stream);
            self.release(length);
            self.wake_writer(stream);
            self.settle(stream);
        }
    }

    /// Puts a stream in line for its data, if it has any that may be sent.
    pub(super) fn queue_data(&mut self, stream: StreamId) {
        if let Some(line) = self.data_line(stream) {
            line.push_back(stream);
        }
    }

    fn queue_data_first(&mut self, stream: StreamId) {
        if let Some(line) = self.data_line(stream) {
            line.push_front(stream);
        }
    }

    fn data_line(&mut self, stream: StreamId) -> Option<&mut std::collections::VecDeque<StreamId>> {
        let entry = self.streams.get_mut(&stream)?;
        if entry.data_queued || entry.send.sendable() == 0 {
            return None;
        }
        entry.data_queued = true;
        Some(match entry.priority {
            Priority::Urgent => {
                self.urgents += 1;
                &mut self.urgent
            }
            Priority::Bulk => &mut self.bulk,
        })
    }

    /// Puts a stream in line for the control frames that it owes, if any.
    pub(super) fn queue_control(&mut self, stream: StreamId) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        if !entry.control_queued && entry.owes_control() {
            entry.control_queued = true;
            self.control.push_back(stream);
        }
    }
}

/// The opener tells the priority with the first frame.
fn is_urgent_opening(side: super::Side, stream: StreamId, entry: &super::Stream) -> bool {
    entry.priority == Priority::Urgent && stream.opened_by() == side && entry.send.window.sent() == 0
}

/// Frames being put together.
struct Wire {
    chunks: Vec<Bytes>,
    /// Headers, control frames and small payload since the last large chunk.
    heads: Vec<u8>,
    length: u64,
    most: u64,
}

impl Wire {
    fn has_room(&self) -> bool {
        self.length < self.most || self.length == 0
    }

    /// Room for the payload of one more data frame.
    fn payload_room(&self) -> u64 {
        let room = self.most.saturating_sub(self.length + DATA_OVERHEAD);
        if self.length == 0 { room.max(WORTH_A_FRAME) } else { room }
    }

    fn control(&mut self, frame: Control) {
        self.head(|heads| frame.encode(heads));
    }

    fn data(&mut self, data: Data) {
        self.head(|heads| data.encode(heads));
    }

    fn head(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.heads.len();
        encode(&mut self.heads);
        self.length += (self.heads.len() - before) as u64;
    }

    fn payload(&mut self, bytes: Bytes) {
        self.length += bytes.len() as u64;
        if bytes.len() < COPIED {
            self.heads.extend_from_slice(&bytes);
        } else {
            self.cut();
            self.chunks.push(bytes);
        }
    }

    fn cut(&mut self) {
        if !self.heads.is_empty() {
            self.chunks.push(Bytes::from(std::mem::take(&mut self.heads)));
        }
    }

    fn done(mut self) -> Vec<Bytes> {
        self.cut();
        self.chunks
    }
}

//! One stream: a half that sends, a half that receives, each with its own end.

use super::{
    Priority, Read, StreamError, Violation,
    buffer::Buffer,
    window::{Allowed, Granted},
};
use bytes::Bytes;

/// Something to tell the caller about a stream; each at most once pending, so that events need no queue of their own.
pub(super) const OPENED: u8 = 1;
pub(super) const READABLE: u8 = 2;
pub(super) const WRITABLE: u8 = 4;
pub(super) const STOPPED: u8 = 8;
pub(super) const CLOSED: u8 = 16;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) priority: Priority,
    pub(super) send: SendHalf,
    pub(super) receive: ReceiveHalf,
    /// The peer has named it: until then a lower number that the peer skipped.
    pub(super) named: bool,
    /// Events to tell, a set of the bits above.
    pub(super) events: u8,
    /// It stands in the queue of streams with events.
    pub(super) event_queued: bool,
    /// It stands in the queue of streams that owe control frames.
    pub(super) control_queued: bool,
    /// It stands in a queue of streams with data to send.
    pub(super) data_queued: bool,
}

impl Stream {
    pub(super) fn new(priority: Priority, allowed: u64, granted: u64) -> Self {
        Self {
            priority,
            send: SendHalf { buffer: Buffer::default(), window: Allowed::new(allowed), state: Sending::Open, waiting: false },
            receive: ReceiveHalf {
                buffer: Buffer::default(),
                window: Granted::new(granted),
                finish_announced: false,
                coming: 0,
                end: None,
                end_told: false,
                stop: None,
                stop_owed: false,
            },
            named: true,
            events: 0,
            event_queued: false,
            control_queued: false,
            data_queued: false,
        }
    }

    /// Both halves are over, on the wire and for the caller: nothing can happen to it any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.send.state, Sending::Finished | Sending::ResetSent(_)) && self.receive.end.is_some() && self.receive.end_told
    }

    /// It owes a frame without payload.
    pub(super) fn owes_control(&self) -> bool {
        self.receive.stop_owed || self.receive.owes_credit() || self.send.owes_reset() || self.send.owes_bare_finish()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    Open,
    /// The caller finished; the mark travels with the last byte.
    Finishing,
    Finished,
    /// A RESET is owed.
    Resetting(u64),
    ResetSent(u64),
}

#[derive(Debug)]
pub(super) struct SendHalf {
    pub(super) buffer: Buffer,
    pub(super) window: Allowed,
    pub(super) state: Sending,
    /// The caller was told to wait for room.
    pub(super) waiting: bool,
}

impl SendHalf {
    pub(super) fn check_open(&self) -> Result<(), StreamError> {
        match self.state {
            Sending::Open => Ok(()),
            Sending::Finishing | Sending::Finished => Err(StreamError::Finished),
            Sending::Resetting(code) | Sending::ResetSent(code) => Err(StreamError::Reset(code)),
        }
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.state == Sending::Finishing
    }

    /// The code with which it was reset, if it was.
    pub(super) fn reset_code(&self) -> Option<u64> {
        match self.state {
            Sending::Resetting(code) | Sending::ResetSent(code) => Some(code),
            Sending::Open | Sending::Finishing | Sending::Finished => None,
        }
    }

    /// Gives up what is not sent yet; says how many bytes that were. Nothing happens once everything has been sent.
    pub(super) fn reset(&mut self, code: u64) -> u64 {
        match self.state {
            Sending::Open | Sending::Finishing => {
                self.state = Sending::Resetting(code);
                self.waiting = false;
                self.buffer.clear()
            }
            Sending::Finished | Sending::Resetting(_) | Sending::ResetSent(_) => 0,
        }
    }

    /// Bytes that could be sent now as far as this stream is concerned.
    pub(super) fn sendable(&self) -> u64 {
        match self.state {
            Sending::Open | Sending::Finishing => self.buffer.len().min(self.window.left()),
            _ => 0,
        }
    }

    pub(super) fn owes_reset(&self) -> bool {
        matches!(self.state, Sending::Resetting(_))
    }

    pub(super) fn owes_bare_finish(&self) -> bool {
        self.state == Sending::Finishing && self.buffer.is_empty()
    }
}

/// How the peer ended its half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Reset(u64),
}

#[derive(Debug)]
pub(super) struct ReceiveHalf {
    pub(super) buffer: Buffer,
    pub(super) window: Granted,
    /// The frame being received carries the finish mark.
    finish_announced: bool,
    /// Payload of that frame that is still to come: counted by the window, not here yet.
    coming: u64,
    pub(super) end: Option<End>,
    /// The caller knows of the end, or no longer cares.
    pub(super) end_told: bool,
    stop: Option<u64>,
    pub(super) stop_owed: bool,
}

impl ReceiveHalf {
    /// A data frame begins. Its bytes are counted before they arrive.
    pub(super) fn begin(&mut self, offset: u64, length: u64, finish: bool) -> Result<(), Violation> {
        if self.end.is_some() {
            return Err(Violation::DataAfterEnd);
        }
        if offset != self.window.received() {
            return Err(Violation::OffsetGap);
        }
        if !self.window.receive(length) {
            return Err(Violation::BeyondCredit);
        }
        self.finish_announced = finish;
        self.coming = length;
        if length == 0 {
            self.frame_complete();
        }
        Ok(())
    }

    /// Payload of the frame begun. `true`: the caller has no use for it, its bytes were dropped.
    pub(super) fn payload(&mut self, bytes: Bytes, last: bool) -> bool {
        let dropped = self.stop.is_some();
        self.coming = self.coming.saturating_sub(bytes.len() as u64);
        if !dropped {
            self.buffer.push(bytes);
        }
        if last {
            self.frame_complete();
        }
        dropped
    }

    fn frame_complete(&mut self) {
        if self.finish_announced {
            self.ended(End::Finished);
        }
    }

    pub(super) fn reset(&mut self, code: u64, end: u64) -> Result<(), Violation> {
        if self.end.is_some() {
            return Err(Violation::DataAfterEnd);
        }
        if end != self.window.received() {
            return Err(Violation::OffsetGap);
        }
        self.ended(End::Reset(code));
        Ok(())
    }

    fn ended(&mut self, end: End) {
        self.end = Some(end);
        self.stop_owed = false;
    }

    /// The caller wants no more. Says how many bytes were dropped unread.
    pub(super) fn stop(&mut self, code: u64) -> u64 {
        if self.stop.is_some() {
            return 0;
        }
        self.stop = Some(code);
        self.end_told = true;
        self.stop_owed = self.end.is_none();
        self.buffer.clear()
    }

    pub(super) fn read(&mut self) -> Read {
        if let Some(code) = self.stop {
            return Read::Reset(code);
        }
        if let Some(bytes) = self.buffer.pop(usize::MAX) {
            return Read::Data(bytes);
        }
        let Some(end) = self.end else { return Read::Blocked };
        self.end_told = true;
        match end {
            End::Finished => Read::Finished,
            End::Reset(code) => Read::Reset(code),
        }
    }

    /// The caller is done with `amount` bytes that it read.
    pub(super) fn consumed(&mut self, amount: u64) {
        let read = self.window.held().saturating_sub(self.buffer.len() + self.coming);
        self.window.use_up(amount.min(read));
    }

    pub(super) fn owes_credit(&self) -> bool {
        self.end.is_none() && self.stop.is_none() && self.window.is_due()
    }

    pub(super) fn stop_code(&self) -> Option<u64> {
        self.stop
    }

    /// There is something to read.
    pub(super) fn is_readable(&self) -> bool {
        self.stop.is_none() && (!self.buffer.is_empty() || (self.end.is_some() && !self.end_told))
    }
}

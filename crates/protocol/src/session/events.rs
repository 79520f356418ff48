//! What a session tells its caller. Events are facts about streams, each pending at most once, so they need no queue
//! that could grow: only the streams that have some stand in line.

use super::{
    StreamId,
    stream::{self, Stream},
};
use litemap::LiteMap;
use std::collections::VecDeque;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer's HELLO arrived: its limits hold from now on.
    Ready,
    /// The peer opened a stream.
    Opened(StreamId),
    /// There is something to read: read until [`super::Read::Blocked`] before waiting for the next one.
    Readable(StreamId),
    /// There is room again after a write that was not accepted in full.
    Writable(StreamId),
    /// The peer wants no more of what this side sends; what was unsent has been dropped.
    Stopped {
        /// The stream.
        stream: StreamId,
        /// The peer's reason.
        code: u64,
    },
    /// Both halves are over and the stream is forgotten.
    Closed(StreamId),
    /// A stream can be opened again after [`super::TooManyStreams`].
    Openable,
    /// The peer answered a ping; its token.
    Pong([u8; 8]),
}

#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) ready: bool,
    pub(super) pong: Option<[u8; 8]>,
    pub(super) openable_wanted: bool,
    pub(super) openable: bool,
    line: VecDeque<StreamId>,
}

impl Events {
    /// Notes `event` (bits of [`stream`]) for a stream.
    pub(super) fn push(&mut self, id: StreamId, entry: &mut Stream, event: u8) {
        entry.events |= event;
        if !entry.event_queued {
            entry.event_queued = true;
            self.line.push_back(id);
        }
    }

    pub(super) fn of_session(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.ready) {
            return Some(Event::Ready);
        }
        if let Some(token) = self.pong.take() {
            return Some(Event::Pong(token));
        }
        std::mem::take(&mut self.openable).then_some(Event::Openable)
    }

    pub(super) fn of_streams(&mut self, streams: &mut LiteMap<StreamId, Box<Stream>>) -> Option<Event> {
        while let Some(id) = self.line.front().copied() {
            if let Some(event) = streams.get_mut(&id).and_then(|entry| next_of(id, entry)) {
                return Some(event);
            }
            self.line.pop_front();
            if let Some(entry) = streams.get_mut(&id) {
                entry.event_queued = false;
            }
        }
        None
    }
}

fn next_of(id: StreamId, entry: &mut Stream) -> Option<Event> {
    for (bit, event) in [
        (stream::OPENED, Event::Opened(id)),
        (stream::READABLE, Event::Readable(id)),
        (stream::STOPPED, Event::Stopped { stream: id, code: entry.send.reset_code().unwrap_or(0) }),
        (stream::WRITABLE, Event::Writable(id)),
        (stream::CLOSED, Event::Closed(id)),
    ] {
        if entry.events & bit == 0 {
            continue;
        }
        entry.events &= !bit;
        // A caller that read on without waiting for the event needs none.
        if bit == stream::READABLE && !entry.receive.is_readable() {
            continue;
        }
        return Some(event);
    }
    None
}

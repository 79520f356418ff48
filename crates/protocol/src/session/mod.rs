//! A session: many streams between two Shoal peers, over the bytes of one [pipe](crate::pipe).
//!
//! ```text
//!  caller                     Session                        wire
//!  open write finish reset ─▶ send halves    ── transmit ──▶ HELLO DATA RESET PING …
//!  read consumed stop      ◀▶ receive halves ◀── receive ─── DATA CREDIT STOP …
//!  poll_event              ◀─ what changed
//! ```
//!
//! It decides who may send what and when: every stream has a credit of bytes that the receiver grants as it *uses bytes
//! up*, so a reader that stops, stops the sender, and memory is bounded on both sides. Opening a stream costs no
//! round trip and no data channel. Streams take turns on the wire; urgent ones go first.
//!
//! Pure: no clock, IO or randomness. Bytes come in by [`Session::receive`], leave by [`Session::transmit`]; that they come each
//! once and in order, whatever happens to connections, is the pipe's business. The wire format is specified in
//! `crates/protocol/docs/session.md`.
//!
//! What a caller does in a loop: feed `receive`, drain `poll_event`, act, put what `transmit` gives on the wire while the wire
//! takes it.
//!
//! Two credits, two promises. The connection's bounds what the session itself holds, and is returned by reading. A
//! stream's bounds what its reader holds, and is returned by [`Session::consumed`], for instance once a block is stored. A
//! reader that waits for the rest of a message thus holds up nobody else, as long as it reads.

mod buffer;
mod config;
mod events;
mod frame;
mod input;
mod receive;
mod stream;
mod transmit;
mod window;

pub(crate) use self::buffer::Buffer;
pub(crate) use self::input::Input;
pub use self::{config::Config, events::Event, frame::Hello};

use self::{
    events::Events,
    frame::Decoder,
    stream::{Sending, Stream},
    window::{Allowed, Granted},
};
use crate::limits;
use bytes::Bytes;
use litemap::LiteMap;
use std::{collections::VecDeque, fmt};

/// Which end of the pipe a session stands on: it decides whose stream numbers are whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Spoke first on the pipe's first path; its streams are odd.
    Dialler,
    /// Answered; its streams are even.
    Listener,
}

/// A stream of a session, the same number on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

/// Which streams go first when several have something to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Before all bulk: questions, small answers, signalling.
    Urgent,
    /// In turns with other bulk streams.
    #[default]
    Bulk,
}

/// What [`Session::read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The next bytes.
    Data(Bytes),
    /// Nothing yet; [`Event::Readable`] will tell.
    Blocked,
    /// The peer finished: that was all.
    Finished,
    /// The peer gave up with this code, or this side stopped the stream with it.
    Reset(u64),
    /// The stream is unknown: never opened, or closed and forgotten.
    Unknown,
}

/// Why nothing can be written to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Never opened, or closed and forgotten.
    #[error("the stream is unknown: never opened, or already closed")]
    Unknown,
    /// This side finished it.
    #[error("the stream's sending half was finished")]
    Finished,
    /// This side reset it, or the peer asked to stop.
    #[error("the stream's sending half was reset with code {0}")]
    Reset(u64),
}

/// No stream may be opened now; [`Event::Openable`] tells when one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("as many streams are open as the two peers allow: wait for one to close")]
pub struct TooManyStreams;

/// The peer broke the protocol: drop it. Every later call of [`Session::receive`] repeats the first violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame that cannot be read.
    #[error("malformed frame")]
    MalformedFrame,
    /// A frame longer than its kind or this side allows.
    #[error("frame longer than announced")]
    FrameTooLong,
    /// A frame of an unknown kind that may not be ignored.
    #[error("unknown critical frame kind {0:#04x}")]
    UnknownFrame(u8),
    /// Data frames must carry bytes or the end.
    #[error("data frame with neither bytes nor an end")]
    EmptyFrame,
    /// Only the opener may set the priority, in the first frame.
    #[error("priority set where it does not belong")]
    MisplacedPriority,
    /// The first frame must be HELLO, and only the first.
    #[error("HELLO missing or repeated")]
    HelloExpected,
    /// HELLO announces a limit outside what the protocol allows.
    #[error("HELLO announces limits outside the protocol's range")]
    BadHello,
    /// More streams opened than granted.
    #[error("more streams opened than granted")]
    TooManyStreams,
    /// A frame names a stream of this side that was never opened.
    #[error("frame for a stream that was never opened")]
    NeverOpened,
    /// More bytes than granted.
    #[error("data beyond the credit granted")]
    BeyondCredit,
    /// Data does not continue where the stream stood.
    #[error("data or end at the wrong offset")]
    OffsetGap,
    /// Data or a second end on a half that has ended.
    #[error("data after the end of the stream")]
    DataAfterEnd,
    /// A grant smaller than the one before.
    #[error("credit going backwards")]
    CreditBackwards,
    /// A grant that acknowledges what was never sent.
    #[error("credit acknowledges what was never sent")]
    CreditForUnsent,
    /// PONG without a PING, or with other bytes.
    #[error("answer to a ping that was never sent")]
    UnaskedPong,
    /// A second PING before the first was answered.
    #[error("ping before the last one was answered")]
    PingFlood,
}

/// Many streams over one pipe. See the module's documentation.
#[derive(Debug)]
pub struct Session {
    side: Side,
    config: Config,
    decoder: Decoder,
    /// The stream whose payload is arriving.
    arriving: Option<StreamId>,
    violation: Option<Violation>,
    peer: Option<Hello>,
    hello_sent: bool,
    /// Boxed, so that a thousand of them move quickly when one closes.
    streams: LiteMap<StreamId, Box<Stream>>,
    /// Streams of this side in `streams`.
    own_open: u64,
    own_streams: Allowed,
    peer_streams: Granted,
    outbound: Allowed,
    inbound: Granted,
    /// Bytes in all send buffers.
    unsent: u64,
    /// Streams that owe control frames.
    control: VecDeque<StreamId>,
    /// Streams with data, in turn.
    urgent: VecDeque<StreamId>,
    /// How often something urgent was to be sent.
    urgents: u64,
    bulk: VecDeque<StreamId>,
    ping: Option<Ping>,
    pong_owed: Option<[u8; 8]>,
    events: Events,
}

#[derive(Clone, Copy, Debug)]
struct Ping {
    token: [u8; 8],
    sent: bool,
}

impl Session {
    /// A session before its first byte. Limits in `config` outside the protocol's range are moved into it.
    #[must_use]
    pub fn new(side: Side, config: Config) -> Self {
        let config = config.within_protocol();
        Self {
            side,
            decoder: Decoder::new(config.frame_payload),
            arriving: None,
            violation: None,
            peer: None,
            hello_sent: false,
            streams: LiteMap::new(),
            own_open: 0,
            own_streams: Allowed::new(limits::SESSION_FIRST_STREAMS),
            peer_streams: Granted::new(config.streams),
            outbound: Allowed::new(limits::SESSION_FIRST_CONNECTION_WINDOW),
            inbound: Granted::new(config.connection_window),
            unsent: 0,
            control: VecDeque::new(),
            urgent: VecDeque::new(),
            urgents: 0,
            bulk: VecDeque::new(),
            ping: None,
            pong_owed: None,
            events: Events::default(),
            config,
        }
    }

    /// Opens a bulk stream. The peer learns of it with the first frame.
    ///
    /// # Errors
    /// When as many are open as the peer grants, or as the configuration allows; [`Event::Openable`] follows.
    pub fn open(&mut self) -> Result<StreamId, TooManyStreams> {
        self.open_with(Priority::Bulk)
    }

    /// Opens a stream of this priority, which the peer's answers on it share.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_with(&mut self, priority: Priority) -> Result<StreamId, TooManyStreams> {
        if !self.may_open() {
            self.events.openable_wanted = true;
            return Err(TooManyStreams);
        }
        let stream = StreamId::of(self.side, self.own_streams.sent());
        self.own_streams.send(1);
        self.own_open += 1;
        self.streams.insert(stream, Box::new(Stream::new(priority, self.peer_stream_window(), self.config.stream_window)));
        Ok(stream)
    }

    /// Queues bytes to send and says how many were accepted; fewer than all when the buffers are full:
    /// [`Event::Writable`] tells when to offer the rest. Nothing is copied but small pieces.
    ///
    /// # Errors
    /// When the sending half has ended.
    pub fn write(&mut self, stream: StreamId, mut bytes: Bytes) -> Result<usize, StreamError> {
        let entry = self.streams.get_mut(&stream).ok_or(StreamError::Unknown)?;
        entry.send.check_open()?;
        let room = usize::try_from(room(&self.config, self.unsent, entry.send.buffer.len())).unwrap_or(usize::MAX);
        if bytes.len() > room {
            bytes.truncate(room);
            entry.send.waiting = true;
        }
        let accepted = bytes.len();
        if accepted > 0 {
            entry.send.buffer.push(bytes);
            self.unsent += accepted as u64;
            self.queue_data(stream);
        }
        Ok(accepted)
    }

    /// Ends the sending half after everything written.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn finish(&mut self, stream: StreamId) -> Result<(), StreamError> {
        let entry = self.streams.get_mut(&stream).ok_or(StreamError::Unknown)?;
        entry.send.check_open()?;
        entry.send.state = Sending::Finishing;
        entry.send.waiting = false;
        self.queue_control(stream);
        Ok(())
    }

    /// Gives up the sending half: what is unsent is dropped and the peer is told `code`. Without effect once everything
    /// and the end have been sent.
    pub fn reset(&mut self, stream: StreamId, code: u64) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        let dropped = entry.send.reset(code);
        self.queue_control(stream);
        self.release(dropped);
    }

    /// Gives up the receiving half: unread bytes are dropped and the peer is asked to stop sending.
    pub fn stop(&mut self, stream: StreamId, code: u64) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        let dropped = entry.receive.stop(code);
        self.inbound.use_up(dropped);
        self.queue_control(stream);
        self.settle(stream);
    }

    /// Gives up both halves.
    pub fn cancel(&mut self, stream: StreamId, code: u64) {
        self.reset(stream, code);
        self.stop(stream, code);
    }

    /// The next bytes of a stream, or how it ended. The session no longer holds what it gives, so credit of the connection
    /// is returned here (put what [`Session::transmit`] then has on the wire); that of the stream by [`Session::consumed`].
    pub fn read(&mut self, stream: StreamId) -> Read {
        let Some(entry) = self.streams.get_mut(&stream) else { return Read::Unknown };
        let read = entry.receive.read();
        match &read {
            Read::Data(bytes) => self.inbound.use_up(bytes.len() as u64),
            Read::Finished | Read::Reset(_) => self.settle(stream),
            Read::Blocked | Read::Unknown => {}
        }
        read
    }

    /// Returns credit of the stream for `bytes` that were read and dealt with: the peer may send as many more on it. More than
    /// was read counts as what was read.
    pub fn consumed(&mut self, stream: StreamId, bytes: u64) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        entry.receive.consumed(bytes);
        self.queue_control(stream);
    }

    /// Asks the peer for a sign of life: [`Event::Pong`] brings `token` back, and the caller, who knows the time, the round trip.
    /// `false`: the last one is not answered yet, and nothing is sent.
    pub fn ping(&mut self, token: [u8; 8]) -> bool {
        let free = self.ping.is_none();
        if free {
            self.ping = Some(Ping { token, sent: false });
        }
        free
    }

    /// What happened since the last call, one thing at a time. A stream is forgotten when its [`Event::Closed`] is taken.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.of_session() {
            return Some(event);
        }
        let event = self.events.of_streams(&mut self.streams)?;
        if let Event::Closed(stream) = event {
            self.forget(stream);
        }
        Some(event)
    }

    /// What the peer announced, once its HELLO has arrived.
    #[must_use]
    pub fn peer(&self) -> Option<&Hello> {
        self.peer.as_ref()
    }

    /// Bytes that were received and not yet read, and bytes written and not yet sent: what this session holds.
    #[must_use]
    pub fn held(&self) -> Held {
        Held { received: self.inbound.held(), unsent: self.unsent, streams: self.streams.len() }
    }

    /// How often something urgent was to be sent so far.
    #[must_use]
    pub fn urgents(&self) -> u64 {
        self.urgents
    }

    fn may_open(&self) -> bool {
        self.own_streams.left() > 0 && self.own_open < self.config.streams
    }

    fn peer_stream_window(&self) -> u64 {
        self.peer.map_or(limits::SESSION_FIRST_STREAM_WINDOW, |hello| hello.stream_window)
    }

    /// Room in the send buffers became free.
    fn release(&mut self, bytes: u64) {
        let half = self.config.send_buffer / 2;
        let was_full = self.unsent > half;
        self.unsent -= bytes.min(self.unsent);
        if was_full && self.unsent <= half {
            let waiting: Vec<StreamId> = self.streams.iter().filter(|(_, entry)| entry.send.waiting).map(|(stream, _)| *stream).collect();
            for stream in waiting {
                self.wake_writer(stream);
            }
        }
    }

    /// Tells a waiting caller to write on, or keeps it waiting.
    fn wake_writer(&mut self, stream: StreamId) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        if !entry.send.waiting {
            return;
        }
        let length = entry.send.buffer.len();
        if length == 0 || room(&self.config, self.unsent, length) >= self.config.stream_buffer / 2 {
            entry.send.waiting = false;
            self.events.push(stream, entry, stream::WRITABLE);
        }
    }

    /// Closes a stream of which both halves are over.
    fn settle(&mut self, stream: StreamId) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        if entry.is_over() {
            self.events.push(stream, entry, stream::CLOSED);
        }
    }

    fn forget(&mut self, stream: StreamId) {
        if self.streams.remove(&stream).is_none() {
            return;
        }
        if stream.opened_by() == self.side {
            self.own_open -= 1;
            self.note_openable();
        } else {
            self.peer_streams.use_up(1);
        }
    }

    fn note_openable(&mut self) {
        if self.events.openable_wanted && self.may_open() {
            self.events.openable_wanted = false;
            self.events.openable = true;
        }
    }
}

/// Bytes that a stream may still take into its send buffer.
fn room(config: &Config, unsent: u64, buffered: u64) -> u64 {
    let shared = config.stream_buffer.saturating_sub(buffered).min(config.send_buffer.saturating_sub(unsent));
    shared.max(limits::SESSION_STREAM_RESERVE.saturating_sub(buffered))
}

/// What a session holds in memory, see [`Session::held`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Bytes received, or announced by a frame that is arriving, and not yet read.
    pub received: u64,
    /// Bytes written and not yet sent.
    pub unsent: u64,
    /// Streams that are not forgotten yet.
    pub streams: usize,
}

impl StreamId {
    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// Who opened it.
    #[must_use]
    pub fn opened_by(self) -> Side {
        if self.0 % 2 == 1 { Side::Dialler } else { Side::Listener }
    }

    fn from_number(number: u64) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// The stream that `side` opens after `index` others.
    fn of(side: Side, index: u64) -> Self {
        Self(match side {
            Side::Dialler => 2 * index + 1,
            Side::Listener => 2 * index + 2,
        })
    }

    /// How many streams of the same side were opened before it.
    fn index(self) -> u64 {
        (self.0 - 1) / 2
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

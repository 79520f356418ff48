//! One connection as a value: the streams on its data channels, who waits for them, and when it is over.
//!
//! ```text
//! packets ──► Tunnel ──► channel 0: Noise, then nothing more
//!                   └──► every other channel: one libp2p stream, `crate::stream`
//! ```
//!
//! Numbers of channels: even ones are the peer's to open, odd ones ours (RFC 8832 6: it is the DTLS client). Whoever opened a channel closes it first, and
//! the other follows. Where both close at once, SCTP's two resets cross, `sctp-proto` sends a third, and a browser takes that for the end of the next
//! channel with the number. So the peer's are closed from here only if it does not in [`PARTING`]. Ours are used again when both sides have closed them, the one
//! that was returned first before the others, and within a range that every browser has.

mod streams;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    certificate::Certhash,
    config::{BEFORE_KNOWN, CLOSING, Config, PARTING},
    error::End,
    tunnel::{Happening, Packets, Settings, Tunnel},
    underway::Underway,
};
use crate::stream::Stream;

/// The channel on which Noise is spoken.
const HANDSHAKE: u16 = 0;

/// What tells a stream from all others of its connection, also from a later one on the same channel.
pub(super) type Key = u64;

/// A session that is shared by those who hold one of its streams, and whoever carries its packets.
pub(super) struct Shared {
    session: Mutex<Session>,
    /// There may be something to send.
    pub(super) driver: Notify,
}

impl Shared {
    pub(super) fn new(session: Session) -> Self {
        Self { session: Mutex::new(session), driver: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who opened a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Us,
    Peer,
    /// Noise's, of which both know beforehand.
    Both,
}

/// Who holds a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Present,
    /// It has left, and the stream completes without it.
    Left,
    /// It has left, and nothing more is said on the channel: Noise's.
    Silent,
}

struct Channel {
    number: u16,
    by: By,
    stream: Stream,
    owner: Owner,
    /// SCTP has it.
    live: bool,
    /// The peer sent something, but has not said yet that it opens it.
    opening: bool,
    /// There is more in SCTP than the stream takes.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// See above.
pub(super) struct Session {
    tunnel: Tunnel,
    channels: BTreeMap<Key, Channel>,
    live: BTreeMap<u16, Key>,
    next_key: Key,
    /// Opened by the peer, and taken by nobody yet.
    arrived: VecDeque<Key>,
    /// Odd numbers that were used before; and the next that was not.
    returned: VecDeque<u16>,
    next_number: u16,
    /// How many channels are open, by us and by the peer.
    ours: usize,
    theirs: usize,
    most: usize,
    /// Streams whose writers wait.
    blocked: BTreeSet<Key>,
    /// Streams with something under way.
    sending: BTreeSet<Key>,
    underway: Underway,
    /// Whom the peer has to let go, and until when.
    lingering: VecDeque<(Instant, Key)>,
    /// Channels of the peer whose streams are over, and until when it may close them.
    parting: VecDeque<(Instant, u16)>,
    up: bool,
    known: bool,
    /// Bytes that came before the peer was known.
    before_known: usize,
    know_by: Instant,
    idle: Duration,
    heard: Instant,
    closing: Option<Instant>,
    ended: Option<End>,
    on_arrival: Option<Waker>,
    on_room: Option<Waker>,
    on_end: Option<Waker>,
}

impl Session {
    pub(super) fn new(settings: &Settings, config: &Config, now: Instant) -> Self {
        Self {
            tunnel: Tunnel::new(settings, now),
            channels: BTreeMap::new(),
            live: BTreeMap::new(),
            next_key: 0,
            arrived: VecDeque::new(),
            returned: VecDeque::new(),
            next_number: 1,
            ours: 0,
            theirs: 0,
            most: config.streams,
            blocked: BTreeSet::new(),
            sending: BTreeSet::new(),
            underway: Underway::default(),
            lingering: VecDeque::new(),
            parting: VecDeque::new(),
            up: false,
            known: false,
            before_known: 0,
            know_by: now + config.handshake_timeout,
            idle: config.idle_timeout,
            heard: now,
            closing: None,
            ended: None,
            on_arrival: None,
            on_room: None,
            on_end: None,
        }
    }

    /// Takes a packet. Tells whether it was the peer's, for certain.
    pub(super) fn receive(&mut self, packet: &[u8], now: Instant, out: &mut Packets) -> bool {
        if self.ended.is_some() {
            return false;
        }
        if !self.known {
            self.before_known += packet.len();
            if self.before_known > BEFORE_KNOWN {
                self.end(End::Unknown);
                return false;
            }
        }
        match self.tunnel.receive(packet, now, out) {
            Ok(authentic) => {
                if authentic {
                    self.heard = now;
                }
                authentic
            }
            Err(end) => {
                self.end(end);
                false
            }
        }
    }

    /// The peer checked that the connection is there.
    pub(super) fn checked(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Does what there is to do at this moment, and says what to send.
    pub(super) fn step(&mut self, now: Instant, out: &mut Packets) {
        if self.ended.is_some() {
            return;
        }
        if let Err(end) = self.tunnel.at(now, out) {
            return self.end(end);
        }
        while let Some(happening) = self.tunnel.happening() {
            self.happened(happening, now);
        }
        while let Some((until, key)) = self.lingering.front().copied()
            && until <= now
        {
            self.lingering.pop_front();
            self.expire(key, now);
        }
        while let Some((until, number)) = self.parting.front().copied()
            && (until <= now || self.parting.len() > PARTING.1)
        {
            self.parting.pop_front();
            self.tunnel.close(number);
        }
        if let Err(end) = self.tunnel.transmit(now, out) {
            return self.end(end);
        }
        self.unblock(now);
        if self.ours < self.most && !self.returned.is_empty() {
            wake(&mut self.on_room);
        }
        if !self.known && self.know_by <= now {
            self.end(End::Unknown);
        } else if self.heard + self.idle <= now {
            self.end(End::Silent);
        } else if let Some(closing) = self.closing
            && (closing <= now || self.unsent() == 0)
        {
            self.tunnel.end(now, out);
            self.end(End::Closed);
        }
    }

    /// When [`step`](Self::step) has something to do again, if nothing comes before. Nothing once it is over.
    pub(super) fn wake(&self) -> Option<Instant> {
        if self.ended.is_some() {
            return None;
        }
        let known = (!self.known).then_some(self.know_by);
        let lingering = self.lingering.front().map(|(until, _)| *until);
        let parting = self.parting.front().map(|(until, _)| *until);
        [self.tunnel.wake(), known, lingering, parting, self.closing].into_iter().flatten().chain([self.heard + self.idle]).min()
    }

    /// The client has its certificate, and receives where it says it is.
    pub(super) fn is_proven(&self) -> bool {
        self.tunnel.client().is_some()
    }

    /// Noise can begin: on this stream, with this client's certificate.
    pub(super) fn handshake(&mut self) -> Option<(Key, Certhash)> {
        let client = *self.tunnel.client().filter(|_| self.up && self.ended.is_none())?;
        Some((*self.live.get(&HANDSHAKE)?, client))
    }

    /// It is known who the peer is.
    pub(super) fn known(&mut self) {
        self.known = true;
    }

    /// It is over: nothing more comes or leaves.
    pub(super) fn end(&mut self, end: End) {
        if self.ended.is_some() {
            return;
        }
        tracing::debug!(%end, "connection over");
        self.ended = Some(end);
        self.live.clear();
        self.blocked.clear();
        self.sending.clear();
        self.lingering.clear();
        self.parting.clear();
        self.channels.retain(|_, channel| {
            channel.live = false;
            channel.stream.channel_closed();
            wake(&mut channel.reader);
            wake(&mut channel.writer);
            channel.owner == Owner::Present
        });
        for waiting in [&mut self.on_arrival, &mut self.on_room, &mut self.on_end] {
            wake(waiting);
        }
    }

    /// Ends it once what was written is with the peer.
    pub(super) fn close(&mut self, now: Instant) {
        self.closing.get_or_insert(now + CLOSING);
    }

    fn happened(&mut self, happening: Happening, now: Instant) {
        match happening {
            Happening::Up => {
                self.up = true;
                self.tunnel.open(HANDSHAKE);
                if !self.live.contains_key(&HANDSHAKE) {
                    self.insert(HANDSHAKE, By::Both);
                }
            }
            Happening::Opened(number) => self.opened(number),
            Happening::Readable(number) => {
                match self.live.get(&number).copied() {
                    Some(key) => self.pull(key, now),
                    // Nobody is there any more to read it.
                    None => while self.tunnel.read(number).is_some() {},
                }
            }
            Happening::Closed(number) => self.closed(number),
            Happening::Reusable(number) => {
                if is_ours(number) && !self.live.contains_key(&number) && !self.returned.contains(&number) {
                    self.returned.push_back(number);
                    wake(&mut self.on_room);
                }
            }
            Happening::Down(end) => self.end(end),
        }
    }

    /// The end of the connection.
    pub(super) fn poll_end(&mut self, context: &Context<'_>) -> Poll<End> {
        match &self.ended {
            Some(end) => Poll::Ready(end.clone()),
            None => {
                self.on_end = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Whether it is ours to open a channel of this number.
const fn is_ours(number: u16) -> bool {
    number % 2 == 1
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

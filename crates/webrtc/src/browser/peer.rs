//! One peer connection of the page, seen from here: what it reported, and the streams on it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use libp2p_identity::PeerId;
use web_sys::RtcDataChannel;

use super::{
    channel::{Channel, Direction, Substream},
    config::Config,
    error::Error,
    port::{PathChange, Report, Shim},
};
use crate::{
    limits::{CANDIDATES, SERVER_FRAME, STRANGER_FRAME},
    negotiation::Input,
    stream::Limits,
};

/// The only owner of a peer connection: dropping it closes the connection.
pub(super) struct Peer(Rc<PeerState>);

impl Peer {
    pub(super) fn new(state: Rc<PeerState>) -> Self {
        Self(state)
    }
}

impl std::ops::Deref for Peer {
    type Target = Rc<PeerState>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.shim.close(self.0.id);
        self.0.end("closed by this side".into());
    }
}

/// What is known of a peer connection.
pub(super) struct PeerState {
    id: u32,
    /// Missing until it is proven, where a server's address does not say it.
    peer: Cell<Option<PeerId>>,
    /// Whether the peer made the offer.
    responder: bool,
    shim: Shim,
    stream_buffer: usize,
    accepted_frame: usize,
    connection_buffer: usize,
    max_outbound: usize,
    max_inbound: usize,
    /// The largest frame to send; known when the negotiation is over.
    sent_frame: Cell<usize>,
    /// Whether the peer keeps any number of channels that arrive before it is ready for them.
    patient: Cell<bool>,
    established: Cell<bool>,
    interrupted: Cell<bool>,
    /// Whether the peer ever sent anything on a stream: then it is ready for any number of them.
    heard: Cell<bool>,
    /// What all streams hold for late readers: bytes.
    buffered: Cell<usize>,
    outbound: Cell<usize>,
    inbound: Cell<usize>,
    queues: RefCell<Queues>,
}

#[derive(Default)]
struct Queues {
    /// For the negotiation.
    inputs: VecDeque<Input>,
    /// Streams that the peer opened and nobody accepted yet.
    accepted: VecDeque<Substream>,
    /// Streams that this side opened and nobody took yet.
    opened: VecDeque<Result<Substream, String>>,
    /// How many were asked for and have not come.
    opening: usize,
    /// Why the connection ended.
    ended: Option<String>,
    /// Every stream, to tell it when the connection ends.
    channels: Vec<Weak<Channel>>,
    /// The one task that drives the connection: its negotiation, then its muxer.
    waker: Option<Waker>,
}

impl PeerState {
    pub(super) fn new(id: u32, peer: Option<PeerId>, responder: bool, shim: Shim, config: &Config) -> Rc<Self> {
        Rc::new(Self {
            id,
            peer: Cell::new(peer),
            responder,
            shim,
            stream_buffer: config.stream_buffer,
            accepted_frame: config.accepted_frame,
            connection_buffer: config.connection_buffer,
            max_outbound: config.max_outbound_streams,
            max_inbound: config.max_inbound_streams,
            sent_frame: Cell::new(STRANGER_FRAME),
            patient: Cell::new(false),
            established: Cell::new(false),
            interrupted: Cell::new(false),
            heard: Cell::new(false),
            buffered: Cell::new(0),
            outbound: Cell::new(0),
            inbound: Cell::new(0),
            queues: RefCell::default(),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn peer(&self) -> Option<PeerId> {
        self.peer.get()
    }

    pub(super) fn is_established(&self) -> bool {
        self.established.get()
    }

    /// Whether a negotiation that the peer began is under way.
    pub(super) fn is_answering(&self) -> bool {
        self.responder && !self.established.get()
    }

    /// The negotiation is over.
    pub(super) fn establish(&self, sent_frame: usize, extended: bool) {
        self.sent_frame.set(sent_frame);
        self.patient.set(extended);
        self.established.set(true);
        // A stream may have come before: its frames are still small, which is right for anybody.
    }

    /// The server has proven who it is.
    pub(super) fn proven(&self, peer: PeerId) {
        self.peer.set(Some(peer));
        self.establish(SERVER_FRAME, false);
    }

    /// Sends a command of the negotiation.
    pub(super) fn command(&self, op: &str, text: &str) {
        self.shim.send(op, self.id, Some(text));
    }

    /// Gives the browser both descriptions of a connection to a server.
    pub(super) fn describe(&self, offer: &str, answer: &str) {
        self.shim.describe(self.id, offer, answer);
    }

    /// Takes a report of the page.
    pub(super) fn receive(self: &Rc<Self>, event: &str, report: &Report) {
        match event {
            "description" => self.input(Input::LocalDescription(report.text().unwrap_or_default())),
            "candidate" => self.input(Input::LocalCandidate(report.text().unwrap_or_default())),
            "ready" => self.input(Input::Connected),
            "channel" => {
                if let Some(channel) = report.channel() {
                    self.accept(channel);
                }
            }
            "opened" => {
                if let Some(channel) = report.channel() {
                    let opened = Ok(self.attach(channel, Direction::Outbound));
                    self.opened(opened);
                }
            }
            "refused" => self.opened(Err(report.text().unwrap_or_default())),
            "state" => self.state(&report.text().unwrap_or_default()),
            "closed" => self.end(report.text().unwrap_or_default()),
            _ => tracing::debug!(event, "unknown report of the page"),
        }
    }

    fn input(&self, input: Input) {
        let mut queues = self.queues.borrow_mut();
        if !self.established.get() && queues.inputs.len() < INPUTS {
            queues.inputs.push_back(input);
            queues.wake();
        }
    }

    fn accept(self: &Rc<Self>, channel: RtcDataChannel) {
        let full = self.inbound.get() >= self.max_inbound || self.queues.borrow().accepted.len() >= ACCEPT_QUEUE;
        if full {
            tracing::debug!(peer = ?self.peer(), "too many inbound streams");
            channel.close();
            return;
        }
        let substream = self.attach(channel, Direction::Inbound);
        let mut queues = self.queues.borrow_mut();
        queues.accepted.push_back(substream);
        queues.wake();
    }

    fn opened(&self, opened: Result<Substream, String>) {
        let mut queues = self.queues.borrow_mut();
        queues.opening = queues.opening.saturating_sub(1);
        queues.opened.push_back(opened);
        queues.wake();
    }

    /// Takes a channel over, in the task that brought it, so that none of its messages is missed.
    fn attach(self: &Rc<Self>, channel: RtcDataChannel, direction: Direction) -> Substream {
        let limits = Limits { sent_frame: self.sent_frame.get(), accepted_frame: self.accepted_frame, receive_buffer: self.stream_buffer };
        let channel = Channel::attach(channel, direction, limits, self.clone());
        let mut queues = self.queues.borrow_mut();
        queues.channels.retain(|other| other.strong_count() > 0);
        queues.channels.push(Rc::downgrade(&channel));
        Substream::new(channel)
    }

    fn state(&self, state: &str) {
        let interrupted = state == "disconnected";
        if let Some(peer) = self.peer().filter(|_| self.established.get())
            && self.interrupted.replace(interrupted) != interrupted
        {
            self.shim.path_changed(PathChange { peer, interrupted });
        }
    }

    /// The connection is over: every stream fails, and whoever drives the connection learns why.
    pub(super) fn end(&self, reason: String) {
        let (channels, _unclaimed) = {
            let mut queues = self.queues.borrow_mut();
            queues.ended.get_or_insert(reason);
            queues.wake();
            let unclaimed = (std::mem::take(&mut queues.accepted), std::mem::take(&mut queues.opened));
            (std::mem::take(&mut queues.channels), unclaimed)
        };
        for channel in channels.iter().filter_map(Weak::upgrade) {
            channel.connection_ended();
        }
    }

    /// The next thing for the negotiation.
    pub(super) fn poll_input(&self, cx: &mut Context<'_>) -> Poll<Result<Input, Error>> {
        let mut queues = self.queues.borrow_mut();
        if let Some(input) = queues.inputs.pop_front() {
            return Poll::Ready(Ok(input));
        }
        queues.poll_end(cx)
    }

    /// The end of the connection.
    pub(super) fn poll_end<T>(&self, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        self.queues.borrow_mut().poll_end(cx)
    }

    /// The next stream that the peer opened.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Substream, Error>> {
        let mut queues = self.queues.borrow_mut();
        match queues.accepted.pop_front() {
            Some(substream) => Poll::Ready(Ok(substream)),
            None => queues.poll_end(cx),
        }
    }

    /// A new stream of this side. Waits while as many are open as may be.
    pub(super) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<Substream, Error>> {
        loop {
            // Not dropped under the borrow: dropping a stream looks into the queues.
            let opened = self.queues.borrow_mut().opened.pop_front();
            match opened {
                // One that nobody took in time may have been given up by the peer.
                Some(Ok(substream)) if substream.is_over() => continue,
                Some(Ok(substream)) => return Poll::Ready(Ok(substream)),
                Some(Err(reason)) => {
                    tracing::debug!(peer = ?self.peer(), reason, "the browser opens no channel");
                    return Poll::Ready(Ok(Substream::refused()));
                }
                None => break,
            }
        }
        let mut queues = self.queues.borrow_mut();
        if queues.ended.is_none() && queues.opening == 0 && self.may_open() {
            queues.opening += 1;
            self.shim.send("open", self.id, None);
        }
        queues.poll_end(cx)
    }

    fn may_open(&self) -> bool {
        let most = if self.patient.get() || self.heard.get() { self.max_outbound } else { self.max_outbound.min(EARLY_STREAMS) };
        self.outbound.get() < most
    }

    /// A stream began.
    pub(super) fn stream_attached(&self, direction: Direction) {
        let count = self.count(direction);
        count.set(count.get() + 1);
    }

    /// A stream's channel closed.
    pub(super) fn stream_closed(&self, direction: Direction) {
        let count = self.count(direction);
        count.set(count.get().saturating_sub(1));
        self.queues.borrow_mut().wake();
    }

    fn count(&self, direction: Direction) -> &Cell<usize> {
        match direction {
            Direction::Outbound => &self.outbound,
            Direction::Inbound => &self.inbound,
        }
    }

    /// The peer sent something on a stream.
    pub(super) fn heard(&self) {
        if !self.heard.replace(true) {
            self.queues.borrow_mut().wake();
        }
    }

    /// A stream holds `after` bytes for its reader instead of `before`; tells whether all streams together may.
    pub(super) fn buffer_changed(&self, before: usize, after: usize) -> bool {
        let buffered = (self.buffered.get() + after).saturating_sub(before);
        self.buffered.set(buffered);
        buffered <= self.connection_buffer
    }
}

impl Queues {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll_end<T>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        if let Some(reason) = &self.ended {
            return Poll::Ready(Err(Error::Ended(reason.clone())));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// What a negotiation may have waiting: a description, the candidates, the connection.
const INPUTS: usize = CANDIDATES + 2;

/// How many streams of the peer may wait to be accepted. The swarm accepts 128 at a time.
const ACCEPT_QUEUE: usize = 256;

/// How many streams to open before the peer has answered on one: js-libp2p closes what is beyond 10 until it is ready.
const EARLY_STREAMS: usize = 8;

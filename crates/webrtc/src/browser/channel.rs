//! A libp2p stream on an `RTCDataChannel`: the state machine of [`crate::stream`] with a browser's channel under it.

use std::{
    cell::{Cell, OnceCell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite, FutureExt, future::poll_fn};
use futures_timer::Delay;
use js_sys::{ArrayBuffer, Uint8Array};
use send_wrapper::SendWrapper;
use wasm_bindgen::prelude::*;
use web_sys::{Event, MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};
use web_time::Instant;

use super::peer::PeerState;
use crate::{
    backlog::Backlog,
    limits::LINGER,
    stream::{Limits, Read, Stream, WriteError},
};

/// Who opened a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Inbound,
    Outbound,
}

/// A data channel and the stream on it.
pub(super) struct Channel {
    channel: RtcDataChannel,
    direction: Direction,
    peer: Rc<PeerState>,
    /// Whether the channel may carry messages: cached, for asking the browser costs a string.
    open: Cell<bool>,
    closed: Cell<bool>,
    stream: RefCell<Stream>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
    /// What the browser may hold.
    backlog: RefCell<Backlog>,
    began: Instant,
    /// Where frames are put together: one at a time, the browser copies them.
    frame: RefCell<Vec<u8>>,
    handlers: OnceCell<Handlers>,
}

/// Kept alive as long as the channel may call them.
struct Handlers {
    _message: Closure<dyn Fn(MessageEvent)>,
    _change: Closure<dyn Fn(Event)>,
}

impl Channel {
    /// Takes a channel over. Must be called in the task that brought the channel: a browser may deliver messages in the next.
    pub(super) fn attach(channel: RtcDataChannel, direction: Direction, limits: Limits, peer: Rc<PeerState>) -> Rc<Self> {
        // First of all: Firefox delivers blobs otherwise.
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        peer.stream_attached(direction);
        let this = Rc::new(Self {
            channel,
            direction,
            peer,
            open: Cell::new(false),
            closed: Cell::new(false),
            stream: RefCell::new(Stream::new(limits)),
            reader: RefCell::default(),
            writer: RefCell::default(),
            backlog: RefCell::default(),
            began: Instant::now(),
            frame: RefCell::default(),
            handlers: OnceCell::new(),
        });
        this.listen();
        this.changed();
        this
    }

    fn listen(self: &Rc<Self>) {
        let weak = Rc::downgrade(self);
        let message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some(this) = weak.upgrade() {
                this.receive(&event.data());
            }
        });
        let weak: Weak<Self> = Rc::downgrade(self);
        let change = Closure::<dyn Fn(Event)>::new(move |_: Event| {
            if let Some(this) = weak.upgrade() {
                this.changed();
            }
        });
        let handler = Some(change.as_ref().unchecked_ref());
        self.channel.set_onopen(handler);
        self.channel.set_onclose(handler);
        self.channel.set_onbufferedamountlow(handler);
        self.channel.set_onmessage(Some(message.as_ref().unchecked_ref()));
        let _ = self.handlers.set(Handlers { _message: message, _change: change });
    }

    fn receive(&self, data: &JsValue) {
        self.peer.heard();
        self.change_buffer(|stream| match data.dyn_ref::<ArrayBuffer>() {
            Some(buffer) => stream.receive(Bytes::from(Uint8Array::new(buffer).to_vec())),
            // Text is none of the protocol's.
            None => stream.reset(),
        });
        self.settle();
        self.wake_reader();
        if self.stream.borrow().writable().is_err() {
            self.wake_writer();
        }
    }

    /// The channel opened, closed, or sent most of what it had.
    fn changed(&self) {
        match self.channel.ready_state() {
            RtcDataChannelState::Open => self.open.set(true),
            RtcDataChannelState::Closed => self.change_buffer(Stream::channel_closed),
            RtcDataChannelState::Closing => self.open.set(false),
            _ => {}
        }
        self.settle();
        self.wake_reader();
        self.wake_writer();
    }

    pub(super) fn connection_ended(&self) {
        self.change_buffer(Stream::channel_closed);
        self.settle();
        self.wake_reader();
        self.wake_writer();
    }

    /// Changes the stream, and keeps account of what the connection holds for late readers.
    fn change_buffer<T>(&self, change: impl FnOnce(&mut Stream) -> T) -> T {
        let mut stream = self.stream.borrow_mut();
        let before = stream.buffered();
        let result = change(&mut stream);
        let after = stream.buffered();
        if !self.peer.buffer_changed(before, after) && after > before {
            stream.overflow();
            self.peer.buffer_changed(after, stream.buffered());
        }
        result
    }

    /// Sends the flags that are owed, and closes the channel once it is of no more use.
    fn settle(&self) {
        if self.closed.get() {
            return;
        }
        if self.open.get() {
            let mut frame = self.frame.borrow_mut();
            loop {
                frame.clear();
                if !self.stream.borrow_mut().transmit(&mut frame) {
                    break;
                }
                if self.channel.send_with_u8_array(&frame).is_err() {
                    self.change_buffer(Stream::channel_closed);
                }
            }
        }
        if self.stream.borrow().is_over() {
            self.closed.set(true);
            self.open.set(false);
            // Sends what is buffered first.
            self.channel.close();
            self.peer.stream_closed(self.direction);
        }
    }

    fn wake_reader(&self) {
        if let Some(waker) = self.reader.borrow_mut().take() {
            waker.wake();
        }
    }

    fn wake_writer(&self) {
        if let Some(waker) = self.writer.borrow_mut().take() {
            waker.wake();
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.change_buffer(|stream| stream.read_into(buffer)) {
            Ok(length) => Poll::Ready(Ok(length)),
            Err(Read::Finished) => Poll::Ready(Ok(0)),
            Err(Read::Failed(failure)) => Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, failure))),
            Err(Read::Pending | Read::Data(_)) => {
                *self.reader.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, parts: &[&[u8]]) -> Poll<io::Result<usize>> {
        self.stream.borrow().writable().map_err(write_error)?;
        let mut backlog = self.backlog.borrow_mut();
        let room = if self.open.get() { backlog.room(self.channel.buffered_amount(), self.began.elapsed()) } else { 0 };
        if room == 0 {
            self.channel.set_buffered_amount_low_threshold(backlog.threshold());
            *self.writer.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut frame = self.frame.borrow_mut();
        frame.clear();
        let written = self.stream.borrow_mut().write(&first_of(parts, room), &mut frame).map_err(write_error)?;
        backlog.gave(frame.len());
        if written > 0
            && let Err(error) = self.channel.send_with_u8_array(&frame)
        {
            drop(frame);
            self.stream.borrow_mut().reset();
            self.settle();
            return Poll::Ready(Err(io::Error::other(format!("the browser does not send: {error:?}"))));
        }
        Poll::Ready(Ok(written))
    }

    fn finish(&self) {
        self.stream.borrow_mut().finish();
        self.settle();
    }

    /// The owner left: the stream completes, or is reset, without it.
    fn abandon(self: Rc<Self>) {
        self.change_buffer(Stream::abandon);
        self.settle();
        if self.closed.get() {
            return;
        }
        wasm_bindgen_futures::spawn_local(async move {
            let mut patience = Delay::new(LINGER);
            poll_fn(|cx| {
                if !self.closed.get() && patience.poll_unpin(cx).is_ready() {
                    self.stream.borrow_mut().expire();
                    self.settle();
                    if !self.closed.get() {
                        // A channel that never opened cannot tell the peer.
                        self.stream.borrow_mut().channel_closed();
                        self.settle();
                    }
                }
                if self.closed.get() {
                    return Poll::Ready(());
                }
                *self.reader.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
        });
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Before the closures go: a browser that calls one that is gone throws.
        self.channel.set_onmessage(None);
        self.channel.set_onopen(None);
        self.channel.set_onclose(None);
        self.channel.set_onbufferedamountlow(None);
        if !self.closed.get() {
            self.channel.close();
            self.peer.stream_closed(self.direction);
        }
        self.peer.buffer_changed(self.stream.borrow().buffered(), 0);
    }
}

/// A stream of a [`Connection`](super::Connection).
///
/// Closing it finishes this side's half. Dropping it resets what is unfinished; see [`Stream::abandon`].
pub struct Substream(SendWrapper<Option<Rc<Channel>>>);

impl Substream {
    pub(super) fn new(channel: Rc<Channel>) -> Self {
        Self(SendWrapper::new(Some(channel)))
    }

    /// What a browser gives that has no channel left.
    pub(super) fn refused() -> Self {
        Self(SendWrapper::new(None))
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(|channel| channel.closed.get())
    }

    fn channel(&self) -> io::Result<&Channel> {
        self.0
            .as_deref()
            .ok_or_else(|| io::Error::new(io::ErrorKind::QuotaExceeded, "the browser has no data channel left: close streams first"))
    }
}

impl AsyncRead for Substream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.channel()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Substream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.channel()?.poll_write(cx, &[buffer])
    }

    /// Puts all parts into one frame, as far as they fit.
    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let parts: Vec<&[u8]> = buffers.iter().map(|buffer| &**buffer).collect();
        self.channel()?.poll_write(cx, &parts)
    }

    /// What was written is with the browser already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.channel().map(|_| ()))
    }

    /// Finishes this side's half. Does not wait for the peer to confirm that: the channel lives on until it did.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.channel()?.finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Substream {
    fn drop(&mut self) {
        if let Some(channel) = Option::take(&mut self.0) {
            channel.abandon();
        }
    }
}

fn write_error(error: WriteError) -> io::Error {
    let kind = match error {
        WriteError::Failed(_) => io::ErrorKind::ConnectionReset,
        WriteError::Stopped | WriteError::Finished => io::ErrorKind::BrokenPipe,
    };
    io::Error::new(kind, error)
}

/// As much of `parts` as there is room for.
fn first_of<'a>(parts: &[&'a [u8]], mut room: usize) -> Vec<&'a [u8]> {
    let fitting = parts.iter().map(|part| {
        let length = part.len().min(room);
        room -= length;
        &part[..length]
    });
    fitting.collect()
}

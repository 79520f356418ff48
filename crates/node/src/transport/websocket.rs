//! WebSocket from a page to a relay, as a libp2p transport.
//!
//! The browser's `WebSocket` takes whole messages and says nothing when it has room again, so three things are decided here:
//!
//! * every event (open, message, error, close) wakes whoever waits, so a dead or refused server is noticed at once;
//! * a write is handed over while little waits in the browser, and flushing is then done: there is no timer on the path of a dial. Only a
//!   sender that outruns the network sleeps, [`DRAIN_CHECK`] at a time, because the browser has no event for it. How much is little is what
//!   the network takes in two such sleeps: less would leave a fast link idle, more would let whatever is urgent wait behind bulk on a slow one;
//! * what was received before a close is still read, then the close is reported.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture};
use futures_timer::Delay;
use js_sys::{ArrayBuffer, Uint8Array};
use libp2p::{
    Multiaddr,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use send_wrapper::SendWrapper;
use shoal_protocol::addresses::Filter;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

use super::{
    address::{peer_of, websocket_url},
    guard::{Filtered, admit},
    race::Race,
};

/// Bytes that may wait in the browser before writes do: at first and at least, and at most. The least keeps 32 MB/s busy between two checks
/// and costs a quarter of a second at 4 Mbit/s; the most serves a gigabyte a second, which is loopback.
const HIGH_WATER: (u32, u32) = (128 * 1024, 4 * 1024 * 1024);
/// How often a full socket is looked at again. Dedicated workers' timers are not throttled; 4 ms is the shortest that browsers grant.
const DRAIN_CHECK: Duration = Duration::from_millis(4);
/// Most bytes that may wait to be read. yamux gives a peer 16 MiB of credit on one connection; more than twice that is an attack.
const MAX_UNREAD: usize = 32 * 1024 * 1024;
/// Largest message handed to the browser: what our relay accepts in one frame is 128 KiB.
const MAX_MESSAGE: usize = 64 * 1024;

/// Dials `/ip4|ip6|dns…/tcp/<port>/ws`, `/wss` and `/tls/ws`. It never listens: a page cannot.
#[derive(Debug)]
pub struct Transport {
    filter: Option<Filter>,
    race: Race,
}

impl Transport {
    /// A transport that dials what this filter lets pass, nothing without one, when it is a WebSocket's turn.
    pub const fn new(filter: Option<Filter>, race: Race) -> Self {
        Self { filter, race }
    }
}

/// Why a dial failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It leads to where nobody may send this page.
    #[error(transparent)]
    Filtered(#[from] Filtered),
    /// The browser refused to try: a malformed URL, or plain `ws:` from an `https:` page.
    #[error("the browser refused to open {url}: {reason}")]
    Refused {
        /// The URL that was tried.
        url: String,
        /// The browser's words.
        reason: String,
    },
    /// Nobody answered, or not with a WebSocket.
    #[error("no WebSocket at {url}; is the relay running and reachable from this device?")]
    Unreachable {
        /// The URL that was tried.
        url: String,
    },
}

impl libp2p::core::Transport for Transport {
    type Output = Connection;
    type Error = Error;
    type ListenerUpgrade = futures::future::Pending<Result<Connection, Error>>;
    type Dial = BoxFuture<'static, Result<Connection, Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        if options.role.is_listener() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let (Some(url), Some(filter)) = (websocket_url(&address), &self.filter) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        admit(filter, &address).map_err(|filtered| TransportError::Other(filtered.into()))?;
        let turn = peer_of(&address).and_then(|peer| self.race.turn(peer));
        let opening = async move {
            if let Some(turn) = turn {
                turn.await;
            }
            Opening { connection: Some(Connection::open(&url)?), url }.await
        };
        Ok(SendWrapper::new(opening).boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

struct Opening {
    connection: Option<Connection>,
    url: String,
}

impl Future for Opening {
    type Output = Result<Connection, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let state = match &self.connection {
            Some(connection) => connection.socket.shared.borrow_mut().opened(context),
            None => return Poll::Pending,
        };
        match state {
            Poll::Pending => Poll::Pending,
            Poll::Ready(true) => match self.connection.take() {
                Some(connection) => Poll::Ready(Ok(connection)),
                None => Poll::Pending,
            },
            Poll::Ready(false) => Poll::Ready(Err(Error::Unreachable { url: self.url.clone() })),
        }
    }
}

/// An open WebSocket as a stream of bytes.
#[derive(Debug)]
pub struct Connection {
    socket: SendWrapper<Socket>,
}

impl Connection {
    fn open(url: &str) -> Result<Self, Error> {
        let socket =
            WebSocket::new(url).map_err(|error| Error::Refused { url: url.to_owned(), reason: crate::platform::describe(&error) })?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        Ok(Self { socket: SendWrapper::new(Socket::new(socket)) })
    }
}

#[derive(Debug)]
struct Socket {
    socket: WebSocket,
    shared: Rc<RefCell<Shared>>,
    /// While more waits than may: until when to sleep, and how much it was.
    draining: Option<(Delay, u32)>,
    high_water: u32,
    _handlers: Handlers,
}

#[derive(Debug)]
struct Handlers {
    _open: Closure<dyn FnMut(Event)>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _close: Closure<dyn FnMut(CloseEvent)>,
}

#[derive(Debug, Default)]
struct Shared {
    open: bool,
    closed: bool,
    overflowed: bool,
    unread: VecDeque<Bytes>,
    unread_bytes: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Shared {
    fn opened(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if self.closed {
            return Poll::Ready(false);
        }
        if self.open {
            return Poll::Ready(true);
        }
        self.writer = Some(context.waker().clone());
        Poll::Pending
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Socket {
    fn new(socket: WebSocket) -> Self {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let open = {
            let shared = shared.clone();
            Closure::<dyn FnMut(Event)>::new(move |_| {
                let mut shared = shared.borrow_mut();
                shared.open = true;
                shared.wake();
            })
        };
        let message = {
            let (shared, socket) = (shared.clone(), socket.clone());
            Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                let mut shared = shared.borrow_mut();
                // Text messages have no place in libp2p: whoever sends one is not a relay.
                let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>() else {
                    shared.overflowed = true;
                    let _ = socket.close();
                    return shared.wake();
                };
                let bytes = Bytes::from(Uint8Array::new(&buffer).to_vec());
                shared.unread_bytes += bytes.len();
                if shared.unread_bytes > MAX_UNREAD {
                    shared.overflowed = true;
                    let _ = socket.close();
                    return shared.wake();
                }
                if !bytes.is_empty() {
                    shared.unread.push_back(bytes);
                }
                if let Some(reader) = shared.reader.take() {
                    reader.wake();
                }
            })
        };
        let close = {
            let shared = shared.clone();
            Closure::<dyn FnMut(CloseEvent)>::new(move |_| {
                let mut shared = shared.borrow_mut();
                shared.closed = true;
                shared.wake();
            })
        };
        // An `error` event says nothing and is always followed by `close`.
        socket.set_onopen(Some(open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(close.as_ref().unchecked_ref()));
        Self {
            socket,
            shared,
            draining: None,
            high_water: HIGH_WATER.0,
            _handlers: Handlers { _open: open, _message: message, _close: close },
        }
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.shared.borrow().closed || self.socket.ready_state() != WebSocket::OPEN {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let waiting = self.socket.buffered_amount();
            if let Some((delay, before)) = &mut self.draining {
                // Woken for another reason than the time, such as by a reader's task: not a measure of the network.
                if delay.poll_unpin(context).is_pending() {
                    return Poll::Pending;
                }
                let taken = before.saturating_sub(waiting);
                self.high_water = taken.saturating_mul(2).clamp(HIGH_WATER.0, HIGH_WATER.1);
                self.draining = None;
            }
            if waiting < self.high_water {
                return Poll::Ready(Ok(()));
            }
            self.shared.borrow_mut().writer = Some(context.waker().clone());
            self.draining = Some((Delay::new(DRAIN_CHECK), waiting));
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut shared = self.socket.shared.borrow_mut();
        if shared.overflowed {
            return Poll::Ready(Err(io::Error::other("the relay sent more than it was given room for")));
        }
        let Some(front) = shared.unread.front_mut() else {
            if shared.closed {
                return Poll::Ready(Ok(0));
            }
            shared.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        let length = front.len().min(buffer.len());
        let part = front.split_to(length);
        buffer[..length].copy_from_slice(&part);
        if front.is_empty() {
            shared.unread.pop_front();
        }
        shared.unread_bytes -= length;
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        futures::ready!(self.socket.poll_writable(context))?;
        let bytes = &bytes[..bytes.len().min(MAX_MESSAGE)];
        self.socket.socket.send_with_u8_array(bytes).map_err(|error| io::Error::other(crate::platform::describe(&error)))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.socket.shared.borrow().closed { Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) } else { Poll::Ready(Ok(())) }
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.socket.socket.close();
        Poll::Ready(Ok(()))
    }
}

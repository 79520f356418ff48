//! A session with a peer, running: the pure state machines of [`shoal_protocol::session`] and [`shoal_protocol::pipe`] joined to the streams
//! (of libp2p's) that carry them.
//!
//! ```text
//!   SessionStream ⇄ Session ⇄ Pipe ⇄ one pump a path ⇄ libp2p stream      all on this one thread
//!                                       ▲
//!                      carry: greets, and finds out which session the stream carries
//! ```

mod carry;
mod pace;
mod pump;
mod stream;
mod watch;

pub use self::{
    carry::carry,
    pump::Route,
    stream::SessionStream,
    watch::{ALONE, Health},
};

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use libp2p::swarm::ConnectionId;
use litemap::LiteMap;
use shoal_protocol::{
    pipe::{Counts, Greeting, Key, PathId, Pipe, Refused},
    session::{Event, Held, Priority, Session, Side, StreamId},
};
use web_time::Instant;

use crate::{notify::Notify, peers::Path};
use pace::Pace;
use pump::Carrying;
use watch::Watch;

/// What END says: nothing more than that.
const NO_REASON: u64 = 0;

/// A running session. Clones are the same session.
#[derive(Debug, Clone)]
pub struct PeerSession(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    session: Session,
    pipe: Pipe,
    paths: LiteMap<PathId, Carrying>,
    streams: LiteMap<StreamId, Waiting>,
    opened: VecDeque<StreamId>,
    acceptor: Option<Waker>,
    openable: Notify,
    closed: Option<String>,
    watch: Watch,
    pace: Pace,
    /// The path in use, as last told.
    told: Option<PathId>,
    /// Fires when another path is in use.
    moved: Notify,
    /// Fires when more would go by several paths.
    narrow: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The session ended, for this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended: {0}")]
pub struct Ended(pub String);

impl PeerSession {
    /// A session without a path yet. `side`: the dialler's is the one whose OPEN begins it. `moved` fires when its bytes take another path,
    /// `narrow` when more would go by several.
    fn new(side: Side, key: Key, moved: Notify, narrow: Notify) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            session: Session::new(side, Default::default()),
            pipe: Pipe::new(key),
            paths: LiteMap::new(),
            streams: LiteMap::new(),
            opened: VecDeque::new(),
            acceptor: None,
            openable: Notify::default(),
            closed: None,
            watch: Watch::new(Instant::now()),
            pace: Pace::new(),
            told: None,
            moved,
            narrow,
        })))
    }

    /// Opens a stream; costs no round trip. Waits while as many are open as both sides allow. What is urgent goes before all bulk, in both
    /// directions: for the few bytes that a person waits for.
    ///
    /// # Errors
    /// [`Ended`] where the session ended.
    pub async fn open(&self, priority: Priority) -> Result<SessionStream, Ended> {
        loop {
            let openable = {
                let mut inner = self.0.borrow_mut();
                inner.check()?;
                if let Ok(id) = inner.session.open_with(priority) {
                    inner.streams.insert(id, Waiting::default());
                    return Ok(SessionStream::new(self.clone(), id));
                }
                inner.openable.changed()
            };
            openable.await;
        }
    }

    /// The next stream that the peer opened, or nothing once the session ended.
    pub async fn accept(&self) -> Option<SessionStream> {
        poll_fn(|context| {
            let mut inner = self.0.borrow_mut();
            if let Some(id) = inner.opened.pop_front() {
                inner.streams.entry(id).or_default();
                return Poll::Ready(Some(SessionStream::new(self.clone(), id)));
            }
            if inner.closed.is_some() {
                return Poll::Ready(None);
            }
            inner.acceptor = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Whether it ended.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().closed.is_some()
    }

    /// Whether the other side has answered: from then on it can be carried by further paths.
    pub fn is_begun(&self) -> bool {
        self.0.borrow().pipe.is_begun()
    }

    /// Whether this is the session of that key.
    pub fn has_key(&self, key: Key) -> bool {
        self.0.borrow().pipe.key() == key
    }

    /// Ends it, for the other side too.
    pub fn close(&self, reason: &str) {
        self.0.borrow_mut().close(reason);
    }

    /// Streams open now, both ways.
    pub fn streams(&self) -> usize {
        self.0.borrow().streams.len()
    }

    /// By which kind of path bytes go or shall go; nothing while there is none.
    pub fn path(&self) -> Option<Path> {
        let inner = self.0.borrow();
        inner.kind(inner.pipe.sends_on())
    }

    /// By which kind of path bytes went last: for who looks, as a change is under way until the other side has agreed.
    pub fn sent_by(&self) -> Option<Path> {
        let inner = self.0.borrow();
        inner.kind(inner.pipe.sent_on())
    }

    /// By which kind of path bytes come.
    pub fn comes_by(&self) -> Option<Path> {
        let inner = self.0.borrow();
        inner.kind(inner.pipe.takes_from())
    }

    /// Whether what is sent now would go through a relay of which no more may be asked.
    pub fn may_not_send(&self) -> bool {
        let inner = self.0.borrow();
        inner.is_spent(inner.pipe.sends_on())
    }

    /// Whether what comes now comes through a relay of which no more may be asked.
    pub fn may_not_take(&self) -> bool {
        let inner = self.0.borrow();
        inner.is_spent(inner.pipe.takes_from())
    }

    /// Whether streams wait for a path that delivers: there is none, or one that seems dead.
    pub fn is_stranded(&self) -> bool {
        let inner = self.0.borrow();
        !inner.streams.is_empty() && (inner.pipe.sends_on().is_none() || inner.pipe.sends_on_suspect())
    }

    /// Whether bytes go or come by this connection.
    pub fn uses(&self, connection: ConnectionId) -> bool {
        let inner = self.0.borrow();
        inner.paths.iter().any(|(id, carrying)| carrying.route.connection == connection && inner.pipe.uses(*id))
    }

    /// Whether what goes and comes would stop without this connection, not only be slower.
    pub fn needs(&self, connection: ConnectionId) -> bool {
        let inner = self.0.borrow();
        let needed = [inner.pipe.sends_on(), inner.pipe.sent_on(), inner.pipe.takes_from()];
        inner.paths.iter().any(|(id, carrying)| carrying.route.connection == connection && needed.contains(&Some(*id)))
    }

    /// How much went and came, and was sent again because a path broke.
    pub fn counts(&self) -> Counts {
        self.0.borrow().pipe.counts()
    }

    /// What waits in it, in both directions.
    pub fn held(&self) -> Held {
        self.0.borrow().session.held()
    }

    /// Looks how it is doing; to be called a few times a second.
    pub fn watch(&self, now: Instant) -> Health {
        self.0.borrow_mut().watch(now)
    }

    /// The connection by which bytes go.
    pub fn connection(&self) -> Option<ConnectionId> {
        let inner = self.0.borrow();
        inner.paths.get(&inner.pipe.sends_on()?).map(|carrying| carrying.route.connection)
    }

    /// Others are made beside the path in use, for what comes next, or stand.
    pub fn readied(&self) {
        self.0.borrow_mut().readied();
    }

    /// One more path, on which this side speaks first.
    fn begin_path(&self, route: Route) -> Result<PathId, Refused> {
        let mut inner = self.0.borrow_mut();
        let id = inner.pipe.open(rank(route.path))?;
        Ok(inner.carry(id, route))
    }

    /// One more path, on which the other side spoke first.
    fn accept_path(&self, route: Route, greeting: Greeting) -> Result<PathId, Refused> {
        let mut inner = self.0.borrow_mut();
        let id = inner.pipe.accept(rank(route.path), greeting)?;
        Ok(inner.carry(id, route))
    }

    fn lose_path(&self, id: PathId) {
        let mut inner = self.0.borrow_mut();
        inner.pipe.lost(id);
        inner.paths.remove(&id);
        if inner.paths.is_empty() && !inner.pipe.is_begun() {
            inner.close("the connection broke before the other side answered");
        }
        inner.wake_pumps();
    }
}

/// Direct before relayed.
fn rank(path: Path) -> u8 {
    match path {
        Path::Relayed => 0,
        Path::Direct => 1,
    }
}

impl Inner {
    fn check(&self) -> Result<(), Ended> {
        self.closed.as_ref().map_or(Ok(()), |reason| Err(Ended(reason.clone())))
    }

    fn carry(&mut self, id: PathId, route: Route) -> PathId {
        self.paths.insert(id, Carrying { route, waker: None });
        self.wake_pumps();
        id
    }

    fn close(&mut self, reason: &str) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(reason.to_owned());
        self.pipe.end(NO_REASON);
        let waiting = self.streams.iter_mut().flat_map(|(_, stream)| [stream.reader.take(), stream.writer.take()]);
        let pumps = self.paths.iter_mut().map(|(_, carrying)| carrying.waker.take());
        waiting.chain([self.acceptor.take()]).chain(pumps).flatten().for_each(Waker::wake);
        self.openable.notify();
    }

    fn kind(&self, path: Option<PathId>) -> Option<Path> {
        self.paths.get(&path?).map(|carrying| carrying.route.path)
    }

    fn is_spent(&self, path: Option<PathId>) -> bool {
        path.and_then(|path| self.paths.get(&path)).is_some_and(|carrying| carrying.route.is_spent())
    }

    /// Wakes the pumps that have something to put on their paths, and whoever waits for another path.
    fn wake_pumps(&mut self) {
        if self.told != self.pipe.sends_on() {
            self.told = self.pipe.sends_on();
            self.moved.notify();
        }
        let more = self.session.wants_transmit();
        for (id, carrying) in &mut self.paths {
            if carrying.waker.is_some() && self.pipe.wants_transmit(*id, more) {
                carrying.waker.take().into_iter().for_each(Waker::wake);
            }
        }
    }

    fn handle_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Opened(id) => {
                    self.opened.push_back(id);
                    if let Some(acceptor) = self.acceptor.take() {
                        acceptor.wake();
                    }
                }
                Event::Readable(id) => {
                    if let Some(reader) = self.streams.get_mut(&id).and_then(|stream| stream.reader.take()) {
                        reader.wake();
                    }
                }
                Event::Writable(id) | Event::Stopped { stream: id, .. } => {
                    if let Some(writer) = self.streams.get_mut(&id).and_then(|stream| stream.writer.take()) {
                        writer.wake();
                    }
                }
                Event::Closed(id) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        [stream.reader.take(), stream.writer.take()].into_iter().flatten().for_each(Waker::wake);
                    }
                }
                Event::Openable => self.openable.notify(),
                Event::Ready | Event::Pong(_) => {}
            }
        }
    }
}

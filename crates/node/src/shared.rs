//! What the node's tasks share on their one thread: the store, the table of peers, the way to the driver and to the page.

use std::{cell::RefCell, fmt, rc::Rc};

use futures::channel::{mpsc, oneshot};
use libp2p::{Multiaddr, PeerId};
use wasm_bindgen::JsValue;
use web_time::Instant;

use crate::{
    allowance::ForeignRelays,
    chooser::Chooser,
    config::Config,
    content::offer::Near,
    error::Error,
    event::{Event, RelayStatus},
    history::History,
    notify::Notify,
    peers::{Dial, Path, Peer, Peers, Transport},
    platform,
    session::PeerSession,
    store::Store,
};

/// Orders to the driver. They are small and handled at once; more than this many waiting would be a fault of ours.
pub const MAX_COMMANDS: usize = 1_024;

/// What the driver can be asked.
#[derive(Debug)]
pub enum Command {
    /// Reach this peer, directly where possible, by our relays and these further relay addresses.
    Dial(PeerId, Vec<Multiaddr>),
    /// Ask the page what became of the last attempts at a direct connection to this peer.
    Traces(PeerId, oneshot::Sender<JsValue>),
    /// Close every connection to this peer.
    Disconnect(PeerId),
    /// The network or the page came back: try at once what waits.
    Hurry,
    /// End.
    Stop,
}

/// Shared state. Clones are the same state.
#[derive(Clone)]
pub struct Shared(Rc<Inner>);

/// What [`Shared`] points to.
pub struct Inner {
    /// The settings.
    pub config: Config,
    /// Our PeerId.
    pub local: PeerId,
    /// The blocks.
    pub store: Store,
    /// Who is connected.
    pub peers: RefCell<Peers>,
    /// What happened lately with each peer.
    pub history: RefCell<History>,
    /// Relays as last reported by the driver.
    pub relays: RefCell<Vec<RelayStatus>>,
    /// Whom to ask for content: by bytes.
    pub senders: Chooser,
    /// What may still go through relays that the settings do not lead to.
    pub foreign: ForeignRelays,
    /// Who is near.
    pub near: RefCell<Near>,
    /// Fires when the node stops.
    pub stopped: Notify,
    /// Fires when a session would go faster by several direct connections.
    pub narrow: Notify,
    commands: RefCell<mpsc::Sender<Command>>,
    emit: Box<dyn Fn(Event)>,
}

impl std::ops::Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("local", &self.local).finish_non_exhaustive()
    }
}

impl Shared {
    /// The shared state, and the driver's end of the commands.
    pub fn new(config: Config, local: PeerId, store: Store, emit: impl Fn(Event) + 'static) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        let inner = Inner {
            foreign: ForeignRelays::new(config.foreign_relay_bytes),
            config,
            local,
            store,
            peers: RefCell::default(),
            history: RefCell::default(),
            relays: RefCell::default(),
            senders: Chooser::default(),
            near: RefCell::default(),
            stopped: Notify::default(),
            narrow: Notify::default(),
            commands: RefCell::new(commands),
            emit: Box::new(emit),
        };
        (Self(Rc::new(inner)), receiver)
    }

    /// The session with a connected peer, once it has a path.
    pub async fn session(&self, peer: PeerId) -> PeerSession {
        loop {
            let changed = self.peers.borrow().changed.changed();
            if let Some((session, _)) = self.peers.borrow().peer(&peer).and_then(Peer::session) {
                return session.clone();
            }
            changed.await;
        }
    }

    /// Notes what happened with a peer, for whoever asks later.
    pub fn note(&self, peer: PeerId, what: &'static str, connection: Option<(Path, Transport)>, detail: &str) {
        self.history.borrow_mut().note(peer, platform::unix_milliseconds(), what, connection, detail);
    }

    /// Tells the page.
    pub fn emit(&self, event: Event) {
        (self.emit)(event);
    }

    /// Asks the driver. Whether it was taken: not after the node stopped.
    pub fn command(&self, command: Command) -> bool {
        match self.commands.borrow_mut().try_send(command) {
            Ok(()) => true,
            Err(error) => {
                if error.is_full() {
                    tracing::error!("the driver does not keep up");
                }
                false
            }
        }
    }

    /// Has the driver dial a peer, directly where possible, unless an attempt is under way or what it would bring is there.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn dial(&self, peer: PeerId, via: Vec<Multiaddr>) -> Result<(), Error> {
        let wanted = |known: &Peer| if self.config.webrtc { known.direct() } else { !known.connections.is_empty() };
        let needless = self.peers.borrow().peer(&peer).is_some_and(|known| known.dial == Dial::Running || wanted(known));
        if needless {
            return Ok(());
        }
        {
            let mut peers = self.peers.borrow_mut();
            let known = peers.change(peer);
            known.dial = Dial::Running;
            known.tried = Some(Instant::now());
            if !via.is_empty() {
                known.via.clone_from(&via);
            }
        }
        if self.command(Command::Dial(peer, via)) { Ok(()) } else { Err(Error::Stopped) }
    }

    /// Whether the driver still runs.
    pub fn is_running(&self) -> bool {
        !self.commands.borrow().is_closed()
    }

    /// Drops a peer that broke a protocol or sent what does not verify.
    pub fn drop_peer(&self, peer: PeerId, reason: &str) {
        tracing::warn!(%peer, reason, "peer dropped");
        self.emit(Event::PeerDropped { peer: peer.to_string(), reason: reason.to_owned() });
        self.command(Command::Disconnect(peer));
    }
}

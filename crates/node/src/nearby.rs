//! Nearby devices: announces this node at its relays, if its user wants that, and gathers whom they list. What is said and when,
//! [`shoal_protocol::nearby`] decides; here are its streams.
//!
//! Each relay is told by a task of its own, for as long as its stream lives. The driver opens the streams, and tells the page of changes.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt,
    future::{Either, select},
};
use libp2p::{PeerId, Stream, StreamProtocol};
use litemap::LiteMap;
use shoal_protocol::{
    identity::PublicKey,
    limits::NEARBY_AGAIN,
    nearby::{Device, Heard, Name, Presence, Refusal},
};
use web_time::Instant;

use crate::{
    clock::Clock,
    config::NearbyConfig,
    error::Error,
    event::{Nearby as Status, NearbyPeer},
    notify::Notify,
    platform,
};

/// The protocol's name: `crates/protocol/docs/nearby.md`.
pub const NEARBY: StreamProtocol = StreamProtocol::new("/shoal/nearby/1.0.0");
/// Bytes read at once: most lists whole.
const READ: usize = 2_048;

const UNSUPPORTED: &str = "The relay does not offer this.";
const BROKEN: &str = "The relay does not keep to the protocol.";

/// How it stands at one relay.
#[derive(Debug)]
enum Standing {
    /// A stream is being opened.
    Opening,
    /// It is open.
    Open,
    /// The relay lists this node, and these others.
    Listed(Vec<Device>),
    /// It does not, for this reason; not to be tried again before then.
    Resting(Instant, Option<&'static str>),
}

/// A relay, and by which attempt: what an earlier one has to say does not count.
#[derive(Debug)]
struct Relay {
    attempt: u64,
    standing: Standing,
}

#[derive(Debug)]
struct Inner {
    own: PublicKey,
    wish: RefCell<Option<Option<Name>>>,
    relays: RefCell<LiteMap<PeerId, Relay>>,
    attempts: Cell<u64>,
    /// Fires when the wish changes.
    rewished: Notify,
    /// Whether the page has something to be told.
    news: Cell<bool>,
}

/// This node among those near it. Clones are the same.
#[derive(Debug, Clone)]
pub struct Nearby(Rc<Inner>);

impl Nearby {
    /// For the node with this key.
    ///
    /// # Errors
    /// As [`wish`](Self::wish).
    pub fn new(own: PublicKey, config: &NearbyConfig) -> Result<Self, Error> {
        let nearby = Self(Rc::new(Inner {
            own,
            wish: RefCell::default(),
            relays: RefCell::default(),
            attempts: Cell::new(0),
            rewished: Notify::default(),
            news: Cell::new(false),
        }));
        nearby.wish(config)?;
        Ok(nearby)
    }

    /// From now on this node wants to be found, by this name; or not, which relays learn at once.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a name that is none.
    pub fn wish(&self, config: &NearbyConfig) -> Result<(), Error> {
        let name = config.name.as_deref().map(Name::new).transpose();
        let name = name.map_err(|problem| Error::config("nearby.name", &problem.to_string()))?;
        let wish = config.on.then_some(name);
        if *self.0.wish.borrow() != wish {
            if wish.is_none() {
                // By this the tasks know that it is over.
                self.0.relays.borrow_mut().clear();
            }
            *self.0.wish.borrow_mut() = wish;
            self.0.news.set(true);
            self.0.rewished.notify();
        }
        Ok(())
    }

    /// Given the relays that are connected: those with which a stream is to be opened now.
    pub fn due(&self, connected: &[PeerId], now: Instant) -> Vec<PeerId> {
        let mut relays = self.0.relays.borrow_mut();
        let before = relays.len();
        relays.retain(|relay, _| connected.contains(relay));
        if relays.len() != before {
            self.0.news.set(true);
        }
        if self.0.wish.borrow().is_none() {
            return Vec::new();
        }
        let free = |relay: &&PeerId| match relays.get(*relay).map(|relay| &relay.standing) {
            None => true,
            Some(Standing::Resting(until, _)) => *until <= now,
            Some(_) => false,
        };
        let due: Vec<_> = connected.iter().filter(free).copied().collect();
        for relay in &due {
            self.0.attempts.set(self.0.attempts.get() + 1);
            relays.insert(*relay, Relay { attempt: self.0.attempts.get(), standing: Standing::Opening });
        }
        due
    }

    /// The stream with a relay could not be opened.
    pub fn failed(&self, relay: PeerId, unsupported: bool) {
        if let Some(attempt) = self.begin(relay) {
            self.rest(relay, attempt, unsupported.then_some(UNSUPPORTED));
        }
    }

    /// The attempt that waits for this relay's stream.
    fn begin(&self, relay: PeerId) -> Option<u64> {
        let mut relays = self.0.relays.borrow_mut();
        let relay = relays.get_mut(&relay).filter(|relay| matches!(relay.standing, Standing::Opening))?;
        relay.standing = Standing::Open;
        Some(relay.attempt)
    }

    /// How it stands, where that changed since the last call.
    pub fn news(&self) -> Option<Status> {
        self.0.news.replace(false).then(|| self.status())
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let (wish, relays) = (self.0.wish.borrow(), self.0.relays.borrow());
        let listed = relays.values().filter_map(|relay| match &relay.standing {
            Standing::Listed(devices) => Some(devices),
            _ => None,
        });
        let mut peers: Vec<NearbyPeer> = Vec::new();
        for device in listed.clone().flatten() {
            let peer = device.key.peer_id_string();
            if peers.iter().all(|known| known.peer != peer) {
                peers.push(NearbyPeer { peer, name: device.name.as_ref().map(Name::to_string) });
            }
        }
        let problem = relays.values().find_map(|relay| match relay.standing {
            Standing::Resting(_, problem) => problem,
            _ => None,
        });
        let listed = listed.count() > 0;
        Status {
            on: wish.is_some(),
            name: wish.as_ref().and_then(|name| name.as_ref().map(Name::to_string)),
            listed,
            peers,
            problem: problem.filter(|_| !listed),
        }
    }

    /// Stays announced at a relay until the stream ends or this node does not want to be found any more.
    pub async fn stay(self, relay: PeerId, mut stream: Stream) {
        let Some(attempt) = self.begin(relay) else { return };
        let problem = self.talk(relay, attempt, &mut stream).await;
        // The relay notices the end of the stream in any case; this way, at once.
        let _ = stream.close().await;
        self.rest(relay, attempt, problem);
    }

    /// Why it ended, where that is worth saying.
    async fn talk(&self, relay: PeerId, attempt: u64, stream: &mut Stream) -> Option<&'static str> {
        let clock = Clock::default();
        let mut presence = Presence::new(self.0.own, None, clock.now());
        let mut buffer = [0; READ];
        loop {
            let rewished = self.0.rewished.changed();
            let name = self.0.wish.borrow().clone().filter(|_| self.is_current(relay, attempt))?;
            presence.rename(name, clock.now());
            if let Some(announcement) = presence.announcement(clock.now()) {
                stream.write_all(&announcement).await.ok()?;
                stream.flush().await.ok()?;
            }
            let wait = presence.due().since(clock.now()).max(Duration::from_millis(1));
            let turn = select(rewished, platform::sleep(wait).boxed_local());
            let read = match select(stream.read(&mut buffer), turn).await {
                Either::Left((read, _)) => read.ok()?,
                Either::Right(_) => continue,
            };
            if read == 0 {
                return None;
            }
            match presence.receive(&buffer[..read]) {
                Ok(Some(Heard::Devices(devices))) => self.stands(relay, attempt, Standing::Listed(devices)),
                Ok(Some(Heard::Refused(refusal))) => return reason(refusal),
                Ok(None) => {}
                Err(violation) => {
                    tracing::debug!(%relay, %violation, "nearby stream dropped");
                    return Some(BROKEN);
                }
            }
        }
    }

    fn is_current(&self, relay: PeerId, attempt: u64) -> bool {
        self.0.relays.borrow().get(&relay).is_some_and(|relay| relay.attempt == attempt)
    }

    fn rest(&self, relay: PeerId, attempt: u64, problem: Option<&'static str>) {
        self.stands(relay, attempt, Standing::Resting(Instant::now() + NEARBY_AGAIN, problem));
    }

    fn stands(&self, relay: PeerId, attempt: u64, standing: Standing) {
        if let Some(relay) = self.0.relays.borrow_mut().get_mut(&relay).filter(|relay| relay.attempt == attempt) {
            relay.standing = standing;
            self.0.news.set(true);
        }
    }
}

/// A refusal in plain words, where a person can do something about it or has to know.
fn reason(refusal: Refusal) -> Option<&'static str> {
    Some(match refusal {
        Refusal::Full => "The relay lists as many devices of this network as it may.",
        Refusal::UnknownNetwork => "The relay cannot tell which devices are in the same network as this one.",
        Refusal::TooOften => "Devices of this network announce themselves too often; tried again in half a minute.",
        Refusal::Replaced => "Another browser with the same identity is found instead of this one.",
        Refusal::Expired | Refusal::Other(_) => return None,
    })
}

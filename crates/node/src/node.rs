//! The node as its embedder sees it: a handle with the calls of the public API, in Rust types.

use std::{rc::Rc, time::Duration};

use futures::{
    FutureExt,
    channel::oneshot,
    future::{AbortHandle, Either, abortable, select},
};
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use shoal_protocol::{
    content::{
        cid::{self, Cid},
        import::Profile,
        walk::Scope,
    },
    exchange::{Download, Request},
    identity::PublicKey,
    limits::{EXCHANGE_NAME, REMEMBERED_ADDRESS_TEXT},
};
use shoal_webrtc::Older;
use wasm_bindgen::JsValue;
use web_sys::MessagePort;

use crate::{
    config::{Config, NearbyConfig, StoreKind},
    content::{
        fetch::Fetch,
        offer, publish,
        read::{Behind, Reader},
        source::Source,
    },
    driver::Driver,
    error::Error,
    event::{self, ConnectionInfo, Event, Report, SessionInfo, Status},
    history::Happening,
    nearby::Nearby,
    peers::Dial,
    platform,
    relays::{Relays, dials::Dials},
    shared::{Command, Shared},
    store::Store,
    swarm,
    transport::{
        address::{peer_of, way_of},
        guard,
        race::Race,
        webtransport,
    },
};

/// Bytes that a memory store holds: wasm memory never shrinks, and the tab has other work.
const MEMORY_STORE: u64 = 256 * 1024 * 1024;

/// A running node. Clones are the same node; it runs until [`stop`](Self::stop).
#[derive(Debug, Clone)]
pub struct Node {
    shared: Shared,
    did: String,
    nearby: Nearby,
}

/// What to fetch and from whom.
#[derive(Debug, Clone, Default)]
pub struct FetchOptions {
    /// Peers believed to have it.
    pub from: Vec<PeerId>,
    /// Relays by which they may be reached, each ending in the relay's PeerId.
    pub via: Vec<Multiaddr>,
    /// First byte.
    pub offset: u64,
    /// Number of bytes; to the end if none.
    pub length: Option<u64>,
}

/// What is known of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of it that are here.
    pub local: u64,
}

impl Node {
    /// Opens the store, loads or makes the identity, and starts the driver. `shim` leads to the page's peer connections.
    ///
    /// # Errors
    /// For a wrong setting, or a store that does not open.
    pub async fn start(mut config: Config, shim: MessagePort, emit: impl Fn(Event) + 'static) -> Result<Self, Error> {
        let bootstrap = config.check()?;
        // Nobody has to know which browsers have it.
        config.webtransport &= webtransport::is_supported();
        let store = match config.store.kind {
            StoreKind::IndexedDb => Store::open(&config.store.name).await?,
            StoreKind::Memory => Store::memory(MEMORY_STORE),
        };
        let identity = store.identity().await?;
        let key = Keypair::ed25519_from_bytes(*identity.seed.expose())
            .map_err(|error| Error::Internal(format!("the stored key is unusable: {error}")))?;
        let local = PeerId::from(key.public());
        let public = PublicKey::from_peer_id_bytes(&local.to_bytes()).map_err(|_| Error::Internal("the stored key is weak".to_owned()))?;
        let did = public.did_key();
        let nearby = Nearby::new(public, &config.nearby)?;
        let filter = guard::filter(&bootstrap, &config.dns_resolver, &platform::origin());
        let learnt = (Race::default(), Older::default());
        let swarm = swarm::build(&key, &config, filter.clone(), learnt.clone(), shim)?;
        let (shared, commands) = Shared::new(config, local, store, emit);
        let relays = Relays::new(&shared.config, bootstrap, Dials::new(&shared.config, filter, learnt), shared.store.clone()).await;
        platform::spawn(Driver::new(swarm, shared.clone(), relays, nearby.clone()).run(commands));
        Ok(Self { shared, did, nearby })
    }

    /// This node's libp2p name.
    pub fn peer_id(&self) -> PeerId {
        self.shared.local
    }

    /// The same key as a DID.
    pub fn did(&self) -> &str {
        &self.did
    }

    /// Stores content; resolves with its CID when every block is durable.
    ///
    /// # Errors
    /// See [`publish::publish`].
    pub async fn publish(&self, source: Source, profile: Profile, progress: impl Fn(u64, Option<u64>)) -> Result<Cid, Error> {
        self.check()?;
        publish::publish(&self.shared, source, profile, progress).await
    }

    /// Starts to fetch, and reads behind it.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn fetch(&self, root: Cid, options: FetchOptions, report: Option<Report>) -> Result<Reader, Error> {
        self.check()?;
        let scope = match (options.offset, options.length) {
            (0, None) => Scope::Dag,
            (offset, length) => Scope::Range { offset, length: length.unwrap_or(u64::MAX - offset) },
        };
        let (behind, fetch) = self.start_fetch(root.clone(), scope, &options, report);
        Ok(Reader::new(self.shared.clone(), root, options.offset, options.length, behind, fetch))
    }

    fn start_fetch(&self, root: Cid, scope: Scope, options: &FetchOptions, report: Option<Report>) -> (Rc<Behind>, AbortHandle) {
        let behind = Rc::new(Behind::default());
        let fetch = Fetch {
            shared: self.shared.clone(),
            root,
            scope,
            from: options.from.clone(),
            via: options.via.clone(),
            report,
            stored: behind.stored.clone(),
        };
        let (task, handle) = abortable(fetch.run());
        let ended = behind.clone();
        platform::spawn(async move {
            let result = task.await.unwrap_or(Err(Error::Aborted));
            *ended.result.borrow_mut() = Some(result);
            ended.stored.notify();
        });
        (behind, handle)
    }

    /// Size of a content and how much of it is here; fetches its root where that is missing.
    ///
    /// # Errors
    /// As a fetch, or where it is not a file.
    pub async fn stat(&self, root: Cid, options: FetchOptions, report: Option<Report>) -> Result<Stat, Error> {
        self.check()?;
        let (behind, handle) = self.start_fetch(root.clone(), Scope::Block, &options, report);
        let size = Reader::new(self.shared.clone(), root.clone(), 0, None, behind, handle).file_size().await?;
        let mut walk = Download::new(root, Scope::Dag);
        let _ = crate::content::fetch::pass_local(&self.shared.store, &mut walk).await?;
        Ok(Stat { size, local: walk.progress().bytes })
    }

    /// Every open connection.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let peers = self.shared.peers.borrow();
        peers.iter().flat_map(|(id, peer)| peer.connections.iter().map(|connection| ConnectionInfo::new(id, peer, connection))).collect()
    }

    /// What happened lately on the way to a peer.
    pub fn history(&self, peer: &PeerId) -> Vec<Happening> {
        self.shared.history.borrow().of(peer)
    }

    /// The session with a peer, path or not.
    pub fn session(&self, peer: &PeerId) -> Option<SessionInfo> {
        self.shared.peers.borrow().peer(peer)?.current().map(SessionInfo::new)
    }

    /// What the page remembers of its last attempts at a direct connection to a peer: an array of `Attempt`s, see
    /// `crates/webrtc/js/traces.d.ts`.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn traces(&self, peer: PeerId) -> Result<JsValue, Error> {
        let (reply, traces) = oneshot::channel();
        self.shared.command(Command::Traces(peer, reply));
        traces.await.map_err(|_| Error::Stopped)
    }

    /// Relays, storage and limitations.
    pub async fn status(&self) -> Status {
        crate::status::status(&self.shared).await
    }

    /// Connects to a peer, directly where possible; resolves with its best connection.
    ///
    /// # Errors
    /// [`Error::PeerUnreachable`].
    pub async fn connect(&self, peer: PeerId) -> Result<ConnectionInfo, Error> {
        self.check()?;
        if peer == self.shared.local {
            return Err(Error::InvalidPeer(format!("{peer} (this node itself)")));
        }
        let unreachable = |reason: String| Error::PeerUnreachable { peer: peer.to_string(), reason };
        let attempt = async {
            let mut asked = false;
            loop {
                let changed = self.shared.peers.borrow().changed.changed();
                if let Some(found) = self.wanted_connection(&peer) {
                    return Ok(found);
                }
                let dial = self.shared.peers.borrow().peer(&peer).map(|known| known.dial.clone()).unwrap_or_default();
                match dial {
                    Dial::Running => {}
                    Dial::Failed(reason) if asked => return self.relayed_connection(&peer).ok_or_else(|| unreachable(reason)),
                    Dial::Idle | Dial::Failed(_) if !asked => {
                        asked = true;
                        self.shared.dial(peer, Vec::new())?;
                        continue;
                    }
                    _ => {}
                }
                changed.await;
            }
        };
        let patience = self.shared.config.timeout() + Duration::from_secs(2);
        match select(attempt.boxed_local(), platform::sleep(patience).boxed_local()).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => self.relayed_connection(&peer).ok_or_else(|| unreachable("it did not answer in time".to_owned())),
        }
    }

    /// One that no attempt would improve on.
    fn wanted_connection(&self, id: &PeerId) -> Option<ConnectionInfo> {
        if !self.shared.config.webrtc {
            return self.relayed_connection(id);
        }
        let peers = self.shared.peers.borrow();
        let peer = peers.peer(id)?;
        let direct = peer.connections.iter().find(|connection| connection.path == crate::peers::Path::Direct)?;
        Some(ConnectionInfo::new(id, peer, direct))
    }

    fn relayed_connection(&self, id: &PeerId) -> Option<ConnectionInfo> {
        let peers = self.shared.peers.borrow();
        let peer = peers.peer(id)?;
        peer.connections.first().map(|connection| ConnectionInfo::new(id, peer, connection))
    }

    /// Offers a content to the user of a connected peer that is near. Whether that user is shown it.
    ///
    /// # Errors
    /// See [`offer::offer`].
    pub async fn offer(&self, peer: PeerId, root: Cid, size: u64, mut name: String) -> Result<bool, Error> {
        name.truncate(name.floor_char_boundary(EXCHANGE_NAME));
        offer::offer(&self.shared, peer, Request::Offer { root, size, name }).await
    }

    /// Whether this node is found by those near it, and who they are; with a wish, as it is from now on.
    ///
    /// # Errors
    /// For a name that is none, or [`Error::Stopped`].
    pub fn nearby(&self, wish: Option<&NearbyConfig>) -> Result<event::Nearby, Error> {
        self.check()?;
        wish.map_or(Ok(()), |wish| self.nearby.wish(wish))?;
        Ok(self.nearby.status())
    }

    /// How long so many bytes take over one stream of the session with a connected peer, which must be built for measuring too.
    ///
    /// # Errors
    /// [`Error::PeerUnreachable`] where the connection ends.
    #[cfg(feature = "measure")]
    pub async fn measure(&self, peer: PeerId, bytes: u64) -> Result<crate::measure::Taken, Error> {
        let unreachable = |ended: crate::session::Ended| Error::PeerUnreachable { peer: peer.to_string(), reason: ended.0 };
        crate::measure::drain(&self.shared, peer, bytes).await.map_err(unreachable)
    }

    /// The network or the page came back: tries at once what waits.
    pub fn hurry(&self) {
        self.shared.command(Command::Hurry);
    }

    /// Closes every connection.
    pub async fn stop(&self) {
        let stopped = self.shared.stopped.changed();
        if self.shared.command(Command::Stop) {
            stopped.await;
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.shared.is_running() { Ok(()) } else { Err(Error::Stopped) }
    }
}

/// Reads a CID as people write it.
///
/// # Errors
/// [`Error::InvalidCid`].
pub fn parse_cid(text: &str) -> Result<Cid, Error> {
    cid::parse(text.trim()).map_err(|error| Error::InvalidCid(error.to_string()))
}

/// Reads a PeerId.
///
/// # Errors
/// [`Error::InvalidPeer`].
pub fn parse_peer(text: &str) -> Result<PeerId, Error> {
    let shown = || text.chars().take(64).collect();
    if text.len() > 128 { Err(Error::InvalidPeer(shown())) } else { text.trim().parse().map_err(|_| Error::InvalidPeer(shown())) }
}

/// Reads a relay's address.
///
/// # Errors
/// [`Error::InvalidPeer`].
pub fn parse_relay(text: &str) -> Result<Multiaddr, Error> {
    let invalid = || Error::InvalidPeer(text.chars().take(128).collect());
    if text.len() > REMEMBERED_ADDRESS_TEXT {
        return Err(invalid());
    }
    let address: Multiaddr = text.parse().map_err(|_| invalid())?;
    let good = peer_of(&address).is_some() && way_of(&address).is_some();
    if good { Ok(address) } else { Err(invalid()) }
}

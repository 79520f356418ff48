//! Peers in one page without a swarm: the node's own serving, fetching and carrying of sessions over pipes that can be cut.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "each test file uses a part of it")]

#[path = "../pipe/mod.rs"]
pub(crate) mod pipe;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use shoal_node::{
    config::Config,
    content::{fetch::Fetch, publish::publish, source::Source},
    event::{Event, FetchProgress, Serving},
    notify::Notify,
    peers::{Carrying, Connection, Path, Transport},
    platform,
    session::{PeerSession, Route, carry},
    shared::Shared,
    store::Store,
};
use shoal_protocol::content::{cid::Cid, import::Profile, walk::Scope};

static NEXT: AtomicUsize = AtomicUsize::new(1);

/// One side: its shared state and what it told the page.
pub(crate) struct Peer {
    pub(crate) shared: Shared,
    pub(crate) events: Rc<RefCell<Vec<Event>>>,
}

impl Peer {
    pub(crate) async fn new(kind: &str) -> Self {
        let store = if kind == "memory" { Store::memory(1 << 30) } else { Store::open(&unique()).await.unwrap() };
        Self::with(PeerId::random(), store)
    }

    /// The same PeerId and store, started anew.
    pub(crate) fn anew(&self) -> Self {
        Self::with(self.id(), self.shared.store.clone())
    }

    fn with(id: PeerId, store: Store) -> Self {
        let config: Config = serde_wasm_bindgen::from_value(js_sys::Object::new().into()).unwrap();
        let events = Rc::new(RefCell::new(Vec::new()));
        let heard = events.clone();
        let (shared, commands) = Shared::new(config, id, store, move |event| heard.borrow_mut().push(event));
        // Nobody drives a swarm here; the receiver must live for the node to count as running.
        std::mem::forget(commands);
        Self { shared, events }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.shared.local
    }

    /// What the driver does with a connection, the other end being `carrier`.
    fn connect(&self, other: PeerId, carrier: pipe::End, path: Path, outbound: bool) {
        let id = ConnectionId::new_unchecked(NEXT.fetch_add(1, Ordering::Relaxed));
        let connection = Connection {
            id,
            path,
            transport: Transport::Webrtc,
            outbound,
            address: Multiaddr::empty(),
            opened_at: 0.0,
            round_trip: Rc::default(),
            traffic: Rc::default(),
            allowance: None,
            told: (0, 0),
            carrying: Carrying::Yes,
            streams: 1,
            held: false,
            remeasured: false,
        };
        let route =
            Route { connection: id, path, traffic: connection.traffic.clone(), round_trip: connection.round_trip.clone(), allowance: None };
        self.shared.peers.borrow_mut().change(other).connections.push(connection);
        let shared = self.shared.clone();
        platform::spawn(async move {
            carry(shared.clone(), other, route, carrier, !outbound).await;
            shared.peers.borrow_mut().change(other).connections.retain(|connection| connection.id != id);
        });
    }

    /// The session with another peer.
    pub(crate) fn session(&self, other: &Self) -> PeerSession {
        self.shared.peers.borrow().peer(&other.id()).and_then(|known| known.current()).cloned().expect("a session")
    }

    /// All sessions with another peer.
    pub(crate) fn sessions(&self, other: &Self) -> Vec<PeerSession> {
        self.shared.peers.borrow().peer(&other.id()).map(|known| known.sessions().cloned().collect()).unwrap_or_default()
    }

    /// Requests that this peer has answered, by how they ended.
    pub(crate) fn served(&self) -> Vec<Serving> {
        let over =
            |event: &Event| if let Event::Serving(serving) = event { (serving.state != "active").then(|| serving.clone()) } else { None };
        self.events.borrow().iter().filter_map(over).collect()
    }

    pub(crate) fn fetch(&self, root: &Cid, scope: Scope, from: &[&Self]) -> Fetch {
        let reported = Rc::new(Cell::new(0u64));
        let report = Rc::new(move |progress: FetchProgress| {
            assert!(progress.bytes >= reported.get() || progress.bytes == 0, "progress never goes back");
            reported.set(progress.bytes);
        });
        Fetch {
            shared: self.shared.clone(),
            root: root.clone(),
            scope,
            from: from.iter().map(|peer| peer.id()).collect(),
            via: Vec::new(),
            report: Some(report),
            stored: Notify::default(),
        }
    }

    pub(crate) fn dropped(&self) -> Vec<String> {
        self.events
            .borrow()
            .iter()
            .filter_map(|event| if let Event::PeerDropped { peer, .. } = event { Some(peer.clone()) } else { None })
            .collect()
    }
}

/// A database of its own for each store, so that tests do not meet.
fn unique() -> String {
    format!("exchange-{}-{}", js_sys::Date::now(), js_sys::Math::random())
}

/// Joins two peers by a direct connection that the first dialled; the returned cut breaks it after so many bytes more towards the first.
pub(crate) fn join(a: &Peer, b: &Peer) -> pipe::Cut {
    join_by(Path::Direct, a, b)
}

/// As [`join`], by a path of that kind.
pub(crate) fn join_by(path: Path, a: &Peer, b: &Peer) -> pipe::Cut {
    let (left, right, cut) = pipe::pair();
    a.connect(b.id(), left, path, true);
    b.connect(a.id(), right, path, false);
    cut
}

/// Bytes that do not repeat, so that no two leaves are equal.
pub(crate) fn content(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

pub(crate) async fn publish_bytes(peer: &Peer, bytes: &[u8]) -> Cid {
    publish(&peer.shared, Source::Bytes(js_sys::Uint8Array::from(bytes)), Profile::UnixfsV1_2025, |_, _| {}).await.unwrap()
}

pub(crate) async fn read_all(peer: &Peer, root: &Cid) -> Vec<u8> {
    let mut read = shoal_protocol::content::read::Read::new(root.clone(), 0, None);
    let mut bytes = Vec::new();
    while let Some(cid) = read.current().cloned() {
        let data = peer.shared.store.get(&cid).await.unwrap().expect("every block is here");
        bytes.extend(read.supply(&data).unwrap().unwrap_or_default());
    }
    bytes
}

//! Two peers exchange content in a real browser: the node's own serving and fetching over a session, with IndexedDB at both ends.
//! Only the carrier is a pipe in memory, so that it can be cut at will; `tests/browser` has the same over WebRTC.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod pipe;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use shoal_node::{
    config::Config,
    content::{fetch::Fetch, publish::publish, serve::serve, source::Source},
    event::{Event, FetchProgress},
    notify::Notify,
    peers::{Connection, Path, Transport},
    platform,
    session::PeerSession,
    shared::Shared,
    store::Store,
};
use shoal_protocol::{
    content::{
        Block,
        cid::{Cid, Codec, of},
        import::Profile,
        walk::Scope,
    },
    session::{Session, Side},
};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// One side: its shared state and what it told the page.
struct Peer {
    shared: Shared,
    events: Rc<RefCell<Vec<Event>>>,
}

impl Peer {
    async fn new(kind: &str) -> Self {
        let config: Config = serde_wasm_bindgen::from_value(js_sys::Object::new().into()).unwrap();
        let store = if kind == "memory" { Store::memory(1 << 30) } else { Store::open(&unique()).await.unwrap() };
        let events = Rc::new(RefCell::new(Vec::new()));
        let heard = events.clone();
        let (shared, commands) = Shared::new(config, PeerId::random(), store, move |event| heard.borrow_mut().push(event));
        // Nobody drives a swarm here; the receiver must live for the node to count as running.
        std::mem::forget(commands);
        Self { shared, events }
    }

    fn id(&self) -> PeerId {
        self.shared.local
    }

    fn connect(&self, other: &Self, session: PeerSession) {
        let connection = Connection {
            id: ConnectionId::new_unchecked(0),
            path: Path::Direct,
            transport: Transport::Webrtc,
            outbound: true,
            address: Multiaddr::empty(),
            opened_at: 0.0,
            round_trip: None,
            session: Some(session.clone()),
        };
        self.shared.peers.borrow_mut().change(other.id()).connections.push(connection);
        serve(self.shared.clone(), other.id(), Path::Direct, session);
    }

    fn fetch(&self, root: &Cid, scope: Scope, from: &[&Self]) -> Fetch {
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
            report,
            stored: Notify::default(),
        }
    }

    fn dropped(&self) -> Vec<String> {
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

/// Joins two peers; the returned cut breaks the connection after so many bytes more towards the first.
fn join(a: &Peer, b: &Peer) -> pipe::Cut {
    let (left, right, cut) = pipe::pair();
    let ended = |_, _| {};
    a.connect(b, PeerSession::start(Session::new(Side::Dialler, Default::default()), left, ended));
    b.connect(a, PeerSession::start(Session::new(Side::Listener, Default::default()), right, ended));
    cut
}

/// Bytes that do not repeat, so that no two leaves are equal.
fn content(length: usize) -> Vec<u8> {
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

async fn publish_bytes(peer: &Peer, bytes: &[u8]) -> Cid {
    publish(&peer.shared, Source::Bytes(js_sys::Uint8Array::from(bytes)), Profile::UnixfsV1_2025, |_, _| {}).await.unwrap()
}

async fn read_all(peer: &Peer, root: &Cid) -> Vec<u8> {
    let mut read = shoal_protocol::content::read::Read::new(root.clone(), 0, None);
    let mut bytes = Vec::new();
    while let Some(cid) = read.current().cloned() {
        let data = peer.shared.store.get(&cid).await.unwrap().expect("every block is here");
        bytes.extend(read.supply(&data).unwrap().unwrap_or_default());
    }
    bytes
}

#[wasm_bindgen_test]
async fn a_file_goes_from_one_database_to_another() {
    let (provider, requester) = (Peer::new("indexeddb").await, Peer::new("indexeddb").await);
    let bytes = content(5_000_000);
    let root = publish_bytes(&provider, &bytes).await;
    join(&requester, &provider);
    requester.fetch(&root, Scope::Dag, &[&provider]).run().await.unwrap();
    assert!(read_all(&requester, &root).await == bytes);
    assert!(requester.dropped().is_empty() && provider.dropped().is_empty());
}

#[wasm_bindgen_test]
async fn sizes_around_the_edges() {
    let (provider, requester) = (Peer::new("memory").await, Peer::new("indexeddb").await);
    join(&requester, &provider);
    for length in [0, 1, 1_048_575, 1_048_576, 1_048_577] {
        let bytes = content(length);
        let root = publish_bytes(&provider, &bytes).await;
        requester.fetch(&root, Scope::Dag, &[&provider]).run().await.unwrap();
        assert!(read_all(&requester, &root).await == bytes, "{length} bytes");
    }
}

#[wasm_bindgen_test]
async fn a_broken_transfer_goes_on_where_it_was() {
    let (provider, requester) = (Peer::new("memory").await, Peer::new("indexeddb").await);
    let bytes = content(12 * 1_048_576);
    let root = publish_bytes(&provider, &bytes).await;
    let cut = join(&requester, &provider);
    cut.after(5 * 1_048_576 + 4_711);
    let fetch = requester.fetch(&root, Scope::Dag, &[&provider]);
    let again = async {
        // The connection broke when the pipe says so; then the peers find each other again.
        cut.happened().await;
        let before = requester.shared.store.usage().await.unwrap().bytes;
        assert!(before < 12 * 1_048_576);
        join(&requester, &provider);
    };
    let (fetched, ()) = futures::future::join(fetch.run(), again).await;
    fetched.unwrap();
    assert!(read_all(&requester, &root).await == bytes);
    // What arrived whole before the break is not sent again: all in all less than one leaf more than the file.
    let sent: u64 = provider
        .events
        .borrow()
        .iter()
        .filter_map(|event| if let Event::Serving(serving) = event { (serving.state != "active").then_some(serving.bytes) } else { None })
        .sum();
    assert!(sent < (12 + 5) * 1_048_576, "{sent} bytes were sent");
}

#[wasm_bindgen_test]
async fn who_sends_a_wrong_block_is_dropped_and_another_goes_on() {
    let (liar, honest, requester) = (Peer::new("memory").await, Peer::new("memory").await, Peer::new("indexeddb").await);
    let bytes = content(3 * 1_048_576);
    let root = publish_bytes(&honest, &bytes).await;
    let middle = of(Codec::Raw, &bytes[1_048_576..2 * 1_048_576]);
    // A store does not verify: that is done where blocks come in. So the liar's holds a forged leaf under the true name.
    let mut forged = bytes[1_048_576..2 * 1_048_576].to_vec();
    forged[7] ^= 1;
    liar.shared.store.put(vec![Block { cid: middle.clone(), data: Bytes::from(forged) }]).await.unwrap();
    assert!(publish_bytes(&liar, &bytes).await == root);
    assert!(liar.shared.store.get(&middle).await.unwrap().unwrap()[..] != bytes[1_048_576..2 * 1_048_576], "the forged leaf stays");

    join(&requester, &liar);
    let fetch = requester.fetch(&root, Scope::Dag, &[&liar]);
    let rescue = async {
        while requester.dropped().is_empty() {
            platform::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(!requester.shared.store.has(&middle).await.unwrap(), "nothing forged is stored");
        // What the driver does with a dropped peer.
        requester.shared.peers.borrow_mut().change(liar.id()).connections.clear();
        join(&requester, &honest);
    };
    let (fetched, ()) = futures::future::join(fetch.run(), rescue).await;
    fetched.unwrap();
    assert!(requester.dropped() == vec![liar.id().to_string()]);
    assert!(read_all(&requester, &root).await == bytes);
}

#[wasm_bindgen_test]
async fn a_range_brings_only_its_blocks() {
    let (provider, requester) = (Peer::new("memory").await, Peer::new("indexeddb").await);
    let root = publish_bytes(&provider, &content(6 * 1_048_576)).await;
    join(&requester, &provider);
    requester.fetch(&root, Scope::Range { offset: 2 * 1_048_576 + 5, length: 10 }, &[&provider]).run().await.unwrap();
    let usage = requester.shared.store.usage().await.unwrap();
    assert_eq!(usage.blocks, 2, "the root and one leaf");
}

#[wasm_bindgen_test]
async fn a_thousand_small_contents_at_once() {
    let (provider, requester) = (Peer::new("memory").await, Peer::new("indexeddb").await);
    join(&requester, &provider);
    let mut roots = Vec::new();
    for index in 0..1_000u32 {
        let mut bytes = content(2_000);
        bytes[..4].copy_from_slice(&index.to_be_bytes());
        roots.push(publish_bytes(&provider, &bytes).await);
    }
    let fetches = roots.iter().map(|root| requester.fetch(root, Scope::Dag, &[&provider]).run());
    for fetched in futures::future::join_all(fetches).await {
        fetched.unwrap();
    }
    assert_eq!(requester.shared.store.usage().await.unwrap().blocks, 1_000);
}

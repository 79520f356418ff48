//! Two peers exchange content in a real browser: the node's own serving and fetching over a session, with IndexedDB at both ends.
//! Only the carrier is a pipe in memory, so that it can be cut at will; `tests/browser` has the same over WebRTC.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod peers;

use bytes::Bytes;
use peers::{Peer, content, join, publish_bytes, read_all};
use shoal_node::platform;
use shoal_protocol::{
    content::{
        Block,
        cid::{Codec, of},
        walk::Scope,
    },
    limits,
};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

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
    // One request, which did not notice, and less sent again than the other side's window.
    let served = provider.served();
    assert_eq!(served.iter().map(|serving| serving.state).collect::<Vec<_>>(), ["done"]);
    let again = provider.session(&requester).counts().sent_again;
    assert!(again <= limits::PIPE_UNACKNOWLEDGED, "{again} bytes were sent again");
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
        let sessions: Vec<_> =
            requester.shared.peers.borrow().peer(&liar.id()).into_iter().flat_map(|known| known.sessions().cloned()).collect();
        sessions.iter().for_each(|session| session.close("dropped"));
        requester.shared.peers.borrow_mut().change(liar.id()).connections.clear();
        join(&requester, &honest);
    };
    let (fetched, ()) = futures::future::join(fetch.run(), rescue).await;
    fetched.unwrap();
    assert!(requester.dropped() == vec![liar.id().to_string()]);
    assert!(read_all(&requester, &root).await == bytes);
}

#[wasm_bindgen_test]
async fn of_two_that_have_it_the_faster_is_asked_more() {
    let (one, other, requester) = (Peer::new("memory").await, Peer::new("memory").await, Peer::new("memory").await);
    join(&requester, &one);
    let way = join(&requester, &other);
    let mut contents = 0u8;
    let mut asked = async |count: u8| {
        let before = other.served().len();
        for _ in 0..count {
            contents += 1;
            let bytes = vec![contents; 1_048_576];
            let root = publish_bytes(&one, &bytes).await;
            assert!(publish_bytes(&other, &bytes).await == root);
            requester.fetch(&root, Scope::Dag, &[&one, &other]).run().await.unwrap();
        }
        other.served().len() - before
    };
    way.slow(std::time::Duration::from_millis(100));
    // Nobody is known to be slow, or fast, before it was asked for some time.
    asked(10).await;
    let slow = asked(30).await;
    assert!(slow < 15, "{slow} of 30 were asked of the slow one");
}

#[wasm_bindgen_test]
async fn a_transfer_under_way_goes_on_with_a_faster_peer() {
    let (slow, fast, requester) = (Peer::new("memory").await, Peer::new("memory").await, Peer::new("memory").await);
    let bytes = content(24 * 1_048_576);
    let root = publish_bytes(&slow, &bytes).await;
    assert!(publish_bytes(&fast, &bytes).await == root);
    let way = join(&requester, &slow);
    // At most a megabyte a second.
    way.slow(std::time::Duration::from_millis(250));
    let fetch = requester.fetch(&root, Scope::Dag, &[&slow, &fast]);
    let arrives = async {
        platform::sleep(std::time::Duration::from_secs(1)).await;
        join(&requester, &fast);
    };
    let (fetched, ()) = futures::future::join(fetch.run(), arrives).await;
    fetched.unwrap();
    assert!(read_all(&requester, &root).await == bytes);
    let states = |peer: &Peer| peer.served().iter().map(|serving| serving.state).collect::<Vec<_>>();
    assert_eq!((states(&slow), states(&fast)), (vec!["ended"], vec!["done"]));
    let (before, after) = (slow.served()[0].bytes, fast.served()[0].bytes);
    assert!(before > 0 && after > before, "{before} bytes of the slow one, {after} of the fast one");
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

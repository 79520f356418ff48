//! Sessions that outlive their connections, in a real browser: a transfer goes on over whatever path there is, as one request.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod peers;

use std::time::Duration;

use futures::future::{join, join3};
use peers::{Peer, content, join as join_directly, join_by, publish_bytes, read_all};
use shoal_node::{
    peers::{Dial, Path},
    platform,
};
use shoal_protocol::{content::walk::Scope, limits};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

const MIB: u64 = 1 << 20;

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        platform::sleep(Duration::from_millis(5)).await;
    }
}

#[wasm_bindgen_test]
async fn a_transfer_whose_path_breaks_twenty_times_is_one_request() {
    let (provider, requester) = (Peer::new("memory").await, Peer::new("memory").await);
    let bytes = content(24 * MIB as usize);
    let root = publish_bytes(&provider, &bytes).await;
    let mut cut = join_directly(&requester, &provider);
    let breaks = async {
        for round in 0..20u64 {
            cut.after(MIB + round * 4_711);
            cut.happened().await;
            // Dialled from either side in turn, direct and relayed. A cut counts what goes towards the side that dialled.
            let path = if round % 3 == 0 { Path::Relayed } else { Path::Direct };
            cut = if round % 2 == 0 { join_by(path, &requester, &provider) } else { join_by(path, &provider, &requester).swapped() };
        }
    };
    let (fetched, ()) = join(requester.fetch(&root, Scope::Dag, &[&provider]).run(), breaks).await;
    fetched.unwrap();
    assert!(read_all(&requester, &root).await == bytes);
    assert_eq!(provider.served().iter().map(|serving| serving.state).collect::<Vec<_>>(), ["done"]);
    let counts = provider.session(&requester).counts();
    assert!(counts.sent < 25 * MIB, "{} bytes for one transfer", counts.sent);
    assert!(counts.sent_again > 0 && counts.sent_again <= 20 * limits::PIPE_UNACKNOWLEDGED, "{} bytes were sent again", counts.sent_again);
}

#[wasm_bindgen_test]
async fn a_transfer_moves_to_the_direct_path_and_sends_nothing_twice() {
    let (provider, requester) = (Peer::new("memory").await, Peer::new("indexeddb").await);
    let bytes = content(16 * MIB as usize);
    let root = publish_bytes(&provider, &bytes).await;
    join_by(Path::Relayed, &requester, &provider);
    // No direct one can be had, so the relayed path is asked for all of it.
    requester.shared.peers.borrow_mut().change(provider.id()).dial = Dial::Failed("tried".to_owned());
    let moving = async {
        until(|| provider.sessions(&requester).first().is_some_and(|session| session.counts().sent > 2 * MIB)).await;
        join_directly(&requester, &provider);
    };
    let (fetched, ()) = join(requester.fetch(&root, Scope::Dag, &[&provider]).run(), moving).await;
    fetched.unwrap();
    assert!(read_all(&requester, &root).await == bytes);
    assert_eq!(provider.session(&requester).path(), Some(Path::Direct));
    assert_eq!(provider.session(&requester).counts().sent_again, 0);
    let by = |path: Path| {
        let peers = requester.shared.peers.borrow();
        let connections = &peers.peer(&provider.id()).unwrap().connections;
        connections.iter().find(|connection| connection.path == path).unwrap().traffic.get().0
    };
    assert!(by(Path::Direct) > 4 * MIB, "{} bytes came directly", by(Path::Direct));
    assert!(by(Path::Direct) + by(Path::Relayed) < 17 * MIB, "{} and {}", by(Path::Direct), by(Path::Relayed));
}

#[wasm_bindgen_test]
async fn a_peer_that_was_started_anew_gets_a_new_session() {
    let (before, requester) = (Peer::new("memory").await, Peer::new("memory").await);
    let bytes = content(8 * MIB as usize);
    let root = publish_bytes(&before, &bytes).await;
    let cut = join_directly(&requester, &before);
    cut.after(3 * MIB);
    let after = before.anew();
    let again = async {
        cut.happened().await;
        join_directly(&requester, &after);
    };
    let (fetched, ()) = join(requester.fetch(&root, Scope::Dag, &[&after]).run(), again).await;
    fetched.unwrap();
    assert!(read_all(&requester, &root).await == bytes);
    assert!(requester.dropped().is_empty());
    assert_eq!(after.served().len(), 1);
    assert_eq!(requester.sessions(&after).len(), 1);
}

/// Both sides dial at once: whatever began on either connection works, and one session is left.
#[wasm_bindgen_test]
async fn two_dials_at_once_end_in_one_session() {
    for _ in 0..20 {
        let (one, other) = (Peer::new("memory").await, Peer::new("memory").await);
        let (first, second) = (content(300_000), content(400_000));
        let (here, there) = (publish_bytes(&one, &first).await, publish_bytes(&other, &second).await);
        join_directly(&one, &other);
        join_directly(&other, &one);
        let tidy = until(|| {
            for (this, that) in [(&one, &other), (&other, &one)] {
                this.shared.peers.borrow_mut().change(that.id()).tidy_sessions();
            }
            one.sessions(&other).len() == 1 && other.sessions(&one).len() == 1 && one.session(&other).is_begun()
        });
        let (fetched, back, ()) =
            join3(other.fetch(&here, Scope::Dag, &[&one]).run(), one.fetch(&there, Scope::Dag, &[&other]).run(), tidy).await;
        fetched.unwrap();
        back.unwrap();
        assert!(read_all(&other, &here).await == first && read_all(&one, &there).await == second);
        assert!(one.dropped().is_empty() && other.dropped().is_empty());
    }
}

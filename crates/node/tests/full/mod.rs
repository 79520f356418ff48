//! A full disk: the write fails with a reason, what was acknowledged stays, and the store goes on once there is space.

use gloo_timers::future::TimeoutFuture;
use rexie::Rexie;
use shoal_node::store::{Store, StoreError, Usage};
use shoal_protocol::content::Block;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

use crate::blocks::numbered;

#[wasm_bindgen_test]
#[ignore = "needs a small quota"]
async fn large_blocks() {
    fill_empty_and_go_on(numbered(100, 1 << 20), 1).await;
}

#[wasm_bindgen_test]
#[ignore = "needs a small quota"]
async fn small_blocks() {
    fill_empty_and_go_on(numbered(40_000, 2048), 400).await;
}

async fn fill_empty_and_go_on(blocks: Vec<Block>, at_once: usize) {
    let name = format!("full-{}", js_sys::Date::now());
    let store = Store::open(&name).await.unwrap();
    let mut kept = 0;
    let error = loop {
        match store.put(blocks[kept..kept + at_once].to_vec()).await {
            Ok(()) => kept += at_once,
            Err(error) => break error,
        }
    };
    console_log!("full after {kept} blocks: {error}");
    assert!(matches!(error, StoreError::Full { needed, .. } if needed > 0), "{error:?}");
    assert!(kept > 0);
    for block in &blocks[..kept] {
        assert_eq!(store.get(&block.cid).await.unwrap().as_ref(), Some(&block.data));
    }
    assert_eq!(store.usage().await.unwrap().blocks, kept as u64);
    assert!(!store.has(&blocks[kept].cid).await.unwrap());
    let error = store.put(blocks[kept..].to_vec()).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");

    store.delete(&blocks.iter().map(|block| block.cid.clone()).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(store.usage().await.unwrap(), Usage::default());
    let mut attempts = 0;
    while let Err(error) = store.put(blocks[..at_once].to_vec()).await {
        // Browsers give deleted space back after a while.
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        attempts += 1;
        assert!(attempts < 100, "no space came back");
        TimeoutFuture::new(100).await;
    }
    assert!(store.has(&blocks[0].cid).await.unwrap());
    drop(store);
    Rexie::delete(&name).await.unwrap();
}

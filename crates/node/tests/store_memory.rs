//! The memory store passes the conformance suite, and refuses what does not fit.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(not(target_arch = "wasm32"))]

mod blocks;
mod conformance;

use blocks::{block_of, numbered};
use conformance::for_each_fact;
use futures::executor::block_on;
use shoal_node::store::{Protection, Store, StoreError, Usage};

macro_rules! test {
    ($fact:ident) => {
        #[test]
        fn $fact() {
            block_on(conformance::$fact(Store::memory(u64::MAX))).unwrap();
        }
    };
}
for_each_fact!(test);

#[test]
fn a_full_store_refuses_keeps_what_it_has_and_goes_on_after_a_delete() {
    block_on(async {
        let store = Store::memory(5000);
        let blocks = numbered(3, 2000);
        store.put(blocks[..2].to_vec()).await.unwrap();
        assert_eq!(store.put(blocks[2..].to_vec()).await, Err(StoreError::Full { needed: 2000, available: Some(1000) }));
        assert_eq!(store.usage().await.unwrap(), Usage { blocks: 2, bytes: 4000 });
        store.delete(&[blocks[0].cid.clone()]).await.unwrap();
        store.put(blocks[2..].to_vec()).await.unwrap();
        assert_eq!(store.get(&blocks[2].cid).await.unwrap(), Some(blocks[2].data.clone()));
    });
}

#[test]
fn indexed_db_is_refused_natively_with_a_remedy() {
    let error = block_on(Store::open("any")).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }));
    assert!(error.to_string().contains("use a memory store"));
}

#[test]
fn clones_are_the_same_store() {
    block_on(async {
        let store = Store::memory(100);
        let block = block_of(b"shared");
        store.clone().put(vec![block.clone()]).await.unwrap();
        assert!(store.has(&block.cid).await.unwrap());
        assert_eq!(store.identity().await.unwrap().protection, Protection::Memory);
    });
}

#[test]
fn a_seed_is_not_printed() {
    let identity = block_on(Store::memory(0).identity()).unwrap();
    assert!(format!("{identity:?}").contains("Seed(secret)"));
}

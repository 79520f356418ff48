//! Other versions of the database, before, meanwhile and after: an error that says what to do, and nothing is lost.

use rexie::{ObjectStore, Rexie, TransactionMode};
use shoal_node::store::{Store, StoreError};
use wasm_bindgen_test::wasm_bindgen_test;

use crate::blocks::{block_of, numbered};

const STORES: [&str; 4] = ["blocks", "meta", "keys", "records"];

#[wasm_bindgen_test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let name = super::fresh_name("newer");
    database(&name, 2).await.close();
    assert_eq!(Store::open(&name).await.unwrap_err(), StoreError::Newer);
    assert_eq!(database(&name, 2).await.store_names().len(), STORES.len());
}

#[wasm_bindgen_test]
async fn rows_of_a_newer_schema_are_left_alone() {
    let name = super::fresh_name("schema");
    let rows = database(&name, 1).await;
    let transaction = rows.transaction(&["meta"], TransactionMode::ReadWrite).unwrap();
    transaction.store("meta").unwrap().put(&99.into(), Some(&"schema".into())).await.unwrap();
    transaction.done().await.unwrap();
    assert_eq!(Store::open(&name).await.unwrap_err(), StoreError::Newer);
}

#[wasm_bindgen_test]
async fn a_newer_version_in_another_tab_closes_the_store_and_keeps_its_blocks() {
    let name = super::fresh_name("overtaken");
    let store = Store::open(&name).await.unwrap();
    let (kept, late) = (block_of(b"kept"), block_of(b"too late"));
    store.put(vec![kept.clone()]).await.unwrap();
    // Opening it succeeds only because the store lets go.
    let newer = database(&name, 2).await;
    assert_eq!(store.put(vec![late.clone()]).await, Err(StoreError::Closed));
    assert_eq!(store.get(&late.cid).await, Err(StoreError::Closed));
    assert_eq!(store.usage().await, Err(StoreError::Closed));
    assert_eq!(store.set_record("name", b"value").await, Err(StoreError::Closed));
    let transaction = newer.transaction(&["blocks"], TransactionMode::ReadOnly).unwrap();
    assert_eq!(transaction.store("blocks").unwrap().count(None).await.unwrap(), 1);
}

#[wasm_bindgen_test]
async fn a_dropped_store_finishes_what_was_begun_and_lets_the_database_go() {
    let name = super::fresh_name("dropped");
    let blocks = numbered(500, 4000);
    let store = Store::open(&name).await.unwrap();
    let writing = {
        let (store, blocks) = (store.clone(), blocks.clone());
        async move { store.put(blocks).await }
    };
    drop(store);
    writing.await.unwrap();
    // With a connection left open this would wait forever.
    let newer = database(&name, 2).await;
    let transaction = newer.transaction(&["blocks"], TransactionMode::ReadOnly).unwrap();
    assert_eq!(transaction.store("blocks").unwrap().count(None).await.unwrap(), 500);
}

async fn database(name: &str, version: u32) -> Rexie {
    let builder =
        STORES.into_iter().fold(Rexie::builder(name).version(version), |builder, store| builder.add_object_store(ObjectStore::new(store)));
    builder.build().await.unwrap()
}

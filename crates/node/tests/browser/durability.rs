//! What was acknowledged is there when the database is opened again.

use rexie::{ObjectStore, Rexie, TransactionMode};
use shoal_node::store::{Store, Usage};
use wasm_bindgen_test::wasm_bindgen_test;

use crate::blocks::numbered;

#[wasm_bindgen_test]
async fn acknowledged_blocks_survive_a_store_that_was_never_closed() {
    let name = super::fresh_name("durability");
    let blocks = numbered(300, 5000);
    let store = Store::open(&name).await.unwrap();
    store.put(blocks.clone()).await.unwrap();
    store.set_record("note", b"kept").await.unwrap();
    // Leaked on purpose: nothing gets a chance to tidy up.
    std::mem::forget(store);

    let store = Store::open(&name).await.unwrap();
    let cids: Vec<_> = blocks.iter().map(|block| block.cid.clone()).collect();
    let found = store.get_many(&cids).await.unwrap();
    assert!(found.iter().zip(&blocks).all(|(found, block)| found.as_ref() == Some(&block.data)));
    assert_eq!(store.usage().await.unwrap(), Usage { blocks: 300, bytes: 1_500_000 });
    assert_eq!(store.record("note").await.unwrap().as_deref(), Some(&b"kept"[..]));
}

#[wasm_bindgen_test]
async fn two_stores_on_one_database_count_together() {
    let name = super::fresh_name("two-tabs");
    let (one, other) = (Store::open(&name).await.unwrap(), Store::open(&name).await.unwrap());
    let blocks = numbered(20, 1000);
    let (put_one, put_other) = futures::join!(one.put(blocks[..15].to_vec()), other.put(blocks[10..].to_vec()));
    put_one.unwrap();
    put_other.unwrap();
    assert_eq!(one.usage().await.unwrap(), Usage { blocks: 20, bytes: 20_000 });
    // A block that the other tab deleted must not count as present, although it is still in this one's memory.
    other.delete(&[blocks[0].cid.clone()]).await.unwrap();
    one.put(vec![blocks[0].clone()]).await.unwrap();
    assert!(other.has(&blocks[0].cid).await.unwrap());
    assert_eq!(other.usage().await.unwrap(), Usage { blocks: 20, bytes: 20_000 });
}

#[wasm_bindgen_test]
async fn a_lost_count_is_made_anew() {
    let name = super::fresh_name("recount");
    let blocks = numbered(100, 3000);
    Store::open(&name).await.unwrap().put(blocks.clone()).await.unwrap();
    let database = Rexie::builder(&name).version(1);
    let database = ["blocks", "meta", "keys", "records"]
        .into_iter()
        .fold(database, |builder, store| builder.add_object_store(ObjectStore::new(store)));
    let database = database.build().await.unwrap();
    let transaction = database.transaction(&["meta"], TransactionMode::ReadWrite).unwrap();
    transaction.store("meta").unwrap().delete("usage".into()).await.unwrap();
    transaction.done().await.unwrap();
    database.close();
    for _ in 0..2 {
        let store = Store::open(&name).await.unwrap();
        assert_eq!(store.usage().await.unwrap(), Usage { blocks: 100, bytes: 300_000 });
    }
}

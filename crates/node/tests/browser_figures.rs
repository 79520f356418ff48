//! How fast the store is beside IndexedDB itself, in the same worker and the same run, alternating. Figures, not facts, so ignored:
//!
//! ```text
//! cargo test --release --target wasm32-unknown-unknown -p shoal-node --test browser_figures -- --include-ignored
//! ```
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_arch = "wasm32")]

mod blocks;

use blocks::numbered;
use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use js_sys::{Date, Reflect, Uint8Array};
use rexie::{ObjectStore, Rexie, TransactionMode};
use sha2::{Digest as _, Sha256};
use shoal_node::hash::sha256_many;
use shoal_node::store::Store;
use shoal_protocol::content::{Block, Cid};
use wasm_bindgen::JsCast as _;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

const ROUNDS: usize = 5;

#[wasm_bindgen_test]
#[ignore = "figures"]
async fn a_thousand_blocks_of_2_kib() {
    compare("1,000 x 2 KiB", 1000, 2048).await;
}

#[wasm_bindgen_test]
#[ignore = "figures"]
async fn ten_thousand_blocks_of_2_kib() {
    compare("10,000 x 2 KiB", 10_000, 2048).await;
}

#[wasm_bindgen_test]
#[ignore = "figures"]
async fn sixty_four_blocks_of_1_mib() {
    compare("64 x 1 MiB", 64, 1 << 20).await;
}

#[wasm_bindgen_test]
#[ignore = "figures"]
async fn hashing_by_size() {
    for size in [64, 512, 1024, 2048, 4096, 8192, 16_384, 65_536, 262_144, 1 << 20] {
        let blocks: Vec<Bytes> = numbered(((8 << 20) / size as u32).min(2000), size).into_iter().map(|block| block.data).collect();
        let bytes = (blocks.len() * size) as f64;
        let mut rates = [const { Vec::new() }; 2];
        for _ in 0..ROUNDS {
            let began = now();
            let wasm: Vec<[u8; 32]> = blocks.iter().map(|block| Sha256::digest(block).into()).collect();
            rates[0].push(bytes / 1000.0 / (now() - began));
            let began = now();
            assert_eq!(sha256_many(&blocks).await, wasm);
            rates[1].push(bytes / 1000.0 / (now() - began));
        }
        let [wasm, ours] = rates.map(median);
        console_log!("| sha-256 of {size} bytes | wasm {wasm:.0} MB/s | hash::sha256_many {ours:.0} MB/s |");
    }
}

async fn compare(what: &str, count: u32, size: usize) {
    let blocks = numbered(count, size);
    let cids: Vec<Cid> = blocks.iter().map(|block| block.cid.clone()).collect();
    let mut times = [const { Vec::new() }; 7];
    for _ in 0..ROUNDS {
        let name = format!("figures-{what}-{}", Date::now());
        let raw = Rexie::builder(&format!("{name}-raw")).version(1).add_object_store(ObjectStore::new("blocks")).build().await.unwrap();
        times[0].push(timed(raw_put(&raw, &blocks)).await);
        let store = Store::open(&name).await.unwrap();
        times[1].push(timed(async { store.put(blocks.clone()).await.unwrap() }).await);
        times[2].push(timed(async { store.put(blocks.clone()).await.unwrap() }).await);
        times[3].push(timed(raw_get(&raw, &blocks)).await);
        // Opened anew, so that nothing is in memory.
        let store = Store::open(&name).await.unwrap();
        times[4].push(timed(async { store.get_many(&cids).await.unwrap() }).await);
        times[5].push(timed(async { store.get_many(&cids).await.unwrap() }).await);
        let store = Store::open(&format!("{name}-each")).await.unwrap();
        times[6].push(timed(async { try_join_all(blocks.iter().map(|block| store.put(vec![block.clone()]))).await.unwrap() }).await);
        raw.close();
        for name in [format!("{name}-raw"), name.clone(), format!("{name}-each")] {
            drop(Rexie::delete(&name));
        }
    }
    let [raw_put, put, again, raw_get, get, cached, each] = times.map(median);
    console_log!(
        "| {what} | put: raw {raw_put:.0} ms, store {put:.0} ms, as single calls {each:.0} ms, once more {again:.0} ms | \
         get: raw {raw_get:.0} ms, store {get:.0} ms, once more {cached:.1} ms |"
    );
}

/// IndexedDB's own limit for writing: everything in one transaction.
async fn raw_put(database: &Rexie, blocks: &[Block]) {
    let transaction = database.transaction(&["blocks"], TransactionMode::ReadWrite).unwrap();
    let store = transaction.store("blocks").unwrap();
    let rows = blocks.iter().map(|block| (Uint8Array::from(block.data.as_ref()).into(), Some(key(block).into())));
    let (written, done) = futures::join!(store.put_all(rows), transaction.done());
    written.unwrap();
    assert!(done.unwrap().is_committed());
}

async fn raw_get(database: &Rexie, blocks: &[Block]) {
    let transaction = database.transaction(&["blocks"], TransactionMode::ReadOnly).unwrap();
    let store = transaction.store("blocks").unwrap();
    let found = join_all(blocks.iter().map(|block| store.get(key(block).into()))).await;
    let bytes: usize = found.into_iter().map(|value| value.unwrap().unwrap().unchecked_into::<Uint8Array>().to_vec().len()).sum();
    assert_eq!(bytes, blocks.iter().map(|block| block.data.len()).sum::<usize>());
}

fn key(block: &Block) -> Uint8Array {
    Uint8Array::from(&block.cid.digest().unwrap()[..])
}

async fn timed<T>(work: impl Future<Output = T>) -> f64 {
    let began = now();
    work.await;
    now() - began
}

/// Milliseconds, to a fraction.
fn now() -> f64 {
    let performance = Reflect::get(&js_sys::global(), &"performance".into()).unwrap();
    let method: js_sys::Function = Reflect::get(&performance, &"now".into()).unwrap().unchecked_into();
    method.call0(&performance).unwrap().as_f64().unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! The identity is made once, rests encrypted, and is never replaced silently.

use js_sys::{Object, Reflect, Uint8Array};
use rexie::{ObjectStore, Rexie, TransactionMode};
use shoal_node::store::{Identity, Protection, Store, StoreError};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::CryptoKey;

#[wasm_bindgen_test]
async fn comes_back_after_the_store_is_opened_again() {
    let name = super::fresh_name("identity");
    let first = identity(&name).await.unwrap();
    let second = identity(&name).await.unwrap();
    assert_eq!(first.seed, second.seed);
    assert_eq!(second.protection, Protection::Wrapped);
}

#[wasm_bindgen_test]
async fn two_tabs_that_start_together_agree() {
    for _ in 0..10 {
        let name = super::fresh_name("identity-race");
        let (one, other) = (Store::open(&name).await.unwrap(), Store::open(&name).await.unwrap());
        let (one, other) = futures::join!(one.identity(), other.identity());
        assert_eq!(one.unwrap().seed, other.unwrap().seed);
    }
}

#[wasm_bindgen_test]
async fn rests_encrypted_by_a_key_that_cannot_leave() {
    let name = super::fresh_name("identity-rest");
    let seed = identity(&name).await.unwrap().seed;
    let row = read_row(&name).await;
    let key: CryptoKey = get(&row, "key").dyn_into().unwrap();
    assert!(!key.extractable());
    let crypto = Reflect::get(&js_sys::global(), &"crypto".into()).unwrap();
    let subtle: web_sys::SubtleCrypto = get(&crypto, "subtle").unchecked_into();
    assert!(JsFuture::from(subtle.export_key("raw", &key).unwrap()).await.is_err());
    for field in ["sealed", "iv"] {
        let bytes = Uint8Array::new(&get(&row, field)).to_vec();
        assert!(!bytes.windows(16).any(|window| seed.expose().windows(16).any(|part| part == window)));
    }
    assert!(get(&row, "seed").is_undefined());
}

#[wasm_bindgen_test]
async fn a_plain_one_from_an_insecure_page_is_wrapped_and_stays_the_same() {
    let name = super::fresh_name("identity-upgrade");
    write_row(&name, &plain_row(&[7; 32])).await;
    let upgraded = identity(&name).await.unwrap();
    assert_eq!((upgraded.seed.expose(), upgraded.protection), (&[7; 32], Protection::Wrapped));
    let row = read_row(&name).await;
    assert!(get(&row, "seed").is_undefined());
    assert_eq!(identity(&name).await.unwrap().seed.expose(), &[7; 32]);
}

#[wasm_bindgen_test]
async fn a_damaged_one_is_an_error_with_a_remedy_and_is_left_alone() {
    let name = super::fresh_name("identity-damaged");
    identity(&name).await.unwrap();
    let row = read_row(&name).await;
    let sealed = Uint8Array::new(&get(&row, "sealed"));
    sealed.set_index(3, sealed.get_index(3) ^ 1);
    Reflect::set(&row, &"sealed".into(), &sealed).unwrap();
    write_row(&name, &row).await;
    for _ in 0..2 {
        let error = identity(&name).await.unwrap_err();
        assert!(matches!(error, StoreError::IdentityUnreadable { .. }));
        assert!(error.to_string().contains("clear its site data"));
    }
    assert_eq!(Uint8Array::new(&get(&read_row(&name).await, "sealed")).to_vec(), sealed.to_vec());
}

#[wasm_bindgen_test]
async fn rows_that_are_not_understood_are_errors() {
    let short = plain_row(&[7; 31]);
    let newer = plain_row(&[7; 32]);
    Reflect::set(&newer, &"version".into(), &2.into()).unwrap();
    let odd = plain_row(&[7; 32]);
    Reflect::set(&odd, &"kind".into(), &"other".into()).unwrap();
    for row in [short, newer, odd, "text".into(), Object::new().into()] {
        let name = super::fresh_name("identity-odd");
        write_row(&name, &row).await;
        assert!(matches!(identity(&name).await, Err(StoreError::IdentityUnreadable { .. })));
    }
}

async fn identity(name: &str) -> Result<Identity, StoreError> {
    Store::open(name).await.unwrap().identity().await
}

fn plain_row(seed: &[u8]) -> JsValue {
    let row = Object::new();
    for (name, value) in [("version", 1.into()), ("kind", "plain".into()), ("seed", Uint8Array::from(seed).into())] {
        Reflect::set(&row, &name.into(), &value).unwrap();
    }
    row.into()
}

async fn database(name: &str) -> Rexie {
    let stores = ["blocks", "meta", "keys", "records"].map(ObjectStore::new);
    let builder = stores.into_iter().fold(Rexie::builder(name).version(1), |builder, store| builder.add_object_store(store));
    builder.build().await.unwrap()
}

async fn read_row(name: &str) -> JsValue {
    let transaction = database(name).await.transaction(&["keys"], TransactionMode::ReadOnly).unwrap();
    transaction.store("keys").unwrap().get("identity".into()).await.unwrap().unwrap()
}

async fn write_row(name: &str, row: &JsValue) {
    let transaction = database(name).await.transaction(&["keys"], TransactionMode::ReadWrite).unwrap();
    transaction.store("keys").unwrap().put(row, Some(&"identity".into())).await.unwrap();
    transaction.done().await.unwrap();
}

fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap()
}

//! The seed at rest: encrypted by an AES-256-GCM key that the browser keeps and never gives out.
//!
//! The row is one of two objects. Which one is decided by whether the page may use WebCrypto, that is, by the secure context.
//!
//! ```text
//! { version: 1, kind: "wrapped", key: CryptoKey (not extractable), iv: 12 bytes, sealed: 48 bytes }
//! { version: 1, kind: "plain", seed: 32 bytes }
//! ```
//!
//! A plain row is replaced by a wrapped one when it can be. What the browser's database had written before may stay in its files until it
//! compacts them; nobody can overwrite that from a page.

use js_sys::{Array, Object, Reflect, Uint8Array};
use tracing::warn;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AesGcmParams, AesKeyGenParams, CryptoKey, SubtleCrypto};
use zeroize::Zeroizing;

use super::super::{Identity, Protection, Seed, StoreError};
use super::connection::{Connection, KEYS, error_of};
use super::transaction::{Durability, describe, is_duplicate, settled};
use crate::web_crypto::subtle;

/// Name of the row.
const IDENTITY: &str = "identity";

/// Version of the row. Another one is never guessed at.
const VERSION: f64 = 1.0;

/// Bound into the encryption, so that nothing else that this key might ever encrypt passes for a seed.
const PURPOSE: &[u8] = b"shoal identity seed, version 1";

/// Bytes of the nonce that AES-GCM takes without hashing it first (NIST SP 800-38D, section 5.2.1.1).
const NONCE_LENGTH: usize = 12;

pub(super) async fn load_or_create(connection: &Connection) -> Result<Identity, StoreError> {
    if let Some(row) = connection.read_one(KEYS, IDENTITY.into()).await? {
        return load(connection, &row).await;
    }
    let seed = Seed::generate()?;
    let (row, protection) = match subtle() {
        Some(subtle) => (wrap(&subtle, &seed).await?, Protection::Wrapped),
        None => (plain(&seed), Protection::Plain),
    };
    match add(connection, &row).await? {
        Added::First => Ok(Identity { seed, protection }),
        Added::SomebodyElseWas => {
            let row = connection.read_one(KEYS, IDENTITY.into()).await?;
            load(connection, &row.ok_or(StoreError::Closed)?).await
        }
        Added::KeysCannotBeStored => {
            // Seen in private windows of older browsers.
            warn!("this browser cannot store keys: the identity is kept in plain form");
            match add(connection, &plain(&seed)).await? {
                Added::First => Ok(Identity { seed, protection: Protection::Plain }),
                _ => Err(StoreError::Failed("another tab made an identity at the same time".into())),
            }
        }
    }
}

async fn load(connection: &Connection, row: &JsValue) -> Result<Identity, StoreError> {
    if field(row, "version").as_f64() != Some(VERSION) {
        return Err(unreadable("it was written by a newer version or is damaged"));
    }
    match field(row, "kind").as_string().as_deref() {
        Some("wrapped") => Ok(Identity { seed: unwrap(row).await?, protection: Protection::Wrapped }),
        Some("plain") => {
            let seed = Seed::try_from(Zeroizing::new(bytes(row, "seed")?).as_slice())?;
            let protection = match protect(connection, &seed).await {
                Ok(protection) => protection,
                Err(error) => {
                    warn!(%error, "the identity stays in plain form");
                    Protection::Plain
                }
            };
            Ok(Identity { seed, protection })
        }
        _ => Err(unreadable("its kind is unknown")),
    }
}

/// What came of adding the first row.
enum Added {
    First,
    SomebodyElseWas,
    KeysCannotBeStored,
}

/// Adds the row unless there is one: of two tabs that start at the same time exactly one makes the identity.
async fn add(connection: &Connection, row: &JsValue) -> Result<Added, StoreError> {
    let write = connection.write(&[KEYS], Durability::Strict)?;
    let request = match write.store(KEYS)?.add_with_key(row, &IDENTITY.into()) {
        Ok(request) => request,
        Err(error) if describe(&error).0 == "DataCloneError" => {
            write.abort();
            return Ok(Added::KeysCannotBeStored);
        }
        Err(error) => return Err(error_of(&error)),
    };
    settled(&request).await;
    let taken = is_duplicate(&request);
    write.commit(0).await?;
    Ok(if taken { Added::SomebodyElseWas } else { Added::First })
}

/// Replaces a plain row by a wrapped one, if the browser can and no other tab has done it.
async fn protect(connection: &Connection, seed: &Seed) -> Result<Protection, StoreError> {
    let Some(subtle) = subtle() else { return Ok(Protection::Plain) };
    let row = wrap(&subtle, seed).await?;
    let write = connection.write(&[KEYS], Durability::Strict)?;
    let keys = write.store(KEYS)?;
    let current = write.request(keys.get(&IDENTITY.into()))?;
    let current = settled(&current).await.unwrap_or_default();
    if field(&current, "kind").as_string().as_deref() == Some("plain") {
        write.request(keys.put_with_key(&row, &IDENTITY.into()))?;
    }
    write.commit(0).await?;
    Ok(Protection::Wrapped)
}

fn plain(seed: &Seed) -> JsValue {
    object(&[("version", VERSION.into()), ("kind", "plain".into()), ("seed", Uint8Array::from(&seed.expose()[..]).into())])
}

async fn wrap(subtle: &SubtleCrypto, seed: &Seed) -> Result<JsValue, StoreError> {
    let usages = Array::of2(&"encrypt".into(), &"decrypt".into());
    let generated = subtle.generate_key_with_object(&AesKeyGenParams::new("AES-GCM", 256), false, &usages);
    let key: CryptoKey = promised(generated).await?.unchecked_into();
    let mut nonce = [0; NONCE_LENGTH];
    getrandom::fill(&mut nonce).map_err(|error| StoreError::Failed(format!("no secure random numbers: {error}")))?;
    let nonce = Uint8Array::from(&nonce[..]);
    let sealed = promised(subtle.encrypt_with_object_and_u8_array(&parameters(&nonce), &key, seed.expose())).await?;
    Ok(object(&[
        ("version", VERSION.into()),
        ("kind", "wrapped".into()),
        ("key", key.into()),
        ("iv", nonce.into()),
        ("sealed", Uint8Array::new(&sealed).into()),
    ]))
}

async fn unwrap(row: &JsValue) -> Result<Seed, StoreError> {
    let subtle = subtle().ok_or_else(|| unreadable("it is encrypted, and this page is not in a secure context"))?;
    let key: CryptoKey = field(row, "key").dyn_into().map_err(|_| unreadable("its key is missing"))?;
    let (nonce, sealed) = (bytes(row, "iv")?, bytes(row, "sealed")?);
    let opened = promised(subtle.decrypt_with_object_and_u8_array(&parameters(&Uint8Array::from(nonce.as_slice())), &key, &sealed)).await;
    let opened = Uint8Array::new(&opened.map_err(|_| unreadable("its key does not open it"))?);
    let seed = Zeroizing::new(opened.to_vec());
    opened.fill(0, 0, opened.length());
    Seed::try_from(seed.as_slice())
}

fn parameters(nonce: &Uint8Array) -> Object {
    let parameters = AesGcmParams::new("AES-GCM", nonce);
    parameters.set_additional_data(&Uint8Array::from(PURPOSE));
    parameters.into()
}

async fn promised(started: Result<js_sys::Promise, JsValue>) -> Result<JsValue, StoreError> {
    let failed = |error: JsValue| {
        let (name, message) = describe(&error);
        StoreError::Failed(format!("WebCrypto: {name}: {message}"))
    };
    JsFuture::from(started.map_err(failed)?).await.map_err(failed)
}

fn field(row: &JsValue, name: &str) -> JsValue {
    Reflect::get(row, &name.into()).unwrap_or_default()
}

fn bytes(row: &JsValue, name: &str) -> Result<Vec<u8>, StoreError> {
    let array: Uint8Array = field(row, name).dyn_into().map_err(|_| unreadable("a part of it is missing"))?;
    Ok(array.to_vec())
}

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // Setting a property of a plain object that we have just made does not fail.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object.into()
}

fn unreadable(reason: &str) -> StoreError {
    StoreError::IdentityUnreadable { reason: reason.to_owned() }
}

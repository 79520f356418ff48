//! The page's store, in IndexedDB.
//!
//! | object store | key | value |
//! |---|---|---|
//! | `blocks` | sha2-256 digest, `Uint8Array` | the bytes, a `Uint8Array` over a buffer of exactly their length |
//! | `meta` | `"schema"`, `"usage"` | version of these rows; `{ blocks, bytes }` |
//! | `keys` | `"identity"` | the wrapped seed, see `identity` |
//! | `records` | name | the bytes |
//!
//! IndexedDB keeps the *whole* buffer behind a view, so a value must own an exact one.
//!
//! `rexie` opens the database, makes its object stores and reads. Writes go through transactions of our own on a second connection
//! (`transaction`), because rexie hides the transaction behind it and so cannot say *why* one failed (a full disk looks like any abort),
//! cannot ask for strict durability, and cannot let a duplicate key pass. Measured, its reads and writes cost the same as ours.

mod commit;
mod connection;
mod identity;
mod read;
mod transaction;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use js_sys::{Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};

use self::commit::Committer;
use self::connection::{BLOCKS, Connection, META, RECORDS};
use self::read::Reader;
use self::transaction::{Durability, settled};
use super::cache::Cache;
use super::limits::{CACHE_BYTES, DELETE_BATCH};
use super::{Identity, Key, StoreError, Usage};

/// The page's store. Clones are the same store.
#[derive(Clone, Debug)]
pub struct IndexedDbStore {
    connection: Rc<Connection>,
    committer: Rc<Committer>,
    reader: Rc<Reader>,
}

impl IndexedDbStore {
    /// Opens the database `name` of this origin, and makes it if need be.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Blocked`], [`StoreError::Newer`] and [`StoreError::Full`] as they say.
    pub async fn open(name: &str) -> Result<IndexedDbStore, StoreError> {
        let connection = Rc::new(Connection::open(name).await?);
        let cache = Rc::new(RefCell::new(Cache::new(CACHE_BYTES)));
        let committer = Committer::new(connection.clone(), cache.clone());
        let reader = Reader::new(connection.clone(), cache);
        Ok(IndexedDbStore { connection, committer, reader })
    }

    pub(super) async fn put(&self, entries: Vec<(Key, Bytes)>) -> Result<(), StoreError> {
        self.committer.put(entries).await
    }

    pub(super) async fn get(&self, key: Key) -> Result<Option<Bytes>, StoreError> {
        self.reader.get(key).await
    }

    pub(super) async fn has(&self, key: Key) -> Result<bool, StoreError> {
        self.reader.has(key).await
    }

    pub(super) async fn delete(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        for keys in keys.chunks(DELETE_BATCH) {
            self.reader.forget(keys);
            let removed = self.delete_batch(keys).await;
            self.reader.forget(keys);
            removed?;
        }
        Ok(())
    }

    async fn delete_batch(&self, keys: &[Key]) -> Result<(), StoreError> {
        let write = self.connection.write(&[BLOCKS, META], Durability::Relaxed)?;
        let (blocks, meta) = (write.store(BLOCKS)?, write.store(META)?);
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(write.request(blocks.get(&key_value(key)))?);
            // Queued behind the read of the same key, so a key that is twice in the list is counted once.
            write.request(blocks.delete(&key_value(key)))?;
        }
        let usage = write.request(meta.get(&USAGE.into()))?;
        let Some(usage) = settled(&usage).await else { return write.commit(0).await };
        let mut left = read_usage(&usage);
        for request in found {
            if let Some(data) = bytes_of(&request.result().unwrap_or_default()) {
                left.blocks = left.blocks.saturating_sub(1);
                left.bytes = left.bytes.saturating_sub(u64::from(data.length()));
            }
        }
        write.request(meta.put_with_key(&usage_value(left), &USAGE.into()))?;
        write.commit(0).await
    }

    pub(super) async fn usage(&self) -> Result<Usage, StoreError> {
        Ok(read_usage(&self.connection.read_one(META, USAGE.into()).await?.unwrap_or_default()))
    }

    pub(super) async fn record(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let value = self.connection.read_one(RECORDS, name.into()).await?;
        Ok(value.and_then(|value| bytes_of(&value)).map(|array| array.to_vec().into()))
    }

    pub(super) async fn set_record(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let write = self.connection.write(&[RECORDS], Durability::Strict)?;
        write.request(write.store(RECORDS)?.put_with_key(&Uint8Array::from(value), &name.into()))?;
        write.commit(value.len() as u64).await
    }

    pub(super) async fn delete_record(&self, name: &str) -> Result<(), StoreError> {
        let write = self.connection.write(&[RECORDS], Durability::Relaxed)?;
        write.request(write.store(RECORDS)?.delete(&name.into()))?;
        write.commit(0).await
    }

    pub(super) async fn identity(&self) -> Result<Identity, StoreError> {
        identity::load_or_create(&self.connection).await
    }
}

/// Name of the row in `meta` that counts blocks and bytes.
const USAGE: &str = "usage";

fn key_value(key: &Key) -> JsValue {
    Uint8Array::from(&key.0[..]).into()
}

fn bytes_of(value: &JsValue) -> Option<Uint8Array> {
    value.dyn_ref::<Uint8Array>().cloned()
}

fn read_usage(value: &JsValue) -> Usage {
    let count = |name: &str| Reflect::get(value, &name.into()).ok().and_then(|count| count.as_f64()).unwrap_or(0.0) as u64;
    if value.is_object() { Usage { blocks: count("blocks"), bytes: count("bytes") } } else { Usage::default() }
}

fn usage_value(usage: Usage) -> JsValue {
    let value = Object::new();
    // Setting a property of a plain object that we have just made does not fail.
    let _ = Reflect::set(&value, &"blocks".into(), &(usage.blocks as f64).into());
    let _ = Reflect::set(&value, &"bytes".into(), &(usage.bytes as f64).into());
    value.into()
}

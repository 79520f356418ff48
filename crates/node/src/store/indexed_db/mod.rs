//! The page's store, in IndexedDB.
//!
//! | object store | key | value |
//! |---|---|---|
//! | `blocks` | sha2-256 digest, `Uint8Array` | the bytes, a `Uint8Array` over a buffer of exactly their length; or `[segment, offset, length]` |
//! | `meta` | `"schema"`, `"usage"` | version of these rows; `{ blocks, bytes, segments: [[number, end, live], …] }` |
//! | `keys` | `"identity"` | the wrapped seed, see `identity` |
//! | `records` | name | the bytes |
//!
//! The bytes of large blocks are in files beside the database where the browser has such, see `segments`.
//!
//! IndexedDB keeps the *whole* buffer behind a view, so a value must own an exact one.
//!
//! `rexie` opens the database, makes its object stores and reads. Writes go through transactions of our own on a second connection
//! (`transaction`), because rexie hides the transaction behind it and so cannot say *why* one failed (a full disk looks like any abort),
//! cannot ask for strict durability, and cannot let a duplicate key pass; and its `commit` acknowledges lost blocks in Firefox (`Write::commit`).
//! It is not about speed: measured, its reads and writes cost the same as ours.

mod commit;
mod compact;
mod connection;
mod delete;
mod identity;
mod ledger;
mod read;
mod row;
mod segments;
mod transaction;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};

use self::commit::Committer;
use self::connection::{Connection, RECORDS};
use self::read::Reader;
use self::segments::Segments;
use self::transaction::Durability;
use super::cache::Cache;
use super::limits::{CACHE_BYTES, DELETE_BATCH};
use super::{Identity, Key, StoreError, Usage};

/// The page's store. Clones are the same store.
#[derive(Clone, Debug)]
pub struct IndexedDbStore {
    connection: Rc<Connection>,
    segments: Rc<Segments>,
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
        ledger::recount_if_lost(&connection).await?;
        let segments = Rc::new(Segments::open(name, connection.clone()).await?);
        let cache = Rc::new(RefCell::new(Cache::new(CACHE_BYTES)));
        let committer = Committer::new(connection.clone(), segments.clone(), cache.clone());
        let reader = Reader::new(connection.clone(), segments.clone(), committer.clone(), cache);
        Ok(IndexedDbStore { connection, segments, committer, reader })
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
            let removed = delete::delete(&self.connection, &self.segments, keys).await;
            self.reader.forget(keys);
            removed?;
        }
        compact::compact(&self.connection, &self.segments).await
    }

    pub(super) async fn usage(&self) -> Result<Usage, StoreError> {
        Ok(ledger::read(&self.connection).await?.usage)
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

fn key_value(key: &Key) -> JsValue {
    Uint8Array::from(&key.0[..]).into()
}

fn bytes_of(value: &JsValue) -> Option<Uint8Array> {
    value.dyn_ref::<Uint8Array>().cloned()
}

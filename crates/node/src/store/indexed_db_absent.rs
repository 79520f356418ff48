//! IndexedDB where there is none: the same signatures as the page's, on a type that has no values. Keeps `Store` free of platform conditions.

use bytes::Bytes;

use super::{Identity, Key, StoreError, Usage};

/// The page's store. Natively no value of this type exists.
#[derive(Clone, Debug)]
pub enum IndexedDbStore {}

impl IndexedDbStore {
    /// Always refuses.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn open(_name: &str) -> Result<IndexedDbStore, StoreError> {
        Err(StoreError::Unavailable { reason: "IndexedDB exists in browsers only".into() })
    }

    pub(super) async fn put(&self, _entries: Vec<(Key, Bytes)>) -> Result<(), StoreError> {
        match *self {}
    }

    pub(super) async fn get(&self, _key: Key) -> Result<Option<Bytes>, StoreError> {
        match *self {}
    }

    pub(super) async fn has(&self, _key: Key) -> Result<bool, StoreError> {
        match *self {}
    }

    pub(super) async fn delete(&self, _keys: Vec<Key>) -> Result<(), StoreError> {
        match *self {}
    }

    pub(super) async fn usage(&self) -> Result<Usage, StoreError> {
        match *self {}
    }

    pub(super) async fn record(&self, _name: &str) -> Result<Option<Bytes>, StoreError> {
        match *self {}
    }

    pub(super) async fn set_record(&self, _name: &str, _value: &[u8]) -> Result<(), StoreError> {
        match *self {}
    }

    pub(super) async fn delete_record(&self, _name: &str) -> Result<(), StoreError> {
        match *self {}
    }

    pub(super) async fn identity(&self) -> Result<Identity, StoreError> {
        match *self {}
    }
}

//! The store that forgets: everything in memory, bounded, gone with the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use litemap::LiteMap;

use super::{Identity, Key, Protection, Seed, StoreError, Usage};

/// A bounded block store in memory. Clones are the same store.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    // A mutex and not a `RefCell`: native tools hold the store across threads. It is never held across an await.
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug)]
struct Contents {
    capacity: u64,
    bytes: u64,
    blocks: HashMap<Key, Bytes>,
    records: LiteMap<String, Bytes>,
    identity: Option<Seed>,
}

impl MemoryStore {
    /// An empty store for at most `capacity` bytes of blocks.
    pub fn new(capacity: u64) -> MemoryStore {
        let contents = Contents { capacity, bytes: 0, blocks: HashMap::new(), records: LiteMap::new(), identity: None };
        MemoryStore { contents: Arc::new(Mutex::new(contents)) }
    }

    pub(super) fn put(&self, entries: Vec<(Key, Bytes)>) -> Result<(), StoreError> {
        let mut contents = self.contents();
        for (key, data) in entries {
            if contents.blocks.contains_key(&key) {
                continue;
            }
            let needed = data.len() as u64;
            let available = contents.capacity.saturating_sub(contents.bytes);
            if needed > available {
                return Err(StoreError::Full { needed, available: Some(available) });
            }
            contents.bytes += needed;
            // A copy, so that the capacity counts what is held: a slice would keep the whole buffer that it was cut from.
            contents.blocks.insert(key, Bytes::copy_from_slice(&data));
        }
        Ok(())
    }

    pub(super) fn get(&self, key: &Key) -> Option<Bytes> {
        self.contents().blocks.get(key).cloned()
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.contents().blocks.contains_key(key)
    }

    pub(super) fn delete(&self, keys: Vec<Key>) {
        let mut contents = self.contents();
        for key in keys {
            if let Some(data) = contents.blocks.remove(&key) {
                contents.bytes -= data.len() as u64;
            }
        }
    }

    pub(super) fn usage(&self) -> Usage {
        let contents = self.contents();
        Usage { blocks: contents.blocks.len() as u64, bytes: contents.bytes }
    }

    pub(super) fn record(&self, name: &str) -> Option<Bytes> {
        self.contents().records.get(name).cloned()
    }

    pub(super) fn set_record(&self, name: &str, value: &[u8]) {
        self.contents().records.insert(name.to_owned(), Bytes::copy_from_slice(value));
    }

    pub(super) fn delete_record(&self, name: &str) {
        self.contents().records.remove(name);
    }

    pub(super) fn identity(&self) -> Result<Identity, StoreError> {
        let mut contents = self.contents();
        let seed = match &contents.identity {
            Some(seed) => seed.clone(),
            None => contents.identity.insert(Seed::generate()?).clone(),
        };
        Ok(Identity { seed, protection: Protection::Memory })
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // Nothing panics while it holds the lock, and if it did, every state of the maps is a valid one.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

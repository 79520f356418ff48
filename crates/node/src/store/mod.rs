//! Where blocks rest: content-addressed bytes, a few named records, and the seed of the node's identity.
//!
//! A [`Store`] is one of two kinds behind one type: memory (tests, native tools, a page that may not keep anything) and IndexedDB (the page).
//! Both pass the same conformance suite (`tests/conformance`). The store keeps what it is given: whoever calls [`Store::put`] has verified
//! that the bytes hash to the CID.
//!
//! Blocks are keyed by the digest in their CID, as in Kubo: the same bytes asked for as `raw` or as `dag-pb` are one block. What a CID tells by
//! itself ([`Cid::known`]: content inside the CID, the empty block) is always present and never stored.
//!
//! ```text
//! put ─► queue (bounded) ─► one transaction at a time, many callers' blocks ─► `complete` event ─► acknowledged
//!                              └ large ones are appended to a file first (`segments`)
//! get ─► cache and queue ─► all reads of this tick in one transaction ─► file, if large ─► answered
//! ```

mod identity;
pub mod limits;
mod memory;

#[cfg(any(target_arch = "wasm32", test))]
mod cache;
#[cfg(target_arch = "wasm32")]
mod indexed_db;
#[cfg(not(target_arch = "wasm32"))]
#[path = "indexed_db_absent.rs"]
mod indexed_db;

use bytes::Bytes;
use shoal_protocol::content::{Block, Cid};
use shoal_protocol::limits::BLOCK_BYTES;

pub use self::identity::{Identity, Protection, Seed};
pub use self::indexed_db::IndexedDbStore;
pub use self::memory::MemoryStore;

/// How much the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Distinct blocks.
    pub blocks: u64,
    /// Sum of their lengths, in bytes. What the browser adds on disk is not counted.
    pub bytes: u64,
}

/// Why the store could not do what was asked, by what the caller can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk, or this site's share of it, is full. What was acknowledged before is safe, and the store goes on when there is space again.
    #[error("storage is full: {needed} bytes were to be written{}; free disk space or delete content, then try again", available_text(*.available))]
    Full {
        /// Bytes that the failed transaction was to write.
        needed: u64,
        /// Bytes that this site may still use, if the browser tells a believable number.
        available: Option<u64>,
    },
    /// The browser does not let this page store anything.
    #[error(
        "this browser does not let the page store data ({reason}); leave private browsing, allow site data for this site, or use a memory store"
    )]
    Unavailable {
        /// What the browser said.
        reason: String,
    },
    /// Another tab holds an older version of the database open and did not let go.
    #[error("another tab of this site holds the storage with an older version; close the other tabs of this site and reload")]
    Blocked,
    /// The database was written by a newer version of this software.
    #[error("the storage was written by a newer version; reload the page to get that version")]
    Newer,
    /// The browser, or a newer version in another tab, closed the database under us.
    #[error("the storage was closed by the browser or by a newer version in another tab; reload the page")]
    Closed,
    /// A block, or a record, is larger than the store takes.
    #[error("{size} bytes are too many for one block or record: at most {limit}; split the content")]
    TooLarge {
        /// Bytes that were offered.
        size: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The stored identity cannot be read. It is kept as it is: a new one would be a different peer.
    #[error(
        "the stored identity cannot be opened ({reason}); open the site by https or on localhost in the same browser profile, or clear its site data to start as a new peer"
    )]
    IdentityUnreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// Anything else that the browser reports; trying again may help.
    #[error("storage failed: {0}; try again, and reload the page if it stays so")]
    Failed(String),
}

fn available_text(available: Option<u64>) -> String {
    available.map(|bytes| format!(", the browser reports {bytes} free")).unwrap_or_default()
}

/// A block store. Clones are cheap and are the same store.
#[derive(Clone, Debug)]
pub enum Store {
    /// Holds everything in memory, for as long as the process lives.
    Memory(MemoryStore),
    /// Holds everything in the browser's IndexedDB. Natively this variant cannot be made.
    IndexedDb(IndexedDbStore),
}

impl Store {
    /// A memory store that holds at most `capacity` bytes of blocks.
    pub fn memory(capacity: u64) -> Store {
        Store::Memory(MemoryStore::new(capacity))
    }

    /// Opens the IndexedDB database `name` of this origin, and makes it if need be.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Blocked`], [`StoreError::Newer`] and [`StoreError::Full`] as they say; natively always
    /// `Unavailable`.
    pub async fn open(name: &str) -> Result<Store, StoreError> {
        Ok(Store::IndexedDb(IndexedDbStore::open(name).await?))
    }

    /// Stores blocks and resolves when all of them are durable. A block that is already there, or twice in the list, is stored once.
    /// Many blocks in one call cost far less than many calls one after another; concurrent calls share transactions.
    ///
    /// # Errors
    /// Any. After an error some of the blocks may have been stored; none of *other* calls that were acknowledged is lost.
    pub async fn put(&self, blocks: Vec<Block>) -> Result<(), StoreError> {
        if let Some(block) = blocks.iter().find(|block| block.data.len() > BLOCK_BYTES) {
            return Err(StoreError::TooLarge { size: block.data.len() as u64, limit: BLOCK_BYTES as u64 });
        }
        let entries = blocks.into_iter().filter_map(|block| Some((Key::of(&block.cid)?, block.data))).collect();
        match self {
            Store::Memory(store) => store.put(entries),
            Store::IndexedDb(store) => store.put(entries).await,
        }
    }

    /// The bytes of one block, or `None` if it is not here. Calls of the same tick share a transaction.
    ///
    /// # Errors
    /// [`StoreError::Closed`] and [`StoreError::Failed`].
    pub async fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some(key) = Key::of(cid) else { return Ok(cid.known()) };
        match self {
            Store::Memory(store) => Ok(store.get(&key)),
            // Boxed, so that it is downloaded once, not with everything that reads.
            Store::IndexedDb(store) => Box::pin(store.get(key)).await,
        }
    }

    /// The bytes of many blocks, in the order asked. All of them are held in memory at once: ask for what you can hold.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn get_many(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>, StoreError> {
        futures::future::try_join_all(cids.iter().map(|cid| self.get(cid))).await
    }

    /// Whether the block is here.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        let Some(key) = Key::of(cid) else { return Ok(true) };
        match self {
            Store::Memory(store) => Ok(store.has(&key)),
            Store::IndexedDb(store) => store.has(key).await,
        }
    }

    /// Which of the blocks are here, in the order asked.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        futures::future::try_join_all(cids.iter().map(|cid| self.has(cid))).await
    }

    /// Removes blocks; those that are not here are no error. Resolves when the removal is durable.
    ///
    /// # Errors
    /// [`StoreError::Closed`] and [`StoreError::Failed`].
    pub async fn delete(&self, cids: &[Cid]) -> Result<(), StoreError> {
        let keys = cids.iter().filter_map(Key::of).collect();
        match self {
            Store::Memory(store) => {
                store.delete(keys);
                Ok(())
            }
            Store::IndexedDb(store) => store.delete(keys).await,
        }
    }

    /// How much is stored, counted by every transaction that adds or removes blocks, so it is exact and costs one small read.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn usage(&self) -> Result<Usage, StoreError> {
        match self {
            Store::Memory(store) => Ok(store.usage()),
            Store::IndexedDb(store) => store.usage().await,
        }
    }

    /// The bytes last stored under `name`, or `None`. Records are the node's own small notes, such as the relays that worked.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn record(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        match self {
            Store::Memory(store) => Ok(store.record(name)),
            Store::IndexedDb(store) => store.record(name).await,
        }
    }

    /// Stores `value` under `name` in place of what was there, and resolves when it is durable.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] beyond [`limits::MAX_RECORD_BYTES`], and as [`Store::put`].
    pub async fn set_record(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        bounded(name.len(), limits::MAX_RECORD_NAME_BYTES)?;
        bounded(value.len(), limits::MAX_RECORD_BYTES)?;
        match self {
            Store::Memory(store) => {
                store.set_record(name, value);
                Ok(())
            }
            Store::IndexedDb(store) => store.set_record(name, value).await,
        }
    }

    /// Removes the record `name`, if it is there, and resolves when the removal is durable.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub async fn delete_record(&self, name: &str) -> Result<(), StoreError> {
        match self {
            Store::Memory(store) => {
                store.delete_record(name);
                Ok(())
            }
            Store::IndexedDb(store) => store.delete_record(name).await,
        }
    }

    /// The node's identity: made at the first call, the same ever after, also when two tabs ask for it first at the same time.
    ///
    /// # Errors
    /// [`StoreError::IdentityUnreadable`] if there is one that cannot be opened (never a silent new one), and as [`Store::put`].
    pub async fn identity(&self) -> Result<Identity, StoreError> {
        match self {
            Store::Memory(store) => store.identity(),
            Store::IndexedDb(store) => store.identity().await,
        }
    }
}

/// What a block is filed under: the digest of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key([u8; 32]);

impl Key {
    /// `None` for a block that is known without any store.
    fn of(cid: &Cid) -> Option<Key> {
        match cid.known() {
            Some(_) => None,
            None => cid.digest().map(|digest| Key(*digest)),
        }
    }
}

fn bounded(size: usize, limit: usize) -> Result<(), StoreError> {
    if size > limit {
        return Err(StoreError::TooLarge { size: size as u64, limit: limit as u64 });
    }
    Ok(())
}

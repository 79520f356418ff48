//! Where the bytes of large blocks are: files to which blocks are appended, one after another, with their index in IndexedDB.
//!
//! ```text
//! blocks (IndexedDB)                   segment 7 (a file)
//! digest A ─► [7, 36, 1048576] ──┐     ┌────────┬────────────────┬────────┬──────────────┬─ ─ ─ ─ ─ ─ ─
//! digest B ─► [7, 1048648, 9…] ─┐└────►│ head A │ bytes of A     │ head B │ bytes of B   │ never
//! digest C ─► the bytes (small) └─────►│ digest │                │ length │              │ acknowledged
//!                                      └────────┴────────────────┴────────┴──────────────┴─ ─ ─ ─ ─ ─ ─
//!                                                                    end of it, in the ledger ▲
//! ```
//!
//! Measured: IndexedDB moves every large value through the browser process and a file of its own, twice; a worker writes to and reads from
//! its files directly. The index decides: a block counts as stored when the transaction with its place has completed, and what stands in a
//! file behind the ledger's end is written over. Files are not flushed: like IndexedDB's own, they survive a crash of tab and browser, not
//! every power cut. So what is read is hashed again, and a block that a power cut took away is absent, never wrong.
//!
//! A page without such files (see [`Directory::open`]) keeps all blocks in IndexedDB. Two tabs on one database append to different segments,
//! because only one of them can hold a file.

mod directory;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use futures::lock::Mutex;
use litemap::LiteMap;
use wasm_bindgen::JsValue;
use web_sys::{FileSystemReadWriteOptions, FileSystemSyncAccessHandle};

use self::directory::Directory;
use super::super::limits::{OPEN_SEGMENTS, REMEMBERED_PLACES, SEGMENT_BYTES};
use super::super::{Key, StoreError};
use super::connection::{Connection, error_of};
use super::ledger;
use super::row::Place;

/// Bytes in front of every block: its digest and its length in four bytes, most significant first. A segment tells by itself what it holds.
pub(super) const HEAD_BYTES: u64 = 36;

/// The segments of one database.
#[derive(Debug)]
pub(super) struct Segments {
    connection: Rc<Connection>,
    directory: Option<Directory>,
    open: RefCell<LiteMap<u32, FileSystemSyncAccessHandle>>,
    /// Held while a file is opened or removed, so that no two ask for it at once.
    opening: Mutex<()>,
    /// Held by whoever appends, until the index has what was appended, and by whoever removes what died.
    pub(super) appending: Mutex<()>,
    /// Places of blocks that were written since the database was opened: they are read without asking the index, and without hashing, for
    /// what could damage a file behind our back would have closed this page too.
    written: RefCell<HashMap<Key, Place>>,
    /// The one that is appended to, and about how far it is filled.
    current: Cell<Option<(u32, u64)>>,
    /// The one that is being emptied.
    retired: Cell<Option<u32>>,
}

impl Segments {
    /// Finds the files of the database `name`, and removes those that nothing refers to.
    pub(super) async fn open(name: &str, connection: Rc<Connection>) -> Result<Segments, StoreError> {
        let directory = Directory::open(name).await;
        if let Some(directory) = &directory {
            let numbers = directory.numbers().await.unwrap_or_default();
            let known = ledger::read(&connection).await?.segments;
            for number in numbers.into_iter().filter(|number| !known.contains_key(number)) {
                // One that another tab has just made is held by it, and stays.
                let _ = directory.remove(number).await;
            }
        }
        Ok(Segments {
            connection,
            directory,
            open: RefCell::default(),
            opening: Mutex::new(()),
            appending: Mutex::new(()),
            written: RefCell::default(),
            current: Cell::new(None),
            retired: Cell::new(None),
        })
    }

    /// The segment to which `bytes` of blocks are to be appended, held by us until it is full. `None`: they belong into IndexedDB.
    ///
    /// # Errors
    /// As reading the ledger.
    pub(super) async fn writable(&self, bytes: u64) -> Result<Option<u32>, StoreError> {
        let Some(directory) = self.directory.as_ref() else { return Ok(None) };
        if let Some((number, end)) = self.current.get()
            && end + bytes <= SEGMENT_BYTES
            && self.open.borrow().contains_key(&number)
        {
            return Ok(Some(number));
        }
        let ledger = ledger::read(&self.connection).await?;
        let _turn = self.opening.lock().await;
        let with_room = ledger
            .segments
            .iter()
            .filter(|(number, extent)| extent.end + bytes <= SEGMENT_BYTES && self.retired.get() != Some(**number))
            .map(|(number, _)| *number);
        let newest = ledger.segments.keys().next_back().map_or(1, |number| number + 1);
        for number in with_room.chain(newest..newest + TRIES) {
            if let Ok(()) = self.hold(directory, number, true).await {
                let end = ledger.segments.get(&number).map_or(0, |extent| extent.end);
                self.current.set(Some((number, end)));
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Appends a block at `end` of a segment that [`Segments::writable`] gave. It is not stored before the index says so.
    pub(super) fn append(&self, number: u32, end: u64, key: &Key, data: &Bytes) -> Result<Place, StoreError> {
        let open = self.open.borrow();
        let file = open.get(&number).ok_or(StoreError::Closed)?;
        let mut head = [0; HEAD_BYTES as usize];
        head[..32].copy_from_slice(&key.0);
        head[32..].copy_from_slice(&(data.len() as u32).to_be_bytes());
        write(file, end, &head)?;
        write(file, end + HEAD_BYTES, data)?;
        let place = Place { segment: number, offset: end + HEAD_BYTES, length: data.len() as u32 };
        self.current.set(Some((number, place.end())));
        Ok(place)
    }

    /// Gives back what was appended behind `end`: the transaction failed.
    pub(super) fn withdraw(&self, number: u32, end: u64) {
        if let Some(file) = self.open.borrow().get(&number) {
            let _ = file.truncate_with_f64(end as f64);
        }
        self.current.set(None);
    }

    /// The index has what was appended.
    pub(super) fn remember(&self, places: impl IntoIterator<Item = (Key, Place)>) {
        let mut written = self.written.borrow_mut();
        for (key, place) in places {
            if written.len() >= REMEMBERED_PLACES {
                written.clear();
            }
            written.insert(key, place);
        }
    }

    /// A block was deleted.
    pub(super) fn forget(&self, key: &Key) {
        self.written.borrow_mut().remove(key);
    }

    /// The bytes of a block that was written since the database was opened, if its file is still open.
    pub(super) fn read_written(&self, key: &Key) -> Option<Bytes> {
        let place = *self.written.borrow().get(key)?;
        self.read_held(&place)?
    }

    /// The bytes at a place; `None` if they are not there (any more). Whoever asks must hash them.
    pub(super) async fn read(&self, place: &Place) -> Option<Bytes> {
        if let Some(data) = self.read_held(place) {
            return data;
        }
        let directory = self.directory.as_ref()?;
        {
            let _turn = self.opening.lock().await;
            if !self.open.borrow().contains_key(&place.segment) {
                // It may be held by another tab: then it is read without.
                let _ = self.hold(directory, place.segment, false).await;
            }
        }
        match self.read_held(place) {
            Some(data) => data,
            None => directory.read(place.segment, place.offset, place.length).await.ok().map(Bytes::from),
        }
    }

    /// The block whose record begins at `offset`.
    pub(super) async fn record(&self, number: u32, offset: u64) -> Option<(Key, Place)> {
        let head = self.read(&Place { segment: number, offset, length: HEAD_BYTES as u32 }).await?;
        let (digest, length) = head.split_first_chunk::<32>()?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        Some((Key(*digest), Place { segment: number, offset: offset + HEAD_BYTES, length }))
    }

    /// Appends no more to this segment: it is to be emptied.
    pub(super) fn retire(&self, number: u32) {
        self.retired.set(Some(number));
        if self.current.get().is_some_and(|(current, _)| current == number) {
            self.current.set(None);
        }
    }

    /// Removes a segment in which nothing lives any more. If another tab holds it, it goes when the database is opened next.
    pub(super) async fn remove(&self, number: u32) {
        let _turn = self.opening.lock().await;
        self.written.borrow_mut().retain(|_, place| place.segment != number);
        if let Some(file) = self.open.borrow_mut().remove(&number) {
            file.close();
        }
        if self.current.get().is_some_and(|(current, _)| current == number) {
            self.current.set(None);
        }
        if let Some(directory) = &self.directory {
            let _ = directory.remove(number).await;
        }
    }

    /// The outer option: whether we hold the file.
    fn read_held(&self, place: &Place) -> Option<Option<Bytes>> {
        let open = self.open.borrow();
        let file = open.get(&place.segment)?;
        let mut data = vec![0; place.length as usize];
        let read = file.read_with_u8_array_and_options(&mut data, &at(place.offset));
        Some(read.is_ok_and(|read| read == f64::from(place.length)).then(|| Bytes::from(data)))
    }

    async fn hold(&self, directory: &Directory, number: u32, create: bool) -> Result<(), JsValue> {
        if self.open.borrow().contains_key(&number) {
            return Ok(());
        }
        let file = directory.acquire(number, create).await?;
        let mut open = self.open.borrow_mut();
        while open.len() >= OPEN_SEGMENTS {
            let current = self.current.get().map(|(current, _)| current);
            let Some(other) = open.keys().copied().find(|held| Some(*held) != current) else { break };
            open.remove(&other).into_iter().for_each(|file| file.close());
        }
        open.insert(number, file);
        Ok(())
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        self.open.borrow().values().for_each(FileSystemSyncAccessHandle::close);
    }
}

/// Numbers tried for a new segment: as many tabs as may make one at the same time.
const TRIES: u32 = 8;

fn write(file: &FileSystemSyncAccessHandle, offset: u64, data: &[u8]) -> Result<(), StoreError> {
    let written = file.write_with_u8_array_and_options(data, &at(offset)).map_err(|error| error_of(&error))?;
    // Firefox reports a full disk by writing less.
    if written == data.len() as f64 { Ok(()) } else { Err(StoreError::Full { needed: 0, available: None }) }
}

fn at(offset: u64) -> FileSystemReadWriteOptions {
    let options = FileSystemReadWriteOptions::new();
    options.set_at(offset as f64);
    options
}

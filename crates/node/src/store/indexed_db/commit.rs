//! Group commit: callers queue their blocks, one transaction at a time takes what is queued, and all of its callers are acknowledged when
//! its `complete` event has come. While it commits, the next one gathers. A transaction for each block would be six to ten times slower.
//!
//! Two transactions in flight were measured and brought nothing: the browser writes them one after the other.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::join_all;
use futures::lock::Mutex;
use js_sys::Uint8Array;
use wasm_bindgen_futures::spawn_local;
use web_sys::IdbRequest;

use super::super::cache::Cache;
use super::super::limits::{COMMIT_BLOCKS, COMMIT_BYTES, LARGE_BLOCK_BYTES, QUEUE_BLOCKS, QUEUE_BYTES};
use super::super::{Key, StoreError};
use super::connection::{BLOCKS, Connection, META, available_bytes};
use super::key_value;
use super::ledger::{LEDGER, Ledger};
use super::segments::Segments;
use super::transaction::{Durability, is_duplicate, settled};

#[derive(Debug)]
pub(super) struct Committer {
    connection: Rc<Connection>,
    segments: Rc<Segments>,
    cache: Rc<RefCell<Cache>>,
    /// What waits for a transaction or is in one, for whoever wants to read it meanwhile. The queue bounds it.
    unwritten: RefCell<HashMap<Key, Bytes>>,
    queue: RefCell<Queue>,
    /// Held by the one caller that waits for room, so that callers enter in turn.
    door: Mutex<()>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Batch>,
    /// Blocks and bytes that wait or are in the current transaction.
    blocks: usize,
    bytes: usize,
    committing: bool,
    /// Told when there is room again.
    room: Option<oneshot::Sender<()>>,
}

/// Some blocks of one caller: never more than fit into one transaction.
#[derive(Debug)]
struct Batch {
    entries: Vec<(Key, Bytes)>,
    bytes: usize,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Committer {
    pub(super) fn new(connection: Rc<Connection>, segments: Rc<Segments>, cache: Rc<RefCell<Cache>>) -> Rc<Committer> {
        Rc::new(Committer { connection, segments, cache, unwritten: RefCell::default(), queue: RefCell::default(), door: Mutex::new(()) })
    }

    /// The bytes of a block that is about to be stored.
    pub(super) fn unwritten(&self, key: &Key) -> Option<Bytes> {
        self.unwritten.borrow().get(key).cloned()
    }

    pub(super) async fn put(self: &Rc<Committer>, entries: Vec<(Key, Bytes)>) -> Result<(), StoreError> {
        let mut acknowledgements = Vec::new();
        for entries in split(entries) {
            acknowledgements.push(self.enqueue(entries).await);
        }
        // All of them, also after a failure: nothing of this call is written any more once it has returned.
        let results = join_all(acknowledgements).await;
        results.into_iter().try_for_each(|result| result.unwrap_or(Err(StoreError::Closed)))
    }

    async fn enqueue(self: &Rc<Committer>, entries: Vec<(Key, Bytes)>) -> oneshot::Receiver<Result<(), StoreError>> {
        let bytes = entries.iter().map(|(_, data)| data.len()).sum();
        let _turn = self.door.lock().await;
        while let Some(room) = self.wait_for_room(entries.len(), bytes) {
            let _ = room.await;
        }
        let (done, acknowledged) = oneshot::channel();
        self.unwritten.borrow_mut().extend(entries.iter().cloned());
        let mut queue = self.queue.borrow_mut();
        queue.blocks += entries.len();
        queue.bytes += bytes;
        queue.waiting.push_back(Batch { entries, bytes, done });
        if !queue.committing {
            queue.committing = true;
            let committer = self.clone();
            spawn_local(async move { committer.run().await });
        }
        acknowledged
    }

    fn wait_for_room(&self, blocks: usize, bytes: usize) -> Option<oneshot::Receiver<()>> {
        let mut queue = self.queue.borrow_mut();
        if queue.bytes + bytes <= QUEUE_BYTES && queue.blocks + blocks <= QUEUE_BLOCKS {
            return None;
        }
        let (sender, room) = oneshot::channel();
        queue.room = Some(sender);
        Some(room)
    }

    /// Commits until nothing waits.
    async fn run(&self) {
        loop {
            let (group, abandoned) = self.queue.borrow_mut().take_group();
            abandoned.iter().for_each(|batch| self.written(&batch.entries));
            if group.is_empty() {
                return;
            }
            let result = self.commit(&group).await;
            self.queue.borrow_mut().release(group.iter());
            for batch in group {
                self.written(&batch.entries);
                if result.is_ok() {
                    let mut cache = self.cache.borrow_mut();
                    batch.entries.into_iter().for_each(|(key, data)| cache.insert(key, owned(data)));
                }
                // A caller may have stopped waiting meanwhile; the blocks are stored all the same.
                let _ = batch.done.send(result.clone());
            }
        }
    }

    /// Writes one transaction: the blocks that are not there yet, and the ledger with them.
    async fn commit(&self, group: &[Batch]) -> Result<(), StoreError> {
        let size = group.iter().map(|batch| batch.bytes as u64).sum();
        let _turn = self.segments.appending.lock().await;
        let entries = || group.iter().flat_map(|batch| &batch.entries);
        let segment = if entries().any(|(_, data)| is_large(data)) { self.segments.writable(size).await? } else { None };

        let write = self.connection.write(&[BLOCKS, META], Durability::Relaxed)?;
        let (blocks, meta) = (write.store(BLOCKS)?, write.store(META)?);
        let mut seen = HashSet::new();
        let mut looked_for: Vec<(&Key, &Bytes, IdbRequest)> = Vec::new();
        let mut added: Vec<(usize, IdbRequest)> = Vec::new();
        for (key, data) in entries().filter(|(key, _)| seen.insert(key)) {
            if is_large(data) || self.cache.borrow().contains(key) {
                looked_for.push((key, data, write.request(blocks.get_key(&key_value(key)))?));
            } else {
                added.push((data.len(), write.request(blocks.add_with_key(&exact(data), &key_value(key)))?));
            }
        }
        let row = write.request(meta.get(&LEDGER.into()))?;
        let Some(row) = settled(&row).await else { return write.commit(size).await };

        let mut ledger = Ledger::of_row(&self.connection, &row);
        added.iter().filter(|(_, request)| !is_duplicate(request)).for_each(|(bytes, _)| ledger.add_inline(*bytes));
        let begin = segment.map(|number| (number, ledger.end(number)));
        let mut placed = Vec::new();
        for (key, data, request) in looked_for {
            if !request.result().is_ok_and(|found| found.is_undefined()) {
                continue;
            }
            let value = match segment.filter(|_| is_large(data)) {
                None => {
                    ledger.add_inline(data.len());
                    exact(data).into()
                }
                Some(number) => match self.segments.append(number, ledger.end(number), key, data) {
                    Ok(place) => {
                        ledger.add_placed(&place);
                        placed.push((*key, place));
                        place.to_row()
                    }
                    Err(error) => {
                        write.abort();
                        self.withdraw(begin);
                        return Err(explained(error, size).await);
                    }
                },
            };
            write.request(blocks.add_with_key(&value, &key_value(key)))?;
        }
        write.request(meta.put_with_key(&ledger.to_row(), &LEDGER.into()))?;
        let result = write.commit(size).await;
        match result {
            Ok(()) => self.segments.remember(placed),
            Err(_) => self.withdraw(begin),
        }
        result
    }

    fn withdraw(&self, begin: Option<(u32, u64)>) {
        if let Some((number, end)) = begin {
            self.segments.withdraw(number, end);
        }
    }

    /// These no longer wait.
    fn written(&self, entries: &[(Key, Bytes)]) {
        let mut unwritten = self.unwritten.borrow_mut();
        for (key, data) in entries {
            // The same block may wait once more in a later batch.
            if unwritten.get(key).is_some_and(|waiting| waiting.as_ptr() == data.as_ptr()) {
                unwritten.remove(key);
            }
        }
    }
}

/// A file that is full says nothing of how much is free.
async fn explained(error: StoreError, needed: u64) -> StoreError {
    match error {
        StoreError::Full { .. } => StoreError::Full { needed, available: available_bytes(needed).await },
        error => error,
    }
}

fn is_large(data: &Bytes) -> bool {
    data.len() >= LARGE_BLOCK_BYTES
}

impl Queue {
    /// Takes as many batches as fit into one transaction, at least one if there is any; and those that nobody waits for any more.
    fn take_group(&mut self) -> (Vec<Batch>, VecDeque<Batch>) {
        let (waiting, abandoned) =
            std::mem::take(&mut self.waiting).into_iter().partition::<VecDeque<Batch>, _>(|batch| !batch.done.is_canceled());
        self.waiting = waiting;
        self.release(abandoned.iter());
        let mut group = Vec::new();
        let (mut blocks, mut bytes) = (0, 0);
        while let Some(next) = self.waiting.front() {
            blocks += next.entries.len();
            bytes += next.bytes;
            if !group.is_empty() && (blocks > COMMIT_BLOCKS || bytes > COMMIT_BYTES) {
                break;
            }
            group.extend(self.waiting.pop_front());
        }
        self.committing = !group.is_empty();
        (group, abandoned)
    }

    fn release<'a>(&mut self, batches: impl Iterator<Item = &'a Batch>) {
        for batch in batches {
            self.blocks -= batch.entries.len();
            self.bytes -= batch.bytes;
        }
        if let Some(room) = self.room.take() {
            let _ = room.send(());
        }
    }
}

/// Cuts a list of blocks into pieces that fit into one transaction each.
fn split(entries: Vec<(Key, Bytes)>) -> Vec<Vec<(Key, Bytes)>> {
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    let mut bytes = 0;
    for (key, data) in entries {
        if !batch.is_empty() && (batch.len() == COMMIT_BLOCKS || bytes + data.len() > COMMIT_BYTES) {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += data.len();
        batch.push((key, data));
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// The block without the network buffer that a small one may be a slice of: the cache counts what it holds.
fn owned(data: Bytes) -> Bytes {
    if data.len() < LARGE_BLOCK_BYTES { Bytes::copy_from_slice(&data) } else { data }
}

/// A JS array over a buffer of exactly this length: IndexedDB stores the whole buffer behind a view.
fn exact(data: &Bytes) -> Uint8Array {
    Uint8Array::from(data.as_ref())
}

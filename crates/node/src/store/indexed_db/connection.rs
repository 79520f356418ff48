//! Opening the database, its schema, and what the browser's errors mean.
//!
//! Three habits of rexie (through idb) shape this file. At an upgrade it deletes every object store that is not listed: [`STORES`] lists all
//! of them at every version. It waits forever while another tab holds an older version: opening has a time limit. And when another tab opens
//! a newer version it closes the database under us: the next transaction then says [`StoreError::Closed`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::{Function, Reflect};
use rexie::{ObjectStore, Rexie, TransactionMode};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{IdbDatabase, IdbFactory, IdbVersionChangeEvent, StorageEstimate, StorageManager};

use super::super::StoreError;
use super::super::limits::OPEN_TIMEOUT_MS;
use super::ledger::Ledger;
use super::transaction::{Durability, QUOTA, Write, describe, ignore_duplicates, settled};

/// Version of the list of object stores, for IndexedDB itself. Raise it when [`STORES`] changes.
const VERSION: u32 = 1;

/// Version of what the rows mean, kept in `meta`: rexie has no callback for migrations, so they run after opening, by this number.
/// 2: rows of `blocks` may be places in segments, and the ledger lists those.
const SCHEMA: f64 = 2.0;

pub(super) const BLOCKS: &str = "blocks";
pub(super) const META: &str = "meta";
pub(super) const KEYS: &str = "keys";
pub(super) const RECORDS: &str = "records";

/// Every object store there is. One that is missing here is deleted, with its contents, at the next raise of [`VERSION`].
const STORES: [&str; 4] = [BLOCKS, META, KEYS, RECORDS];

/// The open database: rexie's connection for reading and our own for writing.
#[derive(Debug)]
pub(super) struct Connection {
    /// Taken only when dropped, as closing consumes it.
    reads: Option<Rexie>,
    pub(super) writes: IdbDatabase,
    /// The handler by the same name in `transaction`, made once.
    pub(super) ignore_duplicates: Function,
    /// Whether a transaction failed for lack of space and none has followed it yet.
    pub(super) full: Rc<Cell<bool>>,
    /// What the ledger's row would say while it is missing, see `ledger`.
    pub(super) ledger_without_row: RefCell<Ledger>,
}

impl Connection {
    pub(super) async fn open(name: &str) -> Result<Connection, StoreError> {
        let factory = factory()?;
        let reads = within_time(build(name.to_owned()), Rexie::close).await??;
        let writes = match within_time(open_again(factory, name.to_owned()), |database| database.close()).await.and_then(|opened| opened) {
            Ok(writes) => writes,
            Err(error) => {
                reads.close();
                return Err(error);
            }
        };
        let connection = Connection {
            reads: Some(reads),
            writes,
            ignore_duplicates: ignore_duplicates(),
            full: Rc::default(),
            ledger_without_row: RefCell::default(),
        };
        connection.check_schema().await?;
        Ok(connection)
    }

    /// A transaction that reads from one object store.
    pub(super) fn read(&self, store: &str) -> Result<rexie::Store, StoreError> {
        let database = self.reads.as_ref().ok_or(StoreError::Closed)?;
        let transaction = database.transaction(&[store], TransactionMode::ReadOnly).map_err(|error| read_error(&error))?;
        transaction.store(store).map_err(|error| read_error(&error))
    }

    /// One value, in a transaction of its own.
    pub(super) async fn read_one(&self, store: &str, key: JsValue) -> Result<Option<JsValue>, StoreError> {
        self.read(store)?.get(key).await.map_err(|error| read_error(&error))
    }

    /// A transaction that writes to some object stores.
    pub(super) fn write(&self, stores: &[&str], durability: Durability) -> Result<Write, StoreError> {
        if self.full.get() {
            // After a full disk the next transaction of a connection may only delete in Firefox. An empty one takes that turn.
            drop(self.write_deletions(&[META])?);
        }
        Write::begin(self, stores, durability)
    }

    /// A transaction that only reads and deletes: browsers allow that on a full disk.
    pub(super) fn write_deletions(&self, stores: &[&str]) -> Result<Write, StoreError> {
        self.full.set(false);
        Write::begin(self, stores, Durability::Relaxed)
    }

    async fn check_schema(&self) -> Result<(), StoreError> {
        let write = self.write(&[META], Durability::Relaxed)?;
        let meta = write.store(META)?;
        let found = write.request(meta.get(&"schema".into()))?;
        let Some(found) = settled(&found).await else { return write.commit(0).await };
        match found.as_f64() {
            Some(version) if version > SCHEMA => {
                write.abort();
                Err(StoreError::Newer)
            }
            Some(SCHEMA) => write.commit(0).await,
            // New, or older: what older ones wrote is still read.
            _ => {
                write.request(meta.put_with_key(&SCHEMA.into(), &"schema".into()))?;
                write.commit(0).await
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // An open connection would block a newer version in another tab until the garbage collector came by. Transactions that are under
        // way complete: closing waits for them.
        self.writes.close();
        if let Some(reads) = self.reads.take() {
            reads.close();
        }
    }
}

async fn build(name: String) -> Result<Rexie, StoreError> {
    let mut builder = Rexie::builder(&name).version(VERSION);
    for store in STORES {
        builder = builder.add_object_store(ObjectStore::new(store));
    }
    builder.build().await.map_err(|error| open_error(&error))
}

/// Opens the database that rexie has just made up to date.
async fn open_again(factory: IdbFactory, name: String) -> Result<IdbDatabase, StoreError> {
    let request = factory.open_with_u32(&name, VERSION).map_err(|error| error_of(&error))?;
    let Some(database) = settled(&request).await else {
        return Err(request.error().ok().flatten().map_or(StoreError::Closed, |error| error_of(&error)));
    };
    let database: IdbDatabase = database.dyn_into().map_err(|_| StoreError::Closed)?;
    let close = |event: IdbVersionChangeEvent| {
        if let Some(database) = event.target().and_then(|target| target.dyn_into::<IdbDatabase>().ok()) {
            database.close();
        }
    };
    database.set_onversionchange(Some(&Closure::<dyn Fn(IdbVersionChangeEvent)>::new(close).into_js_value().unchecked_into()));
    Ok(database)
}

/// Runs `opening` with a time limit. It goes on afterwards, because a request to open cannot be taken back: a connection that comes too
/// late is closed.
async fn within_time<T: 'static>(
    opening: impl Future<Output = Result<T, StoreError>> + 'static,
    close: impl FnOnce(T) + 'static,
) -> Result<Result<T, StoreError>, StoreError> {
    let (sender, opened) = oneshot::channel();
    spawn_local(async move {
        if let Err(Ok(late)) = sender.send(opening.await) {
            close(late);
        }
    });
    match select(opened, TimeoutFuture::new(OPEN_TIMEOUT_MS)).await {
        Either::Left((opened, _)) => Ok(opened.unwrap_or(Err(StoreError::Blocked))),
        Either::Right(_) => Err(StoreError::Blocked),
    }
}

/// The browser's IndexedDB. Some browsers hide it where the page may not store, others throw when it is touched.
fn factory() -> Result<IdbFactory, StoreError> {
    let unavailable = |error: JsValue| StoreError::Unavailable { reason: describe(&error).1 };
    let factory = Reflect::get(&js_sys::global(), &"indexedDB".into()).map_err(unavailable)?;
    factory.dyn_into().map_err(|_| StoreError::Unavailable { reason: "it has no IndexedDB here".into() })
}

/// What an exception means for the caller.
pub(super) fn error_of(error: &JsValue) -> StoreError {
    let (name, message) = describe(error);
    error_named(&name, &message)
}

fn error_named(name: &str, message: &str) -> StoreError {
    match name {
        QUOTA => StoreError::Full { needed: 0, available: None },
        "InvalidStateError" | "AbortError" => StoreError::Closed,
        "VersionError" => StoreError::Newer,
        "SecurityError" | "NotAllowedError" => StoreError::Unavailable { reason: message.to_owned() },
        _ => StoreError::Failed(format!("{name}: {message}")),
    }
}

pub(super) fn read_error(error: &rexie::Error) -> StoreError {
    let (name, message) = rexie_exception(error);
    error_named(&name, &message)
}

/// What a failure to open means: nothing works yet, so what is not known better is the browser's refusal.
fn open_error(error: &rexie::Error) -> StoreError {
    let (name, message) = rexie_exception(error);
    match name.as_str() {
        QUOTA | "VersionError" => error_named(&name, &message),
        _ => StoreError::Unavailable { reason: format!("{name}: {message}") },
    }
}

/// rexie does not give the exception itself, only idb's text: `what failed: Name: message`.
fn rexie_exception(error: &rexie::Error) -> (String, String) {
    // Not by `Error::source`: whatever may be asked for its source is downloaded with texts for debugging.
    let text = match error {
        rexie::Error::IdbError(error) => error.to_string(),
        error => error.to_string(),
    };
    let mut parts = text.splitn(3, ": ");
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(name), Some(message)) => (name.to_owned(), message.to_owned()),
        _ => (String::new(), text),
    }
}

/// Bytes that this site may still store, after a write of `needed` bytes did not fit. `None` if the browser does not tell, or tells of more
/// than would have been needed: Chromium reports 10 GiB free whatever the truth, so that sites cannot recognise visitors by it.
pub(super) async fn available_bytes(needed: u64) -> Option<u64> {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok()?;
    // Absent outside of secure contexts.
    let storage: StorageManager = Reflect::get(&navigator, &"storage".into()).ok()?.dyn_into().ok()?;
    let estimate: StorageEstimate = JsFuture::from(storage.estimate().ok()?).await.ok()?.unchecked_into();
    let free = (estimate.get_quota()? - estimate.get_usage()?).max(0.0) as u64;
    (free < needed).then_some(free)
}

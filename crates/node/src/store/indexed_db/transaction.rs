//! One write transaction: what rexie does not give (see the parent module): the reason of a failure, durability, duplicates that pass.

use std::cell::Cell;
use std::rc::Rc;

use futures::channel::oneshot;
use js_sys::{Array, Function, Object, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{DomException, Event, IdbDatabase, IdbObjectStore, IdbRequest, IdbTransaction};

use super::super::StoreError;
use super::connection::{Connection, available_bytes, error_of};

/// When a transaction counts as complete.
#[derive(Clone, Copy, Debug)]
pub(super) enum Durability {
    /// The operating system has the bytes: they survive a crash of the tab and of the browser.
    Relaxed,
    /// The disk has the bytes: they survive a power cut too, and each transaction waits for the disk.
    Strict,
}

/// A write transaction. It lives as long as requests are pending or the current event is handled: await nothing but [`settled`]
/// before [`Write::commit`]. Dropped without a commit, it commits by itself unless a request fails.
#[derive(Debug)]
pub(super) struct Write {
    transaction: IdbTransaction,
    ended: oneshot::Receiver<End>,
    /// Told when the disk is full.
    full: Rc<Cell<bool>>,
}

/// How a transaction ended.
#[derive(Debug)]
enum End {
    Complete,
    Aborted,
}

impl Write {
    pub(super) fn begin(connection: &Connection, stores: &[&str], durability: Durability) -> Result<Write, StoreError> {
        let transaction = transaction(&connection.writes, stores, durability).map_err(|error| error_of(&error))?;
        let (sender, ended) = oneshot::channel();
        // As in `settled`, exactly one of the two events comes.
        let end = move |event: Event| drop(sender.send(if event.type_() == "complete" { End::Complete } else { End::Aborted }));
        let end: Function = Closure::once_into_js(end).unchecked_into();
        transaction.set_oncomplete(Some(&end));
        transaction.set_onabort(Some(&end));
        transaction.set_onerror(Some(&connection.ignore_duplicates));
        Ok(Write { transaction, ended, full: connection.full.clone() })
    }

    pub(super) fn store(&self, name: &str) -> Result<IdbObjectStore, StoreError> {
        self.transaction.object_store(name).map_err(|error| error_of(&error))
    }

    /// Passes a request on. If it could not even be made, nothing of this transaction is kept.
    pub(super) fn request(&self, made: Result<IdbRequest, JsValue>) -> Result<IdbRequest, StoreError> {
        made.map_err(|error| {
            // An abort can only fail if the transaction has ended already.
            let _ = self.transaction.abort();
            error_of(&error)
        })
    }

    /// Ends the transaction and waits until it is durable.
    ///
    /// `bytes` is what it was to write, for the message if the disk is full.
    pub(super) async fn commit(self, bytes: u64) -> Result<(), StoreError> {
        // The transaction commits by itself. To call its `commit` would save a millisecond and lose data: Firefox 153 then completes a
        // transaction although a request of it fails later, as on a full disk.
        if let Ok(End::Complete) = self.ended.await {
            return Ok(());
        }
        match self.transaction.error() {
            None => Err(StoreError::Closed),
            Some(error) if error.name() == QUOTA => {
                self.full.set(true);
                Err(StoreError::Full { needed: bytes, available: available_bytes(bytes).await })
            }
            Some(error) => Err(error_of(&error)),
        }
    }

    /// Gives the transaction up: nothing of it is kept.
    pub(super) fn abort(self) {
        let _ = self.transaction.abort();
    }
}

/// Waits until this request, and all that were made before it in its transaction, have an answer: they are answered in order. `None` if it
/// failed; then [`Write::commit`] tells why. The handlers are set at once, not at the first poll.
pub(super) fn settled(request: &IdbRequest) -> impl Future<Output = Option<JsValue>> + use<> {
    let (sender, answered) = oneshot::channel();
    // One closure for both events: exactly one of them comes, and it frees the closure.
    let answer: Function = Closure::once_into_js(move |_: Event| sender.send(()).unwrap_or_default()).unchecked_into();
    request.set_onsuccess(Some(&answer));
    request.set_onerror(Some(&answer));
    let request = request.clone();
    async move {
        answered.await.ok()?;
        match request.error() {
            Ok(None) => request.result().ok(),
            _ => None,
        }
    }
}

/// A handler that keeps a transaction alive when a key that was to be added is there already. It holds no state, so one serves all
/// transactions of a connection.
pub(super) fn ignore_duplicates() -> Function {
    let handler = |event: Event| {
        let Some(request) = event.target().and_then(|target| target.dyn_into::<IdbRequest>().ok()) else { return };
        if is_duplicate(&request) {
            event.prevent_default();
            event.stop_propagation();
        }
    };
    Closure::<dyn Fn(Event)>::new(handler).into_js_value().unchecked_into()
}

/// Whether an `add` that has its answer found its key taken.
pub(super) fn is_duplicate(request: &IdbRequest) -> bool {
    matches!(request.error(), Ok(Some(error)) if error.name() == "ConstraintError")
}

/// `IDBDatabase.transaction` with its third argument, which web-sys has only behind a compiler flag.
fn transaction(database: &IdbDatabase, stores: &[&str], durability: Durability) -> Result<IdbTransaction, JsValue> {
    let names: Array = stores.iter().map(|name| JsValue::from_str(name)).collect();
    let durability = match durability {
        Durability::Relaxed => "relaxed",
        Durability::Strict => "strict",
    };
    let options = Object::new();
    Reflect::set(&options, &"durability".into(), &durability.into())?;
    let method: Function = Reflect::get(database, &"transaction".into())?.dyn_into()?;
    method.call3(database, &names, &"readwrite".into(), &options)?.dyn_into()
}

/// Name of the exception for a full disk or quota.
pub(super) const QUOTA: &str = "QuotaExceededError";

/// The name and message of an exception, however it arrived.
pub(super) fn describe(error: &JsValue) -> (String, String) {
    if let Some(exception) = error.dyn_ref::<DomException>() {
        return (exception.name(), exception.message());
    }
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => (error.name().into(), error.message().into()),
        None => (String::new(), format!("{error:?}")),
    }
}

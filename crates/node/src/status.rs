//! The state of the node as a whole, for the page.

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{StorageManager, WorkerGlobalScope};

use crate::{
    config::StoreKind,
    event::{Status, Storage},
    shared::Shared,
};

/// What a page says that reaches its relay by TCP only.
const UDP_BLOCKED: &str = "This network lets no UDP through to the relay, so it is reached by WebSocket; direct connections to other browsers may fail for the same reason.";

/// Reads it.
pub async fn status(shared: &Shared) -> Status {
    let relays = shared.relays.borrow().clone();
    let udp = relays.iter().any(|relay| relay.udp_blocked).then(|| UDP_BLOCKED.to_owned());
    Status {
        reachable: relays.iter().any(|relay| relay.state == "reserved"),
        relays,
        storage: storage(shared).await,
        limitations: udp.into_iter().collect(),
    }
}

async fn storage(shared: &Shared) -> Storage {
    let kind = match shared.config.store.kind {
        StoreKind::IndexedDb => "indexeddb",
        StoreKind::Memory => "memory",
    };
    let mut storage = Storage { kind, ..Storage::default() };
    // Insecure contexts have no StorageManager.
    let Some(manager) = manager() else { return storage };
    if let Ok(promise) = manager.persisted()
        && let Ok(persistent) = JsFuture::from(promise).await
    {
        storage.persistent = persistent.is_truthy();
    }
    if let Ok(promise) = manager.estimate()
        && let Ok(estimate) = JsFuture::from(promise).await
    {
        let number = |name: &str| js_sys::Reflect::get(&estimate, &name.into()).ok().and_then(|value| value.as_f64());
        storage.usage = number("usage");
        storage.quota = number("quota");
    }
    storage
}

fn manager() -> Option<StorageManager> {
    let global = js_sys::global();
    let navigator = match global.dyn_ref::<WorkerGlobalScope>() {
        Some(worker) => worker.navigator().into(),
        None => js_sys::Reflect::get(&global, &"navigator".into()).ok()?,
    };
    js_sys::Reflect::get(&navigator, &"storage".into()).ok()?.dyn_into().ok()
}

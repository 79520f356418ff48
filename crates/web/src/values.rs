//! Values across the border: errors with stable names, plain objects, cancellation.

use futures::future::{AbortHandle, abortable};
use serde::{Serialize, de::DeserializeOwned};
use shoal_node::error::Error;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::AbortSignal;

/// A JavaScript `Error` whose `name` is stable and whose `message` says what to do.
pub(crate) fn error(error: &Error) -> JsValue {
    let value = js_sys::Error::new(&error.to_string());
    value.set_name(error.name());
    value.into()
}

/// A plain object; numbers beyond 2^53 do not occur (sizes of content).
pub(crate) fn object(value: &impl Serialize) -> Result<JsValue, JsValue> {
    let serializer = serde_wasm_bindgen::Serializer::json_compatible();
    value.serialize(&serializer).map_err(|problem| error(&Error::Internal(problem.to_string())))
}

/// A typed value from a plain object.
pub(crate) fn read<T: DeserializeOwned>(value: JsValue, field: &str) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value).map_err(|problem| error(&Error::config(field, &problem.to_string())))
}

/// Runs `task` until it ends or `signal` fires.
pub(crate) async fn cancellable<T>(signal: &AbortSignal, task: impl Future<Output = Result<T, Error>>) -> Result<T, JsValue> {
    if signal.aborted() {
        return Err(error(&Error::Aborted));
    }
    let (task, handle) = abortable(task);
    let _listener = Listener::new(signal, handle);
    task.await.unwrap_or(Err(Error::Aborted)).map_err(|problem| error(&problem))
}

/// Aborts a task when the signal fires; stops listening when dropped.
pub(crate) struct Listener {
    signal: AbortSignal,
    closure: Closure<dyn FnMut()>,
}

impl Listener {
    pub(crate) fn new(signal: &AbortSignal, handle: AbortHandle) -> Self {
        let closure = Closure::<dyn FnMut()>::new(move || handle.abort());
        let _ = signal.add_event_listener_with_callback("abort", closure.as_ref().unchecked_ref());
        Self { signal: signal.clone(), closure }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.signal.remove_event_listener_with_callback("abort", self.closure.as_ref().unchecked_ref());
    }
}

//! Content being read, chunk by chunk, as the page pulls.

use std::cell::RefCell;

use futures::future::{AbortHandle, abortable};
use js_sys::Uint8Array;
use shoal_node::{content::read::Reader, error::Error};
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

use crate::values::{Listener, error};

/// Reads one content; see `ts/types.ts` for what the page makes of it.
#[wasm_bindgen]
pub struct WasmReader {
    /// Taken out while a call of [`next`](Self::next) runs, so that [`cancel`](Self::cancel) can come in between.
    reader: RefCell<Option<Reader>>,
    running: RefCell<Option<AbortHandle>>,
    size: u64,
    signal: AbortSignal,
}

impl WasmReader {
    pub(crate) fn new(reader: Reader, size: u64, signal: AbortSignal) -> Self {
        Self { reader: RefCell::new(Some(reader)), running: RefCell::default(), size, signal }
    }
}

#[wasm_bindgen]
impl WasmReader {
    /// Bytes that will come.
    pub fn size(&self) -> f64 {
        self.size as f64
    }

    /// The next chunk in an array of its own, or `undefined` at the end. One call at a time.
    pub async fn next(&self) -> Result<Option<Uint8Array>, JsValue> {
        let taken = self.reader.borrow_mut().take();
        let Some(mut reader) = taken else { return Ok(None) };
        if self.signal.aborted() {
            return Err(error(&Error::Aborted));
        }
        let result = {
            let (task, handle) = abortable(reader.next());
            *self.running.borrow_mut() = Some(handle.clone());
            let _listener = Listener::new(&self.signal, handle);
            task.await.unwrap_or(Err(Error::Aborted))
        };
        *self.running.borrow_mut() = None;
        match result {
            Ok(Some(bytes)) => {
                *self.reader.borrow_mut() = Some(reader);
                Ok(Some(Uint8Array::from(&bytes[..])))
            }
            Ok(None) => Ok(None),
            Err(problem) => Err(error(&problem)),
        }
    }

    /// Gives up; what arrived stays in the store.
    pub fn cancel(&self) {
        if let Some(running) = self.running.borrow_mut().take() {
            running.abort();
        }
        self.reader.borrow_mut().take();
    }
}

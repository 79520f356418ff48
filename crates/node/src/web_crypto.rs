//! The browser's cryptography, where the page may use it.

use js_sys::Reflect;
use wasm_bindgen::JsCast as _;
use web_sys::SubtleCrypto;

thread_local! {
    static SUBTLE: Option<SubtleCrypto> = find();
}

/// `crypto.subtle`, or `None` outside of secure contexts (plain http from another machine).
pub(crate) fn subtle() -> Option<SubtleCrypto> {
    SUBTLE.with(Clone::clone)
}

/// The same in a window and in a worker: both have `crypto` on the global object.
fn find() -> Option<SubtleCrypto> {
    let crypto = Reflect::get(&js_sys::global(), &"crypto".into()).ok()?;
    Reflect::get(&crypto, &"subtle".into()).ok()?.dyn_into().ok()
}

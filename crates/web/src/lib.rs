//! The wasm half of the npm package `shoal`: the calls of [`shoal_node::node::Node`] in JavaScript's types. Nothing is decided here, and
//! nothing here is public API: that is the TypeScript in `ts/`, which loads this in a worker.
#![cfg(target_arch = "wasm32")]

mod node;
mod reader;
mod values;

use wasm_bindgen::prelude::*;

/// Runs once when the module is loaded: a panic says where it happened before it aborts the instance, on the console and in
/// `shoalPanic`, where `ts/wasm.ts` finds it for the event that tells of the restart.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        let text = JsValue::from_str(&format!("shoal: {panic}"));
        web_sys::console::error_1(&text);
        let _ = js_sys::Reflect::set(&js_sys::global(), &"shoalPanic".into(), &text);
    }));
}

//! The same in a dedicated worker, where the node runs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_arch = "wasm32")]

mod blocks;
mod browser;
mod conformance;
mod files;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

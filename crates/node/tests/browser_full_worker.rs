//! A full disk, in a dedicated worker: large blocks are in files.
//!
//! Needs a page whose quota is a few dozen MB, which a page cannot ask for itself: whoever runs it sets that by the browser's debugging
//! protocol (`Storage.overrideQuotaForOrigin`) and says so with `--include-ignored`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_arch = "wasm32")]

mod blocks;
mod full;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

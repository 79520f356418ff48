//! The listener for `/webrtc-direct` against a client of other code, natively.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod door;
mod measure;
mod streams;
mod support;

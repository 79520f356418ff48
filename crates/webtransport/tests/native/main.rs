//! The listener against a client of other code, natively.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod certificates;
mod door;
mod streams;
mod support;

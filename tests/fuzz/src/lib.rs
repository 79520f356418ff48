//! Everything that reads bytes of the network, each with what must hold whatever the bytes are. A target gets any bytes, reads a little
//! program from them (mostly: what to give to whom, when, in which pieces), and panics where a rule is broken.
//!
//! `node tests/fuzz/run.mjs` lets libFuzzer, which sees which code an input reaches, look for such bytes; `tests/replay.rs` runs what it
//! kept, the inputs that together reach all the code that is known to be reachable.
#![allow(clippy::panic, clippy::expect_used, reason = "how a broken rule is told to the fuzzer")]

mod content;
mod exchange;
mod input;
mod pipe;
mod session;
mod signaling;
mod text;
mod webrtc_stream;

/// All targets by name; so are the folders of the corpus.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("webrtc-stream-pair", webrtc_stream::pair),
    ("webrtc-stream-hostile", webrtc_stream::hostile),
    ("signaling", signaling::negotiation),
    ("session-pair", session::pair),
    ("session-hostile", session::hostile),
    ("pipe-pair", pipe::pair),
    ("pipe-hostile", pipe::hostile),
    ("exchange-request", exchange::request),
    ("exchange-response", exchange::response),
    ("content-blocks", content::blocks),
    ("content-walk", content::walk),
    ("text", text::text),
];

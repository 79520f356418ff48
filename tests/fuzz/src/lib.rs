//! Everything that reads bytes of the network, each with what must hold whatever the bytes are. A target gets any bytes, reads a little
//! program from them (mostly: what to give to whom, when, in which pieces), and panics where a rule is broken.
//!
//! `node tests/fuzz/run.mjs` lets libFuzzer, which sees which code an input reaches, look for such bytes; `tests/replay.rs` runs what it
//! kept, the inputs that together reach all the code that is known to be reachable.
#![allow(clippy::panic, clippy::expect_used, reason = "how a broken rule is told to the fuzzer")]

mod content;
mod exchange;
mod input;
mod nearby;
mod pipe;
mod session;
mod signaling;
mod stun;
mod text;
mod turn;
mod webrtc_direct;
mod webrtc_stream;
mod webtransport;

/// A name, and what gets the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets by name; so are the folders of the corpus.
pub const TARGETS: &[Target] = &[
    ("webrtc-stream-pair", webrtc_stream::pair),
    ("webrtc-stream-hostile", webrtc_stream::hostile),
    ("webrtc-direct-packet", webrtc_direct::packet),
    ("signaling", signaling::negotiation),
    ("session-pair", session::pair),
    ("session-hostile", session::hostile),
    ("pipe-pair", pipe::pair),
    ("pipe-hostile", pipe::hostile),
    ("exchange-request", exchange::request),
    ("exchange-response", exchange::response),
    ("nearby-device", nearby::device),
    ("nearby-relay", nearby::relay),
    ("content-blocks", content::blocks),
    ("content-walk", content::walk),
    ("webtransport-session", webtransport::session),
    ("webtransport-certificate", webtransport::certificate),
    ("stun-request", stun::request),
    ("turn-server", turn::server),
    ("text", text::text),
];

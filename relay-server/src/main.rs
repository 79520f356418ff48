//! The Shoal relay: gets pages connected and steps out of the way. One port serves the web app's files, `/bootstrap`,
//! `/healthz` and the libp2p WebSocket; settings add other ways in.
//!
//! ```text
//! TCP ─ entrance ─┬─ http ─┬─ files, /bootstrap, /healthz
//!                 │        └─ websocket ─┐
//!                 ├─ tls ─ http, the same │
//!                 └─ tcp ────────────────┴─ arrivals ─ negotiation: Noise or TLS, muxer (yamux) ─ swarm: relay v2, identify, ping, kad, nearby
//! UDP ─ quic ─ the same swarm
//! UDP ─ webtransport ─ Noise ─ QUIC's streams ─ the same swarm
//! UDP ─ webrtc: checks, DTLS, SCTP ─ Noise ─ data channels ─ the same swarm
//! UDP ─ ice: STUN, TURN
//!
//! swarm ─ servers: named, found by mDNS ─ outgoing: TCP, QUIC, WebSockets to them
//!       ├ circuits at other relays, turned into direct connections
//!       └ reachability (AutoNAT), upnp
//! ```

mod acme;
mod addresses;
mod admission;
mod apart;
mod arrivals;
mod behaviour;
mod bootstrap;

mod causes;
mod config;
mod counted;
mod entrance;
mod files;
mod health;
mod http;
mod ice;
mod identity;
mod ledger;
mod limits;
mod liveness;
mod meter;
mod muxer;
mod nearby;
mod negotiation;
mod only;
mod outer;
mod outgoing;
mod pong;
mod pool;
mod quic;
mod rate;
mod reachability;
mod relay;
mod server;
mod servers;
mod settings;
mod tcp;
mod tls;
mod upnp;
mod way;
mod webrtc;
mod websocket;
mod webtransport;

use std::process::ExitCode;

use crate::config::Invocation;

/// What was asked for cannot be done as asked: a setting, a file or a port.
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    let config = match config::from_invocation() {
        Ok(Invocation::Run(config)) => config,
        Ok(Invocation::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(&error),
    };
    match server::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// One line for a person, no usage text, no backtrace.
fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("relay-server: {error}");
    ExitCode::from(MISCONFIGURED)
}

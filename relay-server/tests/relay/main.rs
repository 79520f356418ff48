//! The relay as its users meet it: the real program on real sockets, libp2p peers on one side, browsers' requests and
//! attackers on the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod circuits;
mod crowd;
mod hostile;
mod leaks;
mod limits;
mod nearby;
mod overload;
mod pings;
mod process;
mod provider_records;
mod reachability;
mod servers;
mod silent;
mod stampede;
mod stun;
mod support;
mod tls;
mod turn;
mod ways;
mod web;
mod webrtc;
mod webtransport;

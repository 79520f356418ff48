//! What the relay has done so far and holds now, as `/healthz` shows it. Numbers only: no PeerId and no address ever
//! appears here, because the page is public.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use serde::Serialize;

use crate::way::ByWay;

/// A number that only needs to be right on its own: no other memory depends on it.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`.
    pub(crate) fn add(&self, amount: usize) {
        self.0.fetch_add(amount as u64, Ordering::Relaxed);
    }

    /// Replaces the value: for what is counted elsewhere.
    pub(crate) fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }

    /// The value now.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a connection's ends agreed on, by which nobody else reads it, and its streams are told apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Agreed {
    /// Noise, and yamux inside.
    Noise,
    /// TLS 1.3, and yamux inside.
    Tls,
    /// QUIC's own TLS 1.3 and streams.
    Quic,
    /// Those of WebTransport, which is QUIC, and Noise to show who is who.
    WebTransport,
    /// DTLS 1.2 and data channels, and Noise to show who is who.
    WebRtcDirect,
}

/// Connections so far, by what was agreed on. Connections through another relay have an agreement of their own.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Agreements {
    noise_yamux: u64,
    tls_yamux: u64,
    quic: u64,
    web_transport: u64,
    web_rtc_direct: u64,
}

/// Other servers, and how this one is reached.
#[derive(Debug, Default)]
pub(crate) struct Peering {
    /// Other servers that are connected.
    pub(crate) servers: Counter,
    /// Of these, those that only a relay between them reaches.
    pub(crate) relayed_servers: Counter,
    /// Servers that this machine's link shows.
    pub(crate) found_servers: Counter,
    /// Relays that keep a reservation for this server.
    pub(crate) reserved_at: Counter,
    /// Connections through a relay that gave way to direct ones.
    pub(crate) upgraded: Counter,
    /// Own addresses that another server has reached.
    pub(crate) reached: Counter,
    /// Own addresses that none has.
    pub(crate) unreached: Counter,
    /// Questions of others whether they are reached, that were answered by a dial.
    pub(crate) reach_answers: Counter,
    /// Those that were not: too many, or for an address that is nobody's business.
    pub(crate) reach_refused: Counter,
    /// Ports that the router maps to this server.
    pub(crate) mapped: Counter,
}

/// The same, in the answer of `/healthz`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PeeringReport {
    servers: u64,
    relayed_servers: u64,
    found_servers: u64,
    reserved_at: u64,
    upgraded: u64,
    reached: u64,
    unreached: u64,
    reach_answers: u64,
    reach_refused: u64,
    mapped: u64,
}

impl Peering {
    fn report(&self) -> PeeringReport {
        PeeringReport {
            servers: self.servers.value(),
            relayed_servers: self.relayed_servers.value(),
            found_servers: self.found_servers.value(),
            reserved_at: self.reserved_at.value(),
            upgraded: self.upgraded.value(),
            reached: self.reached.value(),
            unreached: self.unreached.value(),
            reach_answers: self.reach_answers.value(),
            reach_refused: self.reach_refused.value(),
            mapped: self.mapped.value(),
        }
    }
}

/// The counters, shared by all tasks of the process.
#[derive(Debug)]
pub(crate) struct Health {
    started: Instant,
    /// Payload bytes of all libp2p sockets, from peers to the relay.
    pub(crate) bytes_received: Counter,
    /// Payload bytes of all libp2p sockets, from the relay to peers.
    pub(crate) bytes_sent: Counter,
    /// Bytes that peers sent each other through circuits (with the few that ask for a reservation or a circuit), each
    /// byte counted once.
    pub(crate) relayed_bytes: Counter,
    /// Authenticated libp2p connections.
    pub(crate) connections: Counter,
    /// The same, by how they came.
    pub(crate) ways: Mutex<ByWay>,
    agreed: Mutex<Agreements>,
    /// Other servers, and how this one is reached.
    pub(crate) peering: Peering,
    /// Peers that can be reached through the relay.
    pub(crate) reservations: Counter,
    /// Circuits open now.
    pub(crate) circuits: Counter,
    /// Devices that want to be found by those near them.
    pub(crate) nearby: Counter,
    /// STUN requests answered.
    pub(crate) stun_answers: Counter,
    /// Ports that TURN's clients have.
    pub(crate) turn_allocations: Counter,
    /// Bytes that TURN's clients and their peers sent each other.
    pub(crate) turn_bytes: Counter,
    /// Requests of TURN's clients for addresses that are not the internet.
    pub(crate) turn_forbidden: Counter,
    /// Sockets, reservations, circuits and STUN requests turned away because a limit was reached.
    pub(crate) refused: Counter,
}

/// The answer of `/healthz`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    status: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    bytes_received: u64,
    bytes_sent: u64,
    relayed_bytes: u64,
    connections: u64,
    ways: ByWay,
    agreed: Agreements,
    peering: PeeringReport,
    reservations: u64,
    circuits: u64,
    nearby: u64,
    stun_answers: u64,
    turn_allocations: u64,
    turn_bytes: u64,
    turn_forbidden: u64,
    refused: u64,
}

impl Health {
    /// All zero, the clock running.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            relayed_bytes: Counter::default(),
            connections: Counter::default(),
            ways: Mutex::default(),
            agreed: Mutex::default(),
            peering: Peering::default(),
            reservations: Counter::default(),
            circuits: Counter::default(),
            nearby: Counter::default(),
            stun_answers: Counter::default(),
            turn_allocations: Counter::default(),
            turn_bytes: Counter::default(),
            turn_forbidden: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// A connection's ends have agreed on this.
    pub(crate) fn agreed(&self, agreed: Agreed) {
        let mut counts = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        *match agreed {
            Agreed::Noise => &mut counts.noise_yamux,
            Agreed::Tls => &mut counts.tls_yamux,
            Agreed::Quic => &mut counts.quic,
            Agreed::WebTransport => &mut counts.web_transport,
            Agreed::WebRtcDirect => &mut counts.web_rtc_direct,
        } += 1;
    }

    /// The numbers as they are now.
    pub(crate) fn report(&self) -> Report {
        Report {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.started.elapsed().as_secs(),
            bytes_received: self.bytes_received.value(),
            bytes_sent: self.bytes_sent.value(),
            relayed_bytes: self.relayed_bytes.value(),
            connections: self.connections.value(),
            ways: *self.ways.lock().unwrap_or_else(PoisonError::into_inner),
            agreed: *self.agreed.lock().unwrap_or_else(PoisonError::into_inner),
            peering: self.peering.report(),
            reservations: self.reservations.value(),
            circuits: self.circuits.value(),
            nearby: self.nearby.value(),
            stun_answers: self.stun_answers.value(),
            turn_allocations: self.turn_allocations.value(),
            turn_bytes: self.turn_bytes.value(),
            turn_forbidden: self.turn_forbidden.value(),
            refused: self.refused.value(),
        }
    }
}

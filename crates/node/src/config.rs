//! The settings of a node, as they come from the page: checked once, here, and typed from then on.
//!
//! The TypeScript half (`crates/web/ts/config.ts`) has filled in defaults and refused unknown fields; what is checked again is what would
//! harm the node. The fields are documented for users in `crates/web/ts/types.ts`.

use libp2p::Multiaddr;
use serde::Deserialize;
use shoal_protocol::{
    limits::{FOREIGN_RELAY_BYTES, REMEMBERED_ADDRESS_TEXT},
    reservations::dnsaddr::Resolution,
};
use std::{fmt, time::Duration};

use crate::{
    error::Error,
    transport::address::{peer_of, way_of},
};

/// Settings of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Multiaddrs ending in `/p2p/<PeerId>`, `/dnsaddr/<name>`, or `http(s)` URLs of relays.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// How many relays shall hold a reservation at once.
    #[serde(default = "default_reservations")]
    pub reservations: usize,
    /// The DNS resolver for `/dnsaddr` names: a URL that answers as `application/dns-json`.
    #[serde(default = "default_dns_resolver")]
    pub dns_resolver: String,
    /// Where blocks and the identity are kept.
    #[serde(default)]
    pub store: StoreConfig,
    /// Whether relays are reached by WebSocket.
    #[serde(default = "default_transport")]
    pub websocket: bool,
    /// Whether relays are reached by WebTransport, where the browser has it.
    #[serde(default = "default_transport")]
    pub webtransport: bool,
    /// Whether relays are reached by WebRTC-direct.
    #[serde(default = "default_transport")]
    pub webrtc_direct: bool,
    /// Whether there are direct connections: else everything goes through relays.
    #[serde(default = "default_transport")]
    pub webrtc: bool,
    /// STUN and TURN servers.
    #[serde(default)]
    pub ice_servers: Vec<IceServer>,
    /// Which addresses peers are told for direct connections.
    #[serde(default)]
    pub ice_transport_policy: IceTransportPolicy,
    /// What peers are told by identify.
    #[serde(default)]
    pub metadata: Metadata,
    /// Milliseconds before an attempt to reach a peer counts as failed.
    #[serde(default = "default_connection_timeout")]
    pub connection_timeout: u32,
    /// Milliseconds after which a connection that nothing used is closed.
    #[serde(default = "default_idle_timeout")]
    pub idle_timeout: u32,
    /// Most connections at once.
    #[serde(default = "default_max_connections")]
    pub max_connections: usize,
    /// Bytes that may go through a relay that `bootstrap` does not lead to, in an hour.
    #[serde(default = "default_foreign_relay_bytes")]
    pub foreign_relay_bytes: u64,
    /// Whether pages of the same network may find this one.
    #[serde(default)]
    pub nearby: NearbyConfig,
}

/// Whether this node wants to be found by those near it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NearbyConfig {
    /// It does.
    pub on: bool,
    /// What it calls itself.
    #[serde(default)]
    pub name: Option<String>,
}

/// Where blocks are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreConfig {
    /// `indexeddb` or `memory`.
    #[serde(default)]
    pub kind: StoreKind,
    /// The database's name.
    #[serde(default = "default_store_name")]
    pub name: String,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { kind: StoreKind::default(), name: default_store_name() }
    }
}

/// The kind of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Durable, in the browser's database.
    #[default]
    IndexedDb,
    /// Gone when the page closes.
    Memory,
}

/// One STUN or TURN server, as in the W3C's `RTCIceServer`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IceServer {
    /// One or several.
    pub urls: Vec<String>,
    /// TURN only.
    #[serde(default)]
    pub username: Option<String>,
    /// TURN only.
    #[serde(default)]
    pub credential: Option<String>,
}

/// As in the W3C's `RTCConfiguration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IceTransportPolicy {
    /// Those of this device, and those by which servers see it.
    #[default]
    All,
    /// Those of TURN servers only, so that no peer learns this device's own.
    Relay,
}

/// What this node says of itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The program's name.
    #[serde(default = "default_client")]
    pub client: String,
    /// Its version.
    #[serde(default = "default_version")]
    pub version: String,
}

impl Default for Metadata {
    fn default() -> Self {
        Self { client: default_client(), version: default_version() }
    }
}

/// One may end, and the page is still reachable.
fn default_reservations() -> usize {
    2
}
fn default_transport() -> bool {
    true
}
fn default_dns_resolver() -> String {
    "https://cloudflare-dns.com/dns-query".to_owned()
}
fn default_connection_timeout() -> u32 {
    20_000
}
/// Long enough that a person who reads what was found still has the connection to what comes next.
fn default_idle_timeout() -> u32 {
    120_000
}
fn default_max_connections() -> usize {
    128
}
fn default_foreign_relay_bytes() -> u64 {
    FOREIGN_RELAY_BYTES
}
fn default_store_name() -> String {
    "shoal".to_owned()
}
fn default_client() -> String {
    "shoal".to_owned()
}
fn default_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// One entry of `bootstrap`, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bootstrap {
    /// A relay's own address, with its PeerId.
    Address(Multiaddr),
    /// Where addresses are to be had.
    Source(Source),
}

/// Whom to ask for relays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A relay's web server, whose `/bootstrap` says its addresses.
    Server(String),
    /// A `/dnsaddr/<name>`, whose TXT records say the addresses.
    Name(String),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(text) | Self::Name(text) => formatter.write_str(text),
        }
    }
}

impl Config {
    /// Understands and checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] names the field and the remedy.
    pub fn check(&self) -> Result<Vec<Bootstrap>, Error> {
        if !(1_000..=120_000).contains(&self.connection_timeout) {
            return Err(Error::config("connectionTimeout", "give milliseconds between 1,000 and 120,000"));
        }
        if !(1_000..=86_400_000).contains(&self.idle_timeout) {
            return Err(Error::config("idleTimeout", "give milliseconds between 1,000 and 86,400,000"));
        }
        if !(4..=400).contains(&self.max_connections) {
            return Err(Error::config("maxConnections", "give a number between 4 and 400"));
        }
        if self.max_connections < self.reservations + 2 {
            return Err(Error::config("maxConnections", "leave room for two more than there are reservations"));
        }
        if !(1..=8).contains(&self.reservations) {
            return Err(Error::config("reservations", "give a number between 1 and 8"));
        }
        if self.bootstrap.len() > 16 {
            return Err(Error::config("bootstrap", "give at most 16 entries"));
        }
        self.bootstrap.iter().enumerate().map(|(index, text)| bootstrap(index, text)).collect()
    }

    /// How long a connection may be of no use.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout.into())
    }

    /// How long an attempt to reach a peer may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.connection_timeout.into())
    }
}

fn bootstrap(index: usize, text: &str) -> Result<Bootstrap, Error> {
    let field = format!("bootstrap[{index}]");
    if text.len() > REMEMBERED_ADDRESS_TEXT {
        return Err(Error::config(&field, "an address has at most 2,048 characters"));
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Bootstrap::Source(Source::Server(text.trim_end_matches('/').to_owned())));
    }
    if text.starts_with("/dnsaddr/") {
        return match Resolution::new(text) {
            Some(_) => Ok(Bootstrap::Source(Source::Name(text.to_owned()))),
            None => Err(Error::config(&field, "give a DNS name, such as /dnsaddr/relays.example")),
        };
    }
    let address: Multiaddr = text.parse().map_err(|_| {
        Error::config(&field, "give a multiaddr such as /dns4/relay.example/tcp/443/tls/ws/p2p/12D3…, or the URL of a relay")
    })?;
    if peer_of(&address).is_none() {
        return Err(Error::config(&field, "the multiaddr must end in /p2p/<PeerId of the relay>"));
    }
    if way_of(&address).is_none() {
        return Err(Error::config(
            &field,
            "a page reaches relays by WebSocket, WebTransport or WebRTC-direct: the multiaddr must be of the form /ip4|dns4/…/tcp/…/ws, …/tls/ws, /udp/…/quic-v1/webtransport/certhash/… or /udp/…/webrtc-direct/certhash/…",
        ));
    }
    Ok(Bootstrap::Address(address))
}

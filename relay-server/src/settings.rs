//! Every setting of the relay, said once: name, environment variable, type, default and what it means.
//! `relay.sample.toml` says the same to operators; a test keeps the two equal.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
};

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

/// Declares [`Settings`] (what one source says, everything optional) and [`Config`] (what holds in the end) from one list.
macro_rules! settings {
    ($( $(#[doc = $doc:literal])+ $name:ident, $environment:literal: $type:ty = $default:expr; )+) => {
        /// What one source (file, or environment and flags) says; the rest is left to the next source.
        #[derive(Debug, Default, Deserialize, clap::Args)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Settings {
            $(
                $(#[doc = $doc])+
                #[arg(long, env = $environment, hide_env_values = true)]
                pub(crate) $name: Option<$type>,
            )+
        }

        /// What holds.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub(crate) struct Config {
            $(
                $(#[doc = $doc])+
                pub(crate) $name: $type,
            )+
        }

        impl Settings {
            /// These settings, then those of `weaker`, then the defaults.
            pub(crate) fn or(self, weaker: Self) -> Config {
                Config {
                    $( $name: self.$name.or(weaker.$name).unwrap_or_else(|| $default), )+
                }
            }
        }
    };
}

settings! {
    /// IP address and port of the relay's one port
    listen, "SHOAL_LISTEN": SocketAddr = SocketAddr::from(([0, 0, 0, 0], 8080));
    /// Where libp2p over TCP listens: `off`, `same` for the port above beside its other uses, or an address and port of its own
    tcp, "SHOAL_TCP": Port = Port::Off;
    /// Where TLS (https and wss) listens: `off`, `same` for the port above beside its other uses, or an address and port of its own
    tls, "SHOAL_TLS": Port = Port::Off;
    /// PEM file with the certificate for TLS and those that lead to its authority
    tls_certificate, "SHOAL_TLS_CERTIFICATE": PathBuf = PathBuf::new();
    /// PEM file with the certificate's private key
    tls_key, "SHOAL_TLS_KEY": PathBuf = PathBuf::new();
    /// Domain for which to get a certificate by ACME, instead of the two files; it agrees to the authority's terms
    acme_domain, "SHOAL_ACME_DOMAIN": String = String::new();
    /// The authority: the URL of its ACME directory
    acme_directory, "SHOAL_ACME_DIRECTORY": String = "https://acme-v02.api.letsencrypt.org/directory".to_owned();
    /// PEM file with the certificate by which the authority itself is known; empty: as this system knows it
    acme_roots, "SHOAL_ACME_ROOTS": PathBuf = PathBuf::new();
    /// Where QUIC listens (UDP): `off`, `same` for the address and port of `listen`, or an address and port of its own
    quic, "SHOAL_QUIC": Port = Port::Off;
    /// Where WebTransport listens (UDP): `off`, `same` for the address and port of `listen`, or an address and port of its own
    webtransport, "SHOAL_WEBTRANSPORT": Port = Port::Off;
    /// Where WebRTC listens (UDP), for who dials `/webrtc-direct`: `off`, `same` for the address and port of `listen`, or an address and port of its own
    webrtc_direct, "SHOAL_WEBRTC_DIRECT": Port = Port::Off;
    /// Where STUN listens (UDP): `off`, `same` for the address and port of `listen`, or an address and port of its own
    stun, "SHOAL_STUN": Port = Port::Off;
    /// STUN requests a minute that are answered to one network
    stun_per_minute_per_network, "SHOAL_STUN_PER_MINUTE_PER_NETWORK": u32 = 6_000;
    /// Whether STUN's port is one of TURN too, and the address of the relayed ports: `off`, `auto` for this machine's own, or an IP address
    turn, "SHOAL_TURN": Turn = Turn::Off;
    /// The ports that TURN relays by
    turn_ports, "SHOAL_TURN_PORTS": Ports = Ports(49_152..=65_535);
    /// Allocations of TURN at once
    max_turn_allocations, "SHOAL_MAX_TURN_ALLOCATIONS": usize = 1_000;
    /// Allocations of TURN at once of one peer
    max_turn_allocations_per_peer, "SHOAL_MAX_TURN_ALLOCATIONS_PER_PEER": usize = 2;
    /// Allocations of TURN at once of one network
    max_turn_allocations_per_network, "SHOAL_MAX_TURN_ALLOCATIONS_PER_NETWORK": usize = 8;
    /// Bytes a second that one allocation of TURN relays, both directions together
    turn_bytes_per_second, "SHOAL_TURN_BYTES_PER_SECOND": u64 = 125_000;
    /// Folder with the web app's files; empty: serve none
    web_root, "SHOAL_WEB_ROOT": PathBuf = PathBuf::new();
    /// Folder of the relay's own files: its key
    data_dir, "SHOAL_DATA_DIR": PathBuf = PathBuf::from("shoal-relay-data");
    /// Addresses under which the relay is reached, comma-separated on the command line; none: this machine's own
    external, "SHOAL_EXTERNAL": Addresses = Addresses::default();
    /// Other servers to stay connected to, with /p2p, comma-separated on the command line
    peers, "SHOAL_PEERS": Addresses = Addresses::default();
    /// Other servers that may stay connected to this one without being named in its settings
    max_servers, "SHOAL_MAX_SERVERS": usize = 16;
    /// Find other servers on this machine's link, and let them find this one
    mdns, "SHOAL_MDNS": bool = false;
    /// Relays through which this server is reached where it cannot be otherwise, with /p2p, comma-separated on the command line
    reserve_at, "SHOAL_RESERVE_AT": Addresses = Addresses::default();
    /// Turn connections through a relay into direct ones, where both ends are servers or programs
    hole_punching, "SHOAL_HOLE_PUNCHING": bool = true;
    /// Ask other servers which of this one's addresses they reach, answer the same question of others, or both
    autonat, "SHOAL_AUTONAT": Autonat = Autonat::Off;
    /// Questions a minute that are answered to one network; an answer is a dial
    autonat_per_minute_per_network, "SHOAL_AUTONAT_PER_MINUTE_PER_NETWORK": u32 = 12;
    /// Ask the router to let others in
    upnp, "SHOAL_UPNP": bool = false;
    /// Believe X-Forwarded-For, -Proto and -Host: only behind a proxy of yours that sets them
    trust_proxy, "SHOAL_TRUST_PROXY": bool = false;
    /// What is logged: a level, or `tracing` directives
    log, "SHOAL_LOG": String = "info,libp2p=error".to_owned();
    /// Form of the log
    log_format, "SHOAL_LOG_FORMAT": LogFormat = LogFormat::Human;
    /// Connections at once
    max_connections, "SHOAL_MAX_CONNECTIONS": usize = 12_000;
    /// Connections at once from one network (IPv4 address or IPv6 /64)
    max_connections_per_network, "SHOAL_MAX_CONNECTIONS_PER_NETWORK": usize = 4_000;
    /// Connections at once of one peer
    max_connections_per_peer, "SHOAL_MAX_CONNECTIONS_PER_PEER": u32 = 4;
    /// Sockets at once that have not shown who they are
    max_pending, "SHOAL_MAX_PENDING": usize = 256;
    /// Such sockets at once from one network
    max_pending_per_network, "SHOAL_MAX_PENDING_PER_NETWORK": usize = 32;
    /// Seconds that a socket may take to show who it is
    handshake_seconds, "SHOAL_HANDSHAKE_SECONDS": u64 = 10;
    /// Streams of one connection, both directions together
    max_streams_per_connection, "SHOAL_MAX_STREAMS_PER_CONNECTION": usize = 128;
    /// Seconds after which a connection without reservation, circuit or open stream is closed
    idle_seconds, "SHOAL_IDLE_SECONDS": u64 = 60;
    /// Seconds after which a peer that answers nothing is dropped
    silent_seconds, "SHOAL_SILENT_SECONDS": u64 = 60;
    /// Peers with a reservation at once
    max_reservations, "SHOAL_MAX_RESERVATIONS": usize = 10_000;
    /// Reservations of one peer, over several connections
    max_reservations_per_peer, "SHOAL_MAX_RESERVATIONS_PER_PEER": usize = 4;
    /// Seconds that a reservation holds unless renewed
    reservation_seconds, "SHOAL_RESERVATION_SECONDS": u64 = 3_600;
    /// Reservations and renewals a minute of one peer
    reservations_per_minute_per_peer, "SHOAL_RESERVATIONS_PER_MINUTE_PER_PEER": u32 = 60;
    /// Reservations and renewals a minute of one network
    reservations_per_minute_per_network, "SHOAL_RESERVATIONS_PER_MINUTE_PER_NETWORK": u32 = 6_000;
    /// Circuits at once
    max_circuits, "SHOAL_MAX_CIRCUITS": usize = 2_000;
    /// Circuits at once of one peer, as either end
    max_circuits_per_peer, "SHOAL_MAX_CIRCUITS_PER_PEER": usize = 32;
    /// Circuits at once that were opened from one network
    max_circuits_per_network, "SHOAL_MAX_CIRCUITS_PER_NETWORK": usize = 500;
    /// Circuits a minute opened by one peer
    circuits_per_minute_per_peer, "SHOAL_CIRCUITS_PER_MINUTE_PER_PEER": u32 = 600;
    /// Circuits a minute opened from one network
    circuits_per_minute_per_network, "SHOAL_CIRCUITS_PER_MINUTE_PER_NETWORK": u32 = 6_000;
    /// Seconds that a circuit may last
    circuit_seconds, "SHOAL_CIRCUIT_SECONDS": u64 = 3_600;
    /// Bytes that may go through one circuit, both directions together
    circuit_bytes, "SHOAL_CIRCUIT_BYTES": u64 = 128 * 1024 * 1024;
    /// Whether devices behind one address may find each other, and whether those with private addresses are in one network
    nearby, "SHOAL_NEARBY": Nearby = Nearby::Auto;
    /// Devices listed at once for one network (IPv4 address or IPv6 /64)
    max_nearby_per_network, "SHOAL_MAX_NEARBY_PER_NETWORK": usize = 64;
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One line an event, coloured on a terminal.
    Human,
    /// One JSON object an event.
    Json,
}

/// Which devices may find each other.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Nearby {
    /// Those behind one address, and those with private addresses unless something says that they are further away.
    Auto,
    /// Those behind one address, and those with private addresses.
    Lan,
    /// Those behind one public address.
    Public,
    /// None: the relay does not speak the protocol.
    Off,
}

/// Whether it is asked, and whether it is answered, which addresses can be reached.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Autonat {
    /// Neither.
    Off,
    /// Other servers are asked.
    Ask,
    /// Others are answered.
    Answer,
    /// Both.
    Both,
}

impl Autonat {
    /// Whether others are asked.
    pub(crate) const fn asks(self) -> bool {
        matches!(self, Self::Ask | Self::Both)
    }

    /// Whether others are answered.
    pub(crate) const fn answers(self) -> bool {
        matches!(self, Self::Answer | Self::Both)
    }
}

/// Multiaddrs: an array in the file, comma-separated in the environment and on the command line.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Addresses(pub(crate) Vec<Multiaddr>);

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let addresses = text.split(',').map(str::trim).filter(|address| !address.is_empty());
        let parse = |address: &str| address.parse().map_err(|error| format!("{address}: {error}"));
        addresses.map(parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Where a protocol beside the HTTP server listens.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Port {
    /// Nowhere.
    Off,
    /// At the address and port of the HTTP server.
    Same,
    /// There.
    At(SocketAddr),
}

impl Port {
    /// The socket to open, for an HTTP server at `listen`.
    pub(crate) fn socket(self, listen: SocketAddr) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::Same => Some(listen),
            Self::At(socket) => Some(socket),
        }
    }
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "same" => Ok(Self::Same),
            _ => text.parse().map(Self::At).map_err(|_| format!("{text}: give off, same, or an IP address and port")),
        }
    }
}

impl TryFrom<String> for Port {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Port> for String {
    fn from(port: Port) -> Self {
        match port {
            Port::Off => "off".to_owned(),
            Port::Same => "same".to_owned(),
            Port::At(socket) => socket.to_string(),
        }
    }
}

/// Whether and where TURN relays.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Turn {
    /// Nowhere.
    Off,
    /// At the machine's own address.
    Auto,
    /// At this address, by which others reach the machine.
    At(IpAddr),
}

impl FromStr for Turn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::At).map_err(|_| format!("{text}: give off, auto, or an IP address")),
        }
    }
}

impl TryFrom<String> for Turn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Turn> for String {
    fn from(turn: Turn) -> Self {
        match turn {
            Turn::Off => "off".to_owned(),
            Turn::Auto => "auto".to_owned(),
            Turn::At(ip) => ip.to_string(),
        }
    }
}

/// A range of ports, written `49152-65535`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Ports(pub(crate) RangeInclusive<u16>);

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = text.split_once('-').and_then(|(first, last)| Some(first.trim().parse().ok()?..=last.trim().parse().ok()?));
        range
            .filter(|range| !range.is_empty() && *range.start() >= 1_024)
            .map(Self)
            .ok_or_else(|| format!("{text}: give two ports from 1024 on, such as 49152-65535"))
    }
}

impl TryFrom<String> for Ports {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Ports> for String {
    fn from(Ports(range): Ports) -> Self {
        format!("{}-{}", range.start(), range.end())
    }
}

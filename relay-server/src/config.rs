//! From file, environment and flags (in this order of rising precedence) to a configuration that holds together. Whatever
//! is wrong is said in one line that names the setting, its value and the remedy.

use std::{ffi::OsString, fmt::Display, fs, net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum as _};
use libp2p::{Multiaddr, multiaddr::Protocol};
use shoal_protocol::limits::NEARBY_DEVICES_PER_GROUP;

use crate::{
    bootstrap,
    servers::check_server,
    settings::{Config, Port, Settings, Turn},
    way::Way,
};

/// What the program was started for.
pub(crate) enum Invocation {
    /// To be a relay.
    Run(Box<Config>),
    /// To print this and end.
    Print(String),
}

/// Gets pages connected and steps out of the way; also serves the web app.
///
/// A setting given as a flag wins over its SHOAL_… environment variable, that one over the file. relay.sample.toml
/// explains each.
#[derive(Debug, Parser)]
#[command(name = "relay-server", version)]
struct Arguments {
    /// TOML file with settings; relay.sample.toml shows all of them
    #[arg(long, env = "SHOAL_CONFIG")]
    config: Option<PathBuf>,
    /// Print the settings that would hold, as TOML, and end
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    settings: Settings,
}

/// One line: what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The command line or the environment.
    #[error("{0}: `relay-server --help` shows all flags")]
    Arguments(String),
    /// The settings file cannot be read.
    #[error("setting config: {path}: {error}: name a file that this user may read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The settings file is not what it should be.
    #[error("{path}:{line}: {message}: relay.sample.toml shows all settings")]
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser says, on one line.
        message: String,
    },
    /// A value that cannot be, or not together with another one.
    #[error("setting {setting} = {value}: {remedy}")]
    Value {
        /// Its name.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What to do.
        remedy: String,
    },
}

/// Reads everything that this process was started with.
pub(crate) fn from_invocation() -> Result<Invocation, ConfigError> {
    from_arguments(std::env::args_os())
}

fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, ConfigError> {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(help) if !help.use_stderr() => return Ok(Invocation::Print(help.to_string())),
        Err(error) => return Err(ConfigError::Arguments(first_line(&error))),
    };
    let file = arguments.config.map(from_file).transpose()?.unwrap_or_default();
    let config = arguments.settings.or(file);
    check(&config)?;
    if arguments.print_config {
        return toml::to_string(&config).map(Invocation::Print).map_err(|error| ConfigError::Arguments(error.to_string()));
    }
    Ok(Invocation::Run(Box::new(config)))
}

fn from_file(path: PathBuf) -> Result<Settings, ConfigError> {
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return Err(ConfigError::Unreadable { path, error }),
    };
    toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        ConfigError::File { path, line, message: error.message().replace('\n', " ") }
    })
}

/// clap's errors go on with usage; the first line says what is wrong.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Refuses what cannot work.
fn check(config: &Config) -> Result<(), ConfigError> {
    let refuse =
        |setting: &'static str, value: &dyn Display, remedy: String| Err(ConfigError::Value { setting, value: value.to_string(), remedy });
    if !config.web_root.as_os_str().is_empty() && !config.web_root.is_dir() {
        return refuse(
            "web_root",
            &config.web_root.display(),
            "no such folder: build the web app, or name the folder it was built into".into(),
        );
    }
    if config.data_dir.as_os_str().is_empty() {
        return refuse("data_dir", &"\"\"", "name the folder in which the relay keeps its key".into());
    }
    if let Err(error) = config.log.parse::<tracing_subscriber::filter::Targets>() {
        return refuse("log", &config.log, format!("{error}: use error, warn, info, debug or trace"));
    }
    check_ports(config)?;
    check_tls(config)?;
    if config.turn != Turn::Off && config.stun == Port::Off {
        return refuse(
            "turn",
            &String::from(config.turn),
            "it is at STUN's port, and STUN is off: set stun, 3478 is the usual port".into(),
        );
    }
    if let Turn::At(ip) = config.turn
        && (ip.is_unspecified() || ip.is_multicast())
    {
        return refuse("turn", &ip, "give the address by which others reach this machine, or \"auto\"".into());
    }
    for address in &config.external.0 {
        if let Err(remedy) = check_external(address, config) {
            return refuse("external", address, remedy.into());
        }
    }
    check_servers(config)?;
    check_ranges(config)?;
    check_shares(config)
}

/// What concerns other servers can be done, and has somebody to be done with.
fn check_servers(config: &Config) -> Result<(), ConfigError> {
    let refuse = |setting, value: String, remedy: &str| Err(ConfigError::Value { setting, value, remedy: remedy.to_owned() });
    for (setting, addresses) in [("peers", &config.peers), ("reserve_at", &config.reserve_at)] {
        for address in &addresses.0 {
            if let Err(remedy) = check_server(address, setting == "peers") {
                return refuse(setting, address.to_string(), remedy);
            }
        }
    }
    let alone = config.peers.0.is_empty() && config.reserve_at.0.is_empty() && !config.mdns;
    if config.autonat.asks() && alone {
        let value = config.autonat.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        return refuse("autonat", value, "there is nobody to ask: set peers, reserve_at or mdns, or give \"answer\" or \"off\"");
    }
    let sockets = [config.tcp, config.tls, config.quic, config.webtransport, config.webrtc_direct].map(|port| port.socket(config.listen));
    let only_here = sockets.into_iter().flatten().chain([config.listen]).all(|socket| socket.ip().is_loopback());
    for (setting, set, remedy) in [
        (
            "mdns",
            config.mdns,
            "everything listens at loopback, where no other machine comes: set listen to \"0.0.0.0:8080\", or leave this out",
        ),
        ("upnp", config.upnp, "everything listens at loopback, where no router leads: set listen to \"0.0.0.0:8080\", or leave this out"),
    ] {
        if set && only_here {
            return refuse(setting, "true".to_owned(), remedy);
        }
    }
    Ok(())
}

/// The certificate is in files, or comes by ACME, where TLS is on.
fn check_tls(config: &Config) -> Result<(), ConfigError> {
    let refuse = |setting, value: &dyn Display, remedy: &str| {
        let value = value.to_string();
        let value = if value.is_empty() { "\"\"".to_owned() } else { value };
        Err(ConfigError::Value { setting, value, remedy: remedy.to_owned() })
    };
    let acme = !config.acme_domain.is_empty();
    if acme && config.tls == Port::Off {
        return refuse("acme_domain", &config.acme_domain, "TLS is off: set tls to the address with port 443, or leave this out");
    }
    if acme && !bootstrap::is_domain(&config.acme_domain) {
        return refuse("acme_domain", &config.acme_domain, "give one domain, such as relay.example");
    }
    for (setting, path) in [("tls_certificate", &config.tls_certificate), ("tls_key", &config.tls_key)] {
        let given = !path.as_os_str().is_empty();
        if given && config.tls == Port::Off {
            return refuse(setting, &path.display(), "TLS is off: set tls to \"same\", or leave this out");
        }
        if given && acme {
            return refuse(setting, &path.display(), "the certificate comes by acme_domain: leave one of them out");
        }
        if !given && !acme && config.tls != Port::Off {
            return refuse(setting, &"", "TLS needs a certificate and its key: name the PEM files, or set acme_domain, or tls to \"off\"");
        }
    }
    Ok(())
}

/// A port serves one of the protocols over UDP; over TCP, one that is shared is so on purpose.
fn check_ports(config: &Config) -> Result<(), ConfigError> {
    let over_tcp = [("listen", Port::At(config.listen)), ("tcp", config.tcp), ("tls", config.tls)];
    let over_udp =
        [("webtransport", config.webtransport), ("webrtc_direct", config.webrtc_direct), ("quic", config.quic), ("stun", config.stun)];
    let refuse = |(setting, port): (&'static str, Port), remedy: String| Err(ConfigError::Value { setting, value: port.into(), remedy });
    for (ports, shared) in [(&over_tcp[..], true), (&over_udp[..], false)] {
        for (index, (setting, port)) in ports.iter().enumerate() {
            let Some(socket) = port.socket(config.listen).filter(|_| !(shared && *port == Port::Same)) else { continue };
            let taken = |(_, other): &&(&str, Port)| other.socket(config.listen).is_some_and(|other| excludes(other, socket));
            if let Some((other, _)) = ports[..index].iter().find(taken) {
                let share = if shared { ", or \"same\" to share the one of listen" } else { "" };
                return refuse((setting, *port), format!("{other} has this port: give another{share}"));
            }
        }
    }
    Ok(())
}

/// Whether the system gives only one of them to a program.
fn excludes(one: SocketAddr, other: SocketAddr) -> bool {
    let overlap = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && overlap
}

/// Somebody must be able to dial it, by a way that is on, and it must be the relay itself.
fn check_external(address: &Multiaddr, config: &Config) -> Result<(), &'static str> {
    for protocol in address {
        match protocol {
            Protocol::Ip4(ip) if ip.is_unspecified() => return Err("nobody can dial 0.0.0.0: give the address that others see"),
            Protocol::Ip6(ip) if ip.is_unspecified() => return Err("nobody can dial ::: give the address that others see"),
            Protocol::Tcp(0) | Protocol::Udp(0) => return Err("nobody can dial port 0: give the port that others see"),
            Protocol::P2pCircuit => return Err("a relay is not reached through a relay: give its own address"),
            Protocol::P2p(_) => return Err("leave out /p2p/…: the relay adds its own PeerId"),
            Protocol::Certhash(_) => return Err("leave out /certhash/…: the relay adds its own, which change"),
            _ => {}
        }
    }
    match Way::of(address) {
        Some(Way::WebTransport) if config.webtransport == Port::Off => {
            Err("WebTransport is off: set webtransport to \"same\", or leave the address out")
        }
        Some(Way::WebRtcDirect) if config.webrtc_direct == Port::Off => {
            Err("WebRTC is off: set webrtc_direct to \"same\", or leave the address out")
        }
        // A proxy in front may have the certificate: that TLS is off says nothing.
        Some(Way::Quic) if config.quic == Port::Off => Err("QUIC is off: set quic to \"same\", or leave the address out"),
        Some(Way::Tcp) if config.tcp == Port::Off => {
            Err("libp2p over TCP is off: set tcp to \"same\"; or, for a WebSocket, give …/tcp/<port>/ws or …/tcp/443/tls/ws")
        }
        Some(_) => Ok(()),
        None => Err(
            "give /dns4/<host>/tcp/443/tls/ws, …/tcp/<port>/ws without TLS, /ip4/<address>/udp/<port>/quic-v1/webtransport, …/udp/<port>/webrtc-direct, or for programs …/tcp/<port> and …/udp/<port>/quic-v1",
        ),
    }
}

/// Seconds that libp2p can announce (`Limit.duration` and the timers behind it are 32 bits wide).
const MOST_SECONDS: u64 = u32::MAX as u64;

fn check_ranges(config: &Config) -> Result<(), ConfigError> {
    let ranges: &[(&'static str, u64, u64, u64)] = &[
        ("max_connections", config.max_connections as u64, 1, 1_000_000),
        ("max_connections_per_network", config.max_connections_per_network as u64, 1, 1_000_000),
        ("max_connections_per_peer", config.max_connections_per_peer.into(), 1, 1_000),
        ("max_servers", config.max_servers as u64, 0, 10_000),
        ("autonat_per_minute_per_network", config.autonat_per_minute_per_network.into(), 1, 10_000),
        ("max_pending", config.max_pending as u64, 1, 100_000),
        ("max_pending_per_network", config.max_pending_per_network as u64, 1, 100_000),
        ("handshake_seconds", config.handshake_seconds, 1, 300),
        // A page needs a dozen of its own; yamux reserves 256 KiB for each.
        ("max_streams_per_connection", config.max_streams_per_connection as u64, 16, 4_096),
        ("idle_seconds", config.idle_seconds, 1, MOST_SECONDS),
        ("silent_seconds", config.silent_seconds, 13, MOST_SECONDS),
        ("stun_per_minute_per_network", config.stun_per_minute_per_network.into(), 1, 100_000_000),
        ("max_turn_allocations", config.max_turn_allocations as u64, 1, 60_000),
        ("max_turn_allocations_per_peer", config.max_turn_allocations_per_peer as u64, 1, 60_000),
        ("max_turn_allocations_per_network", config.max_turn_allocations_per_network as u64, 1, 60_000),
        // Below this not even the packets of a handshake would fit into a second.
        ("turn_bytes_per_second", config.turn_bytes_per_second, 8_000, u64::MAX >> 1),
        ("max_reservations", config.max_reservations as u64, 1, 1_000_000),
        ("max_reservations_per_peer", config.max_reservations_per_peer as u64, 1, 1_000),
        // Clients renew some minutes before the end; with less they would do nothing else.
        ("reservation_seconds", config.reservation_seconds, 60, MOST_SECONDS),
        ("reservations_per_minute_per_peer", config.reservations_per_minute_per_peer.into(), 1, 1_000_000),
        ("reservations_per_minute_per_network", config.reservations_per_minute_per_network.into(), 1, 1_000_000),
        ("max_circuits", config.max_circuits as u64, 1, 1_000_000),
        ("max_circuits_per_peer", config.max_circuits_per_peer as u64, 1, 1_000_000),
        ("max_circuits_per_network", config.max_circuits_per_network as u64, 1, 1_000_000),
        ("circuits_per_minute_per_peer", config.circuits_per_minute_per_peer.into(), 1, 1_000_000),
        ("circuits_per_minute_per_network", config.circuits_per_minute_per_network.into(), 1, 1_000_000),
        ("circuit_seconds", config.circuit_seconds, 1, MOST_SECONDS),
        // Noise and WebRTC signalling alone take some kilobytes; 0 would mean "no limit" to libp2p.
        ("circuit_bytes", config.circuit_bytes, 16 * 1024, u64::MAX >> 1),
        // Devices accept no longer list.
        ("max_nearby_per_network", config.max_nearby_per_network as u64, 1, NEARBY_DEVICES_PER_GROUP as u64),
    ];
    for (setting, value, least, most) in ranges {
        if value < least || value > most {
            return Err(ConfigError::Value { setting, value: value.to_string(), remedy: format!("give {least} to {most}") });
        }
    }
    Ok(())
}

/// A part above the whole is a mistake of whoever wrote it.
fn check_shares(config: &Config) -> Result<(), ConfigError> {
    let connections = ("max_connections", config.max_connections);
    let shares: &[(&'static str, usize, (&str, usize))] = &[
        ("max_connections_per_network", config.max_connections_per_network, connections),
        ("max_connections_per_peer", config.max_connections_per_peer as usize, connections),
        ("max_pending", config.max_pending, connections),
        ("max_turn_allocations", config.max_turn_allocations, ("turn_ports", config.turn_ports.0.len())),
        ("max_turn_allocations_per_peer", config.max_turn_allocations_per_peer, ("max_turn_allocations", config.max_turn_allocations)),
        (
            "max_turn_allocations_per_network",
            config.max_turn_allocations_per_network,
            ("max_turn_allocations", config.max_turn_allocations),
        ),
        ("max_pending_per_network", config.max_pending_per_network, ("max_pending", config.max_pending)),
        ("max_reservations", config.max_reservations, connections),
        ("max_reservations_per_peer", config.max_reservations_per_peer, ("max_reservations", config.max_reservations)),
        // Each reservation is one of a connection.
        (
            "max_reservations_per_peer",
            config.max_reservations_per_peer,
            ("max_connections_per_peer", config.max_connections_per_peer as usize),
        ),
        ("max_circuits_per_peer", config.max_circuits_per_peer, ("max_circuits", config.max_circuits)),
        ("max_circuits_per_network", config.max_circuits_per_network, ("max_circuits", config.max_circuits)),
    ];
    for (setting, value, (whole, most)) in shares {
        if value > most {
            return Err(ConfigError::Value {
                setting,
                value: value.to_string(),
                remedy: format!("give at most {whole} ({most}), or raise that"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../relay.sample.toml");

    fn run(arguments: &[&str]) -> Result<Invocation, ConfigError> {
        from_arguments(std::iter::once("relay-server").chain(arguments.iter().copied()).map(OsString::from))
    }

    fn config_of(arguments: &[&str]) -> Config {
        match run(arguments).unwrap() {
            Invocation::Run(config) => *config,
            Invocation::Print(text) => panic!("{text}"),
        }
    }

    fn error_of(arguments: &[&str]) -> String {
        run(arguments).err().map(|error| error.to_string()).expect("refused")
    }

    fn file_with(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    fn defaults() -> Config {
        Settings::default().or(Settings::default())
    }

    #[test]
    fn the_sample_is_the_defaults_and_leaves_no_setting_out() {
        let sample: Settings = toml::from_str(SAMPLE).unwrap();
        assert_eq!(sample.or(Settings::default()), defaults());
        let keys = |text: &str| text.parse::<toml::Table>().unwrap().keys().cloned().collect::<Vec<_>>();
        let mut all = keys(&toml::to_string(&defaults()).unwrap());
        let mut shown = keys(SAMPLE);
        all.sort();
        shown.sort();
        assert_eq!(shown, all);
        check(&defaults()).unwrap();
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let file = file_with("max_circuits = 700\nmax_circuits_per_peer = 7\nexternal = [\"/dns4/relay.example/tcp/443/tls/ws\"]");
        let path = file.path().to_str().unwrap();
        let config = config_of(&["--config", path, "--max-circuits", "900", "--trust-proxy", "true"]);
        assert_eq!((config.max_circuits, config.max_circuits_per_peer, config.trust_proxy), (900, 7, true));
        assert_eq!(config.external.0, ["/dns4/relay.example/tcp/443/tls/ws".parse().unwrap()]);
        assert_eq!(config.max_reservations, defaults().max_reservations);
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let Ok(Invocation::Print(text)) = run(&["--print-config", "--external", "/ip4/192.0.2.1/tcp/80/ws,/dns4/a.example/tcp/443/wss"])
        else {
            panic!("nothing printed");
        };
        let config = toml::from_str::<Settings>(&text).unwrap().or(Settings::default());
        assert_eq!(config.external.0.len(), 2);
        assert_eq!(config.max_circuits, defaults().max_circuits);
    }

    #[test]
    fn a_bad_file_is_named_with_line_and_setting() {
        for (text, line, name) in [
            ("max_circuits = 5\nmax_circuit = 5", 2, "max_circuit"),
            ("listen = \"nowhere\"", 1, "socket address"),
            ("\n\nmax_circuits = -1", 3, "-1"),
            ("external = [\"/ip4/nowhere\"]", 1, "IPv4"),
            ("=", 1, ""),
        ] {
            let file = file_with(text);
            let path = file.path().to_str().unwrap();
            let error = error_of(&["--config", path]);
            assert!(error.starts_with(&format!("{path}:{line}: ")) && error.contains(name) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn other_servers_must_be_such_as_can_be_dialled() {
        const PEER: &str = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let circuit = format!("/ip4/192.0.2.1/tcp/4001{PEER}/p2p-circuit{PEER}");
        for address in [
            format!("/ip4/192.0.2.1/tcp/4001{PEER}"),
            format!("/dns4/a.example/tcp/443/tls/ws{PEER}"),
            format!("/ip4/192.0.2.1/udp/4001/quic-v1{PEER},/ip6/2001:db8::1/tcp/80/ws{PEER}"),
            circuit.clone(),
        ] {
            config_of(&["--peers", &address]);
        }
        for (setting, address, word) in [
            ("peers", "/ip4/192.0.2.1/tcp/4001".to_owned(), "/p2p/<PeerId>"),
            ("reserve_at", circuit, "its own address"),
            ("peers", format!("/ip4/0.0.0.0/tcp/4001{PEER}"), "0.0.0.0"),
            ("peers", format!("/ip4/192.0.2.1/tcp/0{PEER}"), "port 0"),
            ("peers", format!("/dns4/a.example/udp/4001/quic-v1{PEER}"), "not looked up"),
            ("reserve_at", format!("/ip4/192.0.2.1/udp/4001/quic-v1/webtransport{PEER}"), "are dialled by"),
        ] {
            let flag = format!("--{}", setting.replace('_', "-"));
            let error = error_of(&[&flag, &address]);
            assert!(error.starts_with(&format!("setting {setting} = {address}: ")) && error.contains(word), "{error}");
        }
        for (arguments, setting) in [
            (&["--autonat", "ask"][..], "autonat"),
            (&["--autonat", "both"], "autonat"),
            (&["--mdns", "true", "--listen", "127.0.0.1:8080"], "mdns"),
            (&["--upnp", "true", "--listen", "127.0.0.1:8080", "--quic", "same"], "upnp"),
        ] {
            let error = error_of(arguments);
            assert!(error.starts_with(&format!("setting {setting} = ")) && !error.contains('\n'), "{error}");
        }
        config_of(&["--upnp", "true", "--listen", "127.0.0.1:8080", "--quic", "0.0.0.0:4001"]);
    }

    #[test]
    fn a_bad_value_is_named_with_its_remedy() {
        let no_data_dir = file_with("data_dir = ''");
        for (arguments, setting) in [
            (&["--config", "/nowhere/relay.toml"][..], "config"),
            (&["--web-root", "/nowhere"], "web_root"),
            (&["--config", no_data_dir.path().to_str().unwrap()], "data_dir"),
            (&["--log", "a=b=c"], "log"),
            (&["--max-circuits", "0"], "max_circuits"),
            (&["--turn", "auto"], "turn"),
            (&["--turn", "0.0.0.0", "--stun", "same"], "turn"),
            (&["--turn-ports", "50000-50009"], "max_turn_allocations"),
            (&["--turn-bytes-per-second", "100"], "turn_bytes_per_second"),
            (&["--circuit-bytes", "0"], "circuit_bytes"),
            (&["--circuit-seconds", "4294967296"], "circuit_seconds"),
            (&["--reservation-seconds", "59"], "reservation_seconds"),
            (&["--handshake-seconds", "0"], "handshake_seconds"),
            (&["--max-streams-per-connection", "15"], "max_streams_per_connection"),
            (&["--max-nearby-per-network", "65"], "max_nearby_per_network"),
            (&["--max-reservations-per-peer", "5", "--max-reservations", "4"], "max_reservations_per_peer"),
            (&["--max-connections-per-peer", "3"], "max_reservations_per_peer"),
            (&["--max-reservations", "20000"], "max_reservations"),
            (&["--external", "/ip4/0.0.0.0/tcp/80/ws"], "external"),
            (&["--external", "/ip4/192.0.2.1/tcp/80"], "external"),
            (&["--external", "/ip4/192.0.2.1/udp/80/quic-v1"], "external"),
            (&["--external", "/ip4/192.0.2.1/udp/80/quic-v1/webtransport"], "external"),
            (&["--webtransport", "same", "--external", "/ip4/192.0.2.1/udp/0/quic-v1/webtransport"], "external"),
            (&["--quic", "same", "--external", "/ip4/192.0.2.1/udp/80/quic-v1/webtransport"], "external"),
            (&["--webtransport", "same", "--external", "/ip4/192.0.2.1/udp/80/webrtc-direct"], "external"),
            (&["--webtransport", "same", "--quic", "same"], "quic"),
            (&["--webtransport", "same", "--webrtc-direct", "same"], "webrtc_direct"),
            (&["--webrtc-direct", "0.0.0.0:4001", "--quic", "127.0.0.1:4001"], "quic"),
            (&["--webtransport", "0.0.0.0:4001", "--quic", "127.0.0.1:4001"], "quic"),
            (&["--quic", "same", "--stun", "0.0.0.0:8080"], "stun"),
            (&["--tcp", "0.0.0.0:8080"], "tcp"),
            (&["--tls", "same"], "tls_certificate"),
            (&["--tls", "same", "--tls-certificate", "a.pem"], "tls_key"),
            (&["--tls-key", "a.pem"], "tls_key"),
            (&["--acme-domain", "relay.example"], "acme_domain"),
            (&["--tls", "same", "--acme-domain", "a.example,b.example"], "acme_domain"),
            (&["--tls", "same", "--acme-domain", "192.0.2.1"], "acme_domain"),
            (&["--tls", "same", "--acme-domain", "a.example", "--tls-key", "a.pem"], "tls_key"),
            (&["--tcp", "0.0.0.0:443", "--tls", "0.0.0.0:443", "--tls-certificate", "a.pem", "--tls-key", "a.pem"], "tls"),
        ] {
            let error = error_of(arguments);
            assert!(error.starts_with(&format!("setting {setting}")) && !error.contains('\n'), "{error}");
        }
        for ports in [
            &["--tcp", "same", "--quic", "same", "--webtransport", "0.0.0.0:8081"][..],
            &["--quic", "127.0.0.1:0", "--stun", "127.0.0.1:0"],
            &["--tcp", "same", "--quic", "same", "--external", "/ip4/192.0.2.1/tcp/80,/ip4/192.0.2.1/udp/80/quic-v1"],
        ] {
            assert!(run(ports).is_ok(), "{ports:?}");
        }
        for arguments in [
            &["--turn", "on"][..],
            &["--turn-ports", "9-1"],
            &["--max-circuits", "many"][..],
            &["--webtransport", "on"],
            &["--max-circuit", "1"],
            &["--external", "nonsense"],
            &["surplus"],
        ] {
            let error = error_of(arguments);
            assert!(error.contains(arguments[0]) && !error.contains('\n'), "{error}");
        }
    }
}

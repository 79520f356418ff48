//! The program: its start, its words and its end.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Command, Stdio},
};

use crate::support::{
    http,
    peer::Peer,
    program::{Relay, refusal, run},
    soon,
};

#[test]
fn bad_settings_are_refused_in_one_line_that_names_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "max_circuits = 3\nmax_circutis = 4\n").unwrap();
    let path = file.path().to_str().unwrap();
    let line = refusal(&["--config", path]);
    assert!(line.contains(&format!("{path}:2")) && line.contains("max_circutis"), "{line}");
    let line = refusal(&["--max-circuits", "2", "--max-circuits-per-peer", "3"]);
    assert!(line.contains("max_circuits_per_peer = 3") && line.contains("max_circuits (2)"), "{line}");
    let line = refusal(&["--web-root", "/nowhere"]);
    assert!(line.contains("web_root = /nowhere"), "{line}");
}

#[test]
fn a_port_in_use_is_said_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refusal(&["--listen", &address]);
    assert!(line.contains(&format!("listen = {address}")), "{line}");
}

#[test]
fn a_damaged_key_is_refused_with_a_remedy() {
    let data_dir = tempfile::tempdir().unwrap();
    fs::write(data_dir.path().join("identity.key"), "damaged").unwrap();
    let output = run(data_dir.path(), &["--listen", "127.0.0.1:0"]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(line.contains("identity.key") && line.contains("backup") && line.lines().count() == 1, "{line}");
}

#[test]
fn it_says_where_it_is_once_it_is_there() {
    let relay = Relay::start(&[]);
    assert_eq!(relay.ready, format!("Shoal relay {} ready: http://{}/\n", env!("CARGO_PKG_VERSION"), relay.listen));
    let health = relay.health();
    assert_eq!(health["status"], "ok");
    for name in ["bytesReceived", "bytesSent", "relayedBytes", "connections", "reservations", "circuits", "refused"] {
        assert_eq!(health[name], 0, "{name}");
    }
}

#[test]
fn environment_settings_count_less_than_flags() {
    let print = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_relay-server"))
            .env("SHOAL_MAX_CIRCUITS", "77")
            .args(arguments)
            .arg("--print-config")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let few = ["--max-circuits-per-network", "5", "--max-circuits-per-peer", "5"];
    assert!(print(&few).contains("max_circuits = 77\n"));
    assert!(print(&[&few[..], &["--max-circuits", "78"]].concat()).contains("max_circuits = 78\n"));
}

#[tokio::test]
async fn a_restart_keeps_the_peer_id() {
    let data_dir = tempfile::tempdir().unwrap();
    let relay = Relay::start_in(data_dir.path(), &[]);
    let peer = relay.peer();
    relay.terminate();
    let relay = Relay::start_in(data_dir.path(), &[]);
    assert_eq!(relay.peer(), peer);
    assert_eq!(Peer::new().dial(relay.address()).await, Ok(peer), "and it can prove it");
}

#[tokio::test]
async fn told_to_stop_it_says_goodbye_and_ends_well() {
    let relay = Relay::start(&[]);
    let (listen, id) = (relay.listen, relay.peer());
    let mut peer = Peer::new();
    peer.reserve(relay.address()).await.unwrap();
    let (status, took, _) = soon("the end", tokio::task::spawn_blocking(|| relay.terminate())).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(took.as_secs_f64() < 2.0, "{took:?}");
    peer.disconnected_from(id).await;
    assert!(std::net::TcpStream::connect(listen).is_err());
}

#[test]
fn the_first_address_is_the_one_that_was_asked() {
    let relay = Relay::start(&[]);
    let (peer, port) = (relay.peer(), relay.listen.port());
    let first = |host: &str| {
        let answer = http::get(relay.listen, "/bootstrap", &[("Host", host)]);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        answer.json()["addresses"].as_array().unwrap().iter().map(|address| address.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let own = format!("/ip4/127.0.0.1/tcp/{port}/ws/p2p/{peer}");
    assert_eq!(first(&format!("127.0.0.1:{port}")), std::slice::from_ref(&own));
    assert_eq!(first(&format!("localhost:{port}")), [format!("/dns/localhost/tcp/{port}/ws/p2p/{peer}"), own.clone()]);
    assert_eq!(first("relay.example"), [format!("/dns/relay.example/tcp/80/ws/p2p/{peer}"), own.clone()]);
    assert_eq!(first("not/a/host"), [own]);
}

#[test]
fn the_log_is_json_if_asked_for_and_tells_of_no_visitor() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    let arguments = ["--log-format", "json", "--listen", "127.0.0.1:0", "--data-dir", data_dir.path().to_str().unwrap()];
    let mut process = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    let listen = ready.trim_end().trim_end_matches('/').rsplit('/').next().unwrap().parse().unwrap();
    let bootstrap = http::get(listen, "/bootstrap", &[]).json();
    let visitor = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut peer = Peer::new();
        peer.reserve(bootstrap["addresses"][0].as_str().unwrap().parse().unwrap()).await.unwrap();
        peer.id.to_string()
    });
    assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
    let log = String::from_utf8(process.wait_with_output().unwrap().stderr).unwrap();
    let events: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["message"] == "ready" && event["peer"] == bootstrap["peerId"]), "{log}");
    assert!(!log.contains(&visitor), "{log}");
}

//! TLS of the relay's own: the app, `/bootstrap` and the WebSocket by https and wss, with a certificate that can be renewed while it runs.

use std::{fs, io, net::SocketAddr};

use libp2p::core::Multiaddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    support::{
        certificates::Authority,
        http,
        peer::Peer,
        program::{Relay, free_tcp_port, refusal},
        soon, until,
    },
    ways::exchange,
};

/// A year that is far away.
const VALID: i32 = 2090;

fn strings<'a>(own: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    own.iter().copied().chain(more.iter().map(String::as_str)).collect()
}

/// `GET path` by https, of a server that is to be `name`.
async fn get(authority: &Authority, server: SocketAddr, name: &str, path: &str) -> io::Result<String> {
    let connector = TlsConnector::from(authority.trust());
    let mut stream = connector.connect(name.to_owned().try_into().unwrap(), TcpStream::connect(server).await?).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {name}:{}\r\nConnection: close\r\n\r\n", server.port());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn one_port_serves_http_and_https_and_both_websockets() {
    let authority = Authority::new();
    let files = authority.issue(&["relay.example", "*.relay.example", "127.0.0.1"], VALID);
    let relay = Relay::start(&strings(&["--tls", "same", "--tcp", "same", "--circuit-bytes", "1000000000"], &files));
    let port = relay.listen.port();
    let answer = get(&authority, relay.listen, "relay.example", "/bootstrap").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let told: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let first = told["addresses"][0].as_str().unwrap().to_owned();
    assert_eq!(first, format!("/dns/relay.example/tcp/{port}/tls/ws/p2p/{}", relay.peer()), "the address by which it was asked");
    let all = relay.bootstrap()["addresses"].to_string();
    assert!(all.contains(&format!("/ip4/127.0.0.1/tcp/{port}/tls/ws/")) && !all.contains('*'), "{all}");
    assert_eq!(http::get(relay.listen, "/healthz", &[]).status, 200, "without TLS as ever");

    let by_tls: Multiaddr = first.parse().unwrap();
    exchange(&relay, (Peer::trusting(authority.trust()), &by_tls), (Peer::new(), &relay.address_by(&format!("/tcp/{port}/ws")))).await;
    let mut page = Peer::trusting(authority.trust());
    page.dial(by_tls.clone()).await.unwrap();
    until("its way", || relay.health()["ways"]["secureWebSocket"] == 1).await;
    let elsewhere = Authority::new();
    Peer::trusting(elsewhere.trust()).dial(by_tls).await.unwrap_err();
}

#[tokio::test]
async fn another_server_comes_by_tls_if_its_system_knows_the_authority() {
    let authority = Authority::new();
    let files = authority.issue(&["127.0.0.1"], VALID);
    let relay = Relay::start(&strings(&["--tls", "same"], &files));
    let peers = relay.address_by("/tls/ws").to_string();
    let servers = || relay.health()["peering"]["servers"] == 1;
    let stranger = Relay::start_knowing(&Authority::new().root(), &["--peers", &peers]);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert!(!servers());
    drop(stranger);
    let _other = Relay::start_knowing(&authority.root(), &["--peers", &peers]);
    until("its connection", servers).await;
    assert_eq!((&relay.health()["ways"]["secureWebSocket"], &relay.health()["agreed"]["noiseYamux"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn a_port_of_its_own_speaks_nothing_but_tls() {
    let authority = Authority::new();
    let files = authority.issue(&["relay.example"], VALID);
    let own: SocketAddr = ([127, 0, 0, 1], free_tcp_port()).into();
    let relay = Relay::start(&strings(&["--tls", &own.to_string()], &files));
    assert!(get(&authority, own, "relay.example", "/healthz").await.unwrap().contains("\"status\":\"ok\""));
    assert!(get(&authority, relay.listen, "relay.example", "/healthz").await.is_err(), "the other port knows no TLS");
    assert!(http::try_get(own, "/healthz", &[]).is_err());
    let told = relay.bootstrap()["addresses"].to_string();
    assert!(told.contains(&format!("/dns/relay.example/tcp/{}/tls/ws/", own.port())), "{told}");
}

#[tokio::test]
async fn a_certificate_is_renewed_while_it_runs() {
    let authority = Authority::new();
    let files = authority.issue(&["before.example"], VALID);
    let relay = Relay::start(&strings(&["--tls", "same"], &files));
    let port = relay.listen.port();
    let address = |name: &str| format!("/dns/{name}/tcp/{port}/tls/ws/p2p/{}", relay.peer()).parse::<Multiaddr>().unwrap();
    let mut early = Peer::trusting(authority.trust());
    early.reserve(address("before.example")).await.unwrap();

    authority.issue(&["after.example"], VALID);
    relay.hang_up();
    let renewed = async { while get(&authority, relay.listen, "after.example", "/healthz").await.is_err() {} };
    soon("the new certificate", renewed).await;
    Peer::trusting(authority.trust()).dial(address("before.example")).await.expect_err("its name is gone");
    let mut late = Peer::trusting(authority.trust());
    late.dial_by(&address("after.example"), early.id).await.expect("who came before is still there");

    fs::write(authority.key(), "damaged").unwrap();
    relay.hang_up();
    // What cannot be used is not used, at any time.
    for _ in 0..20 {
        get(&authority, relay.listen, "after.example", "/healthz").await.unwrap();
    }
}

#[test]
fn files_that_cannot_be_used_are_refused_in_one_line_that_names_their_setting() {
    let authority = Authority::new();
    let files = authority.issue(&["relay.example"], VALID);
    let refused = |setting: &str, word: &str| {
        let line = refusal(&strings(&["--listen", "127.0.0.1:0", "--tls", "same"], &files));
        assert!(line.contains(&format!("setting {setting} = ")) && line.contains(word), "{line}");
    };
    let (certificate, key) = (fs::read(authority.certificate()).unwrap(), fs::read(authority.key()).unwrap());
    let another = Authority::new();
    another.issue(&["relay.example"], VALID);

    fs::write(authority.key(), fs::read(another.key()).unwrap()).unwrap();
    refused("tls_key", "not the key of tls_certificate");
    fs::write(authority.key(), &certificate).unwrap();
    refused("tls_key", "private key");
    fs::remove_file(authority.key()).unwrap();
    refused("tls_key", "No such file");
    fs::write(authority.key(), &key).unwrap();

    fs::write(authority.certificate(), &key).unwrap();
    refused("tls_certificate", "no certificate is in it");
    fs::write(authority.certificate(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    refused("tls_certificate", "it is no certificate");
    fs::remove_file(authority.certificate()).unwrap();
    refused("tls_certificate", "No such file");
    authority.issue(&["relay.example"], 2001);
    refused("tls_certificate", "renew it");
    authority.issue(&[], VALID);
    refused("tls_certificate", "names no host");
}

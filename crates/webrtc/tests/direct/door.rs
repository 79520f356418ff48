//! Who gets in: what is needed before anything is kept, and what becomes of those who pretend.

use std::time::{Duration, Instant};

use shoal_webrtc::Config;
use tokio::{net::UdpSocket, time::timeout};

use crate::support::{
    Program, Server,
    client::{Client, Version, parts},
    flood::{check, flood, hello},
};

async fn answer(socket: &UdpSocket) -> Option<usize> {
    let mut buffer = [0; 2_000];
    timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await.ok().map(Result::unwrap)
}

#[tokio::test]
async fn who_did_not_check_is_not_answered() {
    let server = Server::listen(Config::default()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(parts(&server.address).0).await.unwrap();
    for packet in [hello(), vec![0; 20], vec![], vec![255; 1_400], vec![23; 100]] {
        socket.send(&packet).await.unwrap();
        assert_eq!(answer(&socket).await, None, "{packet:?}");
    }
}

#[tokio::test]
async fn a_check_is_answered_with_less_than_it_was() {
    let server = Server::listen(Config::default()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(parts(&server.address).0).await.unwrap();
    for number in 0..3 {
        socket.send(&check(number)).await.unwrap();
        assert!(answer(&socket).await.unwrap() < check(number).len());
    }
}

/// 120,000 names from 30,000 addresses, all of which then begin DTLS.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_takes_neither_memory_nor_all_places() {
    let listener = Program::start();
    let address = listener.address.clone();
    Client::dial(&address, Version::Two).await.unwrap();
    let (to, before) = (parts(&address).0, listener.resident());
    let flooding = tokio::task::spawn_blocking(move || flood(to, 30_000, 4));
    while !flooding.is_finished() {
        let began = Instant::now();
        timeout(Duration::from_secs(3), Client::dial(&address, Version::Two)).await.expect("an honest dial").unwrap();
        println!("connected in {:?} meanwhile", began.elapsed());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    flooding.await.unwrap();
    let grown = listener.resident().saturating_sub(before);
    println!("{} MiB more", grown >> 20);
    assert!(grown < 64 << 20, "{grown} bytes");
}

#[tokio::test]
async fn so_many_attempts_of_one_network_and_no_more() {
    let config = Config { handshakes_per_network: 2, handshake_timeout: Duration::from_secs(3), ..Config::default() };
    let mut server = Server::listen(config).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        // DTLS, and then silence where Noise is expected.
        held.push(Client::connect(&server.address, Version::Two, None).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (third, ..) = Client::connect(&server.address, Version::Two, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(held.iter().all(|(client, ..)| client.is_up()) && !third.is_up());
    third.vanish();
    for _ in 0..2 {
        server.arrived().await.unwrap_err();
    }
    server.connected(Version::Two).await;
}

/// Noise tells that somebody stands between: another certificate than the one whose hash was dialled.
#[tokio::test]
async fn another_listener_in_its_place_is_noticed() {
    let (mut one, two) = (Server::listen(Config::default()).await, Server::listen(Config::default()).await);
    let (client, noise, (own, _)) = Client::connect(&one.address, Version::Two, None).await.unwrap();
    let other = parts(&two.address).1;
    let prologue = [b"libp2p-webrtc-noise:", &own.to_bytes()[..], &other.to_bytes()].concat();
    let config = libp2p_noise::Config::new(&libp2p_identity::Keypair::generate_ed25519()).unwrap().with_prologue(prologue);
    let dialled = libp2p_core::upgrade::InboundConnectionUpgrade::upgrade_inbound(config, noise, "/noise");
    let (dialled, came) = futures::future::join(timeout(Duration::from_secs(15), dialled), one.arrived()).await;
    assert!(dialled.is_err() || dialled.unwrap().is_err());
    came.unwrap_err();
    drop(client);
}

//! Figures, for the README: `cargo test --release -p shoal-webrtc --test direct -- --ignored --nocapture figures`.

use std::{future::poll_fn, pin::Pin, time::Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p_core::StreamMuxer as _;
use shoal_webrtc::{Config, Connection};

use crate::support::{
    Program, SERVES, Server,
    client::{Client, Version},
};

const CONNECTIONS: usize = 200;
const BYTES: usize = 100_000_000;

/// Takes a stream: as many bytes back as its first eight say.
async fn serve(mut connection: Connection) {
    while let Ok(mut stream) = poll_fn(|context| Pin::new(&mut connection).poll_inbound(context)).await {
        let mut wanted = [0; 8];
        stream.read_exact(&mut wanted).await.unwrap();
        let mut buffer = vec![0; 64 * 1024];
        while stream.read(&mut buffer).await.unwrap() > 0 {}
        let mut left = usize::from_be_bytes(wanted);
        while left > 0 {
            left -= stream.write(&buffer[..left.min(64 * 1024)]).await.unwrap();
        }
        stream.close().await.unwrap();
    }
}

/// The listener's process.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a half of the measurement"]
async fn serves() {
    if std::env::var(SERVES).is_err() {
        return;
    }
    let mut server = Server::listen(Config { handshakes_per_network: 256, checks_per_network: 512, ..Config::default() }).await;
    println!("\naddress {}", server.address);
    while let Ok((_, connection)) = server.arrived().await {
        tokio::spawn(serve(connection));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn figures() {
    let server = Program::start();
    let address = server.address.clone();
    let (_, client) = Client::dial(&address, Version::Two).await.unwrap();
    for (up, down) in [(BYTES, 0), (0, BYTES)] {
        let began = Instant::now();
        let mut stream = client.open();
        stream.write_all(&down.to_be_bytes()).await.unwrap();
        let buffer = vec![7; 64 * 1024];
        let mut left = up;
        while left > 0 {
            left -= stream.write(&buffer[..left.min(64 * 1024)]).await.unwrap();
        }
        stream.close().await.unwrap();
        let mut received = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                length => received += length,
            }
        }
        assert_eq!(received, down);
        println!(
            "{} MB {}: {:.1} MB/s",
            BYTES / 1_000_000,
            if up > 0 { "up" } else { "down" },
            BYTES as f64 / 1e6 / began.elapsed().as_secs_f64()
        );
    }
    let before = server.resident();
    let (mut held, mut times) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let began = Instant::now();
        held.push(Client::dial(&address, Version::Two).await.unwrap());
        times.push(began.elapsed());
    }
    times.sort();
    println!("connected, with Noise, in {:?} (median), {:?} (longest)", times[CONNECTIONS / 2], times[CONNECTIONS - 1]);
    println!("{} bytes for each idle connection", (server.resident() - before) / CONNECTIONS);
}

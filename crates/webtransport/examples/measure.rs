//! The native half of the WebTransport measurement (`tests/bench/webtransport.mjs`), in one process: a libp2p peer that answers `/perf/1.0.0` behind this
//! crate's listener, and beside it a bare WebTransport server that takes and gives as many bytes as it is told to.
//!
//! Prints the peer's address, then the bare server's port and certificate hash, and ends with its standard input.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::{
    io::{self, Read as _},
    sync::Arc,
    time::SystemTime,
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{Stream, StreamProtocol, SwarmBuilder, identity::Keypair, swarm::SwarmEvent};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::{crypto::ring, sign::SingleCertAndKey};
use shoal_webtransport::{
    Config, Transport,
    certificates::{Certificate, Schedule},
};
use web_transport_quinn::{ALPN, Request};

/// libp2p's measurement: <https://github.com/libp2p/specs/blob/master/perf/perf.md>.
const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
/// Bytes written or read at once.
const CHUNK: usize = 64 * 1024;

#[tokio::main]
async fn main() {
    let identity = Keypair::generate_ed25519();
    let mut swarm = SwarmBuilder::with_existing_identity(identity.clone())
        .with_tokio()
        .with_other_transport(|identity| Transport::new(identity.clone(), Config::default()))
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .build();
    let mut streams = swarm.behaviour().new_control().accept(PERF).unwrap();
    swarm.listen_on("/ip4/127.0.0.1/udp/0/quic-v1/webtransport".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    println!("{address}/p2p/{}", swarm.local_peer_id());
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
    tokio::spawn(async move {
        while let Some((_, stream)) = streams.next().await {
            tokio::spawn(answer(stream));
        }
    });
    tokio::spawn(bare(identity));
    tokio::task::spawn_blocking(|| io::stdin().read(&mut [0])).await.unwrap().unwrap();
}

/// Answers one stream of `/perf/1.0.0`. Who leaves in the middle has measured enough.
async fn answer(mut stream: Stream) -> io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    let mut left = u64::from_be_bytes(wanted);
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer).await? > 0 {}
    while left > 0 {
        let length = left.min(CHUNK as u64);
        stream.write_all(&buffer[..length as usize]).await?;
        left -= length;
    }
    stream.close().await
}

/// Listens, with the peer's certificate, and answers in the same way. With one of its own, Firefox would refuse the one or the other: see "Browsers" in
/// the crate's README.
async fn bare(identity: Keypair) {
    let schedule = Schedule::of(&identity.public());
    let certificate = Certificate::derive(&identity, &schedule, schedule.at(SystemTime::now())).unwrap();
    let key = Arc::unwrap_or_clone(certificate.key);
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    tls.alpn_protocols = vec![ALPN.as_bytes().to_vec()];
    let server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::server(server, "127.0.0.1:0".parse().unwrap()).unwrap();
    let hash: Vec<String> = certificate.hash.digest().iter().map(u8::to_string).collect();
    println!("{} {}", endpoint.local_addr().unwrap().port(), hash.join(","));
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(serve(incoming));
    }
}

/// One stream, as [`answer`] does. Who leaves in the middle has measured enough.
async fn serve(incoming: quinn::Incoming) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let session = Request::accept(incoming.await?).await?.ok().await?;
    let (mut send, mut receive) = session.accept_bi().await?;
    let mut wanted = [0; 8];
    receive.read_exact(&mut wanted).await?;
    let mut left = u64::from_be_bytes(wanted);
    let mut buffer = vec![0; CHUNK];
    while receive.read(&mut buffer).await?.is_some() {}
    while left > 0 {
        let length = left.min(CHUNK as u64);
        send.write_all(&buffer[..length as usize]).await?;
        left -= length;
    }
    send.finish()?;
    session.closed().await;
    Ok(())
}

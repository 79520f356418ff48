//! Somebody who stands between: his own certificate towards the client, who was given its hash, and Noise passed on to the true listener and back.

use std::sync::Arc;

use libp2p_core::{Multiaddr, multiaddr::Protocol};
use libp2p_identity::Keypair;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::{crypto::ring, sign::SingleCertAndKey};
use shoal_webtransport::certificates::{Certificate, Schedule};
use tokio::io::{copy_bidirectional, join};
use web_transport_quinn::{ALPN, Request};

use super::{
    client::{NOISE, session},
    with_hashes,
};

/// His address, which names his certificate.
pub(crate) fn before(listener: &Multiaddr) -> Multiaddr {
    let identity = Keypair::generate_ed25519();
    let schedule = Schedule::of(&identity.public());
    let certificate = Certificate::derive(&identity, &schedule, schedule.at(std::time::SystemTime::now())).unwrap();
    let key = Arc::unwrap_or_clone(certificate.key);
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    tls.alpn_protocols = vec![ALPN.as_bytes().to_vec()];
    let server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::server(server, "127.0.0.1:0".parse().unwrap()).unwrap();
    let port = endpoint.local_addr().unwrap().port();
    tokio::spawn(pass(endpoint, listener.clone()));
    let own = listener.iter().map(|part| if matches!(part, Protocol::Udp(_)) { Protocol::Udp(port) } else { part });
    with_hashes(&own.collect(), &[certificate.hash])
}

async fn pass(endpoint: quinn::Endpoint, to: Multiaddr) {
    let incoming = endpoint.accept().await.unwrap();
    let near = Request::accept(incoming.await.unwrap()).await.unwrap().ok().await.unwrap();
    let far = session(&to, NOISE).await.unwrap();
    let (send, receive) = near.accept_bi().await.unwrap();
    let mut here = join(receive, send);
    let (send, receive) = far.open_bi().await.unwrap();
    let mut there = join(receive, send);
    let _ = copy_bidirectional(&mut here, &mut there).await;
}

//! Somebody who asks for a session as everybody does, and then keeps his connection whatever the listener ends: a client that means well closes it.

use std::sync::Arc;

use libp2p_core::{Multiaddr, multiaddr::Protocol, upgrade::OutboundConnectionUpgrade as _};
use libp2p_identity::Keypair;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_util::compat::TokioAsyncReadCompatExt as _;
use web_transport_quinn::{
    ALPN,
    proto::{ConnectRequest, ConnectResponse, Settings},
};

use super::client::NOISE;

/// His connection, with a session, and all that has to be held for it.
pub(crate) struct Stubborn {
    pub(crate) connection: quinn::Connection,
    /// The stream of his request, on which HTTP/3 lets him say more.
    pub(crate) request: quinn::SendStream,
    _held: (quinn::Endpoint, quinn::SendStream, quinn::RecvStream, quinn::RecvStream),
}

impl Stubborn {
    pub(crate) async fn dial(address: &Multiaddr) -> Self {
        let port = address.iter().find_map(|part| if let Protocol::Udp(port) = part { Some(port) } else { None }).unwrap();
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let connection =
            endpoint.connect_with(trusting_anybody(), format!("127.0.0.1:{port}").parse().unwrap(), "127.0.0.1").unwrap().await.unwrap();
        let mut control = connection.open_uni().await.unwrap();
        let mut settings = Settings::default();
        settings.enable_webtransport(1);
        settings.write(&mut control).await.unwrap();
        let mut theirs = connection.accept_uni().await.unwrap();
        Settings::read(&mut theirs).await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let url: url::Url = format!("https://127.0.0.1:{port}{NOISE}").parse().unwrap();
        ConnectRequest::new(url).write(&mut send).await.unwrap();
        ConnectResponse::read(&mut receive).await.unwrap();
        Self { connection, request: send, _held: (endpoint, control, theirs, receive) }
    }
}

impl Stubborn {
    /// A stream of his session.
    pub(crate) async fn open(&self) -> (quinn::SendStream, quinn::RecvStream) {
        let (mut send, receive) = self.connection.open_bi().await.unwrap();
        // WEBTRANSPORT_STREAM, and the session of the connection's first stream.
        send.write_all(&[0x40, 0x41, 0]).await.unwrap();
        (send, receive)
    }

    /// Proves who he is.
    pub(crate) async fn prove(&self) {
        let (send, receive) = self.open().await;
        let noise = libp2p_noise::Config::new(&Keypair::generate_ed25519()).unwrap();
        noise.upgrade_outbound(tokio::io::join(receive, send).compat(), "/noise").await.unwrap();
    }
}

fn trusting_anybody() -> quinn::ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.as_bytes().to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl Anybody {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.0.signature_verification_algorithms
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

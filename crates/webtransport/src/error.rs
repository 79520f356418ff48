//! What can go wrong.

use std::io;

use libp2p_core::multiaddr::Multiaddr;

use crate::certificates::CertificateError;

/// Why an address cannot be listened on, or why a connection came to nothing or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS does not accept what it is given.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The port cannot be opened.
    #[error("{0} cannot be opened: {1}; choose another port, or end what uses it")]
    Port(Multiaddr, io::Error),
    /// The operating system does not tell the addresses of this machine.
    #[error("the addresses of this machine are not known: {0}")]
    Addresses(io::Error),
    /// There is no QUIC connection, or no more.
    #[error("the QUIC connection failed: {0}")]
    Quic(#[from] quinn::ConnectionError),
    /// Something else than HTTP/3 came where its settings belong.
    #[error("no HTTP/3: {0}")]
    Settings(#[from] web_transport_proto::SettingsError),
    /// The client does not know WebTransport.
    #[error("the client does not know WebTransport")]
    NotOffered,
    /// The request for a session cannot be understood, or not be answered.
    #[error("the request for a session failed: {0}")]
    Request(#[from] web_transport_proto::ConnectError),
    /// The other side has ended the session.
    #[error("the other side has ended the session")]
    Ended,
    /// A session was asked for that is not libp2p's.
    #[error("{0} was asked for, which is not where libp2p is")]
    Path(String),
    /// The peer did not prove who it is.
    #[error("the peer did not prove who it is: {0}")]
    Noise(#[from] libp2p_noise::Error),
    /// A stream broke.
    #[error("a stream broke: {0}")]
    Stream(io::Error),
    /// All this took too long.
    #[error("the connection was not there in time")]
    TimedOut,
}

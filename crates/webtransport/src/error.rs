//! What can go wrong.

use std::io;

use libp2p_core::multiaddr::Multiaddr;

use crate::certificates::CertificateError;

/// Why an address cannot be listened on, or why an attempt of somebody to connect came to nothing.
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
    /// The QUIC handshake failed.
    #[error("the QUIC handshake failed: {0}")]
    Quic(#[from] quinn::ConnectionError),
    /// The request for a session failed.
    #[error("the request for a session failed: {0}")]
    Request(#[from] web_transport_quinn::ServerError),
    /// The session ended before the peer was known.
    #[error("the session ended: {0}")]
    Session(#[from] web_transport_quinn::SessionError),
    /// A session was asked for that is not libp2p's.
    #[error("{0} was asked for, which is not where libp2p is")]
    Path(String),
    /// The peer did not prove who it is.
    #[error("the peer did not prove who it is: {0}")]
    Noise(#[from] libp2p_noise::Error),
    /// The first stream broke.
    #[error("the first stream broke: {0}")]
    Stream(io::Error),
    /// All this took too long.
    #[error("the connection was not there in time")]
    TimedOut,
}

//! What can go wrong.

use std::io;

use libp2p_core::multiaddr::Multiaddr;

use super::certificate::CertificateError;

/// Why an address cannot be listened on, or why a connection came to nothing or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// DTLS does not accept what it is given.
    #[error("DTLS cannot be set up: {0}")]
    Setup(dimpl::Error),
    /// The port cannot be opened.
    #[error("{0} cannot be opened: {1}; choose another port, or end what uses it")]
    Port(Multiaddr, io::Error),
    /// The operating system does not tell the addresses of this machine.
    #[error("the addresses of this machine are not known: {0}")]
    Addresses(io::Error),
    /// There is no connection, or no more.
    #[error("the connection ended: {0}")]
    Ended(#[from] End),
    /// The peer did not prove who it is.
    #[error("the peer did not prove who it is: {0}")]
    Noise(#[from] libp2p_noise::Error),
    /// All this took too long.
    #[error("the connection was not there in time")]
    TimedOut,
}

/// Why a connection is no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// This side closed it.
    #[error("it was closed")]
    Closed,
    /// The other side did.
    #[error("the other side closed it")]
    ClosedByPeer,
    /// Nothing came any more.
    #[error("nothing was heard of the other side")]
    Silent,
    /// The peer was not known in time, or sent too much before.
    #[error("the peer was not known in time")]
    Unknown,
    /// Another attempt took its place.
    #[error("its place was needed")]
    Displaced,
    /// DTLS failed.
    #[error("DTLS failed: {0}")]
    Dtls(String),
    /// SCTP failed.
    #[error("SCTP failed: {0}")]
    Sctp(String),
}

//! What the table of connections answers: a refusal, or an order to close.

/// Why something is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// [`Limits::total`](super::Limits::total).
    #[error("as many connections are open as there may be, and all are needed")]
    Total,
    /// [`Limits::per_peer`](super::Limits::per_peer).
    #[error("this peer has as many connections as one may have, and all are in use")]
    Peer,
    /// [`Limits::per_network`](super::Limits::per_network).
    #[error("this network has as many connections as one may have, and all are in use")]
    Network,
    /// As many are half open as there may be: see [`Handshakes`](super::Handshakes).
    #[error("as many handshakes are under way as there may be")]
    Handshakes,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<Id> {
    /// Close this connection, or abort it if it is half open.
    Close(Id, Reason),
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It was the least useful when another one needed a place.
    #[error("another connection needed its place")]
    LeastUseful,
    /// Nothing used it.
    #[error("it was not used")]
    Idle,
    /// The peer does not answer.
    #[error("the peer no longer answers")]
    Dead,
}

//! Why a connection did not come about, or ended.

use std::io;

use libp2p_identity::PeerId;
use thiserror::Error;

use crate::{direct::OfferError, negotiation::NegotiationError, signaling::SignalingError};

/// Why there is no connection, or not any more.
#[derive(Debug, Error)]
pub enum Error {
    /// As many peer connections are open as the configuration allows: close one first.
    #[error("{0} peer connections are open, which is the configured maximum")]
    TooManyConnections(usize),
    /// Too many peers, or this one too often, are negotiating a connection with this node. It refuses; the peer may dial again later.
    #[error("too many negotiations are under way")]
    TooManyNegotiations,
    /// The first connection, over which to negotiate, could not be made.
    #[error("no connection over which to negotiate: {0}")]
    NoSignaling(String),
    /// The signalling stream broke.
    #[error("the signalling stream broke: {0}")]
    SignalingStream(#[from] io::Error),
    /// The peer does not speak the signalling protocol.
    #[error("the peer sent no signalling messages: {0}")]
    SignalingMessage(#[from] SignalingError),
    /// The peer does not follow the signalling protocol.
    #[error(transparent)]
    Negotiation(#[from] NegotiationError),
    /// The negotiation took longer than configured.
    #[error("no direct path to the peer was found in time")]
    TimedOut,
    /// Both peers dialled each other: this attempt gave way to the other one, which is, or just became, the connection.
    #[error("gave way to the connection that the peer dialled at the same time")]
    Superseded,
    /// The peer's own dial, to which this one gave way, failed. Dial again.
    #[error("the peer's own dial, to which this one gave way, failed")]
    SupersederFailed,
    /// The behaviour that belongs to the transport is not part of the swarm, or the swarm is gone.
    #[error("the behaviour of the transport is gone")]
    NoBehaviour,
    /// The browser's offer is of no use for a server.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The server did not prove its key, or that it holds the certificate of its address.
    #[error("the server did not prove who it is: {0}")]
    Unproven(#[from] libp2p_noise::Error),
    /// Another peer answers at the address.
    #[error("{0} answers there, another peer than the address says")]
    AnotherPeer(PeerId),
    /// The peer connection ended, or could not be made.
    #[error("the peer connection ended: {0}")]
    Ended(String),
}

//! What can go wrong in a call, by what the caller can do about it. The names are the `error.name` that JavaScript sees.

use crate::store::StoreError;

/// Why a call of the node failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("config.{field}: {remedy}")]
    InvalidConfig {
        /// Which one.
        field: String,
        /// What to write instead.
        remedy: String,
    },
    /// Not a CID that this node can fetch.
    #[error("this is not a CID that can be fetched: {0}")]
    InvalidCid(String),
    /// Not a PeerId.
    #[error("`{0}` is not a PeerId: it should look like 12D3KooW…")]
    InvalidPeer(String),
    /// A range outside of the content.
    #[error("the range is outside of the content, which has {size} bytes")]
    InvalidRange {
        /// Bytes of the content.
        size: u64,
    },
    /// The content is there but not of a kind that this call reads.
    #[error("{0}")]
    Unsupported(String),
    /// Nobody known has it.
    #[error("{0}")]
    NotFound(String),
    /// No connection to the peer could be made.
    #[error("{peer} cannot be reached: {reason}")]
    PeerUnreachable {
        /// Who.
        peer: String,
        /// Why, and what to do.
        reason: String,
    },
    /// No more may go through a relay, and there is no other path.
    #[error("{0}")]
    RelayLimit(String),
    /// The disk or this origin's share of it is full.
    #[error("{0}")]
    StorageFull(String),
    /// The store does not work.
    #[error("{0}")]
    StorageFailed(String),
    /// Beyond a limit of this node.
    #[error("{0}")]
    TooLarge(String),
    /// The node was stopped.
    #[error("the node was stopped; create a new one")]
    Stopped,
    /// The caller's AbortSignal fired.
    #[error("the call was cancelled")]
    Aborted,
    /// A fault of ours.
    #[error("{0}; this is a fault in Shoal, trying again may help")]
    Internal(String),
}

impl Error {
    /// A wrong setting.
    pub fn config(field: &str, remedy: &str) -> Self {
        Self::InvalidConfig { field: field.to_owned(), remedy: remedy.to_owned() }
    }

    /// The stable name that JavaScript sees.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidConfig { .. } => "InvalidConfig",
            Self::InvalidCid(_) => "InvalidCid",
            Self::InvalidPeer(_) => "InvalidPeer",
            Self::InvalidRange { .. } => "InvalidRange",
            Self::Unsupported(_) => "Unsupported",
            Self::NotFound(_) => "NotFound",
            Self::PeerUnreachable { .. } => "PeerUnreachable",
            Self::RelayLimit(_) => "RelayLimit",
            Self::StorageFull(_) => "StorageFull",
            Self::StorageFailed(_) => "StorageFailed",
            Self::TooLarge(_) => "TooLarge",
            Self::Stopped => "Stopped",
            Self::Aborted => "AbortError",
            Self::Internal(_) => "Internal",
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { .. } => Self::StorageFull(error.to_string()),
            other => Self::StorageFailed(other.to_string()),
        }
    }
}

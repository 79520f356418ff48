//! The exchange of content: one peer asks for (part of) a DAG, the other answers with its blocks in an order that both know.
//!
//! ```text
//!   requester                                   provider
//!   Download::request ── Request, finish ─────▶ Upload::new
//!                                               wants ▶ store ▶ supply
//!   Download::receive ◀── BLOCK BLOCK … END ─── records
//!   next ▶ verify ▶ store
//! ```
//!
//! One request, one session stream. Both sides run the same [walk](crate::content::walk), so blocks carry no names, a whole
//! file costs one round trip, and "what is missing" after a break is a single number. Nothing is trusted: interior
//! blocks are hashed here before they are decoded; leaves are handed on marked as unverified, so that the
//! platform's own hashing can do them in parallel.
//!
//! The wire format is specified in `crates/protocol/docs/exchange.md`.

mod download;
mod probe;
mod records;
mod request;
mod upload;

pub use self::{
    download::{Arrived, Download, DownloadError, Outcome, Progress},
    probe::Probe,
    records::{Refusal, block_record_bytes},
    request::{Request, RequestError, RequestReader},
    upload::Upload,
};

/// The provider broke the protocol, or sent what was not asked for: drop it. Others may still have the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A record of an unknown kind, or one that cannot be read.
    #[error("malformed record")]
    MalformedRecord,
    /// A record longer than its kind allows.
    #[error("record of {length} bytes is longer than its kind allows")]
    RecordTooLong {
        /// Bytes that its header announced.
        length: u64,
    },
    /// A record that does not answer the request.
    #[error("a record that was not asked for")]
    Unrequested,
    /// An interior block whose bytes do not hash to its name.
    #[error("the block's bytes do not match its name")]
    WrongBlock,
    /// The response says END while blocks are still due.
    #[error("the response ended before it was complete")]
    EndedEarly,
    /// The stream ended inside a record, or before a closing one.
    #[error("the response was cut off")]
    Truncated,
    /// Bytes behind the closing record.
    #[error("bytes after the end of the response")]
    AfterEnd,
}

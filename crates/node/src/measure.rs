//! How fast bytes come over one stream of a session, with nothing else done to them: what sessions and transport cost, apart from what the exchange
//! does with content. Only for the benchmark, behind the feature `measure`: whoever asks is sent bytes for as long as the stream is read.

use bytes::Bytes;
use libp2p::PeerId;
use shoal_protocol::session::Priority;
use web_time::Instant;

use crate::{
    session::{Ended, SessionStream},
    shared::Shared,
};

/// The first byte of the stream, and the only one: a kind of request that the exchange does not know.
pub const KIND: u8 = 0x70;

/// Bytes written at once: what a block of the exchange has.
const PIECE: usize = 1024 * 1024;

/// How long it took.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Milliseconds until the first bytes were here.
    pub first: f64,
    /// Milliseconds until all were.
    pub all: f64,
}

/// Reads so many bytes of a stream that is opened for it.
///
/// # Errors
/// Where the session or the stream ends before.
pub async fn drain(shared: &Shared, peer: PeerId, bytes: u64) -> Result<Taken, Ended> {
    let session = shared.session(peer).await;
    let began = Instant::now();
    let elapsed = || began.elapsed().as_secs_f64() * 1_000.0;
    let stream = session.open(Priority::Bulk).await?;
    stream.write(Bytes::from_static(&[KIND])).await?;
    stream.finish();
    let (mut received, mut first) = (0, None);
    while received < bytes {
        let part = stream.read().await?.ok_or_else(|| Ended("the other side stopped sending".to_owned()))?;
        first.get_or_insert_with(elapsed);
        received += part.len() as u64;
        stream.consumed(part.len() as u64);
    }
    Ok(Taken { first: first.unwrap_or_default(), all: elapsed() })
}

/// Writes until the other side has enough.
pub async fn pour(stream: &SessionStream) {
    let piece = Bytes::from(vec![7; PIECE]);
    while stream.write(piece.clone()).await.is_ok() {}
}

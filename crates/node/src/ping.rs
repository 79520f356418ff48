//! One ping on a stream of its own: libp2p's `ping::Behaviour` asks by its own timer only.

use std::io;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;

/// Bytes of one: <https://github.com/libp2p/specs/blob/master/ping/ping.md>.
const PING_BYTES: usize = 32;

/// Sends bytes that cannot be guessed and waits for them. How long is the caller's affair; the stream ends with its connection.
///
/// # Errors
/// Where the stream ends before, or other bytes come.
pub async fn ping(mut stream: Stream) -> io::Result<()> {
    let mut sent = [0; PING_BYTES];
    getrandom::fill(&mut sent).map_err(io::Error::other)?;
    stream.write_all(&sent).await?;
    stream.flush().await?;
    let mut received = [0; PING_BYTES];
    stream.read_exact(&mut received).await?;
    let _ = stream.close().await;
    if sent == received { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

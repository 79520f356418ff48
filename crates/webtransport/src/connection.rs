//! A connection: from the first packet until its peer is known, and then its streams.

use std::{
    collections::HashSet,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::AsyncWriteExt;
use libp2p_core::{StreamMuxer, muxing::StreamMuxerEvent, upgrade::InboundConnectionUpgrade};
use libp2p_identity::{Keypair, PeerId};

use crate::{
    certificates::Certhash,
    error::Error,
    session::{Request, Session},
    stream::Stream,
};

/// Where a libp2p server answers, and what secures the connection: <https://github.com/libp2p/specs/tree/master/webtransport>.
const PATH: &str = "/.well-known/libp2p-webtransport";
const QUERY: (&str, &str) = ("type", "noise");

/// An established connection.
pub struct Connection {
    session: Session,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Connection").field(&self.session.remote_address()).finish()
    }
}

/// Brings an attempt to the point where the peer is known. It is for the caller to bound its time.
///
/// # Errors
/// Whatever went wrong on the way; the connection is closed then.
pub(crate) async fn accept(
    incoming: quinn::Incoming,
    identity: &Keypair,
    hashes: HashSet<Certhash>,
) -> Result<(PeerId, Connection), Error> {
    let request = Request::read(incoming.await?).await?;
    let url = &request.asks.url;
    if url.path() != PATH || !url.query_pairs().any(|(name, value)| (&*name, &*value) == QUERY) {
        let path = url.path().to_owned();
        request.refuse().await?;
        return Err(Error::Path(path));
    }
    // Dropped on whatever goes wrong, it closes the connection.
    let mut session = request.accept().await?;
    let stream = session.next().await?;
    let noise = libp2p_noise::Config::new(identity)?.with_webtransport_certhashes(hashes);
    // Which protocol secures it is in the path, so there is nothing to negotiate. The stream has served then.
    let (peer, mut secured) = noise.upgrade_inbound(stream, "/noise").await?;
    secured.close().await.map_err(Error::Stream)?;
    Ok((peer, Connection { session }))
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        self.session.poll_inbound(context)
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        self.session.poll_outbound(context)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.session.close();
        Poll::Ready(Ok(()))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        self.session.poll_end(context).map(Err)
    }
}

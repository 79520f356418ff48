//! A connection: from the first packet until its peer is known, and then its streams.

use std::{
    collections::HashSet,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::AsyncWriteExt;
use libp2p_core::{StreamMuxer, muxing::StreamMuxerEvent, upgrade::InboundConnectionUpgrade};
use libp2p_identity::{Keypair, PeerId};
use web_transport_quinn::{Request, Session, SessionError, generic::poll::Session as _, http::StatusCode};

use crate::{certificates::Certhash, error::Error, stream::Stream};

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
    let connection = incoming.await?;
    let request = Request::accept(connection).await?;
    if request.url.path() != PATH || !request.url.query_pairs().any(|(name, value)| (&*name, &*value) == QUERY) {
        let path = request.url.path().to_owned();
        request.reject(StatusCode::NOT_FOUND).await?;
        return Err(Error::Path(path));
    }
    // From here on, whatever goes wrong closes it.
    let connection = Connection { session: request.ok().await? };
    let stream = Stream::new(connection.session.accept_bi().await?);
    let noise = libp2p_noise::Config::new(identity)?.with_webtransport_certhashes(hashes);
    // Which protocol secures it is in the path, so there is nothing to negotiate. The stream has served then.
    let (peer, mut secured) = noise.upgrade_inbound(stream, "/noise").await?;
    secured.close().await.map_err(Error::Stream)?;
    Ok((peer, connection))
}

/// Something of the session reads from its first stream until the other side ends that, and holds the connection as long.
impl Drop for Connection {
    fn drop(&mut self) {
        self.session.close(0, b"");
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = SessionError;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        self.session.poll_accept_bi(context).map_ok(Stream::new)
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        self.session.poll_open_bi(context).map_ok(Stream::new)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.session.close(0, b"");
        Poll::Ready(Ok(()))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        // No protocol of libp2p uses streams in one direction. One that comes all the same is dropped, which stops it.
        loop {
            drop(ready!(self.session.poll_accept_uni(context))?);
        }
    }
}

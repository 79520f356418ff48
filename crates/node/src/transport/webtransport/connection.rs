//! A session whose peer is known, as libp2p has connections.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::{
    PeerId,
    core::{
        StreamMuxer,
        muxing::StreamMuxerEvent,
        upgrade::{OutboundConnectionUpgrade, UpgradeInfo},
    },
    identity::Keypair,
    multiaddr::multihash::Multihash,
    noise,
};
use send_wrapper::SendWrapper;

use super::{Error, session::Session, stream::Stream};
use crate::transport::noise::Noise;

/// An open session with a server that has proved its key.
#[derive(Debug)]
pub(super) struct Connection {
    session: SendWrapper<Session>,
}

impl Connection {
    /// Opens a session, and proves on a stream of it who is who, and that the server itself names the certificates by which it was found
    /// (<https://github.com/libp2p/specs/tree/master/webtransport#security-handshake>).
    ///
    /// # Errors
    /// Where nobody answers, or somebody else.
    pub(super) async fn open(url: &str, hashes: &[Multihash<64>], key: &Keypair) -> Result<(PeerId, Self), Error> {
        let session = Session::open(url, hashes).await.map_err(Error::Refused)?;
        let stream = poll_fn(|context| session.poll_create(context)).await.map_err(Error::Refused)?;
        let noise = Noise(noise::Config::new(key)?.with_webtransport_certhashes(hashes.iter().copied().collect()));
        // Which protocol secures it is in the URL: there is nothing to negotiate.
        let protocol = noise.protocol_info().next().unwrap_or_default();
        let (peer, _) = noise.upgrade_outbound(stream, protocol).await?;
        Ok((peer, Self { session: SendWrapper::new(session) }))
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        self.session.poll_accept(context)
    }

    fn poll_outbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        self.session.poll_create(context)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.close();
        Poll::Ready(Ok(()))
    }

    /// How it ends is said where streams are awaited.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Poll::Pending
    }
}

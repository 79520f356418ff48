//! A connection: from the first packet of DTLS until its peer is known, and then its streams.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use libp2p_core::{StreamMuxer, muxing::StreamMuxerEvent, upgrade::OutboundConnectionUpgrade};
use libp2p_identity::{Keypair, PeerId};

use super::{
    certificate::Certhash,
    error::{End, Error},
    session::{Key, Shared},
    substream::Stream,
};

/// What Noise's prologue begins with: libp2p/specs webrtc/webrtc-direct.md, "Connection Security".
const PROLOGUE: &[u8] = b"libp2p-webrtc-noise:";

/// An established connection.
pub struct Connection {
    shared: Arc<Shared>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Learns who the peer is: Noise, begun by the listener, on the channel of this key.
    ///
    /// # Errors
    /// The peer did not prove it.
    pub(super) async fn authenticate(
        self,
        identity: &Keypair,
        own: &Certhash,
        (key, client): (Key, Certhash),
    ) -> Result<(PeerId, Self), Error> {
        let noise = libp2p_noise::Config::new(identity)?.with_prologue(prologue(&client, own));
        let stream = Stream::of_noise(Arc::clone(&self.shared), key);
        let (peer, _) = noise.upgrade_outbound(stream, "/noise").await?;
        self.shared.lock().known();
        Ok((peer, self))
    }
}

/// By it, Noise fails where anybody stands between: he has another certificate on one side.
fn prologue(client: &Certhash, listener: &Certhash) -> Vec<u8> {
    [PROLOGUE, &client.to_bytes(), &listener.to_bytes()].concat()
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = End;

    fn poll_inbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, End>> {
        let key = ready!(self.shared.lock().poll_arrival(context))?;
        Poll::Ready(Ok(Stream::new(Arc::clone(&self.shared), key)))
    }

    fn poll_outbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, End>> {
        let key = ready!(self.shared.lock().poll_open(context))?;
        self.shared.driver.notify_one();
        Poll::Ready(Ok(Stream::new(Arc::clone(&self.shared), key)))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        let mut session = self.shared.lock();
        session.close(Instant::now());
        self.shared.driver.notify_one();
        session.poll_end(context).map(|_| Ok(()))
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, End>> {
        self.shared.lock().poll_end(context).map(Err)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.lock().close(Instant::now());
        self.shared.driver.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use multihash::Multihash;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn the_prologue_is_that_of_the_specification() {
        let hash = |hex| Multihash::wrap(0x12, &bytes(hex)).unwrap();
        let client = hash("3e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870");
        let listener = hash("30fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99");
        let expected = bytes(
            "6c69627032702d7765627274632d6e6f6973653a12203e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870\
             122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99",
        );
        assert_eq!(prologue(&client, &listener), expected);
    }
}

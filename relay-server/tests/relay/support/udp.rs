//! WebTransport and WebRTC-direct as a program dials them: Rust has no clients for them but those with which their crates are tested.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Pending},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        StreamMuxer,
        muxing::{StreamMuxerBox, StreamMuxerEvent},
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
    identity::Keypair,
    multiaddr::Protocol,
};

use super::PATIENCE;
use webrtc::{Client, Substream, Version};

#[allow(dead_code, reason = "the crate's own, of which a part is used here")]
#[path = "../../../../crates/webrtc/tests/direct/support/client.rs"]
mod webrtc;
#[allow(dead_code, reason = "the crate's own, of which a part is used here")]
#[path = "../../../../crates/webtransport/tests/native/support/client.rs"]
mod webtransport;

/// A transport that dials by both.
pub(crate) struct Dialler(pub(crate) Keypair);

impl libp2p::Transport for Dialler {
    type Output = (PeerId, StreamMuxerBox);
    type Error = io::Error;
    type ListenerUpgrade = Pending<io::Result<Self::Output>>;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let has = |wanted: Protocol<'_>| address.iter().any(|part| part == wanted);
        if has(Protocol::WebTransport) {
            return webtransport::Dialler(self.0.clone()).dial(address, options);
        }
        if !has(Protocol::WebRTCDirect) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let identity = self.0.clone();
        Ok(async move {
            let (peer, client) = Client::dial_as(&identity, &address, Version::Two).await?;
            Ok((peer, StreamMuxerBox::new(Muxer::new(client))))
        }
        .boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Poll::Pending
    }
}

/// A connection by WebRTC-direct.
struct Muxer {
    client: Client,
    arrival: BoxFuture<'static, Substream>,
    end: BoxFuture<'static, ()>,
}

impl Muxer {
    fn new(client: Client) -> Self {
        let ending = client.clone();
        Self { arrival: arrival(&client), end: async move { ending.end().await }.boxed(), client }
    }
}

fn arrival(client: &Client) -> BoxFuture<'static, Substream> {
    let client = client.clone();
    async move { client.arrival().await }.boxed()
}

impl StreamMuxer for Muxer {
    type Substream = Substream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<Substream>> {
        self.arrival.poll_unpin(context).map(|stream| {
            self.arrival = arrival(&self.client);
            Ok(stream)
        })
    }

    fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<Substream>> {
        Poll::Ready(Ok(self.client.open()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.client.vanish();
        Poll::Ready(Ok(()))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.end.poll_unpin(context).map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        self.client.vanish();
    }
}

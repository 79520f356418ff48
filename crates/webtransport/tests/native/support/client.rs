//! Somebody who dials: WebTransport's session by the same library, but libp2p's part by other code than the listener's. Browsers are in `tests/`.

use std::{
    collections::HashSet,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Pending},
};
use libp2p_core::{
    Multiaddr, StreamMuxer,
    multiaddr::Protocol,
    muxing::{StreamMuxerBox, StreamMuxerEvent},
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    upgrade::OutboundConnectionUpgrade as _,
};
use libp2p_identity::{Keypair, PeerId};
use multihash::Multihash;
use tokio::io::Join;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};
use web_transport_quinn::{ClientBuilder, ClientError, RecvStream, SendStream, Session, SessionError, generic::poll::Session as _};

/// What libp2p asks for.
pub(crate) const NOISE: &str = "/.well-known/libp2p-webtransport?type=noise";

/// The certificates that an address names.
pub(crate) fn hashes(address: &Multiaddr) -> Vec<Multihash<64>> {
    address.iter().filter_map(|part| if let Protocol::Certhash(hash) = part { Some(hash) } else { None }).collect()
}

/// Whatever went wrong.
pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// A session, without libp2p.
pub(crate) async fn session(address: &Multiaddr, path: &str) -> Result<Session, ClientError> {
    let digests = hashes(address).iter().map(|hash| hash.digest().to_vec()).collect();
    let port = address.iter().find_map(|part| if let Protocol::Udp(port) = part { Some(port) } else { None }).unwrap();
    let client = ClientBuilder::new().with_server_certificate_hashes(digests).unwrap();
    client.connect(url::Url::parse(&format!("https://127.0.0.1:{port}{path}")).unwrap()).await
}

/// Dials as libp2p does, expecting these hashes to be confirmed.
pub(crate) async fn dial(address: &Multiaddr, expected: &[Multihash<64>]) -> Result<(PeerId, Dialled), AnyError> {
    dial_as(&Keypair::generate_ed25519(), address, expected).await
}

async fn dial_as(identity: &Keypair, address: &Multiaddr, expected: &[Multihash<64>]) -> Result<(PeerId, Dialled), AnyError> {
    let session = session(address, NOISE).await?;
    let stream = both_halves(session.open_bi().await?);
    let expected: HashSet<_> = expected.iter().copied().collect();
    let noise = libp2p_noise::Config::new(identity)?.with_webtransport_certhashes(expected);
    let (peer, _) = noise.upgrade_outbound(stream, "/noise").await?;
    Ok((peer, Dialled(session)))
}

type Halves = Compat<Join<RecvStream, SendStream>>;

fn both_halves((send, receive): (SendStream, RecvStream)) -> Halves {
    tokio::io::join(receive, send).compat()
}

/// The dialler's end of a connection.
pub(crate) struct Dialled(pub(crate) Session);

impl StreamMuxer for Dialled {
    type Substream = Halves;
    type Error = SessionError;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Halves, SessionError>> {
        self.0.poll_accept_bi(context).map_ok(both_halves)
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Halves, SessionError>> {
        self.0.poll_open_bi(context).map_ok(both_halves)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SessionError>> {
        self.0.close(0, b"");
        Poll::Ready(Ok(()))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, SessionError>> {
        Poll::Ready(Err(ready!(self.0.poll_closed(context))))
    }
}

/// A transport that only dials.
pub(crate) struct Dialler(pub(crate) Keypair);

impl libp2p_core::Transport for Dialler {
    type Output = (PeerId, StreamMuxerBox);
    type Error = io::Error;
    type ListenerUpgrade = Pending<Result<Self::Output, io::Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, io::Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let identity = self.0.clone();
        Ok(async move {
            let (peer, dialled) = dial_as(&identity, &address, &hashes(&address)).await.map_err(io::Error::other)?;
            Ok((peer, StreamMuxerBox::new(dialled)))
        }
        .boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Poll::Pending
    }
}

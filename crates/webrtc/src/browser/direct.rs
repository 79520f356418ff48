//! The transport to servers: dials `/ip4|ip6/…/udp/…/webrtc-direct/certhash/…`. What both descriptions say is [`crate::direct`]'s affair.
//!
//! The certificate of the server is checked by the browser, against the hash in the answer. Noise, on channel 0, proves the keys, and that both
//! sides see the same two certificates; then the channel is of no more use, and the connection is like one between pages.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    AsyncWriteExt, FutureExt,
    future::{BoxFuture, Pending},
};
use libp2p_core::{
    Multiaddr,
    multiaddr::Protocol,
    muxing::SubstreamBox,
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    upgrade::{InboundConnectionUpgrade, UpgradeInfo},
};
use libp2p_identity::{Keypair, PeerId};
use libp2p_noise as noise;
use send_wrapper::SendWrapper;

use super::{connection::Connection, error::Error, negotiate::within, peer::Peer, port::Shim};
use crate::{
    direct::{Server, Version},
    limits::DIRECT_PATIENCE,
    negotiation::Input,
};

/// The libp2p transport for `/webrtc-direct`, for dials alone. Made by [`Transport::to_servers`](super::Transport::to_servers).
pub struct Direct(SendWrapper<Dialler>);

#[derive(Clone)]
struct Dialler {
    shim: Shim,
    timeout: Duration,
    only: Option<Version>,
    key: Keypair,
}

type Upgrade = BoxFuture<'static, Result<(PeerId, Connection), Error>>;

impl Direct {
    pub(super) fn new(shim: Shim, timeout: Duration, only: Option<Version>, key: Keypair) -> Self {
        Self(SendWrapper::new(Dialler { shim, timeout, only, key }))
    }
}

impl Dialler {
    async fn dial(self, server: Server, expected: Option<PeerId>) -> Result<(PeerId, Connection), Error> {
        within(self.timeout, async {
            if let Some(version) = self.only {
                return self.attempt(server, expected, version).await;
            }
            match within(DIRECT_PATIENCE, self.attempt(server, expected, Version::V2)).await {
                // It may know the first version only.
                Err(Error::TimedOut | Error::Ended(_)) => self.attempt(server, expected, Version::V1).await,
                result => result,
            }
        })
        .await
    }

    async fn attempt(&self, server: Server, expected: Option<PeerId>, version: Version) -> Result<(PeerId, Connection), Error> {
        let peer = self.shim.dial(expected)?;
        let offer = loop {
            if let Input::LocalDescription(offer) = next(&peer).await? {
                break offer;
            }
        };
        let described = server.describe(&offer, version)?;
        peer.describe(&described.offer, &described.answer);
        // Candidates are nobody's to be told.
        while next(&peer).await? != Input::Connected {}

        // The page has sent channel 0 ahead of the offer.
        let channel = SubstreamBox::new(poll_fn(|cx| peer.poll_open(cx)).await?);
        let noise = noise::Config::new(&self.key)?.with_prologue(described.prologue);
        let protocol = noise.protocol_info().next().unwrap_or_default();
        // The server begins.
        let (proven, mut channel) = noise.upgrade_inbound(channel, protocol).await?;
        if expected.is_some_and(|expected| expected != proven) {
            return Err(Error::AnotherPeer(proven));
        }
        // Best effort: it is of no more use.
        let _ = channel.close().await;
        peer.proven(proven);
        Ok((proven, Connection::new(peer)))
    }
}

async fn next(peer: &Peer) -> Result<Input, Error> {
    poll_fn(|cx| peer.poll_input(cx)).await
}

impl libp2p_core::Transport for Direct {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Pending<Result<Self::Output, Error>>;
    type Dial = Upgrade;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Upgrade, TransportError<Error>> {
        match Server::new(&address) {
            Ok(server) if options.role.is_dialer() => {
                let peer = match address.iter().last() {
                    Some(Protocol::P2p(peer)) => Some(peer),
                    _ => None,
                };
                Ok(SendWrapper::new((*self.0).clone().dial(server, peer)).boxed())
            }
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

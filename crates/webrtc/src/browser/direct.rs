//! The transport to servers: dials `/ip4|ip6/…/udp/…/webrtc-direct/certhash/…`. What both descriptions say is [`crate::direct`]'s affair.
//!
//! The certificate of the server is checked by the browser, against the hash in the answer. Noise, on channel 0, proves the keys, and that both
//! sides see the same two certificates; then the channel is of no more use, and the connection is like one between pages.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
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
    limits::{DIRECT_PATIENCE, OLDER_SERVERS},
    negotiation::Input,
};

/// The servers that are known to know the first version alone. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Older(Rc<RefCell<Vec<PeerId>>>);

impl Older {
    /// Whether it is one of them.
    pub fn contains(&self, server: &PeerId) -> bool {
        self.0.borrow().contains(server)
    }

    /// It is, or is not.
    pub fn set(&self, server: PeerId, older: bool) {
        let mut servers = self.0.borrow_mut();
        servers.retain(|other| *other != server);
        if older && servers.len() < OLDER_SERVERS {
            servers.push(server);
        }
    }
}

/// The libp2p transport for `/webrtc-direct`, for dials alone. Made by [`Transport::to_servers`](super::Transport::to_servers).
pub struct Direct(SendWrapper<Dialler>);

#[derive(Clone)]
struct Dialler {
    shim: Shim,
    timeout: Duration,
    only: Option<Version>,
    older: Older,
    key: Keypair,
}

type Upgrade = BoxFuture<'static, Result<(PeerId, Connection), Error>>;

impl Direct {
    pub(super) fn new(shim: Shim, timeout: Duration, only: Option<Version>, older: Older, key: Keypair) -> Self {
        Self(SendWrapper::new(Dialler { shim, timeout, only, older, key }))
    }
}

impl Dialler {
    async fn dial(self, server: Server, expected: Option<PeerId>) -> Result<(PeerId, Connection), Error> {
        let is_older = expected.is_some_and(|server| self.older.contains(&server));
        let (first, second) = match self.only {
            Some(only) => (only, None),
            None if is_older => (Version::V1, Some(Version::V2)),
            None => (Version::V2, Some(Version::V1)),
        };
        let patience = if second.is_some() { DIRECT_PATIENCE } else { self.timeout };
        within(self.timeout, async {
            match (within(patience, self.attempt(server, expected, first)).await, second) {
                // It may know the other version only, or this browser.
                (Err(Error::TimedOut | Error::Ended(_)), Some(second)) => {
                    let reached = self.attempt(server, expected, second).await?;
                    self.older.set(reached.0, !is_older);
                    Ok(reached)
                }
                (result, _) => result,
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

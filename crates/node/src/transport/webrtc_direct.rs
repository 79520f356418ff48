//! WebRTC-direct from a page to a relay: [`shoal_webrtc::Direct`], with each address judged before it is dialled, like one of a WebSocket.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    TryFutureExt,
    future::{BoxFuture, FutureExt, Pending},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        muxing::StreamMuxerBox,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
};
use shoal_protocol::addresses::Filter;

use super::guard::{Filtered, admit};

/// Dials `/ip4|ip6/…/udp/<port>/webrtc-direct/certhash/…`. It never listens: a page cannot.
pub struct Transport {
    inner: shoal_webrtc::Direct,
    filter: Option<Filter>,
}

impl Transport {
    /// A transport that dials what this filter lets pass, nothing without one.
    pub const fn new(inner: shoal_webrtc::Direct, filter: Option<Filter>) -> Self {
        Self { inner, filter }
    }
}

/// Why a dial failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It leads to where nobody may send this page.
    #[error(transparent)]
    Filtered(#[from] Filtered),
    /// Nobody answers there, or not with the certificate of the address, or not the peer of the address.
    #[error("no WebRTC-direct: {0}")]
    Refused(#[from] shoal_webrtc::Error),
}

impl libp2p::core::Transport for Transport {
    type Output = (PeerId, StreamMuxerBox);
    type Error = Error;
    type ListenerUpgrade = Pending<Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        let Some(filter) = &self.filter else { return Err(TransportError::MultiaddrNotSupported(address)) };
        let admitted = admit(filter, &address);
        // Whether it is one of this kind is known there.
        let dial = self.inner.dial(address, options).map_err(|error| error.map(Error::Refused))?;
        admitted.map_err(|filtered| TransportError::Other(filtered.into()))?;
        Ok(dial.map_ok(|(peer, connection)| (peer, StreamMuxerBox::new(connection))).err_into().boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

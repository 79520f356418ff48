//! WebTransport from a page to a relay: <https://github.com/libp2p/specs/tree/master/webtransport>.
//!
//! * An address is judged before it is dialled, like one of a WebSocket.
//! * A dial goes on when the WebSocket was faster, for at most [`WAYS_PATIENCE`]: what becomes of it decides how the relay is dialled next time.
//!
//! Why this is not `libp2p-webtransport-websys` stands in ARCHITECTURE.md.

mod connection;
mod promised;
mod session;
mod stream;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt,
    channel::oneshot,
    future::{BoxFuture, Either, select},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        muxing::StreamMuxerBox,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
    identity::Keypair,
    noise,
};
use shoal_protocol::{
    addresses::Filter,
    limits::{WAYS_ANSWER, WAYS_PATIENCE},
    reservations::ways::Failure,
};
use wasm_bindgen::JsValue;
use web_time::Instant;

use self::connection::Connection;
use super::{
    address::{peer_of, webtransport_url},
    guard::{Filtered, admit},
    race::Race,
};
use crate::platform;

/// Dials `/ip4|ip6|dns…/udp/<port>/quic-v1/webtransport/certhash/…`. It never listens: a page cannot.
pub struct Transport {
    key: Keypair,
    filter: Option<Filter>,
    race: Race,
}

/// Whether this browser has it, here: in a secure context only.
pub fn is_supported() -> bool {
    js_sys::Reflect::has(&js_sys::global(), &"WebTransport".into()).unwrap_or(false)
}

impl Transport {
    /// A transport that dials what this filter lets pass, nothing without one, and proves this key.
    pub fn new(key: &Keypair, filter: Option<Filter>, race: Race) -> Self {
        Self { key: key.clone(), filter, race }
    }
}

/// Why a dial failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It leads to where nobody may send this page.
    #[error(transparent)]
    Filtered(#[from] Filtered),
    /// Nobody listens there, or not with a certificate of the address.
    #[error("no WebTransport: {0}")]
    Refused(io::Error),
    /// Whoever answered did not prove a key, or not that the certificate is theirs.
    #[error("WebTransport is not secured: {0}")]
    Unproven(#[from] noise::Error),
    /// Whoever answered is not the peer of the address.
    #[error("at the other end of WebTransport is {0}")]
    OtherPeer(PeerId),
    /// Nothing came back.
    #[error("no answer to WebTransport; does a firewall let no UDP through?")]
    Silent,
}

impl libp2p::core::Transport for Transport {
    type Output = (PeerId, StreamMuxerBox);
    type Error = Error;
    type ListenerUpgrade = futures::future::Pending<Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        let (Some((url, hashes)), Some(filter)) = (webtransport_url(&address), &self.filter) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        if options.role.is_listener() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        admit(filter, &address).map_err(|filtered| TransportError::Other(filtered.into()))?;
        let expected = peer_of(&address);
        let (answer, answered) = oneshot::channel();
        let (key, race) = (self.key.clone(), self.race.clone());
        platform::spawn(async move {
            let began = Instant::now();
            let dial = Box::pin(Connection::open(&url, &hashes, &key));
            let result = match select(dial, Box::pin(platform::sleep(WAYS_PATIENCE))).await {
                Either::Left((Ok((peer, _)), _)) if expected.is_some_and(|expected| expected != peer) => Err(Error::OtherPeer(peer)),
                Either::Left((Ok((peer, connection)), _)) => Ok((peer, StreamMuxerBox::new(connection))),
                Either::Left((Err(error), _)) if began.elapsed() < WAYS_ANSWER => Err(error),
                // Browsers do not say why, only when.
                _ => Err(Error::Silent),
            };
            if let Some(peer) = expected {
                let failure = |error: &Error| if matches!(error, Error::Silent) { Failure::Silent } else { Failure::Refused };
                race.ended(peer, result.as_ref().map(|_| ()).map_err(failure));
            }
            // Where the WebSocket was faster nobody takes it, and it is closed.
            let _ = answer.send(result);
        });
        Ok(answered.map(|result| result.unwrap_or(Err(Error::Silent))).boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

/// What the browser threw, as streams report it.
fn failed(error: JsValue) -> io::Error {
    io::Error::other(platform::describe(&error))
}

//! Every dial goes through here, whoever asked for it: not further than [`Permits`] say, and not too many at once.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
    },
};
use tokio::sync::Semaphore;

use super::Permits;
use crate::limits;

type Secured = (PeerId, StreamMuxerBox);

/// A transport whose dials are checked.
pub(crate) struct Checked {
    inner: Boxed<Secured>,
    permits: Permits,
    places: Arc<Semaphore>,
}

impl Checked {
    /// That of `inner`.
    pub(crate) fn new(inner: Boxed<Secured>, permits: Permits) -> Self {
        Self { inner, permits, places: Arc::new(Semaphore::new(limits::DIALS)) }
    }
}

impl Transport for Checked {
    type Output = Secured;
    type Error = io::Error;
    type ListenerUpgrade = <Boxed<Secured> as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<Secured>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        if let Err(refusal) = self.permits.allows(&address) {
            return Err(TransportError::Other(io::Error::new(io::ErrorKind::PermissionDenied, refusal)));
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(TransportError::Other(io::Error::other("too many dials at once")));
        };
        let dial = self.inner.dial(address, options)?;
        Ok(dial.inspect_err(|error| tracing::debug!(%error, "dial failed")).inspect(move |_| drop(place)).boxed())
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(context)
    }
}

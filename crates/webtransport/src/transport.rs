//! The transport, as a swarm takes it.

use std::{
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::SystemTime,
};

use futures::future::Pending;
use libp2p_core::{
    multiaddr::Multiaddr,
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use libp2p_identity::{Keypair, PeerId};

use crate::{
    Config, Connection, Error,
    addresses::socket_of,
    listener::{Listener, Upgrade},
};

/// Listens on `/ip4|ip6/…/udp/…/quic-v1/webtransport`. It needs a tokio runtime around it.
pub struct Transport {
    identity: Keypair,
    config: Config,
    clock: Clock,
    listeners: Vec<Listener>,
    lasting: Lasting,
}

/// What time it is, for certificates.
pub(crate) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

impl Transport {
    /// For a node of this identity, which has to be one from which secrets can be derived: not RSA.
    pub fn new(identity: Keypair, config: Config) -> Self {
        Self { identity, config, clock: Arc::new(SystemTime::now), listeners: Vec::new(), lasting: Lasting::default() }
    }

    /// Certificates go by this clock instead of the system's: for who knows the time better, or tries what becomes of an address within a year.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// The addresses that are worth keeping, whatever becomes of the transport.
    pub fn lasting(&self) -> Lasting {
        self.lasting.clone()
    }
}

/// The addresses of a [`Transport`] that are worth keeping: each holds as long as [`Config::around`] certificates do. They are long (50 bytes for
/// each), so those that the transport tells by itself name two.
#[derive(Clone, Debug, Default)]
pub struct Lasting(Arc<RwLock<ByListener>>);

type ByListener = Vec<(ListenerId, Vec<Multiaddr>)>;

impl Lasting {
    /// Those of this moment.
    pub fn current(&self) -> Vec<Multiaddr> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().flat_map(|(_, addresses)| addresses).cloned().collect()
    }

    pub(crate) fn set(&self, listener: ListenerId, addresses: Vec<Multiaddr>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(other, _)| *other != listener);
        if !addresses.is_empty() {
            all.push((listener, addresses));
        }
    }
}

impl libp2p_core::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Pending<Result<Self::Output, Self::Error>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        let socket = socket_of(&address).ok_or_else(|| TransportError::MultiaddrNotSupported(address.clone()))?;
        let listener = Listener::open(id, &address, socket, &self.identity, &self.config, &self.clock, &self.lasting)
            .map_err(TransportError::Other)?;
        self.listeners.push(listener);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listeners.iter_mut().find(|listener| listener.id == id).map(Listener::close).is_some()
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<Self::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        let mut index = 0;
        while let Some(listener) = self.listeners.get_mut(index) {
            match listener.poll(context) {
                Poll::Ready(Some(event)) => return Poll::Ready(event),
                Poll::Ready(None) => drop(self.listeners.swap_remove(index)),
                Poll::Pending => index += 1,
            }
        }
        Poll::Pending
    }
}

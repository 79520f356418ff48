//! The transport: its listeners.

use std::{
    future::Pending,
    pin::Pin,
    task::{Context, Poll},
};

use libp2p_core::{
    Multiaddr,
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use libp2p_identity::{Keypair, PeerId};

use super::{
    addresses::socket_of,
    certificate::Certificate,
    config::Config,
    connection::Connection,
    error::Error,
    listener::{Listener, Upgrade},
    tunnel::Settings,
};

/// Listens on `/ip4|ip6/…/udp/…/webrtc-direct`. It needs a tokio runtime around it.
pub struct Transport {
    identity: Keypair,
    config: Config,
    settings: Settings,
    listeners: Vec<Listener>,
}

impl Transport {
    /// For a node of this identity, which has to be one from which secrets can be derived: not RSA.
    ///
    /// # Errors
    /// Where there is no certificate, or DTLS finds its cryptography wanting.
    pub fn new(identity: Keypair, config: Config) -> Result<Self, Error> {
        let settings = Settings::new(Certificate::derive(&identity)?)?;
        Ok(Self { identity, config, settings, listeners: Vec::new() })
    }
}

impl libp2p_core::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Pending<Result<Self::Output, Self::Error>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        let socket = socket_of(&address).ok_or_else(|| TransportError::MultiaddrNotSupported(address.clone()))?;
        let listener = Listener::open(id, &address, socket, &self.identity, &self.settings, &self.config).map_err(TransportError::Other)?;
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

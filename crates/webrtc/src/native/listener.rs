//! One open port, as a transport tells of it: at which addresses it is reached, and who comes.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p_core::{
    multiaddr::{Multiaddr, Protocol},
    transport::{ListenerId, TransportEvent},
};
use libp2p_identity::{Keypair, PeerId};
use tokio::sync::mpsc;

use super::{
    addresses::{address_of, reached_at},
    config::Config,
    connection::Connection,
    error::Error,
    port::{self, Arrival, Port},
    tunnel::Settings,
};

/// How often to look whether this machine has other addresses.
const LOOK: Duration = Duration::from_secs(60);

/// What an attempt becomes.
pub(super) type Upgrade = BoxFuture<'static, Result<(PeerId, Connection), Error>>;
type Event = TransportEvent<Upgrade, Error>;

/// An open port.
pub(super) struct Listener {
    pub(super) id: ListenerId,
    identity: Keypair,
    settings: Settings,
    socket: SocketAddr,
    arrivals: mpsc::Receiver<Arrival>,
    told: Vec<Multiaddr>,
    events: VecDeque<Event>,
    look: Pin<Box<tokio::time::Sleep>>,
    closed: bool,
}

impl Listener {
    /// Opens a port.
    ///
    /// # Errors
    /// Where it is in use.
    pub(super) fn open(
        id: ListenerId,
        address: &Multiaddr,
        socket: SocketAddr,
        identity: &Keypair,
        settings: &Settings,
        config: &Config,
    ) -> Result<Self, Error> {
        let opened = Arc::new(port::open(socket).map_err(|error| Error::Port(address.clone(), error))?);
        let socket = opened.local_addr().map_err(|error| Error::Port(address.clone(), error))?;
        reached_at(socket).map_err(Error::Addresses)?;
        let (arrived, arrivals) = mpsc::channel(config.handshakes);
        tokio::spawn(Port::new(opened, settings.clone(), config.clone(), arrived).serve());
        let mut listener = Self {
            id,
            identity: identity.clone(),
            settings: settings.clone(),
            socket,
            arrivals,
            told: Vec::new(),
            events: VecDeque::new(),
            look: Box::pin(tokio::time::sleep(LOOK)),
            closed: false,
        };
        listener.tell();
        Ok(listener)
    }

    /// Lets nobody in any more. Connections go on, and the port is free once the last has ended.
    pub(super) fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.arrivals.close();
            self.events.push_back(TransportEvent::ListenerClosed { listener_id: self.id, reason: Ok(()) });
        }
    }

    /// Tells what has changed: first what is new, so that there is always one.
    fn tell(&mut self) {
        let listener_id = self.id;
        let reached = match reached_at(self.socket) {
            Ok(reached) => reached,
            Err(error) => return tracing::debug!(%error, "the addresses of this machine are not known"),
        };
        let hash = Protocol::Certhash(*self.settings.certhash());
        let now: Vec<Multiaddr> = reached.into_iter().map(|socket| address_of(socket).with(hash.clone())).collect();
        let new = now.iter().filter(|address| !self.told.contains(address)).cloned();
        self.events.extend(new.map(|listen_addr| TransportEvent::NewAddress { listener_id, listen_addr }));
        let old = self.told.iter().filter(|address| !now.contains(address)).cloned();
        self.events.extend(old.map(|listen_addr| TransportEvent::AddressExpired { listener_id, listen_addr }));
        self.told = now;
    }

    fn take(&mut self, arrival: Arrival) {
        let send_back_addr = address_of(arrival.from);
        let upgrade = self.upgrade(arrival);
        self.events.push_back(TransportEvent::Incoming {
            listener_id: self.id,
            upgrade,
            local_addr: address_of(self.socket),
            send_back_addr,
        });
    }

    fn upgrade(&self, arrival: Arrival) -> Upgrade {
        let (identity, own) = (self.identity.clone(), *self.settings.certhash());
        async move {
            let Arrival { connection, noise, place, by, .. } = arrival;
            let attempt = connection.authenticate(&identity, &own, noise);
            let result = tokio::time::timeout_at(by.into(), attempt).await.unwrap_or(Err(Error::TimedOut));
            drop(place);
            result
        }
        .boxed()
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Some(event));
            }
            if self.closed {
                return Poll::Ready(None);
            }
            if let Poll::Ready(arrival) = self.arrivals.poll_recv(context) {
                match arrival {
                    Some(arrival) => self.take(arrival),
                    None => self.close(),
                }
                continue;
            }
            if self.look.as_mut().poll(context).is_ready() {
                self.tell();
                self.look.as_mut().reset(tokio::time::Instant::now() + LOOK);
                continue;
            }
            return Poll::Pending;
        }
    }
}

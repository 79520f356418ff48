//! One open port: who comes, under which certificate, and at which addresses it is reached.

use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use libp2p_core::{
    multiaddr::Multiaddr,
    transport::{ListenerId, TransportEvent},
};
use libp2p_identity::{Keypair, PeerId};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{
    Config,
    addresses::{address_of, reached_at, with_hashes},
    certificates::{Certificates, Schedule},
    connection::{self, Connection},
    door::{Door, Place},
    error::Error,
    session::ALPN,
    transport::{Clock, Lasting},
};

/// How often to look whether this machine has other addresses, or a clock was set so that another certificate is due.
const LOOK: Duration = Duration::from_secs(60);

/// What an attempt becomes.
pub(crate) type Upgrade = BoxFuture<'static, Result<(PeerId, Connection), Error>>;
type Event = TransportEvent<Upgrade, Error>;

/// The certificate in use, for TLS.
#[derive(Debug)]
struct InUse(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for InUse {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// An open port.
pub(crate) struct Listener {
    pub(crate) id: ListenerId,
    identity: Keypair,
    config: Config,
    clock: Clock,
    endpoint: quinn::Endpoint,
    socket: SocketAddr,
    schedule: Schedule,
    certificates: Certificates,
    in_use: Arc<InUse>,
    door: Door,
    /// Where it is reached, without hashes.
    reached: HashSet<SocketAddr>,
    told: Vec<Multiaddr>,
    lasting: Lasting,
    events: VecDeque<Event>,
    /// The next packet of somebody new.
    incoming: BoxFuture<'static, Option<quinn::Incoming>>,
    look: Pin<Box<tokio::time::Sleep>>,
    closed: bool,
}

impl Listener {
    /// Opens a port.
    ///
    /// # Errors
    /// Where it is in use, or TLS cannot be set up.
    pub(crate) fn open(
        id: ListenerId,
        address: &Multiaddr,
        socket: SocketAddr,
        identity: &Keypair,
        config: &Config,
        clock: &Clock,
        lasting: &Lasting,
    ) -> Result<Self, Error> {
        let schedule = Schedule::of(&identity.public());
        let certificates = Certificates::at(identity, &schedule, clock(), config.around)?;
        let in_use = Arc::new(InUse(RwLock::new(certificates.current.key.clone())));
        let endpoint =
            quinn::Endpoint::server(server_config(in_use.clone(), config)?, socket).map_err(|error| Error::Port(address.clone(), error))?;
        let socket = endpoint.local_addr().map_err(|error| Error::Port(address.clone(), error))?;
        let mut listener = Self {
            id,
            identity: identity.clone(),
            config: config.clone(),
            clock: clock.clone(),
            socket,
            schedule,
            certificates,
            in_use,
            door: Door::new(config.handshakes, config.handshakes_per_network),
            reached: reached_at(socket).map_err(Error::Addresses)?,
            told: Vec::new(),
            lasting: lasting.clone(),
            events: VecDeque::new(),
            incoming: next(endpoint.clone()),
            endpoint,
            look: Box::pin(tokio::time::sleep(Duration::ZERO)),
            closed: false,
        };
        listener.tell();
        Ok(listener)
    }

    /// Lets nobody in any more. Connections go on, and the port is free once the last has ended.
    pub(crate) fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.lasting.set(self.id, Vec::new());
            self.endpoint.set_server_config(None);
            self.events.push_back(TransportEvent::ListenerClosed { listener_id: self.id, reason: Ok(()) });
        }
    }

    /// Tells what has changed: first what is new, so that there is always one.
    fn tell(&mut self) {
        let listener_id = self.id;
        let now: Vec<Multiaddr> =
            self.reached.iter().map(|socket| with_hashes(&address_of(*socket), self.certificates.advertised())).collect();
        let new = now.iter().filter(|address| !self.told.contains(address)).cloned();
        self.events.extend(new.map(|listen_addr| TransportEvent::NewAddress { listener_id, listen_addr }));
        let old = self.told.iter().filter(|address| !now.contains(address)).cloned();
        self.events.extend(old.map(|listen_addr| TransportEvent::AddressExpired { listener_id, listen_addr }));
        self.told = now;
        let lasting = self.reached.iter().map(|socket| with_hashes(&address_of(*socket), self.certificates.lasting()));
        self.lasting.set(self.id, lasting.collect());
    }

    /// Takes the certificate of this moment, and the addresses.
    fn refresh(&mut self) {
        self.change_certificate();
        match reached_at(self.socket) {
            Ok(reached) => self.reached = reached,
            Err(error) => tracing::debug!(%error, "the addresses of this machine are not known"),
        }
        self.tell();
    }

    /// Whether another one was due.
    fn change_certificate(&mut self) -> bool {
        let now = (self.clock)();
        if self.schedule.at(now) == self.certificates.period {
            return false;
        }
        match Certificates::at(&self.identity, &self.schedule, now, self.config.around) {
            Ok(certificates) => {
                *self.in_use.0.write().unwrap_or_else(PoisonError::into_inner) = certificates.current.key.clone();
                self.certificates = certificates;
                true
            }
            Err(error) => {
                self.events.push_back(TransportEvent::ListenerError { listener_id: self.id, error: error.into() });
                false
            }
        }
    }

    fn take(&mut self, incoming: quinn::Incoming) {
        // After a machine has slept, somebody may come before any timer.
        if self.change_certificate() {
            self.tell();
        }
        if !incoming.remote_address_validated() && self.door.under_way() >= self.config.handshakes_unproven {
            // It fails only where the address is proven.
            let _ = incoming.retry();
            return;
        }
        let Some(place) = self.door.enter(incoming.remote_address().ip()) else { return incoming.refuse() };
        let send_back_addr = address_of(incoming.remote_address());
        let local = incoming.local_ip().map_or(self.socket, |ip| SocketAddr::new(ip, self.socket.port()));
        let upgrade = self.upgrade(incoming, place);
        self.events.push_back(TransportEvent::Incoming { listener_id: self.id, upgrade, local_addr: address_of(local), send_back_addr });
    }

    fn upgrade(&self, incoming: quinn::Incoming, place: Place) -> Upgrade {
        let identity = self.identity.clone();
        let hashes = self.certificates.confirmed().copied().collect();
        let patience = self.config.handshake_timeout;
        async move {
            let attempt = connection::accept(incoming, &identity, hashes);
            let result = tokio::time::timeout(patience, attempt).await.unwrap_or(Err(Error::TimedOut));
            drop(place);
            result
        }
        .boxed()
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Some(event));
            }
            if self.closed {
                return Poll::Ready(None);
            }
            if let Poll::Ready(incoming) = self.incoming.poll_unpin(context) {
                match incoming {
                    Some(incoming) => {
                        self.incoming = next(self.endpoint.clone());
                        self.take(incoming);
                    }
                    None => self.close(),
                }
                continue;
            }
            if self.look.as_mut().poll(context).is_ready() {
                self.refresh();
                let soon = self.schedule.left((self.clock)()).min(LOOK);
                self.look.as_mut().reset(tokio::time::Instant::now() + soon + Duration::from_millis(1));
                continue;
            }
            return Poll::Pending;
        }
    }
}

fn next(endpoint: quinn::Endpoint) -> BoxFuture<'static, Option<quinn::Incoming>> {
    async move { endpoint.accept().await }.boxed()
}

fn server_config(certificate: Arc<InUse>, config: &Config) -> Result<quinn::ServerConfig, Error> {
    let tls = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls(&error))?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    server.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(server).map_err(|error| tls(&error))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(config.quic());
    Ok(server)
}

//! A listener in a task of its own, and whoever dials it.

pub(crate) mod client;
pub(crate) mod impostor;
pub(crate) mod stubborn;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::{Duration, SystemTime},
};

use futures::{FutureExt as _, future::poll_fn};
use libp2p_core::{
    Multiaddr, Transport as _,
    multiaddr::Protocol,
    muxing::StreamMuxerBox,
    transport::{ListenerId, TransportEvent},
};
use libp2p_identity::{Keypair, PeerId};
use multihash::Multihash;
use shoal_webtransport::{Config, Connection, Error, Lasting, Transport, certificates::PERIOD};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

pub(crate) use client::hashes;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where a listener is asked to listen: any port of this machine.
pub(crate) fn anywhere() -> Multiaddr {
    "/ip4/127.0.0.1/udp/0/quic-v1/webtransport".parse().unwrap()
}

/// A listener, which brings every connection and the addresses that hold.
pub(crate) struct Server {
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    /// Its clock.
    pub(crate) time: Time,
    lasting: Lasting,
    pub(crate) changes: mpsc::UnboundedReceiver<(bool, Multiaddr)>,
    connections: mpsc::UnboundedReceiver<Result<(PeerId, Connection), Error>>,
    remove: Option<oneshot::Sender<()>>,
}

impl Server {
    pub(crate) async fn listen(config: Config) -> Self {
        let identity = Keypair::generate_ed25519();
        let peer = identity.public().to_peer_id();
        let time = Time::default();
        let clock = time.clone();
        let mut transport = Transport::new(identity, config).with_clock(move || clock.now());
        let id = ListenerId::next();
        transport.listen_on(id, anywhere()).unwrap();
        let lasting = transport.lasting();
        let (arrived, connections) = mpsc::unbounded_channel();
        let (changed, mut changes) = mpsc::unbounded_channel();
        let (remove, mut removed) = oneshot::channel();
        tokio::spawn(async move {
            loop {
                let event = poll_fn(|context| {
                    if matches!(removed.poll_unpin(context), Poll::Ready(Ok(()))) {
                        assert!(transport.remove_listener(id));
                    }
                    Pin::new(&mut transport).poll(context)
                });
                match event.await {
                    TransportEvent::NewAddress { listen_addr, .. } => drop(changed.send((true, listen_addr))),
                    TransportEvent::AddressExpired { listen_addr, .. } => drop(changed.send((false, listen_addr))),
                    TransportEvent::Incoming { upgrade, .. } => {
                        let arrived = arrived.clone();
                        tokio::spawn(async move { drop(arrived.send(upgrade.await)) });
                    }
                    TransportEvent::ListenerClosed { listener_id, reason: Ok(()) } if listener_id == id => return,
                    other => panic!("{other:?}"),
                }
            }
        });
        let (_, address) = changes.recv().await.unwrap();
        Self { peer, address, connections, changes, lasting, time, remove: Some(remove) }
    }

    /// An address that is worth keeping.
    pub(crate) fn lasting(&self) -> Multiaddr {
        self.lasting.current().remove(0)
    }

    /// Stops listening.
    pub(crate) async fn remove(&mut self) {
        self.remove.take().unwrap().send(()).unwrap();
        assert!(timeout(PATIENCE, self.changes.recv()).await.unwrap().is_none(), "the listener's end");
    }

    /// What becomes of the next attempt.
    pub(crate) async fn arrived(&mut self) -> Result<(PeerId, Connection), Error> {
        timeout(PATIENCE, self.connections.recv()).await.unwrap().unwrap()
    }

    /// The next change of addresses: whether it is a new one or the end of one.
    pub(crate) async fn changed(&mut self) -> (bool, Multiaddr) {
        timeout(PATIENCE, self.changes.recv()).await.unwrap().unwrap()
    }

    /// Both ends of a connection: the dialler's, the listener's.
    pub(crate) async fn connected(&mut self) -> (StreamMuxerBox, StreamMuxerBox) {
        let address = self.address.clone();
        let (dialled, came) = futures::future::join(client::dial(&address, &hashes(&address)), self.arrived()).await;
        let ((peer, dialled), (_, came)) = (dialled.unwrap(), came.unwrap());
        assert_eq!(peer, self.peer);
        (StreamMuxerBox::new(dialled), StreamMuxerBox::new(came))
    }
}

/// A clock that a test sets: the system's, and so many certificates later.
#[derive(Clone, Default)]
pub(crate) struct Time(Arc<AtomicU32>);

impl Time {
    /// Until the next certificate.
    pub(crate) fn pass(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_secs(PERIOD.unsigned_abs()) * self.0.load(Ordering::Relaxed)
    }
}

/// The same address with other certificates.
pub(crate) fn with_hashes(address: &Multiaddr, hashes: &[Multihash<64>]) -> Multiaddr {
    let bare: Multiaddr = address.iter().filter(|part| !matches!(part, Protocol::Certhash(_))).collect();
    hashes.iter().fold(bare, |address, hash| address.with(Protocol::Certhash(*hash)))
}

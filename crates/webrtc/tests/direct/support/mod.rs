//! A listener in a task of its own, and whoever dials it.

pub(crate) mod client;
pub(crate) mod flood;

use std::{
    io::{BufRead as _, BufReader},
    pin::Pin,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::future::poll_fn;
use libp2p_core::{
    Multiaddr, StreamMuxer, Transport as _,
    transport::{ListenerId, TransportEvent},
};
use libp2p_identity::{Keypair, PeerId};
use shoal_webrtc::{Config, Connection, Error, Stream, Transport};
use tokio::{sync::mpsc, time::timeout};

use client::{Client, Version};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A listener, which brings every connection.
pub(crate) struct Server {
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    connections: mpsc::UnboundedReceiver<Result<(PeerId, Connection), Error>>,
}

impl Server {
    pub(crate) async fn listen(config: Config) -> Self {
        let identity = Keypair::generate_ed25519();
        let peer = identity.public().to_peer_id();
        let mut transport = Transport::new(identity, config).unwrap();
        transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap()).unwrap();
        let (arrived, connections) = mpsc::unbounded_channel();
        let (told, mut address) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                match poll_fn(|context| Pin::new(&mut transport).poll(context)).await {
                    TransportEvent::NewAddress { listen_addr, .. } => drop(told.send(listen_addr)),
                    TransportEvent::Incoming { upgrade, .. } => {
                        let arrived = arrived.clone();
                        tokio::spawn(async move { drop(arrived.send(upgrade.await)) });
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        let address = address.recv().await.unwrap();
        Self { peer, address, connections }
    }

    /// What becomes of the next attempt.
    pub(crate) async fn arrived(&mut self) -> Result<(PeerId, Connection), Error> {
        timeout(PATIENCE, self.connections.recv()).await.expect("an attempt").unwrap()
    }

    /// Both ends of a connection: the dialler's, the listener's.
    pub(crate) async fn connected(&mut self, version: Version) -> (Client, Connection) {
        let address = self.address.clone();
        let (dialled, came) = futures::future::join(Client::dial(&address, version), self.arrived()).await;
        let ((peer, dialled), (_, came)) = (dialled.unwrap(), came.unwrap());
        assert_eq!(peer, self.peer);
        (dialled, came)
    }
}

/// The next stream that the client opened.
pub(crate) async fn inbound(connection: &mut Connection) -> Stream {
    timeout(PATIENCE, poll_fn(|context| Pin::new(&mut *connection).poll_inbound(context))).await.expect("a stream").unwrap()
}

/// A stream to the client.
pub(crate) async fn outbound(connection: &mut Connection) -> Stream {
    timeout(PATIENCE, poll_fn(|context| Pin::new(&mut *connection).poll_outbound(context))).await.expect("a stream").unwrap()
}

/// A listener in a process of its own, whose memory is nobody else's: this program once more, as `measure::serves`.
pub(crate) struct Program {
    process: Child,
    pub(crate) address: Multiaddr,
}

/// Says that it is such a process.
pub(crate) const SERVES: &str = "SHOAL_SERVES";

impl Program {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "measure::serves"])
            .env(SERVES, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find_map(|line| line.strip_prefix("address ").map(|address| address.parse().unwrap())).unwrap();
        Self { process, address }
    }

    /// Bytes of its memory.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/statm", self.process.id())).unwrap();
        status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

//! QUIC for programs: libp2p's own transport, behind a door of its own and with its bytes counted.
//!
//! Its door is not the one of sockets: where a packet comes from can be pretended, and whoever pretends must keep neither pages outside nor
//! make networks suspect that never came.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        muxing::StreamMuxerBox,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
    identity::Keypair,
    quic,
};

use crate::{
    addresses::ip_of,
    admission::{Door, Knock, Visitors},
    counted::Counted,
    health::{Agreed, Health},
    limits,
    settings::Config,
};

/// The transport.
pub(crate) struct Transport {
    quic: quic::tokio::Transport,
    door: Door,
    health: Arc<Health>,
}

impl Transport {
    /// Within the limits of `config`.
    pub(crate) fn new(config: &Config, key: &Keypair, health: Arc<Health>) -> Self {
        Self {
            quic: quic::tokio::Transport::new(allowed(config, key)),
            door: Door::new(config.max_pending, config.max_pending_per_network, &Visitors::new()),
            health,
        }
    }
}

fn allowed(config: &Config, key: &Keypair) -> quic::Config {
    let mut quic = quic::Config::new(key);
    quic.handshake_timeout = Duration::from_secs(config.handshake_seconds);
    quic.max_idle_timeout = u32::try_from(config.silent_seconds.saturating_mul(1_000)).unwrap_or(u32::MAX);
    // Two may be lost before a peer is taken for dead.
    quic.keep_alive_interval = Duration::from_secs(config.silent_seconds) / 3;
    quic.max_concurrent_stream_limit = u32::try_from(config.max_streams_per_connection).unwrap_or(u32::MAX);
    quic.max_stream_data = limits::QUIC_STREAM_WINDOW;
    quic.max_connection_data = limits::QUIC_CONNECTION_WINDOW;
    quic
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, StreamMuxerBox);
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Self::Output>>;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.quic.listen_on(id, address).map_err(|error| error.map(said))
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.quic.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let dial = self.quic.dial(address, options).map_err(|error| error.map(said))?;
        let health = Arc::clone(&self.health);
        Ok(async move { dial.await.map(|connected| counted(connected, health)).map_err(said) }.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        loop {
            match ready!(Pin::new(&mut self.quic).poll(context)) {
                TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr } => {
                    let Some(knock) = self.door.knock(ip_of(&send_back_addr).map(Into::into)) else {
                        self.health.refused.add(1);
                        continue;
                    };
                    let upgrade = authenticated(upgrade, knock, Arc::clone(&self.health)).boxed();
                    return Poll::Ready(TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr });
                }
                event => {
                    let nothing = |_| futures::future::pending().boxed();
                    return Poll::Ready(event.map_upgrade(nothing).map_err(said));
                }
            }
        }
    }
}

fn said(error: quic::Error) -> io::Error {
    match error {
        quic::Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

async fn authenticated(connecting: quic::Connecting, knock: Knock, health: Arc<Health>) -> io::Result<(PeerId, StreamMuxerBox)> {
    let told_to_leave = knock.told_to_leave();
    tokio::select! {
        outcome = connecting => {
            let connected = outcome.map_err(said)?;
            knock.come_in();
            Ok(counted(connected, health))
        }
        () = told_to_leave.notified() => {
            health.refused.add(1);
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }
}

fn counted((peer, connection): (PeerId, quic::Connection), health: Arc<Health>) -> (PeerId, StreamMuxerBox) {
    tracing::debug!(%peer, security = "TLS 1.3", muxer = "QUIC", "negotiated");
    health.agreed(Agreed::Quic);
    (peer, StreamMuxerBox::new(Counted::new(connection, health)))
}

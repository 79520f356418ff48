//! TCP: accepts connections within limits, and looks at the first byte of each for what it is, so that one port can serve several purposes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use shoal_protocol::connections::Network;
use tokio::net::TcpListener;

use crate::{
    admission::Knock,
    arrivals::{Arrival, Socket},
    http::{self, Site},
    limits,
    tcp::Guarded,
    tls::Tls,
    way::Way,
};

/// What one port is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purposes {
    /// HTTP, and WebSockets by it.
    pub(crate) http: bool,
    /// The same inside TLS.
    pub(crate) tls: bool,
    /// libp2p from the first byte on.
    pub(crate) libp2p: bool,
}

impl Purposes {
    /// The first byte that a dialling libp2p peer sends: the length of `/multistream/1.0.0` and the end of its line. No request of HTTP
    /// begins with it.
    const MULTISTREAM: u8 = 19;

    /// A handshake of TLS (RFC 8446 5.1).
    const HANDSHAKE: u8 = 22;

    /// The purpose of a connection that begins with `first`.
    const fn of(self, first: u8) -> Purpose {
        if self.tls && (first == Self::HANDSHAKE || !self.http && !self.libp2p) {
            Purpose::Tls
        } else if self.libp2p && (first == Self::MULTISTREAM || !self.http) {
            Purpose::Libp2p
        } else {
            Purpose::Http
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Http,
    Tls,
    Libp2p,
}

/// What all ports lead to.
pub(crate) struct Entrance {
    site: Site,
    router: Router,
    tls: Option<Arc<Tls>>,
}

impl Entrance {
    /// To `site`; with `tls`, by that as well.
    pub(crate) const fn new(site: Site, router: Router, tls: Option<Arc<Tls>>) -> Self {
        Self { site, router, tls }
    }

    /// Lets in whoever connects to `listener`, until dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, purposes: Purposes) {
        loop {
            let (stream, remote) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: connections that end will free some.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let network = Network::from(remote.ip());
            // All connections of a proxy come from one address, so that nothing can be said of its clients' networks yet.
            let places = (self.site.connections.enter(network), self.site.silent.knock((!self.site.trust_proxy).then_some(network)));
            let (Some(ticket), Some(knock)) = places else {
                self.site.health.refused.add(1);
                continue;
            };
            tokio::spawn(Arc::clone(&self).receive(Guarded::new(stream, ticket), remote, knock, purposes));
        }
    }

    async fn receive(self: Arc<Self>, socket: Guarded, remote: SocketAddr, knock: Knock, purposes: Purposes) {
        let told_to_leave = knock.told_to_leave();
        let purpose = tokio::select! {
            first = socket.first() => match first {
                Ok(first) => purposes.of(first),
                Err(error) => return tracing::debug!(%error, "left without a word"),
            },
            () = told_to_leave.notified() => return tracing::debug!("nothing came, and others wait"),
            () = tokio::time::sleep(limits::HTTP_HEADER) => return tracing::debug!("nothing came"),
        };
        match purpose {
            Purpose::Http => http::serve(socket, http::From { remote, way: Way::WebSocket }, knock, self.router.clone()).await,
            Purpose::Tls => {
                let Some(tls) = &self.tls else { return };
                let secured = tokio::select! {
                    secured = tls.accept(socket) => secured,
                    () = told_to_leave.notified() => return tracing::debug!("no TLS handshake came, and others wait"),
                };
                match secured {
                    Ok(secured) => {
                        http::serve(secured, http::From { remote, way: Way::SecureWebSocket }, knock, self.router.clone()).await;
                    }
                    Err(error) => tracing::debug!(%error, "TLS handshake failed"),
                }
            }
            Purpose::Libp2p => {
                knock.come_in();
                self.hand_in(socket, remote).await;
            }
        }
    }

    async fn hand_in(&self, socket: Guarded, remote: SocketAddr) {
        let Some(knock) = self.site.handshakes.knock(Some(remote.ip().into())) else { return self.site.health.refused.add(1) };
        let arrival = Arrival { socket: Socket::Tcp(socket), way: Way::Tcp, remote, knock };
        if self.site.arrivals.send(arrival).await.is_err() {
            tracing::debug!("connected while shutting down");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_says_what_a_connection_is_for() {
        let of = |http, tls, libp2p| move |first| Purposes { http, tls, libp2p }.of(first);
        let firsts = [b'G', 22, 19];
        assert_eq!(firsts.map(of(true, true, true)), [Purpose::Http, Purpose::Tls, Purpose::Libp2p]);
        assert_eq!(firsts.map(of(true, false, false)), [Purpose::Http; 3]);
        assert_eq!(firsts.map(of(false, true, false)), [Purpose::Tls; 3]);
        assert_eq!(firsts.map(of(false, false, true)), [Purpose::Libp2p; 3]);
    }
}

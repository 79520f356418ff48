//! Dials by TCP and by WebSocket.
//!
//! By TCP from the port on which others reach this server, where two servers behind routers have to meet half-way: a router lets in what answers the
//! port that it saw something leave by. Both then dial, and one of them takes the listener's part in the handshake.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        Endpoint,
        muxing::StreamMuxerBox,
        transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
    },
    multiaddr::Protocol,
};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::{
    arrivals::Bounds,
    health::Health,
    limits,
    negotiation::{Part, Security, authenticated},
    tcp::{self, Guarded},
    websocket::{self, Dialled},
};

/// The transport.
#[derive(Clone)]
pub(crate) struct Sockets {
    security: Security,
    health: Arc<Health>,
    bounds: Bounds,
    /// Where this server listens, if that port may be shared with dials.
    port: Option<SocketAddr>,
    /// What authenticates servers by TLS, made when it is first needed.
    trust: Arc<Mutex<Option<Arc<ClientConfig>>>>,
}

/// Where an address leads.
#[derive(Debug, PartialEq)]
struct Target {
    host: Host,
    port: u16,
    by: By,
}

#[derive(Debug, PartialEq)]
enum Host {
    At(std::net::IpAddr),
    Named(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Tcp,
    WebSocket,
    SecureWebSocket,
}

impl Target {
    fn of(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter().filter(|part| !matches!(part, Protocol::P2p(_)));
        let host = match parts.next()? {
            Protocol::Ip4(ip) => Host::At(ip.into()),
            Protocol::Ip6(ip) => Host::At(ip.into()),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Host::Named(name.into_owned()),
            _ => return None,
        };
        let Protocol::Tcp(port) = parts.next()? else { return None };
        let by = match (parts.next(), parts.next(), parts.next()) {
            (None, _, _) => By::Tcp,
            (Some(Protocol::Ws(path)), None, _) if path == "/" => By::WebSocket,
            (Some(Protocol::Wss(path)), None, _) if path == "/" => By::SecureWebSocket,
            (Some(Protocol::Tls), Some(Protocol::Ws(path)), None) if path == "/" => By::SecureWebSocket,
            _ => return None,
        };
        Some(Self { host, port, by })
    }

    /// As in a URL and its Host header.
    fn authority(&self) -> String {
        match &self.host {
            Host::At(ip) => SocketAddr::new(*ip, self.port).to_string(),
            Host::Named(name) => format!("{name}:{}", self.port),
        }
    }
}

impl Sockets {
    /// Dials as the server that `security` shows, from `port` where that is of use.
    pub(crate) fn new(security: Security, health: Arc<Health>, bounds: Bounds, port: Option<SocketAddr>) -> Self {
        Self { security, health, bounds, port, trust: Arc::default() }
    }

    async fn connect(self, target: Target, options: DialOpts) -> io::Result<(PeerId, StreamMuxerBox)> {
        let part = if options.role == Endpoint::Dialer { Part::Dialler } else { Part::Listener };
        let from = self.port.filter(|_| target.by == By::Tcp && options.port_use == PortUse::Reuse);
        let stream = match &target.host {
            Host::At(ip) => connected(SocketAddr::new(*ip, target.port), from, part).await?,
            Host::Named(name) => first_of(looked_up(name, target.port).await?).await?,
        };
        let guarded = Guarded::dialled(stream);
        let (streams, health) = (self.bounds.streams, Arc::clone(&self.health));
        match target.by {
            By::Tcp => authenticated(tcp::Bytes::new(guarded, Arc::clone(&health)), self.security, part, true, streams, health).await,
            By::WebSocket => {
                let socket = Dialled::upgrade(guarded, &format!("ws://{}/", target.authority())).await?;
                let bytes = websocket::Bytes::new(socket, Arc::clone(&health));
                authenticated(bytes, self.security, part, false, streams, health).await
            }
            By::SecureWebSocket => {
                let name = match &target.host {
                    Host::At(ip) => rustls::pki_types::ServerName::from(*ip),
                    Host::Named(name) => name.clone().try_into().map_err(io::Error::other)?,
                };
                let secured = TlsConnector::from(self.trust()?).connect(name, guarded).await?;
                let socket = Dialled::upgrade(secured, &format!("wss://{}/", target.authority())).await?;
                let bytes = websocket::Bytes::new(socket, Arc::clone(&health));
                authenticated(bytes, self.security, part, false, streams, health).await
            }
        }
    }

    /// As this system knows authorities.
    fn trust(&self) -> io::Result<Arc<ClientConfig>> {
        let mut trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trust) = &*trust {
            return Ok(Arc::clone(trust));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(io::Error::other)?;
        Ok(Arc::clone(trust.insert(Arc::new(versions.with_root_certificates(roots).with_no_client_auth()))))
    }
}

impl libp2p::Transport for Sockets {
    type Output = (PeerId, StreamMuxerBox);
    type Error = io::Error;
    type ListenerUpgrade = futures::future::Pending<io::Result<Self::Output>>;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    /// What listens is the entrance.
    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let target = Target::of(&address).ok_or(TransportError::MultiaddrNotSupported(address))?;
        let (this, handshake) = (self.clone(), self.bounds.handshake);
        let dial = async move {
            let connected = tokio::time::timeout(handshake, this.connect(target, options));
            connected.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        Ok(dial.boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Poll::Pending
    }
}

async fn looked_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((name, port)).await?.take(limits::ADDRESSES_OF_NAME).collect())
}

/// Connects to the first of a name's addresses that answers.
async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut outcome = Err(io::ErrorKind::NotFound.into());
    for address in addresses {
        outcome = TcpStream::connect(address).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Connects `from` a port that something listens at, or from any where that cannot be and is no matter.
async fn connected(to: SocketAddr, from: Option<SocketAddr>, part: Part) -> io::Result<TcpStream> {
    if let Some(from) = from.filter(|from| suits(*from, to)) {
        let outcome = shared(to, from)?.connect(to).await;
        let elsewhere = |error: &io::Error| matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable);
        match outcome {
            Err(error) if part == Part::Dialler && elsewhere(&error) => {}
            outcome => return outcome,
        }
    }
    TcpStream::connect(to).await
}

/// Whether packets can go from there to there.
fn suits(from: SocketAddr, to: SocketAddr) -> bool {
    from.is_ipv4() == to.is_ipv4() && (from.ip().is_unspecified() || from.ip().is_loopback() == to.ip().is_loopback())
}

fn shared(to: SocketAddr, from: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    let ip = if from.ip().is_unspecified() && to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else if from.ip().is_unspecified() {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        from.ip()
    };
    socket.bind(SocketAddr::new(ip, from.port()))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_how_to_dial_it() {
        let of = |text: &str| Target::of(&text.parse().unwrap()).map(|target| (target.authority(), target.by));
        let peer = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        assert_eq!(of(&format!("/ip4/192.0.2.7/tcp/81{peer}")), Some(("192.0.2.7:81".into(), By::Tcp)));
        assert_eq!(of("/ip6/2001:db8::1/tcp/81/ws"), Some(("[2001:db8::1]:81".into(), By::WebSocket)));
        for text in ["/dns4/a.example/tcp/443/tls/ws", "/dns4/a.example/tcp/443/wss"] {
            assert_eq!(of(text), Some(("a.example:443".into(), By::SecureWebSocket)));
        }
        for text in ["/ip4/192.0.2.7/udp/81/quic-v1", "/ip4/192.0.2.7/tcp/81/p2p-circuit", "/ip4/192.0.2.7/tcp/81/tls"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}

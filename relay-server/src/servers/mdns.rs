//! Who else is on this machine's link, by mDNS (<https://github.com/libp2p/specs/blob/master/discovery/mdns.md>).
//!
//! libp2p's own asks and answers. It believes whatever anybody on the link says, keeps it for as long as it is told to, and announces what listens,
//! which here is 0.0.0.0. So it is told the addresses of the network interfaces instead; it is begun anew, after a silence, when it holds more than any
//! honest link has; and of what it finds only addresses on this machine's own links are taken.

use std::{
    collections::BTreeMap,
    future::Future as _,
    io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::transport::ListenerId,
    mdns,
    swarm::{ExpiredListenAddr, FromSwarm, NetworkBehaviour as _, NewListenAddr, ToSwarm},
};
use tokio::time::{Sleep, sleep};

use crate::{addresses::ip_of, limits};

/// The search.
pub(crate) struct Mdns {
    local: PeerId,
    /// None while it is deaf.
    inner: Option<mdns::tokio::Behaviour>,
    deaf: Option<Pin<Box<Sleep>>>,
    announced: BTreeMap<Multiaddr, ListenerId>,
}

impl Mdns {
    /// Begins it for the server `local`.
    ///
    /// # Errors
    /// Where the system does not tell of its network interfaces.
    pub(crate) fn new(local: PeerId) -> io::Result<Self> {
        Ok(Self { local, inner: Some(begin(local)?), deaf: None, announced: BTreeMap::new() })
    }

    /// Announces these addresses of this server, and none else.
    pub(crate) fn announce(&mut self, addresses: &[Multiaddr]) {
        let gone: Vec<_> = self.announced.keys().filter(|known| !addresses.contains(known)).cloned().collect();
        for address in gone {
            if let Some(listener_id) = self.announced.remove(&address)
                && let Some(inner) = &mut self.inner
            {
                inner.on_swarm_event(FromSwarm::ExpiredListenAddr(ExpiredListenAddr { listener_id, addr: &address }));
            }
        }
        for address in addresses.iter().filter(|address| ip_of(address).is_some_and(|ip| !ip.is_loopback())) {
            if self.announced.contains_key(address) {
                continue;
            }
            let listener = ListenerId::next();
            self.announced.insert(address.clone(), listener);
            tell(&mut self.inner, listener, address);
        }
    }

    /// Who has been found: server and address, as claimed.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Vec<(PeerId, Multiaddr)>> {
        self.listen_again(context);
        while let Some(inner) = &mut self.inner {
            let Poll::Ready(order) = inner.poll(context) else { return Poll::Pending };
            let ToSwarm::GenerateEvent(mdns::Event::Discovered(found)) = order else { continue };
            if inner.discovered_nodes().len() > limits::MDNS_RECORDS {
                tracing::warn!(
                    seconds = limits::MDNS_DEAF.as_secs(),
                    "somebody floods this link with answers of mDNS: not listened to for a while"
                );
                self.inner = None;
                self.deaf = Some(Box::pin(sleep(limits::MDNS_DEAF)));
                self.listen_again(context);
            }
            return Poll::Ready(found);
        }
        Poll::Pending
    }

    fn listen_again(&mut self, context: &mut Context<'_>) {
        let Some(deaf) = &mut self.deaf else { return };
        if deaf.as_mut().poll(context).is_pending() {
            return;
        }
        self.deaf = None;
        match begin(self.local) {
            Ok(inner) => self.inner = Some(inner),
            Err(error) => return tracing::warn!(%error, "mDNS cannot go on"),
        }
        for (address, listener) in &self.announced {
            tell(&mut self.inner, *listener, address);
        }
    }
}

fn begin(local: PeerId) -> io::Result<mdns::tokio::Behaviour> {
    let config = mdns::Config { query_interval: limits::MDNS_INTERVAL, ..mdns::Config::default() };
    mdns::tokio::Behaviour::new(config, local)
}

fn tell(inner: &mut Option<mdns::tokio::Behaviour>, listener_id: ListenerId, address: &Multiaddr) {
    if let Some(inner) = inner {
        inner.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr: address }));
    }
}

/// Whether `ip` is another machine's on a link of this one: an answer that leads elsewhere is a lie, or of no use.
pub(crate) fn on_link(ip: IpAddr) -> bool {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().filter(|interface| !interface.is_loopback()).any(|interface| match (&interface.addr, ip) {
        (if_addrs::IfAddr::V4(own), IpAddr::V4(ip)) => (own.ip.to_bits() ^ ip.to_bits()) & own.netmask.to_bits() == 0,
        (if_addrs::IfAddr::V6(own), IpAddr::V6(ip)) => (own.ip.to_bits() ^ ip.to_bits()) & own.netmask.to_bits() == 0,
        _ => false,
    })
}

//! Whether others reach this server, and whether it reaches others: AutoNAT v2 (<https://github.com/libp2p/specs/blob/master/autonat/autonat-v2.md>),
//! both halves on the connections of servers and programs only.
//!
//! An answer is a dial to where a stranger says. So few are given, and none that leads into a network that is not the asker's own: to addresses of the
//! internet, or to the very address that the asker comes from. libp2p has the asker send more than the dial can cost whomever it hits.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    autonat::v2::server,
    core::{Endpoint, transport::PortUse},
    swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm},
};
use shoal_protocol::{
    addresses::{Filter, Reach, Refusal, reach_of_ip},
    connections::Network,
};

use crate::{
    addresses::ip_of,
    health::Health,
    limits,
    only::{Inbound, Names, Only},
    outgoing::Permits,
    rate::TokenBuckets,
    settings::Config,
};

/// Why somebody is not answered by a dial.
#[derive(Debug, PartialEq, thiserror::Error)]
enum Declined {
    #[error("asked too often")]
    TooMany,
    #[error("the address is not the asker's: {0}")]
    Address(#[from] Refusal),
}

/// The answering half.
pub(crate) struct Answers {
    inner: Only<server::Behaviour>,
    permits: Permits,
    /// The dials that answer something; and what was lent for each.
    dials: HashMap<ConnectionId, Option<Multiaddr>>,
    /// Where those who may ask come from: bounded by the connections.
    hosts: HashMap<PeerId, IpAddr>,
    per_network: TokenBuckets<Network>,
    together: TokenBuckets<()>,
    health: Arc<Health>,
}

impl Answers {
    /// As often as `config` says.
    pub(crate) fn new(config: &Config, names: &Names, permits: &Permits, health: &Arc<Health>) -> Self {
        Self {
            inner: Only::new(server::Behaviour::default(), Inbound::Programs, names),
            permits: permits.clone(),
            dials: HashMap::new(),
            hosts: HashMap::new(),
            per_network: TokenBuckets::new(config.autonat_per_minute_per_network, limits::RATE_BUCKETS),
            together: TokenBuckets::new(limits::REACH_ANSWERS_PER_MINUTE, 1),
            health: Arc::clone(health),
        }
    }

    /// Whether `address` is dialled for one who comes from `host`; and whether it has to be lent for that.
    fn judge(&mut self, host: IpAddr, address: &Multiaddr) -> Result<bool, Declined> {
        let inner = dialled_for(host, address)?;
        let now = Instant::now();
        if !self.per_network.take(host.into(), now) || !self.together.take((), now) {
            return Err(Declined::TooMany);
        }
        Ok(inner)
    }

    fn ended(&mut self, id: ConnectionId) {
        if let Some(Some(lent)) = self.dials.remove(&id) {
            self.permits.take_back(&lent);
        }
    }
}

/// Whether it is an inner address, if it is dialled at all.
fn dialled_for(host: IpAddr, address: &Multiaddr) -> Result<bool, Refusal> {
    // A name could lead anywhere by the time it is looked up.
    let ip = ip_of(address).ok_or(Refusal::Host)?;
    let reach = reach_of_ip(ip).ok_or(Refusal::Host)?;
    if reach != Reach::Global && ip.to_canonical() != host.to_canonical() {
        return Err(Refusal::Host);
    }
    Filter::new(reach).check(address, reach)?;
    if crate::only::is_circuit(address) { Err(Refusal::Circuits) } else { Ok(reach != Reach::Global) }
}

impl NetworkBehaviour for Answers {
    type ConnectionHandler = THandler<Only<server::Behaviour>>;
    type ToSwarm = server::Event;

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if !self.dials.contains_key(&id) {
            return Ok(Vec::new());
        }
        let host = peer.and_then(|peer| self.hosts.get(&peer).copied());
        let judged = match (host, addresses) {
            (Some(host), [address]) => self.judge(host, address).map(|inner| inner.then(|| address.clone())),
            _ => Err(Refusal::Form.into()),
        };
        match judged {
            Ok(lent) => {
                if let Some(address) = &lent {
                    self.permits.lend(address);
                }
                self.dials.insert(id, lent);
                self.health.peering.reach_answers.add(1);
                Ok(Vec::new())
            }
            Err(declined) => {
                tracing::debug!(?peer, ?addresses, %declined, "not dialled");
                self.health.peering.reach_refused.add(1);
                Err(ConnectionDenied::new(declined))
            }
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self.inner.handle_established_inbound_connection(id, peer, local, remote)?;
        if let (Either::Left(_), Some(ip)) = (&handler, ip_of(remote)) {
            self.hosts.insert(peer, ip);
        }
        Ok(handler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ConnectionEstablished(established) => self.ended(established.connection_id),
            FromSwarm::DialFailure(failure) => self.ended(failure.connection_id),
            FromSwarm::ConnectionClosed(closed) if closed.remaining_established == 0 => drop(self.hosts.remove(&closed.peer_id)),
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(context).map(|order| {
            if let ToSwarm::Dial { opts } = &order {
                self.dials.insert(opts.connection_id(), None);
            }
            order
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_into_a_network_that_is_not_his_own() {
        let judged = |host: &str, address: &str| dialled_for(host.parse().unwrap(), &address.parse().unwrap()).ok();
        assert_eq!(judged("1.2.3.4", "/ip4/1.2.3.4/tcp/4001"), Some(false));
        assert_eq!(judged("1.2.3.4", "/ip4/5.6.7.8/udp/4001/quic-v1"), Some(false), "the internet; the asker has paid for it");
        assert_eq!(judged("192.168.1.7", "/ip4/192.168.1.7/tcp/4001"), Some(true));
        assert_eq!(judged("127.0.0.1", "/ip4/127.0.0.1/udp/4001/quic-v1"), Some(true));
        for (host, address) in [
            ("1.2.3.4", "/ip4/192.168.1.7/tcp/4001"),
            ("192.168.1.7", "/ip4/192.168.1.1/tcp/4001"),
            ("192.168.1.7", "/ip4/10.0.0.1/tcp/4001"),
            ("1.2.3.4", "/ip4/127.0.0.1/tcp/4001"),
            ("1.2.3.4", "/ip6/::ffff:127.0.0.1/tcp/4001"),
            ("1.2.3.4", "/ip4/169.254.169.254/tcp/80"),
            ("1.2.3.4", "/ip4/5.6.7.8/tcp/22"),
            ("1.2.3.4", "/dns4/inner.example/tcp/4001"),
            ("1.2.3.4", "/ip4/5.6.7.8/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit"),
        ] {
            assert_eq!(judged(host, address), None, "{host}: {address}");
        }
    }
}

//! What others have shown of where this server is reached from outside: its router by mapping a port, another server by dialling it. What comes of it
//! is told the operator once, in words.

use std::collections::BTreeMap;

use libp2p::Multiaddr;
use tracing::{info, warn};

use crate::{health::Health, limits, only::is_circuit, upnp};

/// What has been shown.
#[derive(Debug, Default)]
pub(crate) struct Outer {
    mapped: Vec<Multiaddr>,
    confirmed: Vec<Multiaddr>,
    /// The addresses that others are asked about, and what they say.
    judged: BTreeMap<Multiaddr, Option<bool>>,
}

impl Outer {
    /// What to announce: `circuits` in any case, and what the router and others say unless the operator has said it all.
    pub(crate) fn addresses(&self, unsaid: bool, circuits: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let shown = self.mapped.iter().chain(&self.confirmed).filter(|_| unsaid).cloned();
        shown.chain(circuits).collect()
    }

    /// Another server has reached this one at `address`.
    pub(crate) fn confirmed(&mut self, address: Multiaddr) {
        if self.confirmed.len() < limits::CANDIDATES && !self.confirmed.contains(&address) {
            self.confirmed.push(address);
        }
    }

    /// Whether others are to be asked about `address`: once, and about so many.
    pub(crate) fn is_question(&mut self, address: &Multiaddr) -> bool {
        if is_circuit(address) || self.judged.len() >= limits::CANDIDATES || self.judged.contains_key(address) {
            return false;
        }
        self.judged.insert(address.clone(), None);
        true
    }

    /// Another server has dialled `address`, and whether it reached this one.
    pub(crate) fn judged(&mut self, address: &Multiaddr, reached: bool, health: &Health) {
        let Some(judgement) = self.judged.get_mut(address) else { return };
        if judgement.replace(reached) != Some(reached) {
            if reached {
                info!(%address, "others reach this server here");
            } else {
                warn!("nobody outside reaches {address}: open the port in the firewall or router, or set upnp, or reserve_at");
            }
        }
        let count = |wanted| self.judged.values().filter(|judgement| **judgement == Some(wanted)).count();
        health.peering.reached.set(count(true));
        health.peering.unreached.set(count(false));
    }

    /// The router has said something, or not.
    pub(crate) fn on_upnp(&mut self, event: upnp::Event, health: &Health) {
        match event {
            upnp::Event::Mapped(address) => {
                info!(%address, "the router lets others in");
                if !self.mapped.contains(&address) {
                    self.mapped.push(address);
                }
            }
            upnp::Event::Lost(address) => {
                warn!("the router no longer lets others in at {address}: forward the port by hand if it does not come back");
                self.mapped.retain(|mapped| *mapped != address);
            }
            upnp::Event::Failed(why) => {
                warn!(
                    "setting upnp: {why}: switch UPnP on in the router, or forward the ports by hand and name the outer addresses in external, or set reserve_at"
                );
            }
        }
        health.peering.mapped.set(self.mapped.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_says_comes_before_what_others_show() {
        let address = |text: &str| text.parse::<Multiaddr>().unwrap();
        let (health, mut outer) = (Health::new(), Outer::default());
        outer.on_upnp(upnp::Event::Mapped(address("/ip4/1.2.3.4/tcp/4001")), &health);
        outer.confirmed(address("/ip4/1.2.3.4/udp/4001/quic-v1"));
        let circuit = address("/ip4/5.6.7.8/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit");
        assert_eq!(outer.addresses(false, vec![circuit.clone()]), std::slice::from_ref(&circuit));
        assert_eq!(outer.addresses(true, vec![circuit]).len(), 3);
        outer.on_upnp(upnp::Event::Lost(address("/ip4/1.2.3.4/tcp/4001")), &health);
        assert_eq!((outer.addresses(true, Vec::new()).len(), health.peering.mapped.value()), (1, 0));
    }

    #[test]
    fn others_are_asked_once_about_each_address() {
        let mut outer = Outer::default();
        let ask =
            |outer: &mut Outer| (1..100).filter(|port| outer.is_question(&format!("/ip4/1.2.3.4/tcp/{port}").parse().unwrap())).count();
        assert_eq!((ask(&mut outer), ask(&mut outer)), (limits::CANDIDATES, 0));
        let (health, address) = (Health::new(), "/ip4/1.2.3.4/tcp/1".parse().unwrap());
        outer.judged(&address, false, &health);
        outer.judged(&"/ip4/9.9.9.9/tcp/1".parse().unwrap(), true, &health);
        assert_eq!((health.peering.unreached.value(), health.peering.reached.value()), (1, 0));
        outer.judged(&address, true, &health);
        assert_eq!((health.peering.unreached.value(), health.peering.reached.value()), (0, 1));
    }
}

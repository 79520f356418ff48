//! Which addresses of a relay are dialled: asks [`Ways`] with this page's settings and clock, and tells the transports who begins.

use libp2p::{Multiaddr, PeerId};
use shoal_protocol::{
    addresses::{Filter, Reach},
    reservations::ways::{Verdict, Way, Ways},
};
use shoal_webrtc::Older;

use crate::{
    config::Config,
    platform,
    transport::{address::way_of, race::Race},
};

/// What is known of the ways to relays, and what this page may dial.
#[derive(Debug)]
pub struct Dials {
    pub(super) ways: Ways<PeerId>,
    pub(super) race: Race,
    older: Older,
    filter: Filter,
    allowed: Vec<Way>,
}

impl Dials {
    /// For a page of these settings, whose transports have this filter and learn this.
    pub fn new(config: &Config, filter: Filter, (race, older): (Race, Older)) -> Self {
        let allowed =
            [(Way::WebRtcDirect, config.webrtc_direct), (Way::WebTransport, config.webtransport), (Way::WebSocket, config.websocket)];
        let allowed = allowed.into_iter().filter(|(_, allowed)| *allowed).map(|(way, _)| way).collect();
        Self { ways: Ways::default(), race, older, filter, allowed }
    }

    /// Takes over what an earlier visit knew.
    pub(super) fn learn(&mut self, peer: PeerId, verdict: Verdict) {
        self.older.set(peer, verdict.is_older());
        self.ways.learn(peer, verdict);
    }

    /// It is connected by WebRTC-direct.
    pub(super) fn by_direct(&mut self, peer: PeerId) {
        self.ways.older(peer, self.older.contains(&peer));
    }

    /// Those of a relay's addresses that are dialled now. Where none may be, all: whoever asks is told why.
    pub(super) fn begin(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let way = |address: &Multiaddr| way_of(address).filter(|way| self.allowed.contains(way) && self.may_dial(address));
        let ways = addresses.iter().filter_map(|address| Some((way(address)?, address.clone()))).collect();
        let plan = self.ways.plan(&peer, ways, unix_seconds());
        self.race.begin(peer, plan.head_start);
        if plan.addresses.is_empty() { addresses } else { plan.addresses }
    }

    /// The best of these addresses by another way, for others to dial.
    pub(super) fn other_way(&self, addresses: &[Multiaddr], way: Way) -> Option<Multiaddr> {
        let others = addresses.iter().filter(|address| self.may_dial(address)).filter_map(|address| Some((way_of(address)?, address)));
        // Of equal ones the first.
        others.filter(|(other, _)| *other != way).rev().max_by_key(|(other, _)| *other).map(|(_, address)| address.clone())
    }

    fn may_dial(&self, address: &Multiaddr) -> bool {
        self.filter.check(address, Reach::Loopback).is_ok()
    }
}

/// By the clock of this device, which may be wrong.
pub(super) fn unix_seconds() -> u64 {
    platform::unix_milliseconds() as u64 / 1_000
}

//! Tells the pool of connections what each is used for, and closes those that it wants closed.

use libp2p::PeerId;

use super::Driver;
use crate::{
    allowance::Allowance,
    behaviour::pool::Behaviour as Pool,
    peers::{Dial, Path, Peer},
    session::PeerSession,
};

/// Why a peer's connections are kept: this page is reachable by it.
pub(super) const RESERVED: &str = "reservation";

impl Driver {
    /// To be called a few times a second, and before dials.
    pub(super) fn tend_pool(&mut self) {
        let pool = &mut self.swarm.behaviour_mut().pool;
        let mut peers = self.shared.peers.borrow_mut();
        let mut carriers: Vec<PeerId> = Vec::new();
        for peer in peers.all_mut() {
            tell(pool, peer);
            let relayed = peer.connections.iter().filter(|connection| connection.path == Path::Relayed);
            carriers.extend(relayed.filter_map(|connection| connection.allowance.as_ref().map(Allowance::relay)));
        }
        // What no session counts: circuits that lead through a relay, and measurements that strangers make.
        for peer in carriers.iter().chain(self.perf.running().iter()) {
            for connection in peers.peer(peer).into_iter().flat_map(|known| &known.connections) {
                pool.used(connection.id);
            }
        }
        pool.tick();
        drop(peers);
        self.close_ordered();
    }

    /// A connection stands, perhaps at the cost of another one.
    pub(super) fn tell_pool(&mut self, peer: PeerId) {
        if let Some(known) = self.shared.peers.borrow_mut().known(&peer) {
            tell(&mut self.swarm.behaviour_mut().pool, known);
        }
        self.close_ordered();
    }

    /// Closes what is to make room, is idle, or dead. To be called after whatever may have decided that.
    pub(super) fn close_ordered(&mut self) {
        while let Some((id, reason)) = self.swarm.behaviour_mut().pool.next_to_close() {
            if self.swarm.close_connection(id) {
                self.closing.push((id, reason));
            }
        }
    }

    /// A connection closed: where it was the last one to a relay, there is nothing to be kept any more.
    pub(super) fn release_relay(&mut self, peer: PeerId) {
        let stands = |connection: &crate::peers::Connection| connection.transport.is_server();
        if !self.shared.peers.borrow().peer(&peer).is_some_and(|known| known.connections.iter().any(stands)) {
            self.swarm.behaviour_mut().pool.release(peer, RESERVED);
        }
    }
}

/// Tells what came and went over a peer's connections, and which of them work is under way on.
fn tell(pool: &mut Pool, peer: &mut Peer) {
    let sessions: Vec<PeerSession> = peer.sessions().filter(|session| session.streams() > 0).cloned().collect();
    let negotiating = peer.dial == Dial::Running;
    for connection in &mut peer.connections {
        let (received, sent) = connection.traffic.get();
        let before = std::mem::replace(&mut connection.told, (received, sent));
        let used = sessions.iter().any(|session| session.needs(connection.id));
        // A direct connection is agreed upon over a relayed one.
        let busy = used || (negotiating && connection.path == Path::Relayed);
        pool.seen(connection.id, (received - before.0, sent - before.1), busy);
    }
}

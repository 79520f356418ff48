//! Keeps the sessions carried: a stream on every connection, a new connection when the last one breaks or seems dead, the direct way
//! again when only a relayed one is left.
//!
//! ```text
//!   no path ───────────────► dial (direct, by way of a relay) every second, for 30 s, and once a relay is back; relayed, while a direct one is being made
//!   the only path is stuck ─► dial relayed, every second
//!   direct, held back by losses ─► dial direct as often as is missing
//!   direct, far away, calm ─► the same, for what comes next
//!   relayed, in use ────────► dial direct, every 10 s; also beside a direct connection that is not used, so does not work
//! ```

use std::time::Duration;

use libp2p::PeerId;
use shoal_protocol::limits::PIPE_READY_CONNECTIONS;
use web_time::Instant;

use super::Driver;
use crate::{
    behaviour::{PING, SESSION},
    config::IceTransportPolicy,
    peers::{Carrying, Dial, Path},
    platform,
    session::{ALONE, Health, PeerSession},
};

/// How long after a failed attempt another is made to bring a path back.
const RESTORE: Duration = Duration::from_secs(1);
/// How long the peer with the greater PeerId leaves it to the other: two dials at once only cost.
const YIELD: Duration = Duration::from_secs(2);
/// How often the direct way is tried while a relayed connection carries what runs.
const UPGRADE: Duration = Duration::from_secs(10);
/// How often a relay is asked for while a session waits for a path.
const NEEDED: Duration = Duration::from_secs(1);
/// Sessions that may wait for a path: each holds at most 2 MiB of its own and what its streams have buffered. The one that has waited
/// longest goes first.
const MAX_ALONE: usize = 16;

/// What a session needs.
enum Need {
    /// So many direct connections more than there are.
    Direct(usize),
    Relayed,
}

impl Driver {
    /// To be called a few times a second.
    pub(super) fn tend_sessions(&mut self, now: Instant) {
        let ids: Vec<PeerId> = self.shared.peers.borrow().iter().map(|(id, _)| *id).collect();
        let mut alone: Vec<(Duration, PeerSession)> = Vec::new();
        let calm = !self.shared.peers.borrow().iter().any(|(_, peer)| peer.sessions().any(|session| session.streams() > 0));
        for peer in ids {
            let need = self.tend(peer, calm, now, &mut alone);
            self.carry_sessions(peer, now);
            self.hold_relayed(peer);
            if let Some(need) = need {
                self.restore(peer, &need, now);
            }
        }
        if self.needs_relay(now) {
            self.relays.needed();
        }
        alone.sort_by_key(|(waited, _)| std::cmp::Reverse(*waited));
        let excess = alone.len().saturating_sub(MAX_ALONE);
        for (_, session) in alone.into_iter().take(excess) {
            session.close("too many sessions wait for a connection");
        }
    }

    /// `calm`: nothing is under way with anybody.
    fn tend(&mut self, peer: PeerId, calm: bool, now: Instant, alone: &mut Vec<(Duration, PeerSession)>) -> Option<Need> {
        let mut peers = self.shared.peers.borrow_mut();
        let known = peers.known(&peer)?;
        known.tidy_sessions();
        let session = known.current()?.clone();
        let since = known.tried.map_or(Duration::MAX, |tried| now.duration_since(tried));
        let unfinished = session.streams() > 0;
        match session.watch(now) {
            Health::Fine => {
                let wanted = self.shared.config.webrtc
                    && unfinished
                    && session.path() == Some(Path::Relayed)
                    && !known.is_direct_lately(platform::unix_milliseconds(), UPGRADE);
                (wanted && known.dial != Dial::Running && since >= UPGRADE).then_some(Need::Direct(1))
            }
            Health::Narrow(wanted) => {
                // Where the last attempt brought none, not again at once.
                let brought = known.is_direct_lately(platform::unix_milliseconds(), since);
                let missing = wanted.saturating_sub(known.direct_connections());
                let idle = known.dial != Dial::Running && !self.dialling.is_running(peer);
                (missing > 0 && idle && (since >= UPGRADE || brought)).then_some(Need::Direct(missing))
            }
            Health::Calm(wanted) => {
                let in_use = session.connection()?;
                let missing = wanted.saturating_sub(known.direct_connections());
                if missing == 0 {
                    session.readied();
                    return None;
                }
                let open = self.swarm.network_info().connection_counters().num_connections() as usize;
                let fits = open + missing <= PIPE_READY_CONNECTIONS.min(self.shared.config.max_connections / 4);
                // A relay gives each peer few allocations at its TURN server, and each connection would ask for one.
                let hidden = self.ice.has_turn() || self.shared.config.ice_transport_policy == IceTransportPolicy::Relay;
                let may = calm && fits && !hidden && known.dial != Dial::Running && self.has_way_to(peer, &known.via);
                let connection = known.connections.iter_mut().find(|connection| connection.id == in_use).filter(|_| may)?;
                // The first was measured while the connection was being made, with a machine busy with that: what is near may have seemed far.
                if connection.round_trip.get().count > 1 {
                    session.readied();
                    return Some(Need::Direct(missing));
                }
                if !std::mem::replace(&mut connection.remeasured, true) {
                    self.swarm.behaviour_mut().streams.open(peer, in_use, PING);
                }
                None
            }
            Health::Stuck => (session.path() == Some(Path::Direct) && since >= RESTORE).then_some(Need::Relayed),
            Health::Alone(waited) if waited >= ALONE => {
                session.close("there was no connection for half a minute");
                None
            }
            Health::Alone(waited) => {
                alone.push((waited, session));
                let ours = self.shared.local.to_bytes() < peer.to_bytes() || waited >= YIELD;
                let wanted = unfinished && ours && (known.connections.is_empty() || waited >= YIELD) && since >= RESTORE;
                match known.dial {
                    // It may have lost its relay, and browsers try a way that is closed for seconds.
                    Dial::Running => (wanted && waited >= RESTORE).then_some(Need::Relayed),
                    _ => wanted.then_some(Need::Direct(1)),
                }
            }
        }
    }

    /// Whether something waits that only a relay can bring on, and whether it is time to say so again.
    fn needs_relay(&mut self, now: Instant) -> bool {
        let wanted = self.needed.is_none_or(|at| now.duration_since(at) >= NEEDED)
            && self.shared.peers.borrow().iter().any(|(_, peer)| peer.current().is_some_and(PeerSession::is_stranded));
        if wanted {
            self.needed = Some(now);
        }
        wanted
    }

    /// A direct connection stands beside older ones that the session left because they do not work: browsers may keep those for ever.
    pub(super) fn close_stale(&mut self, peer: PeerId) {
        let stale =
            self.shared.peers.borrow().peer(&peer).map(|known| known.stale(platform::unix_milliseconds(), UPGRADE)).unwrap_or_default();
        for id in stale {
            self.swarm.close_connection(id);
        }
    }

    /// A relay is there again: whatever waits for a path need not wait for its next attempt.
    pub(super) fn retry_sessions(&mut self) {
        self.shared.peers.borrow_mut().forget_attempts();
        self.tend_sessions(Instant::now());
    }

    /// Opens streams for the session on the connections that we dialled.
    pub(super) fn carry_sessions(&mut self, peer: PeerId, now: Instant) {
        let mut peers = self.shared.peers.borrow_mut();
        let Some(known) = peers.known(&peer) else { return };
        for id in known.uncarried(now) {
            if let Some(connection) = known.connections.iter_mut().find(|connection| connection.id == id) {
                connection.carrying = Carrying::Yes;
                self.swarm.behaviour_mut().streams.open(peer, id, SESSION);
            }
        }
    }

    /// Keeps relayed connections open while something runs on them.
    fn hold_relayed(&mut self, peer: PeerId) {
        let mut peers = self.shared.peers.borrow_mut();
        let Some(known) = peers.known(&peer) else { return };
        let sessions: Vec<PeerSession> = known.sessions().cloned().collect();
        for connection in known.connections.iter_mut().filter(|connection| connection.path == Path::Relayed) {
            let hold = sessions.iter().any(|session| session.streams() > 0 && session.uses(connection.id));
            if hold != connection.held {
                connection.held = hold;
                self.swarm.behaviour_mut().streams.hold(peer, connection.id, hold);
            }
        }
    }

    fn restore(&mut self, peer: PeerId, need: &Need, now: Instant) {
        let via = {
            let mut peers = self.shared.peers.borrow_mut();
            let known = peers.change(peer);
            known.tried = Some(now);
            known.via.clone()
        };
        match need {
            Need::Direct(count) => self.dial(peer, via, *count),
            Need::Relayed => self.dial_relayed(peer, &via),
        }
    }
}

//! Whom a fetch asks next: who may have it, by which path, and whether that may be used for all, for what is small, or not any more.

use std::time::Duration;

use futures::{FutureExt, select_biased};
use libp2p::PeerId;
use web_time::Instant;

use super::{Fetch, RETRY, Round};
use crate::{
    error::Error,
    event::Phase,
    peers::{Dial, Path, Peer, Peers},
    platform,
    session::PeerSession,
};

/// How long a direct connection may take before a relayed one carries the whole.
const DIRECT_PATIENCE: Duration = Duration::from_secs(10);

impl Fetch {
    /// Waits for a session to a peer that may have it. `true`: ask for everything; `false`: only for what is small.
    pub(super) async fn choose(&self, round: &mut Round, present: u64) -> Result<(PeerId, PeerSession, Path, bool), Error> {
        let mut phase = None;
        let started = Instant::now();
        let mut dialled = None::<Instant>;
        loop {
            if !self.shared.is_running() {
                return Err(Error::Stopped);
            }
            let changed = self.shared.peers.borrow().changed.changed();
            if let Some(found) = self.best(round, started) {
                return Ok(found);
            }
            if let Some(limit) = self.stopped_by_relay(round, started) {
                return Err(limit);
            }
            let candidates = self.candidates(round);
            if candidates.is_empty() {
                if self.from.is_empty() {
                    return Err(Error::NotFound(format!("no connected peer has {}; name the peer that has it with `from`", self.root)));
                }
                // Everybody said no. A sender may still be publishing, or its tab may come back with the content: ask again.
                round.tried.clear();
                self.enter(round, &mut phase, Phase::Waiting, present);
                platform::sleep(RETRY).await;
                continue;
            }
            let (running, failed) = self.dials(&candidates);
            if !running && dialled.is_none_or(|at| at.elapsed() >= RETRY) {
                dialled = Some(Instant::now());
                for peer in &candidates {
                    self.shared.dial(*peer, self.via.clone())?;
                }
            }
            let next = if failed && phase.is_some() { Phase::Waiting } else { Phase::Connecting };
            self.enter(round, &mut phase, next, present);
            select_biased! {
                () = changed.fuse() => {}
                () = platform::sleep(RETRY).boxed_local().fuse() => {}
            }
        }
    }

    fn enter(&self, round: &Round, phase: &mut Option<Phase>, next: Phase, present: u64) {
        if *phase != Some(next) && !(next == Phase::Connecting && *phase == Some(Phase::Waiting)) {
            *phase = Some(next);
            self.tell(round, next, present, None);
        }
    }

    /// Peers to be tried: those that were named, and whoever of ours is connected.
    fn candidates(&self, round: &Round) -> Vec<PeerId> {
        let peers = self.shared.peers.borrow();
        let connected = peers.iter().filter(|(_, peer)| peer.session().is_some()).map(|(id, _)| *id);
        let mut candidates: Vec<PeerId> =
            self.from.iter().copied().chain(connected).filter(|peer| *peer != self.shared.local && !round.tried.contains(peer)).collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    fn dials(&self, candidates: &[PeerId]) -> (bool, bool) {
        let peers = self.shared.peers.borrow();
        let mut known = candidates.iter().filter_map(|peer| peers.peer(peer)).map(|peer| &peer.dial);
        (known.clone().any(|dial| *dial == Dial::Running), known.any(|dial| matches!(dial, Dial::Failed(_))))
    }

    /// A session worth asking now, of several alike by what each peer delivered lately: a direct one for everything; a relayed one for
    /// everything when no direct one can be had, and for what is small while one is being made.
    pub(super) fn best(&self, round: &Round, started: Instant) -> Option<(PeerId, PeerSession, Path, bool)> {
        let candidates = self.candidates(round);
        let peers = self.shared.peers.borrow();
        let path_to = |id: &PeerId| path_to(round, &peers, id);
        let best = candidates.iter().filter_map(path_to).max()?;
        let alike: Vec<PeerId> = candidates.into_iter().filter(|id| path_to(id) == Some(best)).collect();
        let id = round.next.filter(|next| alike.contains(next)).or_else(|| self.shared.senders.pick(&alike))?;
        let peer = peers.peer(&id)?;
        let (session, path) = peer.session()?;
        let session = session.clone();
        let whole = path == Path::Direct || self.is_without_direct(peer) || started.elapsed() >= DIRECT_PATIENCE;
        if whole {
            return Some((id, session, path, true));
        }
        // The peer reached us through a relay and nobody has tried the direct way yet.
        let untried = peer.dial == Dial::Idle;
        drop(peers);
        if untried {
            let _ = self.shared.dial(id, self.via.clone());
        }
        round.total.is_none().then_some((id, session, path, false))
    }

    /// Whether no direct connection to this peer can be had.
    fn is_without_direct(&self, peer: &Peer) -> bool {
        !self.shared.config.webrtc || matches!(peer.dial, Dial::Failed(_))
    }

    /// Who should go on in place of this one: somebody to whom there is a better path, or who promises to be much faster.
    pub(super) fn faster(&self, round: &Round, peer: PeerId, path: Path) -> Option<PeerId> {
        let candidates = self.candidates(round);
        let peers = self.shared.peers.borrow();
        let path_to = |id: &PeerId| path_to(round, &peers, id);
        let (better, alike) =
            candidates.into_iter().filter(|id| path_to(id) >= Some(path)).partition::<Vec<_>, _>(|id| path_to(id) > Some(path));
        self.shared.senders.pick(&better).or_else(|| self.shared.senders.faster(peer, &alike))
    }

    /// The reason for which this ends, where only such peers are left and there will be no direct path either.
    fn stopped_by_relay(&self, round: &Round, started: Instant) -> Option<Error> {
        let peers = self.shared.peers.borrow();
        let candidates = self.candidates(round);
        let patient = started.elapsed() < DIRECT_PATIENCE;
        let tried = |id: &PeerId| !patient || peers.peer(id).is_some_and(|peer| self.is_without_direct(peer));
        if candidates.iter().all(tried) { candidates.iter().find_map(|id| relay_limit(round, &peers, id)) } else { None }
    }
}

/// By which path content may come from a peer now.
fn path_to(round: &Round, peers: &Peers, id: &PeerId) -> Option<Path> {
    let (_, path) = peers.peer(id).and_then(Peer::session)?;
    relay_limit(round, peers, id).is_none().then_some(path)
}

/// Why nothing more comes from a peer by the only path to it.
fn relay_limit(round: &Round, peers: &Peers, id: &PeerId) -> Option<Error> {
    let (session, path) = peers.peer(id)?.session()?;
    if path == Path::Direct {
        None
    } else if session.may_not_send() {
        Some(Error::RelayLimit(format!(
            "as much as `foreignRelayBytes` allows in an hour went through a relay that `bootstrap` does not lead to, and no direct path to {id} was \
             found: raise it, name the relay in `bootstrap` if this site may use it, or a TURN server in `iceServers`"
        )))
    } else {
        round.relayed.contains(id).then(|| {
            Error::RelayLimit(format!(
                "{id} sends no more of it through a relay that is not its own, and no direct path to it was found: name a TURN server in \
                 `iceServers`, or try again in an hour"
            ))
        })
    }
}

//! Two peers that dial each other at once get one connection, not two.
//!
//! When both are of this implementation and both made an offer, [`prevails`] names the one offer that counts. Who made the other
//! one gives way: its dial waits for the prevailing connection, which it gets as an inbound one, and then ends as
//! [`Error::Superseded`]. An offer that has not left yet gives way to any offer of the peer.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures::{
    channel::oneshot,
    future::{Either, select},
};
use futures_timer::Delay;
use libp2p_identity::PeerId;
use litemap::LiteMap;

use super::error::Error;
use crate::negotiation::{NegotiationError, prevails};

/// Whether the connection to which an attempt gave way came about.
type Outcome = oneshot::Receiver<()>;

/// The attempts of this node, outbound and inbound, by peer. Clones are the same.
#[derive(Clone)]
pub(super) struct Crossings {
    local: PeerId,
    attempts: Rc<RefCell<Attempts>>,
}

#[derive(Default)]
struct Attempts {
    next: u64,
    outbound: LiteMap<(PeerId, u64), Outbound>,
    /// Inbound attempts, each with those that wait for it.
    inbound: LiteMap<(PeerId, u64), Vec<oneshot::Sender<()>>>,
}

struct Outbound {
    offered: bool,
    give_way: oneshot::Sender<Outcome>,
}

impl Crossings {
    pub(super) fn new(local: PeerId) -> Self {
        Self { local, attempts: Rc::default() }
    }

    /// Runs an outbound attempt, unless it has to give way. `attempt` gets a function to call just before its offer leaves.
    pub(super) async fn outbound<T, F>(&self, peer: PeerId, attempt: impl FnOnce(Offering) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if let Some(outcome) = self.join(peer) {
            return superseded(outcome).await;
        }
        let (give_way, gives_way) = oneshot::channel();
        let key = self.attempts.borrow_mut().key(peer);
        let outbound = Outbound { offered: false, give_way };
        self.attempts.borrow_mut().outbound.insert(key, outbound);
        let _guard = Registered { crossings: self.clone(), key };
        let offering = Offering { crossings: self.clone(), key };
        let attempt = Box::pin(attempt(offering));
        // Giving way comes first: an attempt that has to must not make its offer any more.
        match select(gives_way, attempt).await {
            Either::Left((Ok(outcome), attempt)) => {
                drop(attempt);
                superseded(outcome).await
            }
            Either::Left((Err(_), attempt)) => attempt.await,
            // The peer refused: if because of an offer of its own, that is on its way.
            Either::Right((Err(Error::Negotiation(NegotiationError::Ended)), gives_way))
                if prevails(&peer.to_bytes(), &self.local.to_bytes()) =>
            {
                match select(gives_way, Delay::new(OFFER_ON_ITS_WAY)).await {
                    Either::Left((Ok(outcome), _)) => superseded(outcome).await,
                    _ => Err(Error::Negotiation(NegotiationError::Ended)),
                }
            }
            Either::Right((result, _)) => result,
        }
    }

    /// Runs an inbound attempt of a peer of this implementation, whose offer has arrived, unless it has to give way.
    pub(super) async fn inbound<T>(&self, peer: PeerId, attempt: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let key = self.begin_inbound(peer)?;
        let _guard = Registered { crossings: self.clone(), key };
        let result = attempt.await;
        let waiting = self.attempts.borrow_mut().inbound.remove(&key);
        if result.is_ok() {
            for sender in waiting.into_iter().flatten() {
                let _ = sender.send(());
            }
        }
        result
    }

    /// Registers with an inbound attempt of `peer` that is under way.
    fn join(&self, peer: PeerId) -> Option<Outcome> {
        let mut attempts = self.attempts.borrow_mut();
        let (_, waiting) = attempts.inbound.iter_mut().find(|((of, _), _)| *of == peer)?;
        let (sender, outcome) = oneshot::channel();
        waiting.push(sender);
        Some(outcome)
    }

    fn begin_inbound(&self, peer: PeerId) -> Result<(PeerId, u64), Error> {
        let mut attempts = self.attempts.borrow_mut();
        let offered = attempts.outbound.iter().any(|((of, _), outbound)| *of == peer && outbound.offered);
        if offered && prevails(&self.local.to_bytes(), &peer.to_bytes()) {
            return Err(Error::Superseded);
        }
        let crossed: Vec<_> = attempts.outbound.keys().filter(|(of, _)| *of == peer).copied().collect();
        let mut waiting = Vec::new();
        for key in crossed {
            if let Some(outbound) = attempts.outbound.remove(&key) {
                let (sender, outcome) = oneshot::channel();
                if outbound.give_way.send(outcome).is_ok() {
                    waiting.push(sender);
                }
            }
        }
        let key = attempts.key(peer);
        attempts.inbound.insert(key, waiting);
        Ok(key)
    }
}

impl Attempts {
    fn key(&mut self, peer: PeerId) -> (PeerId, u64) {
        self.next += 1;
        (peer, self.next)
    }
}

/// Tells that an outbound attempt makes its offer now.
pub(super) struct Offering {
    crossings: Crossings,
    key: (PeerId, u64),
}

impl Offering {
    pub(super) fn now(self) {
        let mut attempts = self.crossings.attempts.borrow_mut();
        if let Some(outbound) = attempts.outbound.get_mut(&self.key) {
            outbound.offered = true;
        }
    }
}

/// An attempt in the table; leaves it when it ends, however it ends.
struct Registered {
    crossings: Crossings,
    key: (PeerId, u64),
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut attempts = self.crossings.attempts.borrow_mut();
        attempts.outbound.remove(&self.key);
        attempts.inbound.remove(&self.key);
    }
}

async fn superseded<T>(outcome: Outcome) -> Result<T, Error> {
    match outcome.await {
        Ok(()) => Err(Error::Superseded),
        Err(oneshot::Canceled) => Err(Error::SupersederFailed),
    }
}

/// How long an offer may take that left the peer before its refusal of ours, on another stream, did.
const OFFER_ON_ITS_WAY: Duration = Duration::from_secs(2);

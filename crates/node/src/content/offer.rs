//! Offers: something for the other side's user, who decides whether to fetch it. Taken from those who are near now, and from nobody else: strangers
//! must not be able to put something before a person.

use libp2p::PeerId;
use shoal_protocol::{
    exchange::{Probe, Refusal, Request, Upload},
    limits::{EXCHANGE_OFFER, EXCHANGE_OFFERS},
    session::Priority,
};
use web_time::Instant;

use crate::{
    error::Error,
    event::{Event, NearbyPeer},
    session::{Ended, PeerSession},
    shared::Shared,
};

/// Who may offer something: the PeerIds of those near, and when what each has offered is no longer held against it.
pub type Near = Vec<(String, Option<Instant>)>;

/// These are near now.
pub fn set_near(shared: &Shared, peers: &[NearbyPeer]) {
    let mut near = shared.near.borrow_mut();
    near.retain(|(known, _)| peers.iter().any(|now| now.peer == *known));
    for NearbyPeer { peer, .. } in peers {
        if near.iter().all(|(known, _)| known != peer) {
            near.push((peer.clone(), None));
        }
    }
}

/// Tells the page of an offer. The answer to it.
pub fn offered(shared: &Shared, peer: String, cid: String, size: u64, name: String) -> Upload {
    let mut near = shared.near.borrow_mut();
    let Some((_, due)) = near.iter_mut().find(|(known, _)| *known == peer) else { return Upload::refused(Refusal::Denied) };
    let now = Instant::now();
    let next = due.map_or(now, |due| due.max(now));
    if next.duration_since(now) > EXCHANGE_OFFER * (EXCHANGE_OFFERS - 1) {
        return Upload::refused(Refusal::Busy);
    }
    *due = Some(next + EXCHANGE_OFFER);
    drop(near);
    shared.emit(Event::Offered { peer, cid, size, name });
    Upload::taken()
}

/// Offers something to a connected peer. Whether its user is shown it.
///
/// # Errors
/// [`Error::PeerUnreachable`] where the connection ends.
pub async fn offer(shared: &Shared, peer: PeerId, request: Request) -> Result<bool, Error> {
    let session = shared.session(peer).await;
    ask(&session, request).await.map_err(|Ended(reason)| Error::PeerUnreachable { peer: peer.to_string(), reason })
}

async fn ask(session: &PeerSession, request: Request) -> Result<bool, Ended> {
    let stream = session.open(Priority::Urgent).await?;
    let mut probe = Probe::new(request);
    stream.write(probe.request()).await?;
    stream.finish();
    while let Some(part) = stream.read().await? {
        stream.consumed(part.len() as u64);
        probe.receive(part).map_err(|violation| Ended(violation.to_string()))?;
    }
    Ok(probe.answer() == Some(true))
}

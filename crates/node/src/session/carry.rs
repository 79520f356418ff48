//! Finds out which session a stream carries, and carries it: see "Greetings" in `crates/protocol/docs/session.md`.

use std::{future::poll_fn, time::Duration};

use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, FutureExt,
    future::{Either, select},
};
use libp2p::PeerId;
use shoal_protocol::{
    pipe::{Greeting, Key, PathId, greeting},
    session::Side,
};

use super::{
    PeerSession, Route,
    pump::{Pump, READ_BUFFER, Stopped},
};
use crate::{content::serve::serve, peers::Begun, platform, shared::Shared};

/// How long the other side may take to say its first words on a stream that it opened.
const GREETING: Duration = Duration::from_secs(10);

/// Carries a session with this peer over `carrier` until that breaks or the session ends. `inbound`: the peer opened it.
pub async fn carry(shared: Shared, peer: PeerId, route: Route, mut carrier: impl AsyncRead + AsyncWrite + Unpin, inbound: bool) {
    let mut unread = Vec::new();
    let begun = if inbound {
        let Some(greeting) = first_words(&shared, peer, &mut carrier, &mut unread).await else { return };
        answer(&shared, peer, &route, greeting)
    } else {
        open(&shared, peer, &route)
    };
    let Some((mut session, mut id)) = begun else { return };
    let mut pump = Pump { carrier, buffer: vec![0; READ_BUFFER], unread, outgoing: None, route: route.clone() };
    loop {
        shared.peers.borrow_mut().change(peer);
        let stopped = poll_fn(|context| pump.poll(&session, id, context)).await;
        session.lose_path(id);
        match stopped {
            Stopped::Lost | Stopped::Over => break,
            Stopped::Violated(reason) => {
                session.close(&reason);
                shared.drop_peer(peer, &reason);
                break;
            }
            Stopped::Forgotten(greeting) => {
                session.close("the other side was started anew");
                let Some(next) = begin(&shared, peer, &route, Some(greeting)) else { break };
                (session, id) = next;
            }
        }
    }
    shared.peers.borrow_mut().change(peer);
}

/// Reads the greeting of a stream that the peer opened. Nothing: the peer went away, or said nothing, or nonsense.
async fn first_words(shared: &Shared, peer: PeerId, carrier: &mut (impl AsyncRead + Unpin), unread: &mut Vec<u8>) -> Option<Greeting> {
    let words = async {
        let mut buffer = vec![0; 4096];
        loop {
            match greeting(unread) {
                Ok(Some((greeting, used))) => {
                    unread.drain(..used);
                    return Some(greeting);
                }
                Ok(None) => {}
                Err(violation) => {
                    shared.drop_peer(peer, &violation.to_string());
                    return None;
                }
            }
            let length = carrier.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
            unread.extend_from_slice(&buffer[..length]);
        }
    };
    match select(words.boxed_local(), platform::sleep(GREETING).boxed_local()).await {
        Either::Left((greeting, _)) => greeting,
        Either::Right(_) => None,
    }
}

/// This side speaks first: attaches to the session that there is, or begins one.
fn open(shared: &Shared, peer: PeerId, route: &Route) -> Option<(PeerSession, PathId)> {
    let current = shared.peers.borrow().peer(&peer).and_then(|known| known.current().cloned());
    match current {
        // While a session is being begun on another connection this one waits.
        Some(session) => session.begin_path(route.clone()).ok().map(|id| (session, id)),
        None => begin(shared, peer, route, None),
    }
}

/// The other side spoke first.
fn answer(shared: &Shared, peer: PeerId, route: &Route, greeting: Greeting) -> Option<(PeerSession, PathId)> {
    match greeting {
        Greeting::Open(_) => begin(shared, peer, route, Some(greeting)),
        Greeting::Attach { key, .. } => {
            let known = shared.peers.borrow().peer(&peer).and_then(|known| known.session_of(key).cloned());
            match known.map(|session| (session.accept_path(route.clone(), greeting), session)) {
                Some((Ok(id), session)) => Some((session, id)),
                // Full, or an impostor of one key: neither is worth a new session.
                Some((Err(_), _)) => None,
                None => begin(shared, peer, route, None),
            }
        }
    }
}

/// A new session: begun by the peer's OPEN, or by ours.
fn begin(shared: &Shared, peer: PeerId, route: &Route, theirs: Option<Greeting>) -> Option<(PeerSession, PathId)> {
    let mut key = [0; 16];
    if let Err(error) = getrandom::fill(&mut key) {
        tracing::error!(%error, "no secure random numbers");
        return None;
    }
    let side = if theirs.is_some() { Side::Listener } else { Side::Dialler };
    let moved = shared.peers.borrow().changed.clone();
    let session = PeerSession::new(side, Key(key), moved, shared.narrow.clone());
    let id = match theirs {
        Some(greeting) => session.accept_path(route.clone(), greeting),
        None => session.begin_path(route.clone()),
    };
    let begun = Begun { ours: theirs.is_none(), kept_when_crossing: shared.local.to_bytes() < peer.to_bytes() };
    shared.peers.borrow_mut().change(peer).begin(session.clone(), begun);
    serve(shared.clone(), peer, session.clone());
    id.ok().map(|id| (session, id))
}

//! Asks the relays where they have STUN and TURN, so that direct connections find their way without anybody having named a server:
//! `crates/protocol/docs/ice.md`.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures::{
    AsyncReadExt, FutureExt,
    future::{Either, select},
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use shoal_protocol::{
    ice::Servers,
    limits::{ICE_ANSWER, ICE_RELAYS},
};
use shoal_webrtc::{IceServer, IceServers};
use web_time::Instant;

use crate::platform;

/// The protocol's name.
pub const ICE: StreamProtocol = StreamProtocol::new("/shoal/ice/1.0.0");
/// How long a relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long after no answer a relay is asked again; and how often one that only has STUN, which does not change.
const AGAIN: Duration = Duration::from_secs(600);

/// What is known of the relays' servers. Clones are the same.
#[derive(Debug, Clone)]
pub struct Ice {
    relays: Rc<RefCell<Vec<Relay>>>,
    browser: IceServers,
}

#[derive(Debug)]
struct Relay {
    peer: PeerId,
    /// When to ask it next.
    again: Instant,
    servers: Vec<IceServer>,
}

impl Ice {
    /// Nothing is known yet; what becomes known is given to the browser.
    pub fn new(browser: IceServers) -> Self {
        Self { relays: Rc::default(), browser }
    }

    /// Those of the connected relays that are to be asked now; the others are forgotten.
    pub fn due(&self, connected: &[PeerId], now: Instant) -> Vec<PeerId> {
        let mut relays = self.relays.borrow_mut();
        relays.retain(|relay| connected.contains(&relay.peer));
        let mut due = Vec::new();
        for peer in connected.iter().take(ICE_RELAYS) {
            match relays.iter_mut().find(|relay| relay.peer == *peer) {
                Some(relay) if now < relay.again => continue,
                Some(relay) => relay.again = now + AGAIN,
                None => relays.push(Relay { peer: *peer, again: now + AGAIN, servers: Vec::new() }),
            }
            due.push(*peer);
        }
        due
    }

    /// Whether a relay lets this page use its TURN server.
    pub fn has_turn(&self) -> bool {
        self.relays.borrow().iter().any(|relay| relay.servers.len() > 1)
    }

    /// Reads what the relay, which is reached by this address, answers on the stream.
    pub async fn hear(self, relay: PeerId, address: Multiaddr, stream: Stream) {
        let reading = read(stream).boxed_local();
        // No answer is as good as none of use: direct connections are tried without.
        let Either::Left((Some(answer), _)) = select(reading, platform::sleep(PATIENCE).boxed_local()).await else { return };
        let Some([stun, turn]) = answer.urls(&address) else { return };
        let mut relays = self.relays.borrow_mut();
        let Some(relay) = relays.iter_mut().find(|known| known.peer == relay) else { return };
        relay.servers = vec![IceServer { urls: vec![stun], ..IceServer::default() }];
        if let Some(credentials) = answer.turn {
            relay.again = Instant::now() + credentials.lifetime.clamp(PATIENCE, AGAIN) * 4 / 5;
            relay.servers.push(IceServer {
                urls: vec![turn],
                username: Some(credentials.username),
                credential: Some(credentials.password),
            });
        }
        let servers: Vec<IceServer> = relays.iter().flat_map(|relay| relay.servers.clone()).collect();
        self.browser.set(&servers);
    }
}

async fn read(stream: Stream) -> Option<Servers> {
    let mut answer = Vec::new();
    stream.take(ICE_ANSWER as u64 + 1).read_to_end(&mut answer).await.ok()?;
    Servers::decode(&answer).ok()
}

//! The loop: swarm events and orders in, table of peers and swarm calls out. It decides little; the protocol crate does.

use std::time::Duration;

use futures::{FutureExt, StreamExt, channel::mpsc, select};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId, Swarm, identify,
    multiaddr::Protocol,
    ping, relay,
    swarm::{ConnectionId, SwarmEvent},
};
use shoal_protocol::connections::Reason;
use web_time::Instant;

use crate::{
    behaviour::{Behaviour, BehaviourEvent, PING, PING_TIMEOUT, SESSION, streams},
    content::offer::set_near,
    event::{ConnectionInfo, Event},
    ice::{ICE, Ice},
    nearby::{NEARBY, Nearby},
    peers::{Carrying, Connection, Dial, Path},
    perf::{PERF, Perf},
    ping::ping,
    platform,
    relays::Relays,
    session::{Route, carry},
    shared::{Command, Shared},
};

mod dialling;
mod pool;
mod sessions;

use dialling::Dialling;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long a relayed connection stays after the direct one stands, for what still runs on it.
const RELAYED_GRACE: Duration = Duration::from_secs(10);
/// How long a dial waits for a relay by which it could be made: at start the page asks for a peer before its relay answered.
const RELAY_PATIENCE: Duration = Duration::from_secs(6);
/// Dials that may wait for a relay.
const MAX_UNSENT: usize = 256;
/// Streams for sessions on one connection: one, and its successors while it ends. A peer that opens more loses them.
const MAX_STREAMS: usize = 4;
/// How long after a stream broke, though its connection did not, another is opened on it.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest agent string shown, in characters; identify allows 4 KiB of anything.
const MAX_AGENT: usize = 64;

/// Owns the swarm.
pub struct Driver {
    swarm: Swarm<Behaviour>,
    shared: Shared,
    relays: Relays,
    nearby: Nearby,
    ice: Ice,
    perf: Perf,
    dialling: Dialling,
    /// Connections that the pool ordered to be closed, and why.
    closing: Vec<(ConnectionId, Reason)>,
    /// Dials that wait for a relay, until a time.
    unsent: Vec<(Instant, PeerId, Vec<Multiaddr>)>,
    /// Relayed connections to be closed at a time, because a direct one stands.
    leaving: Vec<(Instant, PeerId, ConnectionId)>,
    /// When a relay was last asked for because a session waits.
    needed: Option<Instant>,
}

impl Driver {
    /// A driver that wants these relays.
    pub fn new(mut swarm: Swarm<Behaviour>, shared: Shared, relays: Relays, nearby: Nearby) -> Self {
        let webrtc = Multiaddr::empty().with(Protocol::WebRTC);
        if shared.config.webrtc
            && let Err(error) = swarm.listen_on(webrtc)
        {
            tracing::error!(%error, "cannot accept direct connections");
        }
        let dialling = Dialling::default();
        let ice = Ice::new(swarm.behaviour().webrtc.ice_servers());
        Self {
            swarm,
            shared,
            relays,
            nearby,
            ice,
            perf: Perf::default(),
            dialling,
            closing: Vec::new(),
            unsent: Vec::new(),
            leaving: Vec::new(),
            needed: None,
        }
    }

    /// Runs until told to stop.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut tick = Delay::new(TICK).fuse();
        self.on_tick();
        loop {
            let mut narrow = self.shared.narrow.changed().fuse();
            select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                command = commands.next() => match command {
                    None | Some(Command::Stop) => break,
                    Some(command) => self.on_command(command),
                },
                outcome = self.relays.next_outcome().fuse() => {
                    self.relays.found(outcome);
                    self.keep_relays();
                }
                () = narrow => self.tend_sessions(Instant::now()),
                _ = tick => {
                    tick = Delay::new(TICK).fuse();
                    self.on_tick();
                }
            }
        }
        for (_, peer) in self.shared.peers.borrow().iter() {
            peer.sessions().for_each(|session| session.close("the node was stopped"));
        }
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        // One more round, so that the closings leave.
        let _ = futures::future::select(self.swarm.next(), Delay::new(Duration::from_millis(50))).await;
        drop(commands);
        self.shared.stopped.notify();
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        self.relays.tick();
        self.keep_relays();
        for (_, peer, _) in self.unsent.extract_if(.., |(until, ..)| *until <= now) {
            let mut peers = self.shared.peers.borrow_mut();
            let known = peers.change(peer);
            known.dial = if known.direct() { Dial::Idle } else { Dial::Failed("no relay can be reached now".to_owned()) };
        }
        let due = self.leaving.extract_if(.., |(at, ..)| *at <= now).collect::<Vec<_>>();
        for (_, peer, connection) in due {
            self.leave(peer, connection);
        }
        self.hasten();
        self.tend_sessions(now);
        self.tend_nearby(now);
        self.tend_ice(now);
        self.tend_pool();
    }

    /// Announces this node where it is not announced yet, and tells the page who came and went: here, so that a relay that talks
    /// without end is heard a few times a second.
    fn tend_nearby(&mut self, now: Instant) {
        let links: Vec<_> = self.relays.links().collect();
        let relays: Vec<_> = links.iter().map(|(relay, _)| *relay).collect();
        for relay in self.nearby.due(&relays, now) {
            if let Some((_, connection)) = links.iter().find(|(peer, _)| *peer == relay) {
                self.swarm.behaviour_mut().streams.open(relay, *connection, NEARBY);
            }
        }
        if let Some(nearby) = self.nearby.news() {
            set_near(&self.shared, &nearby.peers);
            self.shared.emit(Event::Nearby { nearby });
        }
    }

    /// Asks the relays for their STUN and TURN servers.
    fn tend_ice(&mut self, now: Instant) {
        if !self.shared.config.webrtc {
            return;
        }
        let links: Vec<_> = self.relays.links().collect();
        let relays: Vec<_> = links.iter().map(|(relay, _)| *relay).collect();
        for relay in self.ice.due(&relays, now) {
            if let Some((_, connection)) = links.iter().find(|(peer, _)| *peer == relay) {
                self.swarm.behaviour_mut().streams.open(relay, *connection, ICE);
            }
        }
    }

    /// Closes a relayed connection that a direct one replaced, unless something still runs on it.
    fn leave(&mut self, peer: PeerId, id: ConnectionId) {
        let busy = {
            let peers = self.shared.peers.borrow();
            match peers.peer(&peer) {
                Some(known) if known.direct() => known.sessions().any(|session| session.uses(id)),
                _ => return,
            }
        };
        if busy {
            self.leaving.push((Instant::now() + RELAYED_GRACE, peer, id));
        } else {
            self.swarm.close_connection(id);
        }
    }

    /// Does what the relays need now, and tells how they stand where that changed.
    fn keep_relays(&mut self) {
        self.relays.carry_out(&mut self.swarm);
        self.shared.foreign.set_own(self.relays.configured());
        let relays = self.relays.status();
        if self.shared.relays.replace(relays.clone()) == relays {
            return;
        }
        let shared = self.shared.clone();
        platform::spawn(async move {
            let status = crate::status::status(&shared).await;
            shared.emit(Event::Status { status });
        });
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Dial(peer, via) => self.dial(peer, via, 1),
            Command::Traces(peer, reply) => {
                let traces = self.swarm.behaviour().webrtc.traces(&peer);
                platform::spawn(async move {
                    let _ = reply.send(traces.await);
                });
            }
            Command::Disconnect(peer) => {
                // Not only its connections: a session would wait for the next one.
                let sessions: Vec<_> =
                    self.shared.peers.borrow().peer(&peer).into_iter().flat_map(|known| known.sessions().cloned()).collect();
                sessions.iter().for_each(|session| session.close("the peer was dropped"));
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            Command::Hurry => {
                self.relays.woke();
                self.on_tick();
            }
            Command::Stop => {}
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id: peer, connection_id, endpoint, .. } => {
                let connection = Connection::new(connection_id, &endpoint, platform::unix_milliseconds(), &self.shared.foreign);
                self.opened(peer, connection);
                self.dial_succeeded(peer, connection_id);
                self.tell_pool(peer);
            }
            SwarmEvent::ConnectionClosed { peer_id: peer, connection_id, cause, .. } => {
                let ordered = self.closing.iter().position(|(id, _)| *id == connection_id);
                let ordered = ordered.map(|index| self.closing.swap_remove(index).1.to_string());
                let reason = ordered.or(cause.map(|cause| cause.to_string())).unwrap_or_else(|| "closed".to_owned());
                self.closed(peer, connection_id, &reason);
                self.relays.closed(peer, connection_id);
                self.keep_relays();
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, connection_id, .. } => {
                let reason = error.to_string();
                tracing::debug!(%peer, reason, "dial failed");
                self.shared.note(peer, "failed", None, &reason);
                self.relays.unreachable(peer);
                self.keep_relays();
                self.dial_ended(peer, connection_id, reason);
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                self.relays.listener_closed(listener_id, &reason);
                self.keep_relays();
            }
            _ => {}
        }
    }

    fn note_dial(&self, peer: PeerId, what: &'static str, addresses: &[Multiaddr]) {
        let addresses: Vec<String> = addresses.iter().map(Multiaddr::to_string).collect();
        self.shared.note(peer, what, None, &addresses.join(" "));
    }

    fn opened(&mut self, peer: PeerId, connection: Connection) {
        self.shared.note(peer, "opened", Some((connection.path, connection.transport)), &connection.address.to_string());
        tracing::debug!(%peer, path = ?connection.path, transport = ?connection.transport, "connected");
        let (path, transport, outbound) = (connection.path, connection.transport, connection.outbound);
        if transport.is_server() {
            self.relays.connected(peer, connection.id, &connection.address);
            self.keep_relays();
            // Before the first dial, which takes more round trips than the answer.
            self.tend_ice(Instant::now());
            for (_, peer, via) in std::mem::take(&mut self.unsent) {
                self.dial(peer, via, 1);
            }
        }
        let mut relayed = Vec::new();
        {
            let mut peers = self.shared.peers.borrow_mut();
            let known = peers.change(peer);
            known.connections.push(connection);
            if path == Path::Direct {
                known.dial = Dial::Idle;
                relayed.extend(known.connections.iter().filter(|other| other.path == Path::Relayed).map(|other| other.id));
            }
            if let Some(connection) = known.connections.last() {
                let connection = ConnectionInfo::new(&peer, known, connection);
                self.shared.emit(Event::ConnectionOpened { connection });
            }
        }
        if path == Path::Direct {
            self.close_stale(peer);
        }
        // Only the side that dialled closes: both closing could cut what the other still reads.
        if outbound {
            self.leaving.extend(relayed.into_iter().map(|id| (Instant::now() + RELAYED_GRACE, peer, id)));
        }
        self.carry_sessions(peer, Instant::now());
    }

    fn closed(&mut self, peer: PeerId, id: ConnectionId, reason: &str) {
        let mut peers = self.shared.peers.borrow_mut();
        let known = peers.change(peer);
        let Some(index) = known.connections.iter().position(|connection| connection.id == id) else { return };
        let connection = known.connections.remove(index);
        peers.tidy(&peer);
        drop(peers);
        self.release_relay(peer);
        self.shared.note(peer, "closed", Some((connection.path, connection.transport)), reason);
        self.shared.emit(Event::ConnectionClosed {
            peer: peer.to_string(),
            path: connection.path,
            transport: connection.transport,
            reason: reason.to_owned(),
        });
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Relay(relay::client::Event::ReservationReqAccepted { relay_peer_id, .. }) => {
                self.shared.note(relay_peer_id, "reserved", None, "");
                self.relays.reserved(relay_peer_id);
                self.swarm.behaviour_mut().pool.protect(relay_peer_id, pool::RESERVED);
                self.keep_relays();
                self.retry_sessions();
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let agent = info.agent_version.chars().filter(|character| !character.is_control()).take(MAX_AGENT).collect();
                self.shared.peers.borrow_mut().change(peer_id).agent = Some(agent);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result }) => match result {
                Ok(time) => {
                    self.swarm.behaviour_mut().pool.heard(connection);
                    if let Some(connection) = self.shared.peers.borrow_mut().connection(&peer, connection) {
                        connection.round_trip.update(|measured| measured.and(time));
                    }
                }
                Err(ping::Failure::Unsupported) => {}
                // A timer that ran late has no say: the relay is asked.
                Err(_) if self.relays.doubted(&peer, connection) => self.keep_relays(),
                Err(failure) => {
                    tracing::debug!(%peer, %failure, "no answer to ping");
                    self.swarm.behaviour_mut().pool.unanswered(connection, PING_TIMEOUT);
                    self.close_ordered();
                }
            },
            BehaviourEvent::Streams(event) => self.on_stream(event),
            _ => {}
        }
    }

    fn on_stream(&mut self, event: streams::Event) {
        match event {
            streams::Event::Opened { peer, connection, protocol, stream, .. } if protocol == PERF => {
                let route = self.shared.peers.borrow().peer(&peer).and_then(|known| known.route(connection));
                if let Some(route) = route.filter(|route| route.path == Path::Direct) {
                    self.perf.answer(peer, stream, route);
                }
            }
            streams::Event::Opened { peer, protocol, stream, .. } if protocol == PING && self.relays.is_connected(&peer) => {
                self.relays.probe(peer, stream);
            }
            streams::Event::Opened { peer, connection, protocol, stream, .. } if protocol == PING => {
                let route = self.shared.peers.borrow().peer(&peer).and_then(|known| known.route(connection));
                if let Some(Route { round_trip, .. }) = route {
                    platform::spawn(async move {
                        let began = Instant::now();
                        if ping(stream).await.is_ok() {
                            round_trip.update(|measured| measured.and(began.elapsed()));
                        }
                    });
                }
            }
            streams::Event::Failed { peer, protocol, unsupported, .. } if protocol == PING => {
                self.relays.probe_failed(peer, unsupported);
                self.keep_relays();
            }
            streams::Event::Opened { peer, protocol, stream, .. } if protocol == NEARBY => {
                platform::spawn(self.nearby.clone().stay(peer, stream));
            }
            streams::Event::Opened { peer, protocol, stream, .. } if protocol == ICE => {
                if let Some(address) = self.relays.address_of(&peer) {
                    platform::spawn(self.ice.clone().hear(peer, address.clone(), stream));
                }
            }
            streams::Event::Failed { peer, protocol, unsupported, .. } if protocol == NEARBY => self.nearby.failed(peer, unsupported),
            streams::Event::Opened { peer, connection, inbound, mut stream, .. } => {
                let mut peers = self.shared.peers.borrow_mut();
                let Some(known) = peers.connection(&peer, connection) else { return };
                if known.streams >= MAX_STREAMS {
                    return;
                }
                known.streams += 1;
                if known.path == Path::Relayed {
                    // A session alone keeps no relayed connection open; what runs on it does, by `hold`.
                    stream.ignore_for_keep_alive();
                }
                let Some(route) = peers.peer(&peer).and_then(|known| known.route(connection)) else { return };
                peers.change(peer).stranger = false;
                drop(peers);
                let shared = self.shared.clone();
                platform::spawn(async move {
                    carry(shared.clone(), peer, route, stream, inbound).await;
                    if let Some(known) = shared.peers.borrow_mut().connection(&peer, connection) {
                        known.streams -= 1;
                        if !inbound {
                            known.carrying = Carrying::Broke(Instant::now() + AGAIN);
                        }
                    }
                });
            }
            streams::Event::Failed { peer, connection, protocol, unsupported } if protocol == SESSION => {
                let mut peers = self.shared.peers.borrow_mut();
                if let Some(known) = peers.connection(&peer, connection) {
                    known.carrying = Carrying::Broke(Instant::now() + AGAIN);
                }
                if unsupported {
                    peers.change(peer).stranger = true;
                }
            }
            streams::Event::Failed { .. } => {}
        }
    }
}

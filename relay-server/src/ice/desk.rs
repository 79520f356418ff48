//! The UDP port of STUN and TURN: packets in, packets out, as [`shoal_turn`] says.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use libp2p::identity::Keypair;
use shoal_protocol::{
    addresses::{Reach, reach_of_ip},
    connections::Network,
    time::Time,
};
use shoal_turn::{Allowed, Now, Output, Server, binding, limits::PACKET};
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Offered,
    ports::{Arrived, Ports},
    relayed_address, secret,
};
use crate::{health::Health, limits, rate::TokenBuckets, settings::Config};

/// Pause after an error of the socket, so that one that stays does not keep a core busy.
pub(super) const AFTER_ERROR: Duration = Duration::from_millis(10);

/// Answers for as long as the process lives. Strangers of one network are answered so many times a minute and no more often.
///
/// # Errors
/// When the operating system does not give the socket.
pub(crate) async fn serve(listen: SocketAddr, config: &Config, key: &Keypair, health: Arc<Health>) -> io::Result<Offered> {
    let socket = UdpSocket::bind(listen).await?;
    let bound = socket.local_addr()?;
    let turn = relayed_address(config, bound).zip(secret(key));
    if let Some((address, _)) = turn.as_ref().filter(|(address, _)| reach_of_ip(*address) != Some(Reach::Global)) {
        tracing::warn!(%address, remedy = "set turn to the address by which the internet reaches this machine", "TURN relays at an address of an inner network");
    }
    let offered = Offered { port: bound.port(), secret: turn.as_ref().map(|(_, secret)| secret.clone()) };
    let (relaying, mut arrived) = match turn {
        Some((address, secret)) => {
            let (ports, arrived) = Ports::new(bound.ip(), address, config.turn_ports.0.clone());
            (Some(Relaying { server: Server::new(secret, allowed(config), address), ports }), Some(arrived))
        }
        None => (None, None),
    };
    let asked = TokenBuckets::new(config.stun_per_minute_per_network, limits::RATE_BUCKETS);
    let mut desk = Desk { socket, asked, relaying, started: Instant::now(), health };
    tokio::spawn(async move {
        let mut packet = [0; PACKET];
        let mut sweep = interval(limits::TURN_SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = desk.socket.recv_from(&mut packet) => match received {
                    Ok((length, from)) => desk.receive(&packet[..length], from),
                    // On an unconnected socket an error is about a packet sent earlier, to somebody who has gone.
                    Err(_) => sleep(AFTER_ERROR).await,
                },
                Some(arrival) = next(arrived.as_mut()) => desk.relayed(&arrival),
                _ = sweep.tick() => desk.sweep(),
            }
        }
    });
    Ok(offered)
}

fn allowed(config: &Config) -> Allowed {
    Allowed {
        allocations: config.max_turn_allocations,
        per_peer: config.max_turn_allocations_per_peer,
        per_network: config.max_turn_allocations_per_network,
        bytes_per_second: config.turn_bytes_per_second,
    }
}

async fn next(arrived: Option<&mut mpsc::Receiver<Arrived>>) -> Option<Arrived> {
    arrived?.recv().await
}

struct Desk {
    socket: UdpSocket,
    asked: TokenBuckets<Network>,
    relaying: Option<Relaying>,
    started: Instant,
    health: Arc<Health>,
}

struct Relaying {
    server: Server,
    ports: Ports,
}

impl Desk {
    fn receive(&mut self, packet: &[u8], from: SocketAddr) {
        let known = self.relaying.as_ref().is_some_and(|relaying| relaying.server.serves(from));
        // Before it is looked at more closely, which costs more than the question.
        if !known && packet.first().is_none_or(|first| *first > 3) {
            return;
        }
        if !known && !self.asked.take(Network::from(from.ip()), Instant::now()) {
            self.health.refused.add(1);
            return;
        }
        if let Some(answer) = binding::answer(packet, from) {
            self.health.stun_answers.add(1);
            // What cannot be sent now is lost, as packets are; who asked asks again.
            let _ = self.socket.try_send_to(&answer, from);
            return;
        }
        let now = self.now();
        let Some(Relaying { server, ports }) = &mut self.relaying else { return };
        let outputs = server.receive(packet, from, now, || ports.open());
        self.carry_out(outputs);
    }

    fn relayed(&mut self, Arrived { port, from, packet }: &Arrived) {
        let now = self.now();
        let Some(Relaying { server, .. }) = &mut self.relaying else { return };
        let outputs = server.relayed(*port, packet, *from, now);
        self.carry_out(outputs);
    }

    fn sweep(&mut self) {
        let now = self.now();
        let Some(Relaying { server, .. }) = &mut self.relaying else { return };
        let outputs = server.sweep(now);
        let counts = server.counts();
        self.health.turn_allocations.set(counts.allocations);
        self.health.turn_bytes.set(usize::try_from(counts.relayed).unwrap_or(usize::MAX));
        self.health.turn_forbidden.set(usize::try_from(counts.forbidden).unwrap_or(usize::MAX));
        self.carry_out(outputs);
    }

    fn carry_out(&mut self, outputs: impl IntoIterator<Item = Output>) {
        for output in outputs {
            match (output, &mut self.relaying) {
                (Output::Reply { to, bytes }, _) => {
                    let _ = self.socket.try_send_to(&bytes, to);
                }
                (Output::Relay { port, to, bytes }, Some(relaying)) => relaying.ports.send(port, &bytes, to),
                (Output::Close { port }, Some(relaying)) => relaying.ports.close(port),
                (_, None) => {}
            }
        }
    }

    fn now(&self) -> Now {
        let unix_seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Now { time: Time::from_origin(self.started.elapsed()), unix_seconds }
    }
}

//! One UDP socket and everybody who comes by it: which packet belongs to whom, and who may begin.
//!
//! ```text
//! packet ─ a check (STUN)      answered, and its address remembered for a while; nothing else is kept of who sent it
//!        ─ DTLS, of a connection            handed to its task
//!        ─ DTLS, of an address that checked  a new connection, if there is a place for one
//!        ─ anything else       dropped
//! ```
//!
//! A connection is known by the name in its checks as well as by addresses, for a browser may check from several and change between them.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::{net::UdpSocket, sync::mpsc, time::sleep_until};

use super::{
    certificate::Certhash,
    checks::{Checks, Name},
    config::{ADDRESSES_PER_CONNECTION, Config, RECEIVED_DATAGRAM, WAITING_PACKETS},
    connection::Connection,
    door::{Door, Place},
    error::End,
    session::{Key, Session, Shared},
    stun::Check,
    tunnel::{Packets, Settings},
};

/// How often ended connections are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// How long a socket that does not read is left alone.
const AFTER_ERROR: Duration = Duration::from_millis(10);
/// Packets that a connection takes at once before it answers.
const AT_ONCE: usize = 32;

/// Somebody whose DTLS and SCTP are up, and whose Noise may begin.
pub(super) struct Arrival {
    pub(super) connection: Connection,
    pub(super) noise: (Key, Certhash),
    pub(super) from: SocketAddr,
    /// Held until the peer is known.
    pub(super) place: Place,
    /// When the peer has to be known.
    pub(super) by: Instant,
}

type Packet = (SocketAddr, Vec<u8>);
/// A place that may be given to somebody else.
type Taken = Arc<Mutex<Option<Place>>>;

/// A connection, as far as its packets are concerned.
struct Line {
    shared: Weak<Shared>,
    packets: mpsc::Sender<Packet>,
}

/// Somebody who has not shown yet that he receives where he says he is.
struct Attempt {
    name: Name,
    from: SocketAddr,
    shared: Weak<Shared>,
    place: Taken,
}

impl Attempt {
    fn is_settled(&self) -> bool {
        self.shared.upgrade().is_none_or(|shared| shared.lock().is_proven())
    }
}

/// See above.
pub(super) struct Port {
    socket: Arc<UdpSocket>,
    settings: Settings,
    config: Config,
    names: RandomState,
    checks: Checks,
    door: Door,
    by_address: HashMap<SocketAddr, Arc<Line>>,
    by_name: HashMap<Name, (Arc<Line>, usize)>,
    /// In the order in which they came.
    unproven: VecDeque<Attempt>,
    arrivals: mpsc::Sender<Arrival>,
}

impl Port {
    pub(super) fn new(socket: Arc<UdpSocket>, settings: Settings, config: Config, arrivals: mpsc::Sender<Arrival>) -> Self {
        Self {
            checks: Checks::new(config.checks, config.checks_per_network),
            door: Door::new(config.handshakes, config.handshakes_per_network),
            socket,
            settings,
            config,
            names: RandomState::new(),
            by_address: HashMap::new(),
            by_name: HashMap::new(),
            unproven: VecDeque::new(),
            arrivals,
        }
    }

    /// Until nobody waits for arrivals any more. Connections go on until their ends; the port is free after the last.
    pub(super) async fn serve(mut self) {
        let mut buffer = vec![0; RECEIVED_DATAGRAM];
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => {
                        if let Some(packet) = buffer.get(..length) {
                            self.take(packet, from).await;
                        }
                    }
                    // What an earlier packet met, told late. It says nothing about the socket.
                    Err(error) => {
                        tracing::trace!(%error, "a packet did not arrive");
                        tokio::time::sleep(AFTER_ERROR).await;
                    }
                },
                _ = sweep.tick() => {
                    self.sweep();
                    if self.arrivals.is_closed() && self.by_name.is_empty() {
                        return;
                    }
                }
            }
        }
    }

    async fn take(&mut self, packet: &[u8], from: SocketAddr) {
        // RFC 7983: what the first byte says.
        match packet.first() {
            Some(0..=3) => self.check(packet, from).await,
            Some(20..=63) => match self.by_address.get(&from) {
                // A full queue is a full link.
                Some(line) => drop(line.packets.try_send((from, packet.to_vec()))),
                None if is_hello(packet) => self.begin(packet, from),
                None => {}
            },
            _ => {}
        }
    }

    async fn check(&mut self, packet: &[u8], from: SocketAddr) {
        let Some(check) = Check::read(packet) else { return };
        let name = self.names.hash_one(check.name);
        let now = Instant::now();
        match self.by_name.get_mut(&name) {
            Some((line, addresses)) => {
                let Some(shared) = line.shared.upgrade() else { return };
                shared.lock().checked(now);
                if let Entry::Vacant(new) = self.by_address.entry(from) {
                    if *addresses >= ADDRESSES_PER_CONNECTION {
                        return;
                    }
                    *addresses += 1;
                    new.insert(Arc::clone(line));
                }
            }
            None if self.arrivals.is_closed() || !self.checks.enter(from, name, now) => return,
            None => {}
        }
        // It is lost as any packet may be.
        let _ = self.socket.send_to(&check.answer(from), from).await;
    }

    fn begin(&mut self, packet: &[u8], from: SocketAddr) {
        let now = Instant::now();
        let Some(name) = self.checks.name_at(&from, now) else { return };
        if let Some((line, _)) = self.by_name.get(&name) {
            // It has begun from another of its addresses.
            let line = Arc::clone(line);
            let _ = line.packets.try_send((from, packet.to_vec()));
            self.by_address.insert(from, line);
            return;
        }
        let Some(place) = self.place(from) else { return };
        let shared = Arc::new(Shared::new(Session::new(&self.settings, &self.config, now)));
        let (packets, waiting) = mpsc::channel(WAITING_PACKETS);
        let _ = packets.try_send((from, packet.to_vec()));
        let line = Arc::new(Line { shared: Arc::downgrade(&shared), packets });
        self.by_address.insert(from, Arc::clone(&line));
        self.by_name.insert(name, (line, 1));
        let place = Arc::new(Mutex::new(Some(place)));
        self.unproven.push_back(Attempt { name, from, shared: Arc::downgrade(&shared), place: Arc::clone(&place) });
        let driver = Driver {
            shared,
            socket: Arc::clone(&self.socket),
            waiting,
            remote: from,
            arrivals: Some((self.arrivals.clone(), place, now + self.config.handshake_timeout)),
            packets: Packets::default(),
        };
        tokio::spawn(driver.run());
    }

    /// A place for a new attempt, if need be that of one who has not shown yet that he receives where he says he is.
    fn place(&mut self, from: SocketAddr) -> Option<Place> {
        while self.unproven.front().is_some_and(Attempt::is_settled) {
            self.unproven.pop_front();
        }
        if self.door.is_full() {
            let oldest = self.unproven.pop_front()?;
            oldest.place.lock().unwrap_or_else(PoisonError::into_inner).take();
            // At once: there may be thousands until the next sweep.
            self.by_address.remove(&oldest.from);
            self.by_name.remove(&oldest.name);
            if let Some(shared) = oldest.shared.upgrade() {
                shared.lock().end(End::Displaced);
                shared.driver.notify_one();
            }
        }
        self.door.enter(from.ip())
    }

    /// Forgets who has left.
    fn sweep(&mut self) {
        self.by_address.retain(|_, line| !line.packets.is_closed());
        self.by_name.retain(|_, (line, _)| !line.packets.is_closed());
        self.unproven.retain(|attempt| !attempt.is_settled());
    }
}

/// A record of DTLS that holds the beginning of a handshake: RFC 6347 4.1 and 4.2.2, type 22, epoch 0, ClientHello.
pub fn is_hello(packet: &[u8]) -> bool {
    matches!(packet, [22, 254, _, 0, 0, _, _, _, _, _, _, _, _, 1, ..])
}

/// Carries the packets of one connection until its end.
struct Driver {
    shared: Arc<Shared>,
    socket: Arc<UdpSocket>,
    waiting: mpsc::Receiver<Packet>,
    remote: SocketAddr,
    /// Until it has arrived.
    arrivals: Option<(mpsc::Sender<Arrival>, Taken, Instant)>,
    packets: Packets,
}

impl Driver {
    async fn run(mut self) {
        let mut sleep = Box::pin(sleep_until(tokio::time::Instant::now()));
        loop {
            let (wake, arrived) = self.step();
            for packet in self.packets.iter() {
                // A packet may get lost, here as well.
                let _ = self.socket.send_to(packet, self.remote).await;
            }
            self.packets.clear();
            if let Some(noise) = arrived {
                self.arrive(noise);
            }
            let Some(wake) = wake else { return };
            sleep.as_mut().reset(wake.into());
            tokio::select! {
                packet = self.waiting.recv() => {
                    let Some(packet) = packet else { return self.shared.lock().end(End::Closed) };
                    self.receive(packet);
                }
                () = self.shared.driver.notified() => {}
                () = &mut sleep => {}
            }
        }
    }

    fn step(&mut self) -> (Option<Instant>, Option<(Key, Certhash)>) {
        let mut session = self.shared.lock();
        session.step(Instant::now(), &mut self.packets);
        let arrived = if self.arrivals.is_some() { session.handshake() } else { None };
        (session.wake(), arrived)
    }

    /// Takes what has come, and what came behind it meanwhile.
    fn receive(&mut self, first: Packet) {
        let mut session = self.shared.lock();
        let now = Instant::now();
        let (mut next, mut taken) = (Some(first), 0);
        while let Some((from, packet)) = next {
            // Answers go where the peer was last, for certain. Before it is known, to whoever spoke.
            if session.receive(&packet, now, &mut self.packets) || !session.is_proven() {
                self.remote = from;
            }
            taken += 1;
            next = if taken < AT_ONCE { self.waiting.try_recv().ok() } else { None };
        }
    }

    fn arrive(&mut self, noise: (Key, Certhash)) {
        let Some((arrivals, place, by)) = self.arrivals.take() else { return };
        let place = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let connection = Connection::new(Arc::clone(&self.shared));
        // Without a place, it was displaced a moment ago; and who finds nobody to take him in closes as he is dropped.
        if let Some(place) = place {
            let _ = arrivals.try_send(Arrival { connection, noise, from: self.remote, place, by });
        }
    }
}

/// Whatever it came to, its place is free: who waits for one would find it among the unproven.
impl Drop for Driver {
    fn drop(&mut self) {
        if let Some((_, place, _)) = &self.arrivals {
            place.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

/// Opens the socket, with as much room for packets as the system grants.
pub(super) fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    for buffer in [socket2::Socket::set_recv_buffer_size, socket2::Socket::set_send_buffer_size] {
        // What it has is enough, only not for the fastest.
        let _ = buffer(&socket, SOCKET_BUFFER);
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Bytes of packets that wait in the socket. 4 MiB: 30 ms of a gigabit.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

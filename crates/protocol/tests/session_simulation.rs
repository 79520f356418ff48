//! Two sessions do random things over a wire cut at random: every byte arrives once and in order, whatever stalls, stops or
//! resets; memory stays within the limits; everything closed is forgotten.
//!
//! `SESSION_SEEDS=100000 cargo test -p shoal-protocol --release --test session_simulation` runs more seeds;
//! `SESSION_SEED=17` runs that one.
#![allow(clippy::expect_used, reason = "a test")]

mod session_support;

use session_support::{Random, Wire, content, simulate, tight};
use shoal_protocol::{
    limits,
    session::{Config, Event, Priority, Read, Session, Side, StreamError, StreamId},
};
use std::collections::BTreeMap;

/// What one side knows about a stream.
#[derive(Default)]
struct Known {
    to_write: u64,
    written: u64,
    write_ended: bool,
    may_write: bool,
    read: u64,
    unconsumed: u64,
    read_ended: Option<Read>,
    stopped: bool,
    broken: bool,
    stalled: bool,
}

struct Peer {
    side: Side,
    session: Session,
    known: BTreeMap<StreamId, Known>,
    closed: BTreeMap<StreamId, Known>,
    opened: u64,
    pings: u64,
    pongs: u64,
}

impl Peer {
    fn new(side: Side, config: Config) -> Self {
        let session = Session::new(side, config);
        Self { side, session, known: BTreeMap::new(), closed: BTreeMap::new(), opened: 0, pings: 0, pongs: 0 }
    }

    fn other(&self) -> Side {
        if self.side == Side::Dialler { Side::Listener } else { Side::Dialler }
    }

    fn begin(&mut self, stream: StreamId, random: &mut Random) {
        let known = Known { to_write: random.size(300_000) as u64, may_write: true, stalled: random.one_in(4), ..Known::default() };
        assert!(self.known.insert(stream, known).is_none(), "opened twice");
    }

    fn events(&mut self, random: &mut Random) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Opened(stream) => {
                    assert_ne!(stream.opened_by(), self.side);
                    self.begin(stream, random);
                }
                Event::Writable(stream) => self.known.get_mut(&stream).expect("known").may_write = true,
                Event::Stopped { stream, .. } => {
                    let known = self.known.get_mut(&stream).expect("known");
                    known.write_ended = true;
                    known.broken = true;
                }
                Event::Closed(stream) => {
                    let known = self.known.remove(&stream).expect("known");
                    assert_eq!(self.session.read(stream), Read::Unknown);
                    assert_eq!(self.session.write(stream, vec![1].into()), Err(StreamError::Unknown));
                    self.closed.insert(stream, known);
                }
                Event::Pong(token) => {
                    self.pongs += 1;
                    assert_eq!(token, self.pongs.to_be_bytes());
                }
                Event::Readable(_) | Event::Openable | Event::Ready => {}
            }
        }
    }

    /// Does something, anything. `calm`: nothing new, and nothing is held back any more.
    fn act(&mut self, random: &mut Random, calm: bool) {
        if !calm && self.opened < 150 && random.one_in(3) {
            let priority = if random.one_in(4) { Priority::Urgent } else { Priority::Bulk };
            if let Ok(stream) = self.session.open_with(priority) {
                self.opened += 1;
                self.begin(stream, random);
            }
        }
        if self.pings == self.pongs && random.one_in(5) {
            self.pings += 1;
            assert!(self.session.ping(self.pings.to_be_bytes()));
            assert!(!self.session.ping([0; 8]));
        }
        let streams: Vec<StreamId> = self.known.keys().copied().collect();
        for stream in streams {
            if calm || random.one_in(3) {
                self.write(stream, random);
                self.read(stream, random, calm);
            }
            if !calm && random.one_in(400) {
                self.give_up(stream, random);
            }
        }
    }

    fn write(&mut self, stream: StreamId, random: &mut Random) {
        let known = self.known.get_mut(&stream).expect("known");
        while known.may_write && !known.write_ended && known.written < known.to_write {
            let size = (1 + random.size(40_000) as u64).min(known.to_write - known.written);
            let bytes: Vec<u8> = (known.written..known.written + size).map(|at| content(stream.number(), self.side, at)).collect();
            let Ok(accepted) = self.session.write(stream, bytes.into()) else {
                // The peer asked to stop; its event comes.
                return;
            };
            known.written += accepted as u64;
            known.may_write = accepted as u64 == size;
        }
        if known.written == known.to_write && !known.write_ended && self.session.finish(stream).is_ok() {
            known.write_ended = true;
        }
    }

    fn read(&mut self, stream: StreamId, random: &mut Random, calm: bool) {
        let other = self.other();
        let known = self.known.get_mut(&stream).expect("known");
        if known.stalled && !calm {
            known.stalled = !random.one_in(200);
            return;
        }
        while known.read_ended.is_none() {
            match self.session.read(stream) {
                Read::Data(bytes) => {
                    for byte in &bytes {
                        assert_eq!(*byte, content(stream.number(), other, known.read), "stream {stream} at {}", known.read);
                        known.read += 1;
                    }
                    known.unconsumed += bytes.len() as u64;
                }
                Read::Blocked => break,
                end => known.read_ended = Some(end),
            }
        }
        let consumed = if calm { known.unconsumed } else { random.below(known.unconsumed + 1) };
        known.unconsumed -= consumed;
        self.session.consumed(stream, consumed);
    }

    fn give_up(&mut self, stream: StreamId, random: &mut Random) {
        let known = self.known.get_mut(&stream).expect("known");
        let what = random.below(3);
        if what != 0 {
            self.session.reset(stream, 7);
            known.broken = true;
            known.write_ended = true;
        }
        if what != 1 {
            self.session.stop(stream, 7);
            known.stopped = true;
            known.read_ended.get_or_insert(Read::Reset(7));
        }
    }

    fn check_bounds(&self, config: &Config) {
        let held = self.session.held();
        assert!(held.received <= config.connection_window);
        assert!(held.unsent <= config.send_buffer + 2 * config.streams * limits::SESSION_STREAM_RESERVE);
        assert!(held.streams as u64 <= 2 * config.streams);
    }
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let config = if random.one_in(4) { Config::default() } else { tight() };
    let mut one = Peer::new(Side::Dialler, config);
    let mut other = Peer::new(Side::Listener, config);
    let (mut there, mut back) = (Wire::default(), Wire::default());
    let rounds = 150 + random.below(300);
    let mut idle = 0;
    for round in 0.. {
        let calm = round > rounds;
        one.act(&mut random, calm);
        other.act(&mut random, calm);
        let capacity = 1 + random.size(1 << 17);
        there.load(&mut one.session, capacity, &mut random);
        back.load(&mut other.session, capacity, &mut random);
        let (some, more) = (1 + random.size(1 << 17), 1 + random.size(1 << 17));
        there.unload(&mut other.session, some, &mut random).expect("an honest peer");
        back.unload(&mut one.session, more, &mut random).expect("an honest peer");
        one.events(&mut random);
        other.events(&mut random);
        one.check_bounds(&config);
        other.check_bounds(&config);
        let done = calm && there.is_empty() && back.is_empty() && one.known.is_empty() && other.known.is_empty();
        idle = if done { idle + 1 } else { 0 };
        if idle > 20 {
            break;
        }
        assert!(round < 50_000, "no end: {} and {} streams left", one.known.len(), other.known.len());
    }
    for (this, that) in [(&one, &other), (&other, &one)] {
        assert_eq!((this.session.held().streams, this.session.held().received, this.session.held().unsent), (0, 0, 0));
        for (stream, known) in &this.closed {
            let peer = that.closed.get(stream).expect("closed on both sides");
            let end = known.read_ended.as_ref().expect("every stream ends");
            if !known.stopped && !peer.broken {
                assert_eq!(*end, Read::Finished, "stream {stream}");
            }
            if *end == Read::Finished {
                assert_eq!(known.read, peer.to_write, "stream {stream}");
            }
        }
    }
}

#[test]
fn every_byte_arrives_once_and_in_order() {
    simulate("SESSION", 60, |seed| {
        run(seed);
        1
    });
}

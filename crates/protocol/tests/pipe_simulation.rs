//! The two ends of a pipe over paths that delay, die at any byte, are noticed dead by either side at any time, come back, exist several
//! at once, change their rank, are limited, and go on delivering after another took over: every byte arrives once and in order, what is sent
//! again after a break stays within the window, and nothing at all is sent again when no path breaks.
//!
//! `PIPE_SEEDS=100000 cargo test -p shoal-protocol --release --test pipe_simulation` runs more seeds; `PIPE_SEED=17` runs that one.
#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

mod session_support;

use bytes::Bytes;
use session_support::{Random, content, simulate};
use shoal_protocol::{
    limits,
    pipe::{Counts, Key, PathId, Pipe, Refused, greeting},
    session::Side,
};
use std::collections::VecDeque;

/// One end: a pipe, and what goes through it.
struct End {
    side: Side,
    pipe: Pipe,
    to_write: u64,
    written: u64,
    read: u64,
}

impl End {
    fn new(side: Side, random: &mut Random) -> Self {
        let mut key = [side as u8; 16];
        key[..8].copy_from_slice(&random.next().to_be_bytes());
        Self { side, pipe: Pipe::new(Key(key)), to_write: random.size(6_000_000) as u64, written: 0, read: 0 }
    }

    /// The next bytes of this end's stream, cut anyhow.
    fn source(side: Side, written: &mut u64, to_write: u64, most: usize, random: &mut Random) -> Vec<Bytes> {
        let mut chunks = Vec::new();
        let mut left = (most as u64).min(to_write - *written);
        while left > 0 && !random.one_in(5) {
            let size = (1 + random.size(left) as u64).min(left);
            chunks.push((*written..*written + size).map(|at| content(0, side, at)).collect::<Vec<u8>>().into());
            *written += size;
            left -= size;
        }
        chunks
    }

    fn is_done(&self, other: &Self) -> bool {
        self.written == self.to_write && self.read == other.to_write
    }
}

/// One end's view of a path.
#[derive(Default)]
struct Mouth {
    id: Option<PathId>,
    /// What came before the greeting could be read.
    unread: Vec<u8>,
    /// On its way to this end.
    arriving: VecDeque<u8>,
    /// This end knows that the path is gone.
    gone: bool,
}

/// A path between the two ends. Side 0 opened it.
struct Route {
    opener: usize,
    rank: u8,
    mouths: [Mouth; 2],
    /// Nothing that is sent from now on arrives.
    dead: bool,
    /// Bytes that a visit delivers at most: slow and fast ones exist.
    pace: u64,
    stalled: bool,
}

struct World {
    ends: [End; 2],
    routes: Vec<Route>,
    breaks: u64,
    suspicions: u64,
    turns: u64,
    /// The most paths by which bytes went at once.
    lanes: usize,
}

impl World {
    fn open(&mut self, random: &mut Random) {
        let opener = if self.routes.is_empty() { 0 } else { random.below(2) as usize };
        let rank = random.below(2) as u8;
        let Ok(id) = self.ends[opener].pipe.open(rank) else { return };
        let mut mouths = [Mouth::default(), Mouth::default()];
        mouths[opener].id = Some(id);
        self.routes.push(Route { opener, rank, mouths, dead: false, pace: 1 + random.size(1 << 18) as u64, stalled: false });
    }

    /// One end puts something on a path, or takes something from it.
    fn visit(&mut self, at: usize, who: usize, random: &mut Random) {
        let route = &mut self.routes[at];
        if route.mouths[who].gone {
            return;
        }
        if route.dead && random.one_in(10) {
            self.notice(at, who);
            return;
        }
        if let Some(id) = route.mouths[who].id {
            let end = &mut self.ends[who];
            let more = end.written < end.to_write;
            if end.pipe.wants_transmit(id, more) && route.mouths[1 - who].arriving.len() < 1 << 18 {
                let max = 1 + random.size(1 << 17);
                let (side, to_write, written) = (end.side, end.to_write, &mut end.written);
                let bytes = end.pipe.transmit(id, max, |most| End::source(side, written, to_write, most, random));
                if !route.dead && !route.mouths[1 - who].gone {
                    route.mouths[1 - who].arriving.extend(bytes.unwrap_or_default());
                }
            }
        }
        if !route.stalled {
            let most = random.size(route.pace);
            self.deliver(at, who, most);
        }
        self.lanes = self.lanes.max(self.ends[who].pipe.lanes());
        let Counts { acknowledged, sent, .. } = self.ends[who].pipe.counts();
        assert!(sent - acknowledged <= limits::PIPE_UNACKNOWLEDGED, "{} bytes are held", sent - acknowledged);
    }

    fn deliver(&mut self, at: usize, who: usize, most: usize) {
        let Route { opener, rank, mouths, .. } = &mut self.routes[at];
        let mouth = &mut mouths[who];
        let most = most.min(mouth.arriving.len());
        mouth.unread.extend(mouth.arriving.drain(..most));
        let other = self.ends[1 - who].side;
        let end = &mut self.ends[who];
        if *opener != who && mouth.id.is_none() {
            let Some((greeting, used)) = greeting(&mouth.unread).expect("an honest greeting") else { return };
            mouth.unread.drain(..used);
            match end.pipe.accept(*rank, greeting) {
                Ok(id) => mouth.id = Some(id),
                Err(Refused::TooManyPaths) => return self.notice(at, who),
                Err(Refused::NotOurs) => panic!("refused {greeting:?}"),
            }
        } else if *opener == who && !mouth.unread.is_empty() && !end.pipe.is_greeted(mouth.id.expect("open")) {
            let Some((greeting, used)) = greeting(&mouth.unread).expect("an honest greeting") else { return };
            mouth.unread.drain(..used);
            assert_eq!(end.pipe.greeted(mouth.id.expect("open"), greeting), Ok(true));
        }
        let id = mouth.id.expect("greeted");
        let unread = std::mem::take(&mut mouth.unread);
        let mut input = unread.as_slice();
        while let Some(bytes) = end.pipe.receive(id, &mut input).expect("an honest peer") {
            for byte in bytes.iter() {
                assert_eq!(*byte, content(0, other, end.read), "at {}", end.read);
                end.read += 1;
            }
        }
        assert!(input.is_empty());
    }

    /// An end learns that a path is gone; what is still on its way to the end never arrives, in part.
    fn notice(&mut self, at: usize, who: usize) {
        let mouth = &mut self.routes[at].mouths[who];
        mouth.gone = true;
        mouth.arriving.clear();
        self.routes[at].dead = true;
        if let Some(id) = self.routes[at].mouths[who].id {
            self.ends[who].pipe.lost(id);
        }
    }

    fn disturb(&mut self, breaking: bool, random: &mut Random) {
        let alive = self.routes.iter().filter(|route| !route.dead).count();
        if (alive == 0 && random.one_in(5)) || (alive < 4 && random.one_in(60)) {
            self.open(random);
        }
        let at = random.below(self.routes.len() as u64) as usize;
        let who = random.below(2) as usize;
        if breaking && random.one_in(80) && !self.routes[at].dead {
            self.breaks += 1;
            let route = &mut self.routes[at];
            route.dead = true;
            // It dies at any byte: part of what is on its way still arrives.
            for mouth in &mut route.mouths {
                let rest = random.size(mouth.arriving.len() as u64 + 1);
                mouth.arriving.truncate(rest);
            }
        }
        if let Some(id) = self.routes[at].mouths[who].id {
            if random.one_in(100) {
                // Who is asked to go on by the path by which it takes bytes already does not wait for what is under way by the others.
                self.turns += u64::from(self.ends[who].pipe.lanes() > 1);
                self.ends[who].pipe.rank(id, random.below(3) as u8);
            }
            if breaking && random.one_in(200) {
                self.suspicions += 1;
                self.ends[who].pipe.suspect(id);
            }
            if random.one_in(50) {
                self.ends[who].pipe.probe();
            }
            if random.one_in(20) {
                self.ends[who].pipe.limit(limits::PIPE_FIRST_WINDOW + random.below(limits::PIPE_UNACKNOWLEDGED));
            }
        }
        if random.one_in(40) {
            self.routes[at].stalled = !self.routes[at].stalled;
        }
    }
}

/// Rounds of silence after which a sender asks.
const ASKS: u64 = 1_000;

fn run(seed: u64) -> u64 {
    let mut random = Random(seed);
    let breaking = !random.one_in(4);
    let ends = [End::new(Side::Dialler, &mut random), End::new(Side::Listener, &mut random)];
    let mut world = World { ends, routes: Vec::new(), breaks: 0, suspicions: 0, turns: 0, lanes: 0 };
    world.open(&mut random);
    // The first greeting must arrive: a pipe whose beginning is lost is none.
    while !world.ends[1].pipe.is_begun() || !world.ends[0].pipe.is_begun() {
        for who in [0, 1] {
            world.visit(0, who, &mut random);
        }
    }
    for round in 0.. {
        let calm = round > 2_000;
        if calm {
            for route in &mut world.routes {
                (route.stalled, route.pace) = (false, 1 << 18);
            }
            if world.routes.iter().all(|route| route.dead) {
                world.open(&mut random);
            }
            // As a sender does that has heard nothing for half a second.
            if round % ASKS == 0 {
                world.ends.iter_mut().for_each(|end| end.pipe.probe());
            }
        } else {
            world.disturb(breaking, &mut random);
        }
        for at in 0..world.routes.len() {
            let first = random.below(2) as usize;
            world.visit(at, first, &mut random);
            world.visit(at, 1 - first, &mut random);
        }
        if world.ends[0].is_done(&world.ends[1]) && world.ends[1].is_done(&world.ends[0]) {
            break;
        }
        assert!(round < 100_000, "stands still: {:#?}", world.ends.map(|end| end.pipe));
    }
    for end in &world.ends {
        let again = end.pipe.counts().sent_again;
        // Each break or suspicion makes each side send again at most what a window holds; without any, nothing.
        let reasons = world.breaks + world.suspicions + world.turns;
        assert!(again <= reasons * limits::PIPE_UNACKNOWLEDGED, "{again} bytes for {} breaks", world.breaks);
    }
    world.lanes as u64
}

#[test]
fn every_byte_arrives_once_and_in_order() {
    let lanes = simulate("PIPE", 300, run);
    println!("{lanes} paths at once, in all runs together");
}

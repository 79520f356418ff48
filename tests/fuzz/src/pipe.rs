//! Pipes: two honest ones over paths that come, stall and break at any byte, and one that gets anything on any of its paths.

use std::collections::VecDeque;

use bytes::Bytes;
use shoal_protocol::{
    limits,
    pipe::{Key, PathId, Pipe, greeting},
};

use crate::input::{Input, content, contents, varint};

/// Bytes of the stream with the offset of their first.
const PART: u8 = 0x08;
/// The most that one input moves each way.
const MOST: u64 = 8 << 20;

/// One end of a path.
#[derive(Default)]
struct Mouth {
    id: Option<PathId>,
    unread: Vec<u8>,
    arriving: VecDeque<u8>,
    gone: bool,
}

/// A path between the two.
struct Route {
    rank: u8,
    mouths: [Mouth; 2],
    dead: bool,
}

struct End {
    pipe: Pipe,
    written: u64,
    read: u64,
}

struct World {
    ends: [End; 2],
    routes: Vec<Route>,
}

impl World {
    fn open(&mut self, opener: usize, rank: u8) {
        let Ok(id) = self.ends[opener].pipe.open(rank) else { return };
        let mut mouths = [Mouth::default(), Mouth::default()];
        mouths[opener].id = Some(id);
        self.routes.push(Route { rank, mouths, dead: false });
    }

    fn transmit(&mut self, at: usize, who: usize, max: usize, fresh: usize) {
        let route = &mut self.routes[at];
        let Some(id) = route.mouths[who].id.filter(|_| !route.mouths[who].gone) else { return };
        let End { pipe, written, .. } = &mut self.ends[who];
        let bytes = pipe.transmit(id, max, |most| {
            let length = fresh.min(most).min((MOST - *written) as usize);
            let chunk = contents(0, who, *written, length);
            *written += length as u64;
            Vec::from_iter((!chunk.is_empty()).then_some(chunk))
        });
        if !route.dead && !route.mouths[1 - who].gone {
            route.mouths[1 - who].arriving.extend(bytes.unwrap_or_default());
        }
        let counts = pipe.counts();
        assert!(counts.sent - counts.acknowledged <= limits::PIPE_UNACKNOWLEDGED);
    }

    fn deliver(&mut self, at: usize, who: usize, most: usize) {
        let Route { rank, mouths, .. } = &mut self.routes[at];
        let mouth = &mut mouths[who];
        if mouth.gone {
            return;
        }
        let most = most.min(mouth.arriving.len());
        mouth.unread.extend(mouth.arriving.drain(..most));
        let pipe = &mut self.ends[who].pipe;
        if mouth.id.is_none_or(|id| !pipe.is_greeted(id)) {
            let Some((greeting, used)) = greeting(&mouth.unread).expect("an honest greeting") else { return };
            mouth.unread.drain(..used);
            match mouth.id {
                Some(id) => assert_eq!(pipe.greeted(id, greeting), Ok(true)),
                None => match pipe.accept(*rank, greeting) {
                    Ok(id) => mouth.id = Some(id),
                    // Full, or the very first path died before its greeting arrived.
                    Err(_) => return self.notice(at, who),
                },
            }
        }
        let Some(id) = mouth.id else { return };
        let unread = std::mem::take(&mut mouth.unread);
        let mut rest = unread.as_slice();
        let End { pipe, read, .. } = &mut self.ends[who];
        while let Some(bytes) = pipe.receive(id, &mut rest).expect("an honest peer") {
            for byte in bytes.iter() {
                assert_eq!(*byte, content(0, 1 - who, *read), "at {read}");
                *read += 1;
            }
        }
    }

    /// An end learns that a path is gone.
    fn notice(&mut self, at: usize, who: usize) {
        let route = &mut self.routes[at];
        route.dead = true;
        let mouth = &mut route.mouths[who];
        if !std::mem::replace(&mut mouth.gone, true)
            && let Some(id) = mouth.id
        {
            self.ends[who].pipe.lost(id);
        }
    }
}

/// Each byte arrives once and in order, at most a window is unacknowledged, and a path that works is enough for all of it to arrive.
pub(crate) fn pair(data: &[u8]) {
    let mut input = Input::new(data);
    let end = |side: u8| End { pipe: Pipe::new(Key([side; 16])), written: 0, read: 0 };
    let mut world = World { ends: [end(1), end(2)], routes: Vec::new() };
    world.open(0, 0);
    // A pipe whose first greeting is lost is none.
    world.transmit(0, 0, 4_096, 0);
    world.deliver(0, 1, usize::MAX);
    while !input.is_empty() {
        let (at, who) = (input.below(256) % world.routes.len(), input.below(2));
        let id = world.routes[at].mouths[who].id;
        match input.below(12) {
            0 => {
                if world.routes.len() < 32 {
                    world.open(who, input.byte() % 3);
                }
            }
            1..=4 => {
                let (max, fresh) = (input.length(usize::MAX), input.length(usize::MAX));
                world.transmit(at, who, max * 16, fresh * 16);
            }
            5..=7 => {
                let most = input.length(usize::MAX);
                world.deliver(at, who, most * 16);
            }
            8 => {
                // It breaks at any byte: of what is under way a part arrives.
                let route = &mut world.routes[at];
                route.dead = true;
                for mouth in &mut route.mouths {
                    let rest = input.length(usize::MAX) * 16;
                    mouth.arriving.truncate(rest);
                }
            }
            9 => {
                if world.routes[at].dead {
                    world.notice(at, who);
                }
            }
            10 => {
                if let Some(id) = id {
                    world.ends[who].pipe.suspect(id);
                }
            }
            _ => match id {
                Some(id) if input.flag() => world.ends[who].pipe.rank(id, input.byte() % 3),
                _ => world.ends[who].pipe.probe(),
            },
        }
    }
    settle(&mut world);
}

fn settle(world: &mut World) {
    for at in 0..world.routes.len() {
        for who in [0, 1] {
            if world.routes[at].dead {
                world.notice(at, who);
            }
        }
    }
    // What the other side knows is enough to attach, once it has heard of it; a new path may also find that it never did.
    let opener = if world.ends[0].pipe.is_begun() { 0 } else { 1 };
    if world.routes.iter().all(|route| route.dead) {
        world.open(opener, 1);
    }
    for _ in 0..4_000 {
        let mut quiet = true;
        for at in 0..world.routes.len() {
            for who in [0, 1] {
                let before = world.routes[at].mouths[1 - who].arriving.len();
                world.transmit(at, who, 1 << 18, 0);
                quiet &= world.routes[at].mouths[1 - who].arriving.len() == before;
                let waiting = world.routes[at].mouths[who].arriving.len();
                world.deliver(at, who, usize::MAX);
                quiet &= waiting == 0;
            }
        }
        if quiet {
            break;
        }
    }
    for who in [0, 1] {
        assert_eq!(world.ends[1 - who].read, world.ends[who].written, "what {who} wrote did not all arrive: {:#?}", world.ends[who].pipe);
    }
}

/// Any greetings and records on any paths, in any pieces. A violation is for ever, counts never run backwards, and nothing unasked is taken.
pub(crate) fn hostile(data: &[u8]) {
    let mut input = Input::new(data);
    let mut pipe = Pipe::new(Key([1; 16]));
    let mut ids: Vec<PathId> = Vec::new();
    let mut before = pipe.counts();
    let (mut received, mut parts) = (0, false);
    while !input.is_empty() {
        let id = ids.get(input.below(256) % ids.len().max(1)).copied();
        match (input.below(10), id) {
            (0, _) => ids.extend(pipe.open(input.byte() % 3)),
            (1, _) => {
                let said = greeting_of(&mut input);
                if let Ok(Some((greeting, _))) = greeting(&said) {
                    ids.extend(pipe.accept(input.byte() % 3, greeting));
                }
            }
            (2, Some(id)) => {
                let said = greeting_of(&mut input);
                if let Ok(Some((greeting, used))) = greeting(&said) {
                    assert!(used <= said.len() && used as u64 <= limits::PIPE_GREETING + 4);
                    let _ = pipe.greeted(id, greeting);
                }
            }
            (3, Some(id)) => pipe.lost(id),
            (4, Some(id)) => pipe.suspect(id),
            (5, Some(id)) => {
                let fresh = input.length(usize::MAX);
                let most = 16 + input.length(usize::MAX);
                pipe.transmit(id, most, |room| Vec::from([Bytes::from(vec![3; fresh.min(room)])]));
            }
            (_, Some(id)) => {
                let (bytes, with_parts) = records(&mut input);
                parts |= with_parts;
                let mut rest = bytes.as_slice();
                loop {
                    // The bytes themselves may be what another path waited for to take over.
                    let from = pipe.takes_from();
                    match pipe.receive(id, &mut rest) {
                        Ok(Some(piece)) => {
                            // Parts say where they belong, and come by any path.
                            assert!(parts || [from, pipe.takes_from()].contains(&Some(id)), "taken from a path that was not granted");
                            received += piece.len() as u64;
                        }
                        Ok(None) => break,
                        Err(violation) => {
                            assert_eq!(pipe.receive(id, &mut &[4, 0][..]), Err(violation), "forgiven");
                            return;
                        }
                    }
                }
            }
            _ => {}
        }
        let counts = pipe.counts();
        assert!(counts.acknowledged >= before.acknowledged && counts.acknowledged <= counts.sent && counts.received == received);
        assert!(counts.sent - counts.acknowledged <= limits::PIPE_UNACKNOWLEDGED && pipe.paths() <= limits::PIPE_PATHS);
        before = counts;
    }
}

fn greeting_of(input: &mut Input<'_>) -> Vec<u8> {
    let mut said = Vec::new();
    match input.below(3) {
        0 => return input.bytes(300).to_vec(),
        1 => record(0, &[], &[2; 16], &mut said),
        _ => record(1, &[], &[[1; 16], [2 + input.byte() % 2; 16]].concat(), &mut said),
    }
    said
}

/// Some records, and whether parts may be among them.
fn records(input: &mut Input<'_>) -> (Vec<u8>, bool) {
    let (mut out, mut parts) = (Vec::new(), false);
    for _ in 0..1 + input.below(4) {
        match input.below(8) {
            0 => {
                out.extend_from_slice(&input.bytes(usize::MAX));
                parts = true;
            }
            1 | 2 => record(2, &[], &vec![5; input.length(usize::MAX)], &mut out),
            3 => record(3, &[input.length(usize::MAX) as u64], &[], &mut out),
            4 => record(4, &[], &[], &mut out),
            5 => record(5, &[input.below(4) as u64, input.below(4) as u64, input.length(usize::MAX) as u64], &[], &mut out),
            6 => record(6, &[input.below(4) as u64, input.length(usize::MAX) as u64], &[], &mut out),
            _ => match input.byte() {
                0x80.. => {
                    record(PART, &[input.length(usize::MAX) as u64], &vec![6; 1 + input.length(usize::MAX)], &mut out);
                    parts = true;
                }
                kind => {
                    record(kind, &[input.number(), input.number()], &[], &mut out);
                    parts |= kind == PART;
                }
            },
        }
    }
    (out, parts)
}

fn record(kind: u8, numbers: &[u64], rest: &[u8], out: &mut Vec<u8>) {
    let mut body = vec![kind];
    numbers.iter().for_each(|number| varint(*number & (u64::MAX >> 1), &mut body));
    body.extend_from_slice(rest);
    varint(body.len() as u64, out);
    out.extend(body);
}

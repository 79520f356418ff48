//! Sessions: two honest ones whose owners do anything, and one that gets any bytes or any frames.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use shoal_protocol::session::{Config, Event, Priority, Read, Session, Side, StreamId};

use crate::input::{Input, content, contents, varint};

/// Small limits, so that an input reaches them.
fn tight() -> Config {
    Config {
        stream_window: 64 * 1024,
        connection_window: 256 * 1024,
        streams: 64,
        frame_payload: 16 * 1024,
        stream_buffer: 32 * 1024,
        send_buffer: 128 * 1024,
    }
}

/// What one end knows of a stream.
#[derive(Default)]
struct Half {
    written: u64,
    /// Ended as it should, or by giving it up.
    finished: bool,
    given_up: bool,
    read: u64,
    /// Read and not dealt with.
    owed: u64,
    /// No more is read: the end was seen, or it was given up.
    over: bool,
}

struct End {
    side: usize,
    session: Session,
    wire: VecDeque<u8>,
    known: Vec<StreamId>,
    streams: BTreeMap<StreamId, Half>,
}

impl End {
    fn new(side: usize) -> Self {
        let name = if side == 0 { Side::Dialler } else { Side::Listener };
        Self { side, session: Session::new(name, tight()), wire: VecDeque::new(), known: Vec::new(), streams: BTreeMap::new() }
    }

    fn learn(&mut self, id: StreamId) {
        if self.streams.insert(id, Half::default()).is_none() {
            self.known.push(id);
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if let Event::Opened(id) = event {
                assert!(!self.streams.contains_key(&id), "opened twice");
                self.learn(id);
            }
        }
    }

    fn write(&mut self, id: StreamId, length: usize) {
        let Some(half) = self.streams.get_mut(&id) else { return };
        let bytes = contents(id.number(), self.side, half.written, length);
        if let Ok(accepted) = self.session.write(id, bytes) {
            assert!(!half.finished && accepted <= length);
            half.written += accepted as u64;
        }
    }

    fn read(&mut self, id: StreamId, other: &Self) {
        let Some(half) = self.streams.get_mut(&id) else { return };
        match self.session.read(id) {
            Read::Data(bytes) => {
                assert!(!half.over && !bytes.is_empty());
                for byte in &bytes {
                    assert_eq!(*byte, content(id.number(), 1 - self.side, half.read), "at {}", half.read);
                    half.read += 1;
                }
                half.owed += bytes.len() as u64;
            }
            Read::Finished => {
                let theirs = other.streams.get(&id);
                assert!(half.given_up || theirs.is_some_and(|theirs| theirs.finished && theirs.written == half.read), "a false end");
                half.over = true;
            }
            Read::Reset(_) => {
                assert!(half.given_up || other.streams.get(&id).is_some_and(|theirs| theirs.given_up), "nobody gave it up");
                half.over = true;
            }
            Read::Blocked | Read::Unknown => {}
        }
    }
}

/// Whatever two owners do with their streams, and however the bytes between them are cut: no end finds fault with the other, each byte comes
/// once and in its place, and in the end nothing is held.
pub(crate) fn pair(data: &[u8]) {
    let mut input = Input::new(data);
    let mut ends = [End::new(0), End::new(1)];
    while !input.is_empty() {
        let who = input.below(2);
        let (end, other) = pick(&mut ends, who);
        let chosen = |end: &End, at: usize| end.known.get(at % end.known.len().max(1)).copied();
        match input.below(12) {
            0 => {
                let priority = if input.flag() { Priority::Urgent } else { Priority::Bulk };
                if let Ok(id) = end.session.open_with(priority) {
                    end.learn(id);
                }
            }
            1 | 2 => {
                let (at, length) = (input.below(256), input.length(usize::MAX));
                if let Some(id) = chosen(end, at) {
                    end.write(id, length);
                }
            }
            3 => {
                if let Some(id) = chosen(end, input.below(256))
                    && end.session.finish(id).is_ok()
                    && let Some(half) = end.streams.get_mut(&id)
                {
                    half.finished = true;
                }
            }
            4 | 5 => {
                if let Some(id) = chosen(end, input.below(256)) {
                    end.read(id, other);
                }
            }
            6 => {
                if let Some(id) = chosen(end, input.below(256))
                    && let Some(half) = end.streams.get_mut(&id)
                {
                    end.session.consumed(id, std::mem::take(&mut half.owed));
                }
            }
            7 => {
                let how = input.below(3);
                if let Some(id) = chosen(end, input.below(256)) {
                    give_up(end, other, id, how);
                }
            }
            8 => drop(end.session.ping([input.byte(); 8])),
            9 => other.wire.extend(end.session.transmit(input.length(usize::MAX)).unwrap_or_default()),
            _ => receive(end, input.length(usize::MAX)),
        }
    }
    settle(&mut ends);
}

fn pick(ends: &mut [End; 2], who: usize) -> (&mut End, &mut End) {
    let [one, two] = ends;
    if who == 0 { (one, two) } else { (two, one) }
}

fn give_up(end: &mut End, other: &mut End, id: StreamId, how: usize) {
    match how {
        0 => end.session.reset(id, 1),
        1 => end.session.stop(id, 2),
        _ => end.session.cancel(id, 3),
    }
    // Whether it still has an effect is the session's affair: from here on both ends may see the stream end early.
    for half in [end.streams.get_mut(&id), other.streams.get_mut(&id)].into_iter().flatten() {
        half.given_up = true;
    }
}

fn receive(end: &mut End, length: usize) {
    let length = length.min(end.wire.len());
    let piece: Vec<u8> = end.wire.drain(..length).collect();
    end.session.receive_bytes(&piece.into()).expect("an honest peer");
    let held = end.session.held();
    assert!(held.received <= tight().connection_window && held.streams as u64 <= 2 * tight().streams);
    end.events();
}

/// Every stream is finished and read; then none is left.
fn settle(ends: &mut [End; 2]) {
    for _ in 0..200 {
        let mut quiet = true;
        for who in [0, 1] {
            let (end, other) = pick(ends, who);
            while let Some(bytes) = end.session.transmit(1 << 20) {
                quiet = false;
                other.wire.extend(bytes);
            }
            quiet &= end.wire.is_empty();
            receive(end, usize::MAX);
            for id in end.known.clone() {
                if end.session.finish(id).is_ok()
                    && let Some(half) = end.streams.get_mut(&id)
                {
                    half.finished = true;
                    quiet = false;
                }
                loop {
                    end.read(id, other);
                    let Some(half) = end.streams.get_mut(&id) else { break };
                    let owed = std::mem::take(&mut half.owed);
                    end.session.consumed(id, owed);
                    if owed == 0 {
                        break;
                    }
                    quiet = false;
                }
            }
            end.events();
        }
        if quiet {
            break;
        }
    }
    for end in ends {
        let held = end.session.held();
        assert!(held.received == 0 && held.unsent == 0 && held.streams == 0, "{held:?} is left");
    }
}

/// Any bytes, among which frames as the protocol has them are made easy to hit. What is found wrong does not depend on how the bytes are cut,
/// and nothing beyond what was granted is held.
pub(crate) fn hostile(data: &[u8]) {
    let mut input = Input::new(data);
    let mut bytes = Vec::new();
    if input.flag() {
        frame(0, &[1, 65_536, 1 << 22, 1 << 24, 1_024], &[], &mut bytes);
    }
    let cut = 1 + input.length(70_000);
    while !input.is_empty() && bytes.len() < 1 << 20 {
        match input.below(12) {
            0 => bytes.extend_from_slice(&input.bytes(usize::MAX)),
            1 => {
                let numbers: Vec<u64> = (0..input.below(8)).map(|_| input.number()).collect();
                frame(input.byte(), &numbers, &input.bytes(64), &mut bytes);
            }
            2 => frame(0, &[input.number(), input.number(), input.number(), input.number(), input.number()], &[], &mut bytes),
            3..=6 => {
                let (stream, offset, flags) = (input.below(256) as u64, input.length(usize::MAX) as u64, input.byte() & 7);
                let mut body = vec![flags];
                body.extend(vec![9; input.length(usize::MAX)]);
                frame(1, &[stream, offset], &body, &mut bytes);
            }
            7 => frame(2, &[input.below(256) as u64, input.number()], &[], &mut bytes),
            8 => frame(3 + input.byte() % 2, &[input.number()], &[], &mut bytes),
            9 => frame(5, &[input.below(256) as u64, input.number(), input.length(usize::MAX) as u64], &[], &mut bytes),
            10 => frame(6, &[input.below(256) as u64, input.number()], &[], &mut bytes),
            _ => frame(7 + input.byte() % 2, &[], &[input.byte(); 8], &mut bytes),
        }
    }
    let whole = feed(&bytes, usize::MAX);
    let pieces = feed(&bytes, cut);
    assert_eq!(whole, pieces, "in pieces of {cut}");
}

fn frame(kind: u8, numbers: &[u64], rest: &[u8], out: &mut Vec<u8>) {
    let mut body = vec![kind];
    numbers.iter().for_each(|number| varint(*number & (u64::MAX >> 1), &mut body));
    body.extend_from_slice(rest);
    varint(body.len() as u64, out);
    out.extend(body);
}

/// Gives a lively session these bytes in pieces, and tells what it thinks of them and what was readable.
fn feed(bytes: &[u8], cut: usize) -> (String, Vec<(u64, Bytes)>) {
    let mut session = Session::new(Side::Listener, tight());
    for priority in [Priority::Bulk, Priority::Urgent] {
        let own = session.open_with(priority).expect("granted");
        session.write(own, Bytes::from_static(b"a question")).expect("open");
    }
    while session.transmit(4_096).is_some() {}
    let mut verdict = String::new();
    for piece in bytes.chunks(cut.min(bytes.len().max(1))) {
        if let Err(violation) = session.receive_bytes(&Bytes::copy_from_slice(piece)) {
            verdict = violation.to_string();
            break;
        }
        let held = session.held();
        assert!(held.received <= tight().connection_window && held.streams as u64 <= 2 * tight().streams);
    }
    let mut streams = Vec::new();
    while let Some(event) = session.poll_event() {
        if let Event::Readable(id) = event {
            let mut all = Vec::new();
            while let Read::Data(bytes) = session.read(id) {
                all.extend_from_slice(&bytes);
            }
            session.consumed(id, all.len() as u64);
            streams.push((id.number(), all.into()));
        }
    }
    // Whatever was agreed to, the answers can be written.
    while session.transmit(1 << 16).is_some() {}
    streams.sort();
    (verdict, streams)
}

//! Two streams on one data channel, in every order in which their owners can write, finish and leave and their messages can arrive.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;
use shoal_webrtc::{
    frame::{Flag, encode_data, encode_flag},
    stream::{Failure, Limits, Read, Stream},
};

/// What an owner does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Act {
    Write,
    Finish,
    Reset,
    Leave,
}

/// What travels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Packet {
    Message(Bytes),
    Closed,
}

#[derive(Debug, Clone)]
struct Side {
    stream: Stream,
    script: VecDeque<Act>,
    to_peer: VecDeque<Packet>,
    closed: bool,
    left: bool,
    finished: bool,
    wrote: usize,
    heard: usize,
    end: Option<Result<(), Failure>>,
}

impl Side {
    fn new(script: &[Act]) -> Self {
        Self {
            stream: Stream::new(Limits::default()),
            script: script.iter().copied().collect(),
            to_peer: VecDeque::new(),
            closed: false,
            left: false,
            finished: false,
            wrote: 0,
            heard: 0,
            end: None,
        }
    }

    fn act(&mut self) {
        match self.script.pop_front() {
            Some(Act::Write) => {
                let mut frame = Vec::new();
                if let Ok(written) = self.stream.write(&[b"piece"], &mut frame) {
                    self.wrote += written;
                    self.to_peer.push_back(Packet::Message(frame.into()));
                }
            }
            Some(Act::Finish) => {
                self.finished |= self.stream.writable().is_ok();
                self.stream.finish();
            }
            Some(Act::Reset) => self.stream.reset(),
            Some(Act::Leave) => {
                self.left = true;
                self.stream.abandon();
            }
            None => {}
        }
        self.settle();
    }

    fn receive(&mut self, packet: Packet) {
        match packet {
            Packet::Message(message) if !self.closed => self.stream.receive(message),
            Packet::Message(_) => {}
            Packet::Closed => self.stream.channel_closed(),
        }
        self.settle();
    }

    /// What the browser half does after every event.
    fn settle(&mut self) {
        while !self.closed {
            let mut frame = Vec::new();
            if !self.stream.transmit(&mut frame) {
                break;
            }
            self.to_peer.push_back(Packet::Message(frame.into()));
        }
        if !self.left && self.end.is_none() {
            loop {
                match self.stream.read() {
                    Read::Data(bytes) => self.heard += bytes.len(),
                    Read::Pending => break,
                    Read::Finished => {
                        self.end = Some(Ok(()));
                        break;
                    }
                    Read::Failed(failure) => {
                        self.end = Some(Err(failure));
                        break;
                    }
                }
            }
        }
        if self.stream.is_over() && !self.closed {
            self.closed = true;
            self.to_peer.push_back(Packet::Closed);
        }
    }
}

/// Runs every interleaving of two scripts and the delivery of their packets; calls `check` on each state in which nothing moves.
fn explore(left: &[Act], right: &[Act], check: &mut impl FnMut(&[Side; 2])) -> usize {
    let mut seen = HashSet::new();
    let mut open = vec![[Side::new(left), Side::new(right)]];
    while let Some(state) = open.pop() {
        if !seen.insert(format!("{state:?}")) {
            continue;
        }
        let mut moved = false;
        for index in 0..2 {
            if !state[index].script.is_empty() {
                let mut next = state.clone();
                next[index].act();
                open.push(next);
                moved = true;
            }
            if !state[index].to_peer.is_empty() {
                let mut next = state.clone();
                if let Some(packet) = next[index].to_peer.pop_front() {
                    next[1 - index].receive(packet);
                }
                open.push(next);
                moved = true;
            }
        }
        if !moved {
            check(&state);
        }
    }
    seen.len()
}

/// Nobody takes a part for the whole.
fn assert_nothing_truncated(state: &[Side; 2]) {
    for (index, side) in state.iter().enumerate() {
        let other = &state[1 - index];
        assert!(side.heard <= other.wrote, "{state:#?}");
        if side.end == Some(Ok(())) {
            assert_eq!(side.heard, other.wrote, "{state:#?}");
        }
    }
}

#[test]
fn two_sides_that_finish_hear_each_other_out_and_close() {
    use Act::{Finish, Leave, Write};
    let scripts: [&[Act]; 5] = [&[Finish], &[Write, Finish], &[Write, Write, Finish], &[Finish, Finish], &[Write, Finish, Write]];
    for left in scripts {
        for right in scripts {
            explore(left, right, &mut |state| {
                assert_nothing_truncated(state);
                for side in state {
                    assert_eq!(side.end, Some(Ok(())), "{state:#?}");
                    assert!(side.closed, "{state:#?}");
                }
            });
        }
    }
    // Leaving after having finished and read takes nothing away from the other.
    explore(&[Write, Finish, Leave], &[Write, Finish], &mut |state| {
        assert_eq!(state[1].heard, state[0].wrote, "{state:#?}");
        assert_eq!(state[1].end, Some(Ok(())), "{state:#?}");
        assert!(state.iter().all(|side| side.closed), "{state:#?}");
    });
}

#[test]
fn every_order_of_everything_ends_closed_and_whole() {
    let acts = [Act::Write, Act::Finish, Act::Reset, Act::Leave];
    let mut scripts = vec![Vec::new()];
    for length in 0..2 {
        let longer: Vec<Vec<Act>> = scripts
            .iter()
            .filter(|script| script.len() == length)
            .flat_map(|script| acts.iter().map(move |act| [&script[..], &[*act]].concat()))
            .collect();
        scripts.extend(longer);
    }
    let mut states = 0;
    for left in &scripts {
        for right in &scripts {
            // In the end both leave, as owners do.
            let left = [&left[..], &[Act::Leave]].concat();
            let right = [&right[..], &[Act::Leave]].concat();
            states += explore(&left, &right, &mut |state| {
                assert_nothing_truncated(state);
                let mut state = state.clone();
                // The time limit settles what is left, and then nothing is.
                for index in 0..2 {
                    state[index].stream.expire();
                    state[index].settle();
                    while let Some(packet) = state[index].to_peer.pop_front() {
                        state[1 - index].receive(packet);
                    }
                }
                assert!(state.iter().all(|side| side.closed), "{left:?} {right:?} {state:#?}");
            });
        }
    }
    assert!(states > 10_000, "{states}");
}

fn data(bytes: &[u8]) -> Bytes {
    let mut frame = Vec::new();
    encode_data(&[bytes], &mut frame);
    frame.into()
}

fn flag(flag: Flag) -> Bytes {
    let mut frame = Vec::new();
    encode_flag(flag, &mut frame);
    frame.into()
}

#[test]
fn what_arrived_is_read_before_the_end_is_told() {
    for (end, expected) in [
        (Some(Flag::Fin), Read::Finished),
        (Some(Flag::Reset), Read::Failed(Failure::ResetByPeer)),
        (None, Read::Failed(Failure::ChannelClosed)),
    ] {
        let mut stream = Stream::new(Limits::default());
        stream.receive(data(b"last words"));
        match end {
            Some(end) => stream.receive(flag(end)),
            None => stream.channel_closed(),
        }
        assert_eq!(stream.read(), Read::Data(Bytes::from_static(b"last words")));
        assert_eq!(stream.read(), expected);
        assert_eq!(stream.read(), expected);
    }
}

#[test]
fn an_overflow_resets_and_is_never_taken_for_the_end() {
    let limits = Limits { receive_buffer: 1000, ..Limits::default() };
    let mut stream = Stream::new(limits);
    stream.receive(data(&[1; 600]));
    stream.receive(data(&[2; 600]));
    stream.receive(flag(Flag::Fin));
    assert_eq!(stream.buffered(), 0);
    assert_eq!(stream.read(), Read::Failed(Failure::Overflow));
    let mut sent = Vec::new();
    assert!(stream.transmit(&mut sent));
    assert_eq!(sent, flag(Flag::Reset));
    assert!(stream.is_over());
    stream.channel_closed();
    assert_eq!(stream.read(), Read::Failed(Failure::Overflow));
}

#[test]
fn tiny_frames_do_not_evade_the_bound() {
    let limits = Limits { receive_buffer: 64 * 1024, ..Limits::default() };
    let mut stream = Stream::new(limits);
    for _ in 0..2000 {
        stream.receive(data(b"x"));
    }
    assert_eq!(stream.failure(), Some(Failure::Overflow));
}

#[test]
fn stop_sending_stops_writing_and_nothing_else() {
    let mut stream = Stream::new(Limits::default());
    stream.receive(flag(Flag::StopSending));
    assert!(stream.write(&[b"unwanted"], &mut Vec::new()).is_err());
    assert_eq!(stream.failure(), None);
    stream.receive(data(b"still"));
    assert_eq!(stream.read(), Read::Data(Bytes::from_static(b"still")));
    stream.finish();
    let mut sent = Vec::new();
    assert!(stream.transmit(&mut sent));
    assert_eq!(sent, flag(Flag::Fin));
    stream.receive(flag(Flag::FinAck));
    assert!(!stream.is_over());
    stream.receive(flag(Flag::Fin));
    sent.clear();
    assert!(stream.transmit(&mut sent));
    assert_eq!(sent, flag(Flag::FinAck));
    assert!(stream.is_over());
}

#[test]
fn a_frame_above_the_limit_resets() {
    let mut stream = Stream::new(Limits { accepted_frame: 100, ..Limits::default() });
    stream.receive(data(&[0; 100]));
    assert!(matches!(stream.failure(), Some(Failure::Malformed(_))));
    let mut sent = Vec::new();
    assert!(stream.transmit(&mut sent));
    assert_eq!(sent, flag(Flag::Reset));
}

proptest! {
    #[test]
    fn any_bytes_leave_a_stream_bounded(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..100)) {
        let limits = Limits { receive_buffer: 2000, accepted_frame: 500, ..Limits::default() };
        let mut stream = Stream::new(limits);
        for message in messages {
            stream.receive(message.into());
            prop_assert!(stream.buffered() <= 2000 + 500);
            stream.transmit(&mut Vec::new());
        }
    }

    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 0..6),
        cut in 1usize..20_000,
        buffer in 1usize..30_000,
    ) {
        let (mut writer, mut reader) = (Stream::new(Limits::default()), Stream::new(Limits::default()));
        let mut wire = Vec::new();
        for piece in &pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let mut frame = Vec::new();
                let written = writer.write(&[rest], &mut frame).unwrap();
                prop_assert!(frame.len() <= 16 * 1024);
                rest = &rest[written..];
                wire.extend(frame);
            }
        }
        writer.finish();
        while writer.transmit(&mut wire) {}
        for chunk in wire.chunks(cut) {
            reader.receive(Bytes::copy_from_slice(chunk));
        }
        let mut heard = Vec::new();
        let mut buffer = vec![0; buffer];
        let end = loop {
            match reader.read_into(&mut buffer) {
                Ok(length) => heard.extend_from_slice(&buffer[..length]),
                Err(end) => break end,
            }
        };
        prop_assert_eq!(end, Read::Finished);
        prop_assert_eq!(heard, pieces.concat());
        prop_assert_eq!(reader.buffered(), 0);
    }
}

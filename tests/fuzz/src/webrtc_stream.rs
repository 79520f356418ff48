//! The stream on a data channel: two ends that talk to each other, whatever their owners do and in whatever order; and one end against
//! anything.

use std::collections::VecDeque;

use bytes::Bytes;
use shoal_webrtc::{
    limits::{FRAME_OVERHEAD, STRANGER_FRAME},
    stream::{Failure, Limits, Read, Stream, WriteError},
};

use crate::input::{Input, content, contents};

/// Small, so that an input overflows it.
const RECEIVE_BUFFER: usize = 40 * 1_024;

fn limits(sent_frame: usize) -> Limits {
    // Frames below this are always taken; a pair of a larger sender and a smaller receiver must fail and not misread.
    Limits { sent_frame, accepted_frame: STRANGER_FRAME, receive_buffer: RECEIVE_BUFFER }
}

/// One end with its owner, who knows what was written and read.
struct End {
    side: usize,
    stream: Stream,
    /// Messages on their way to this end, in order.
    arriving: VecDeque<Bytes>,
    written: u64,
    read: u64,
    /// The owner finished its half, itself or by leaving.
    finished: bool,
    /// The owner gave up what it has not read.
    left: bool,
    /// The channel was closed by this end.
    closed: bool,
}

impl End {
    fn new(side: usize, limits: Limits) -> Self {
        Self {
            side,
            stream: Stream::new(limits),
            arriving: VecDeque::new(),
            written: 0,
            read: 0,
            finished: false,
            left: false,
            closed: false,
        }
    }

    fn write(&mut self, length: usize) -> Option<Bytes> {
        let bytes = contents(0, self.side, self.written, length);
        let middle = length / 3;
        let mut frame = Vec::new();
        let expected = self.stream.writable();
        match self.stream.write(&[&bytes[..middle], &bytes[middle..]], &mut frame) {
            Ok(taken) => {
                assert_eq!(expected, Ok(()));
                assert!(taken <= length && (taken > 0) == (length > 0));
                assert!(frame.len() <= taken + FRAME_OVERHEAD);
                self.written += taken as u64;
            }
            Err(error) => {
                assert_eq!(expected, Err(error));
                assert!(frame.is_empty());
                assert!(!matches!(error, WriteError::Finished) || self.finished);
            }
        }
        (!frame.is_empty()).then(|| frame.into())
    }

    fn see(&mut self, bytes: &[u8]) {
        for byte in bytes {
            assert_eq!(*byte, content(0, 1 - self.side, self.read), "at {}", self.read);
            self.read += 1;
        }
    }

    /// Reads once; tells whether there was something.
    fn read(&mut self, other: &Self, into: Option<usize>) -> bool {
        let before = self.stream.buffered();
        let result = match into {
            None => self.stream.read(),
            Some(length) => {
                let mut buffer = vec![0; length];
                match self.stream.read_into(&mut buffer) {
                    Ok(copied) => Read::Data(Bytes::copy_from_slice(&buffer[..copied])),
                    Err(read) => read,
                }
            }
        };
        match result {
            Read::Data(bytes) => {
                assert!(bytes.is_empty() || self.stream.buffered() < before);
                self.see(&bytes);
                return !bytes.is_empty();
            }
            Read::Pending => assert_eq!(self.stream.failure(), None),
            // Only what is whole passes for whole.
            Read::Finished if !self.left => {
                assert!(other.finished, "an end that the other side did not make");
                assert_eq!(self.read, other.written, "the end came too early");
            }
            Read::Finished => {}
            Read::Failed(failure) => assert_eq!(self.stream.failure(), Some(failure)),
        }
        false
    }
}

/// Two honest ends over a channel that delivers in order. Nothing that their owners do, in any order, makes bytes appear, vanish, or change
/// places, lets a broken stream look complete, or leaves one that is complete unended.
pub(crate) fn pair(data: &[u8]) {
    let mut input = Input::new(data);
    let sent_frame = if input.flag() { STRANGER_FRAME } else { 2 * STRANGER_FRAME };
    let mut ends = [End::new(0, limits(sent_frame)), End::new(1, limits(sent_frame))];
    let mut calm = true;
    while !input.is_empty() {
        let who = input.below(2);
        let (end, other) = pick(&mut ends, who);
        match input.below(11) {
            0..=2 => {
                let length = input.length(usize::MAX);
                send(end, other, |end| end.write(length));
            }
            3 => drop(end.read(other, None)),
            4 => {
                let length = input.length(usize::MAX);
                end.read(other, Some(length));
            }
            5 => {
                end.finished |= end.stream.writable().is_ok() || end.stream.writable() == Err(WriteError::Stopped);
                end.stream.finish();
            }
            6 => transmit(end, other),
            7 | 8 => deliver(end),
            9 => {
                calm = false;
                end.left = true;
                match input.below(3) {
                    0 => end.stream.reset(),
                    1 => {
                        end.stream.abandon();
                        end.finished |= end.stream.failure().is_none();
                    }
                    _ => end.stream.expire(),
                }
            }
            _ => {
                calm = false;
                close(end, other, input.flag());
            }
        }
    }
    let failed = |end: &End| end.stream.failure().is_some();
    if calm && !ends.iter().any(failed) {
        settle(&mut ends);
    }
}

fn pick(ends: &mut [End; 2], who: usize) -> (&mut End, &mut End) {
    let [one, two] = ends;
    if who == 0 { (one, two) } else { (two, one) }
}

fn send(end: &mut End, other: &mut End, make: impl FnOnce(&mut End) -> Option<Bytes>) {
    if end.closed || other.closed {
        return;
    }
    if let Some(message) = make(end) {
        other.arriving.push_back(message);
    }
}

fn transmit(end: &mut End, other: &mut End) {
    send(end, other, |end| {
        let mut frame = Vec::new();
        end.stream.transmit(&mut frame).then(|| frame.into())
    });
}

fn deliver(end: &mut End) {
    if let Some(message) = end.arriving.pop_front() {
        end.stream.receive(message);
        assert!(end.stream.buffered() <= RECEIVE_BUFFER + STRANGER_FRAME);
    }
}

/// The end closes the channel, as its driver does when the stream is over, or as a page that goes away does. What is on its way to the other
/// still arrives, what comes back does not.
fn close(end: &mut End, other: &mut End, abruptly: bool) {
    if (end.stream.is_over() || abruptly) && !end.closed {
        end.closed = true;
        end.arriving.clear();
        end.stream.channel_closed();
        assert!(end.stream.is_over());
        while !other.arriving.is_empty() {
            deliver(other);
        }
        other.closed = true;
        other.stream.channel_closed();
        assert!(other.stream.is_over() && !other.stream.transmit(&mut Vec::new()));
    }
}

/// Both owners finish and read to the end: then both streams are complete.
fn settle(ends: &mut [End; 2]) {
    for who in [0, 1] {
        ends[who].finished = true;
        ends[who].stream.finish();
    }
    for _ in 0..3 {
        for who in [0, 1] {
            let (end, other) = pick(ends, who);
            for _ in 0..4 {
                transmit(end, other);
            }
            while !end.arriving.is_empty() {
                deliver(end);
                while end.read(other, None) {}
            }
            while end.read(other, None) {}
        }
    }
    // More came than the buffer holds, or in a frame that is too long: then the stream failed, which is no fault.
    let refused = |end: &End| matches!(end.stream.failure(), Some(Failure::Overflow | Failure::Malformed(_)));
    if ends.iter().any(refused) {
        return;
    }
    for who in [0, 1] {
        let (end, other) = pick(ends, who);
        assert_eq!(end.stream.failure(), None);
        assert_eq!(end.stream.read(), Read::Finished);
        assert!(end.read == other.written && end.stream.is_over() && end.stream.buffered() == 0);
    }
}

/// One end gets any messages. It holds no more than its buffer and one frame, says nothing more once it is over, and what it said of its end
/// it does not take back.
pub(crate) fn hostile(data: &[u8]) {
    let mut input = Input::new(data);
    let mut stream = Stream::new(limits(STRANGER_FRAME));
    let mut failure = None;
    let mut finished = false;
    let mut left = false;
    while !input.is_empty() {
        match input.below(8) {
            0..=2 => stream.receive(input.bytes(usize::MAX)),
            // Whoever has left reads no more.
            3 if left => {}
            3 => match stream.read() {
                Read::Data(bytes) => assert!(!finished && !bytes.is_empty()),
                Read::Finished => finished = true,
                // A peer that goes on behind its end, with what is no frame, spoils the stream for who reads on.
                Read::Failed(reason) => {
                    assert!(!finished || matches!(reason, Failure::Reset | Failure::Overflow | Failure::Malformed(_)), "{reason}");
                }
                Read::Pending => assert!(!finished),
            },
            4 => {
                let mut frame = Vec::new();
                let over = stream.is_over();
                assert!(!(stream.transmit(&mut frame) && over), "{frame:?} behind the end");
            }
            5 => drop(stream.write(&[&[7; 300]], &mut Vec::new())),
            6 => stream.finish(),
            _ => match input.below(4) {
                0 => stream.reset(),
                1 => {
                    left = true;
                    stream.abandon();
                }
                2 => stream.overflow(),
                _ => stream.channel_closed(),
            },
        }
        assert!(stream.buffered() <= RECEIVE_BUFFER + STRANGER_FRAME);
        assert!(failure.is_none() || stream.failure() == failure, "{failure:?} became {:?}", stream.failure());
        failure = stream.failure();
        assert!(failure.is_none() || stream.writable().is_err());
    }
}

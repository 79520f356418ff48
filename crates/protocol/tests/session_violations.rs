//! Which frames end a session, and which must not.

#![allow(clippy::expect_used, reason = "a test")]

mod session_support;

use bytes::Bytes;
use session_support::{frame, number, tight};
use shoal_protocol::session::{Event, Read, Session, Side, Violation};

const MIB: u64 = 1 << 20;

fn hello(version: u64, payload: u64, stream: u64, connection: u64, streams: u64) -> Vec<u8> {
    frame(0, &[version, payload, stream, connection, streams], &[])
}

fn greeting() -> Vec<u8> {
    hello(1, 64 * 1024, 4 * MIB, 16 * MIB, 1024)
}

/// A listener that was greeted, and opened stream 2 and sent three bytes on it.
fn greeted() -> Session {
    let mut session = Session::new(Side::Listener, tight());
    session.receive(&greeting()).expect("a greeting");
    let stream = session.open().expect("the first");
    session.write(stream, Bytes::from_static(b"abc")).expect("open");
    while session.transmit(1 << 16).is_some() {}
    session
}

#[track_caller]
fn refused(frames: &[Vec<u8>], expected: Violation) {
    let bytes = frames.concat();
    let mut session = greeted();
    assert_eq!(session.receive(&bytes), Err(expected));
    assert_eq!(session.receive(&[]), Err(expected), "a broken session stays broken");
    assert_eq!(session.transmit(1000), None);
    // The same however the bytes are cut.
    let mut session = greeted();
    let cut = bytes.iter().try_for_each(|byte| session.receive(&[*byte]));
    assert_eq!(cut, Err(expected));
}

#[track_caller]
fn accepted(frames: &[Vec<u8>]) -> Session {
    let mut session = greeted();
    assert_eq!(session.receive(&frames.concat()), Ok(()));
    session
}

#[test]
fn the_greeting_comes_first_and_once() {
    for first in [frame(7, &[], &[0; 8]), frame(1, &[1, 0, 0], b"x"), frame(0x40, &[], b"")] {
        assert_eq!(Session::new(Side::Listener, tight()).receive(&first), Err(Violation::HelloExpected));
    }
    refused(&[greeting()], Violation::HelloExpected);
}

#[test]
fn a_greeting_states_sensible_limits_and_may_say_more() {
    for bad in [
        hello(0, 64 * 1024, MIB, MIB, 64),
        hello(1, 1, MIB, MIB, 64),
        hello(1, 64 * 1024, 1, MIB, 64),
        hello(1, 64 * 1024, MIB, 1, 64),
        hello(1, 64 * 1024, MIB, MIB, 0),
        hello(1, 64 * 1024, 1 << 50, MIB, 64),
    ] {
        assert_eq!(Session::new(Side::Listener, tight()).receive(&bad), Err(Violation::BadHello));
    }
    let mut later = greeting();
    later.splice(..1, number(later.len() as u64 - 1 + 40));
    later.extend([9; 40]);
    let mut session = Session::new(Side::Listener, tight());
    assert_eq!(session.receive(&later), Ok(()));
    assert_eq!(session.poll_event(), Some(Event::Ready));
    assert_eq!(session.peer().map(|peer| peer.streams), Some(1024));
}

#[test]
fn malformed_frames() {
    refused(&[vec![0]], Violation::MalformedFrame);
    refused(&[vec![0x81, 0x00]], Violation::MalformedFrame);
    refused(&[frame(7, &[], &[0; 7])], Violation::MalformedFrame);
    refused(&[frame(7, &[], &[0; 9])], Violation::MalformedFrame);
    refused(&[frame(2, &[1], &[])], Violation::MalformedFrame);
    refused(&[frame(1, &[], &[])], Violation::MalformedFrame);
    refused(&[frame(1, &[1, 0], &[])], Violation::MalformedFrame);
    refused(&[frame(1, &[1, 0, 4], b"x")], Violation::MalformedFrame);
    refused(&[frame(1, &[0, 0, 0], b"x")], Violation::MalformedFrame);
    refused(&[frame(1, &[], &[0xff; 30])], Violation::MalformedFrame);
}

#[test]
fn frames_longer_than_announced() {
    refused(&[number(1 << 30)], Violation::FrameTooLong);
    refused(&[frame(1, &[1, 0, 0], &vec![0; 16 * 1024 + 1])], Violation::FrameTooLong);
    refused(&[frame(7, &[], &[0; 100])], Violation::FrameTooLong);
    accepted(&[frame(1, &[1, 0, 0], &vec![0; 16 * 1024])]);
}

#[test]
fn unknown_frames_are_ignored_only_where_the_kind_says_so() {
    refused(&[frame(9, &[], b"?")], Violation::UnknownFrame(9));
    refused(&[frame(0x80, &[], b"?")], Violation::UnknownFrame(0x80));
    let mut session = accepted(&[frame(0x40, &[], &[1; 5000]), frame(0x7f, &[], b""), frame(1, &[1, 0, 1], b"x")]);
    let stream = stream_of(&mut session);
    assert_eq!(session.read(stream), Read::Data(Bytes::from_static(b"x")));
}

/// The stream that the peer opened.
fn stream_of(session: &mut Session) -> shoal_protocol::session::StreamId {
    loop {
        if let Event::Opened(stream) = session.poll_event().expect("an opened stream") {
            return stream;
        }
    }
}

#[test]
fn data_stays_within_credit() {
    let full: Vec<Vec<u8>> = (0..4).map(|at| frame(1, &[1, at * 16 * 1024, 0], &[0; 16 * 1024])).collect();
    accepted(&full);
    refused(&[full.concat(), frame(1, &[1, 64 * 1024, 0], b"x")], Violation::BeyondCredit);
    // Four full streams fill the connection's window.
    let all: Vec<Vec<u8>> =
        [1, 3, 5, 7].iter().flat_map(|id| (0..4).map(|at| frame(1, &[*id, at * 16 * 1024, 0], &[0; 16 * 1024]))).collect();
    accepted(&all);
    refused(&[all.concat(), frame(1, &[9, 0, 0], b"x")], Violation::BeyondCredit);
}

#[test]
fn data_continues_where_it_stood() {
    refused(&[frame(1, &[1, 1, 0], b"x")], Violation::OffsetGap);
    refused(&[frame(1, &[1, 0, 0], b"x"), frame(1, &[1, 0, 0], b"x")], Violation::OffsetGap);
    refused(&[frame(1, &[1, 0, 0], b"x"), frame(1, &[1, 2, 0], b"x")], Violation::OffsetGap);
    refused(&[frame(1, &[1, 0, 0], b"x"), frame(5, &[1, 0, 2], b"")], Violation::OffsetGap);
    refused(&[frame(1, &[1, u64::MAX >> 1, 0], b"x")], Violation::OffsetGap);
    refused(&[frame(1, &[1, 0, 0], b"")], Violation::EmptyFrame);
}

#[test]
fn nothing_follows_the_end() {
    let end = frame(1, &[1, 0, 1], b"x");
    refused(&[end.clone(), frame(1, &[1, 1, 0], b"x")], Violation::DataAfterEnd);
    refused(&[end.clone(), frame(5, &[1, 0, 1], b"")], Violation::DataAfterEnd);
    refused(&[frame(5, &[1, 0, 0], b""), frame(1, &[1, 0, 0], b"x")], Violation::DataAfterEnd);
    // Credit and STOP may be late.
    accepted(&[end, frame(6, &[1, 0], b"")]);
}

#[test]
fn late_frames_for_a_forgotten_stream() {
    let mut session = accepted(&[frame(1, &[1, 0, 1], b"x")]);
    let stream = stream_of(&mut session);
    while !matches!(session.read(stream), Read::Finished) {}
    session.finish(stream).expect("open");
    while session.transmit(1000).is_some() {}
    while session.poll_event().is_some_and(|event| event != Event::Closed(stream)) {}
    assert_eq!(session.read(stream), Read::Unknown);
    assert_eq!(session.receive(&[frame(2, &[1, 5 * MIB], b""), frame(6, &[1, 0], b"")].concat()), Ok(()));
    assert_eq!(session.receive(&frame(1, &[1, 1, 0], b"x")), Err(Violation::DataAfterEnd));
}

#[test]
fn streams_stay_within_their_number() {
    accepted(&[frame(1, &[127, 0, 0], b"x")]);
    refused(&[frame(1, &[129, 0, 0], b"x")], Violation::TooManyStreams);
    refused(&[frame(1, &[u64::MAX >> 1, 0, 0], b"x")], Violation::TooManyStreams);
    refused(&[frame(1, &[4, 0, 0], b"x")], Violation::NeverOpened);
    refused(&[frame(2, &[4, 5 * MIB], b"")], Violation::NeverOpened);
    refused(&[frame(6, &[4, 0], b"")], Violation::NeverOpened);
}

#[test]
fn credit_grows_and_acknowledges_only_what_was_sent() {
    accepted(&[frame(2, &[2, 4 * MIB + 3], b""), frame(2, &[2, 4 * MIB + 3], b"")]);
    refused(&[frame(2, &[2, 4 * MIB - 1], b"")], Violation::CreditBackwards);
    refused(&[frame(2, &[2, 4 * MIB + 4], b"")], Violation::CreditForUnsent);
    accepted(&[frame(3, &[16 * MIB + 3], b"")]);
    refused(&[frame(3, &[16 * MIB - 1], b"")], Violation::CreditBackwards);
    refused(&[frame(3, &[16 * MIB + 4], b"")], Violation::CreditForUnsent);
    accepted(&[frame(4, &[1025], b"")]);
    refused(&[frame(4, &[1026], b"")], Violation::CreditForUnsent);
}

#[test]
fn pings_are_answered_and_only_pings() {
    let mut session = accepted(&[frame(7, &[], b"tokentok")]);
    assert_eq!(session.transmit(1000), Some(frame(8, &[], b"tokentok").into()));
    refused(&[frame(7, &[], b"tokentok"), frame(7, &[], b"tokentok")], Violation::PingFlood);
    refused(&[frame(8, &[], b"tokentok")], Violation::UnaskedPong);

    let mut session = greeted();
    while session.poll_event().is_some() {}
    assert!(session.ping(*b"question"));
    assert_eq!(session.transmit(1000), Some(frame(7, &[], b"question").into()));
    assert_eq!(session.receive(&frame(8, &[], b"question")), Ok(()));
    assert_eq!(session.poll_event(), Some(Event::Pong(*b"question")));
    assert!(session.ping(*b"another1"));
    while session.transmit(1000).is_some() {}
    assert_eq!(session.receive(&frame(8, &[], b"another2")), Err(Violation::UnaskedPong));
}

#[test]
fn only_the_opener_sets_the_priority_and_at_the_start() {
    accepted(&[frame(1, &[1, 0, 2], b"x")]);
    refused(&[frame(1, &[1, 0, 0], b"x"), frame(1, &[1, 1, 2], b"x")], Violation::MisplacedPriority);
    refused(&[frame(1, &[2, 0, 2], b"x")], Violation::MisplacedPriority);
}

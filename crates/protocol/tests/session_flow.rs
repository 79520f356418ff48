//! Who may send what and when: priorities, turns, readers that stop, streams that come and go.

#![allow(clippy::expect_used, reason = "a test")]

mod session_support;

use bytes::Bytes;
use session_support::{exchange, pair, tight};
use shoal_protocol::session::{Config, Event, Priority, Read, Session, Side, StreamError, TooManyStreams};
use std::collections::BTreeMap;

#[test]
fn urgent_answers_overtake_bulk() {
    let (mut near, mut far) = pair(Config::default());
    let bulk = far.open().expect("few");
    far.write(bulk, vec![1; 1 << 20].into()).expect("open");
    let question = near.open_with(Priority::Urgent).expect("few");
    near.write(question, Bytes::from_static(b"?")).expect("open");
    far.receive_bytes(&near.transmit(1000).expect("the question")).expect("honest");
    far.write(question, Bytes::from_static(b"!")).expect("open");
    near.receive_bytes(&far.transmit(100).expect("the answer")).expect("honest");
    assert_eq!(near.read(question), Read::Data(Bytes::from_static(b"!")));
}

#[test]
fn streams_take_turns() {
    let (mut near, mut far) = pair(Config::default());
    let streams: Vec<_> = (0..4).map(|_| near.open().expect("few")).collect();
    for stream in &streams {
        near.write(*stream, vec![0; 512 * 1024].into()).expect("open");
    }
    far.receive_bytes(&near.transmit(4 * (64 * 1024 + 30)).expect("data")).expect("honest");
    for stream in &streams {
        assert!(matches!(far.read(*stream), Read::Data(bytes) if bytes.len() >= 60 * 1024), "stream {stream}");
    }
}

#[test]
fn a_reader_that_stops_stops_its_writer_and_nobody_else() {
    let (mut near, mut far) = pair(Config::default());
    let (stuck, lively) = (near.open().expect("few"), near.open().expect("few"));
    let mut accepted = 0;
    loop {
        let more = near.write(stuck, vec![0; 100_000].into()).expect("open");
        exchange(&mut near, &mut far).expect("honest");
        if more == 0 {
            break;
        }
        accepted += more as u64;
    }
    let config = Config::default();
    assert!(accepted <= config.stream_window + config.stream_buffer, "{accepted}");
    near.write(lively, Bytes::from_static(b"hello")).expect("open");
    near.finish(lively).expect("open");
    exchange(&mut near, &mut far).expect("honest");
    assert_eq!(far.read(lively), Read::Data(Bytes::from_static(b"hello")));
    assert_eq!(far.read(lively), Read::Finished);
    // Once it reads on, the rest comes.
    while let Read::Data(bytes) = far.read(stuck) {
        far.consumed(stuck, bytes.len() as u64);
    }
    exchange(&mut near, &mut far).expect("honest");
    assert!(matches!(far.read(stuck), Read::Data(_)));
    assert!(std::iter::from_fn(|| near.poll_event()).any(|event| event == Event::Writable(stuck)));
}

#[test]
fn giving_up_both_halves_needs_nothing_from_the_peer() {
    let (mut near, mut far) = pair(tight());
    let stream = near.open().expect("few");
    near.write(stream, vec![0; 10_000].into()).expect("open");
    exchange(&mut near, &mut far).expect("honest");
    far.write(stream, vec![0; 20_000].into()).expect("open");
    near.cancel(stream, 42);
    exchange(&mut near, &mut far).expect("honest");
    assert_eq!(near.poll_event(), Some(Event::Closed(stream)));
    assert_eq!(near.held().streams, 0);
    // The peer still gets what came, and learns why there is no more.
    assert!(matches!(far.read(stream), Read::Data(_)));
    assert_eq!(far.read(stream), Read::Reset(42));
    assert_eq!(far.write(stream, Bytes::from_static(b"x")), Err(StreamError::Reset(42)));
    let events: Vec<Event> = std::iter::from_fn(|| far.poll_event()).collect();
    assert!(events.contains(&Event::Stopped { stream, code: 42 }) && events.contains(&Event::Closed(stream)));
    assert_eq!((far.held().streams, far.held().received, far.held().unsent), (0, 0, 0));
}

#[test]
fn opening_waits_for_streams_to_close() {
    let (mut near, mut far) = pair(tight());
    let streams: Vec<_> = (0..64).map(|_| near.open().expect("granted")).collect();
    assert_eq!(near.open(), Err(TooManyStreams));
    for stream in &streams {
        near.cancel(*stream, 0);
    }
    exchange(&mut near, &mut far).expect("honest");
    while let Some(event) = far.poll_event() {
        if let Event::Opened(stream) = event {
            far.cancel(stream, 0);
        }
    }
    exchange(&mut near, &mut far).expect("honest");
    while far.poll_event().is_some() {}
    exchange(&mut near, &mut far).expect("honest");
    assert!(std::iter::from_fn(|| near.poll_event()).any(|event| event == Event::Openable));
    assert!(near.open().is_ok());
}

/// Ten thousand streams, opened and closed in every order, leave nothing.
#[test]
fn many_streams_one_after_the_other_leave_nothing() {
    let (mut near, mut far) = pair(tight());
    for round in 0..10_000_u32 {
        let (opener, other) = if round % 3 == 0 { (&mut far, &mut near) } else { (&mut near, &mut far) };
        let stream = opener.open().expect("closed ones make room");
        opener.write(stream, vec![round as u8; 100].into()).expect("open");
        match round % 4 {
            0 => opener.finish(stream).expect("open"),
            1 => opener.reset(stream, 1),
            2 => opener.cancel(stream, 2),
            _ => {}
        }
        exchange(opener, other).expect("honest");
        while other.poll_event().is_some() {}
        while !matches!(other.read(stream), Read::Blocked | Read::Finished | Read::Reset(_) | Read::Unknown) {}
        if round % 5 == 0 {
            other.cancel(stream, 3);
        } else {
            let _ = other.finish(stream);
        }
        let _ = opener.finish(stream);
        exchange(opener, other).expect("honest");
        for side in [opener, other] {
            while !matches!(side.read(stream), Read::Finished | Read::Reset(_) | Read::Unknown) {}
            while side.poll_event().is_some() {}
        }
        exchange(&mut near, &mut far).expect("honest");
    }
    for side in [&near, &far] {
        assert_eq!((side.held().streams, side.held().received, side.held().unsent), (0, 0, 0));
    }
}

/// Data may be sent before the peer's greeting arrives: opening costs no round trip.
#[test]
fn the_first_bytes_leave_with_the_greeting() {
    let (mut near, mut far) = (Session::new(Side::Dialler, Config::default()), Session::new(Side::Listener, Config::default()));
    let stream = near.open().expect("granted from the start");
    near.write(stream, Bytes::from_static(b"no waiting")).expect("open");
    far.receive_bytes(&near.transmit(1000).expect("greeting and data")).expect("honest");
    assert_eq!(far.read(stream), Read::Data(Bytes::from_static(b"no waiting")));
}

/// Readers that return a stream's credit only for whole messages cannot hold each other up, however many messages are
/// half there: together they hold four times the connection's window.
#[test]
fn half_a_message_on_every_stream_holds_up_nobody() {
    const MESSAGE: usize = 1 << 20;
    let (mut near, mut far) = pair(Config::default());
    let mut unsent: BTreeMap<_, usize> = (0..64).map(|_| (near.open().expect("few"), MESSAGE)).collect();
    let mut partial: BTreeMap<_, usize> = BTreeMap::new();
    let mut complete = 0;
    for _ in 0..10_000 {
        for (stream, left) in &mut unsent {
            *left -= near.write(*stream, vec![0; *left].into()).expect("open");
        }
        exchange(&mut near, &mut far).expect("honest");
        while let Some(event) = far.poll_event() {
            let Event::Readable(stream) = event else { continue };
            while let Read::Data(bytes) = far.read(stream) {
                let held = partial.entry(stream).or_default();
                *held += bytes.len();
                if *held == MESSAGE {
                    far.consumed(stream, MESSAGE as u64);
                    complete += 1;
                }
            }
        }
        if complete == 64 {
            return;
        }
    }
    assert_eq!(complete, 64, "stands still");
}

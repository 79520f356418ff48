//! Which records end a pipe, which must not, and what a hostile or forgetful peer gains: nothing.

#![allow(clippy::expect_used, reason = "a test")]

mod session_support;

use bytes::Bytes;
use proptest::prelude::*;
use session_support::{frame, number};
use shoal_protocol::{
    limits,
    pipe::{Greeting, Key, PathId, Pipe, Refused, Violation, greeting},
};

const OURS: Key = Key([1; 16]);
const THEIRS: Key = Key([2; 16]);
const ATTACH: Greeting = Greeting::Attach { key: OURS, own: THEIRS };

/// What the pipe puts on a path, which has nothing else to send.
fn said(pipe: &mut Pipe, path: PathId) -> Vec<u8> {
    std::iter::from_fn(|| pipe.transmit(path, 1 << 16, |_| Vec::new())).flatten().collect()
}

fn send(pipe: &mut Pipe, path: PathId, payload: &'static [u8]) -> Vec<u8> {
    pipe.transmit(path, 1 << 16, |_| vec![Bytes::from_static(payload)]).expect("something").to_vec()
}

fn receive(pipe: &mut Pipe, path: PathId, bytes: &[u8]) -> Result<Vec<u8>, Violation> {
    let (mut input, mut taken) = (bytes, Vec::new());
    while let Some(piece) = pipe.receive(path, &mut input)? {
        taken.extend_from_slice(&piece);
    }
    Ok(taken)
}

fn bytes(payload: &[u8]) -> Vec<u8> {
    frame(2, &[], payload)
}
fn acknowledge(received: u64) -> Vec<u8> {
    frame(3, &[received], &[])
}
fn ask(turn: u64, after: u64, until: u64) -> Vec<u8> {
    frame(5, &[turn, after, until], &[])
}
fn go(turn: u64, received: u64) -> Vec<u8> {
    frame(6, &[turn, received], &[])
}

/// A pipe that has sent `abcde` on its first path and has a second one, of the same rank.
fn two_paths() -> (Pipe, PathId, PathId) {
    let mut pipe = Pipe::new(OURS);
    let first = pipe.accept(0, Greeting::Open(THEIRS)).expect("the first");
    said(&mut pipe, first);
    assert_eq!(send(&mut pipe, first, b"abcde"), bytes(b"abcde"));
    let second = pipe.accept(0, ATTACH).expect("the second");
    assert!(said(&mut pipe, second).ends_with(&[THEIRS.0, OURS.0].concat()), "answered, and nothing moves without need");
    (pipe, first, second)
}

#[track_caller]
fn refused(on_second: bool, records: &[Vec<u8>], expected: Violation) {
    for cut in [usize::MAX, 1] {
        let (mut pipe, first, second) = two_paths();
        let path = if on_second { second } else { first };
        let all = records.concat();
        let result = all.chunks(cut.min(all.len())).try_for_each(|piece| receive(&mut pipe, path, piece).map(drop));
        assert_eq!(result, Err(expected));
        assert_eq!(receive(&mut pipe, first, &bytes(b"x")), Err(expected), "a broken pipe stays broken");
        assert!(said(&mut pipe, first).is_empty() && said(&mut pipe, second).is_empty());
    }
}

#[test]
fn records_that_cannot_be_read() {
    refused(false, &[vec![0]], Violation::MalformedRecord);
    refused(false, &[vec![0x81, 0x00]], Violation::MalformedRecord);
    refused(false, &[frame(2, &[], &[])], Violation::MalformedRecord);
    refused(false, &[frame(3, &[], &[])], Violation::MalformedRecord);
    refused(false, &[frame(3, &[1, 1, 1], &[])], Violation::MalformedRecord);
    refused(false, &[frame(3, &[], &[0xff; 20])], Violation::MalformedRecord);
    refused(false, &[frame(3, &[], &[0xff; 28])], Violation::RecordTooLong);
    refused(false, &[number(limits::PIPE_RECORD + 2)], Violation::RecordTooLong);
    refused(false, &[frame(9, &[], b"?")], Violation::UnknownRecord(9));
    refused(false, &[frame(0x80, &[], b"?")], Violation::UnknownRecord(0x80));
    let (mut pipe, first, _) = two_paths();
    assert_eq!(receive(&mut pipe, first, &[frame(0x41, &[], &[9; 5000]), frame(0x7f, &[], &[]), bytes(b"x")].concat()), Ok(b"x".to_vec()));
}

#[test]
fn a_greeting_comes_first_and_once() {
    refused(false, &[frame(0, &[], &THEIRS.0)], Violation::MisplacedGreeting);
    refused(true, &[frame(1, &[], &[OURS.0, THEIRS.0].concat())], Violation::MisplacedGreeting);
    assert_eq!(greeting(&bytes(b"x")), Err(Violation::MisplacedGreeting));
    assert_eq!(greeting(&frame(0, &[], &[7; 15])), Err(Violation::MalformedRecord));
    assert_eq!(greeting(&frame(0, &[], &[7; 300])), Err(Violation::RecordTooLong));
    // Later versions may say more.
    assert_eq!(greeting(&frame(0, &[], &[7; 40])), Ok(Some((Greeting::Open(Key([7; 16])), 42))));
    assert_eq!(greeting(&frame(0, &[], &[7; 40])[..41]), Ok(None));
    let mut pipe = Pipe::new(OURS);
    let path = pipe.open(0).expect("the first");
    assert_eq!(receive(&mut pipe, path, &bytes(b"x")), Err(Violation::MisplacedGreeting));
}

/// Who does not know the keys, because it was started anew or never was the other end, attaches to nothing.
#[test]
fn a_path_is_attached_by_both_keys() {
    let wrong = Key([3; 16]);
    for greeting in [
        Greeting::Attach { key: wrong, own: THEIRS },
        Greeting::Attach { key: OURS, own: wrong },
        Greeting::Attach { key: THEIRS, own: OURS },
        Greeting::Open(THEIRS),
    ] {
        assert_eq!(two_paths().0.accept(1, greeting), Err(Refused::NotOurs), "{greeting:?}");
    }
    for answer in [Greeting::Attach { key: wrong, own: THEIRS }, Greeting::Attach { key: OURS, own: wrong }] {
        let (mut pipe, ..) = two_paths();
        let third = pipe.open(1).expect("a third");
        assert_eq!(pipe.greeted(third, answer), Err(Violation::WrongKey));
    }
    // Nothing is attached before the other side's key is known.
    let mut pipe = Pipe::new(OURS);
    pipe.open(0).expect("the first");
    assert_eq!(pipe.open(0), Err(Refused::NotOurs));
    assert_eq!(pipe.accept(0, Greeting::Attach { key: wrong, own: THEIRS }), Err(Refused::NotOurs));
    assert!(pipe.accept(0, ATTACH).is_ok(), "the answer to our greeting was lost, but who attaches must have got it");
}

#[test]
fn a_peer_that_was_started_anew_begins_anew() {
    let (mut pipe, ..) = two_paths();
    let third = pipe.open(1).expect("a third");
    assert!(said(&mut pipe, third).ends_with(&[THEIRS.0, OURS.0].concat()));
    assert_eq!(pipe.greeted(third, Greeting::Open(Key([9; 16]))), Ok(false));
    assert_eq!((pipe.paths(), pipe.is_greeted(third)), (2, false));
}

#[test]
fn paths_are_limited() {
    let (mut pipe, ..) = two_paths();
    for _ in 2..limits::PIPE_PATHS {
        pipe.accept(0, ATTACH).expect("room");
    }
    assert_eq!((pipe.accept(0, ATTACH), pipe.open(0)), (Err(Refused::TooManyPaths), Err(Refused::TooManyPaths)));
}

#[test]
fn nothing_is_acknowledged_that_was_not_sent() {
    let (mut pipe, first, second) = two_paths();
    assert_eq!(receive(&mut pipe, second, &[acknowledge(5), acknowledge(3), acknowledge(5)].concat()), Ok(Vec::new()), "one may come late");
    assert_eq!(pipe.counts().acknowledged, 5);
    pipe.lost(first);
    refused(false, &[acknowledge(6)], Violation::AcknowledgesUnsent);
    refused(true, &[acknowledge(u64::MAX >> 1)], Violation::AcknowledgesUnsent);
}

#[test]
fn a_move_is_granted_only_when_asked_for_and_where() {
    refused(true, &[go(0, 0)], Violation::GoUnasked);
    refused(true, &[go(1, 0)], Violation::GoUnasked);
    let asked = |received, on_second: bool, turn| {
        let (mut pipe, first, second) = two_paths();
        receive(&mut pipe, first, &acknowledge(2)).expect("honest");
        pipe.rank(second, 1);
        assert_eq!(said(&mut pipe, second), ask(1, 0, 5));
        receive(&mut pipe, if on_second { second } else { first }, &go(turn, received)).map(|_| send(&mut pipe, second, b"f"))
    };
    assert_eq!(asked(5, true, 1), Ok(bytes(b"f")));
    assert_eq!(asked(3, true, 1), Ok(bytes(b"de")));
    assert_eq!(asked(1, true, 1), Err(Violation::AcknowledgesUnsent));
    assert_eq!(asked(6, true, 1), Err(Violation::AcknowledgesUnsent));
    assert_eq!(asked(5, false, 1), Err(Violation::GoUnasked));
    assert_eq!(asked(5, true, 2), Err(Violation::GoUnasked));
}

/// A grant makes us send again at most once: what it grants is not asked for twice.
#[test]
fn a_grant_is_good_once() {
    let (mut pipe, first, second) = two_paths();
    pipe.lost(first);
    assert_eq!(said(&mut pipe, second), ask(1, 0, 0));
    assert_eq!(receive(&mut pipe, second, &go(1, 0)), Ok(Vec::new()));
    assert_eq!(said(&mut pipe, second), bytes(b"abcde"));
    assert_eq!(receive(&mut pipe, second, &go(1, 0)), Err(Violation::GoUnasked));
    assert_eq!(pipe.counts().sent_again, 5);
}

#[test]
fn bytes_come_only_by_a_path_that_was_granted() {
    refused(true, &[bytes(b"x")], Violation::BytesUnasked);
    let (mut pipe, first, second) = two_paths();
    assert_eq!(receive(&mut pipe, second, &ask(1, 0, 3)), Ok(Vec::new()));
    assert!(said(&mut pipe, second).is_empty(), "it waits for what the first still brings");
    assert_eq!(receive(&mut pipe, first, &bytes(b"xyz")), Ok(b"xyz".to_vec()));
    assert_eq!(said(&mut pipe, second), go(1, 3));
    assert_eq!(receive(&mut pipe, first, &bytes(b"late")), Ok(Vec::new()), "another has taken over");
    assert_eq!(receive(&mut pipe, second, &bytes(b"more")), Ok(b"more".to_vec()));
    // A question that was overtaken by a later one is not answered.
    assert_eq!(receive(&mut pipe, first, &ask(1, 0, 0)), Ok(Vec::new()));
    assert!(said(&mut pipe, first).is_empty());
    assert_eq!(receive(&mut pipe, second, &bytes(b"!")), Ok(b"!".to_vec()));
}

#[test]
fn a_move_does_not_wait_for_what_cannot_come() {
    // The path is gone.
    let (mut pipe, first, second) = two_paths();
    receive(&mut pipe, second, &ask(1, 0, 100)).expect("honest");
    pipe.lost(first);
    assert!(said(&mut pipe, second).starts_with(&go(1, 0)));
    // What it waits for was sent under an earlier grant than the one in force: the grant in between was never used.
    let third = pipe.accept(0, ATTACH).expect("room");
    receive(&mut pipe, third, &ask(2, 0, 100)).expect("honest");
    assert!(said(&mut pipe, third).ends_with(&go(2, 0)));
}

#[test]
fn the_end_is_told_on_every_path() {
    let (mut pipe, first, second) = two_paths();
    pipe.end(7);
    assert_eq!((said(&mut pipe, first), said(&mut pipe, second)), (frame(7, &[7], &[]), frame(7, &[7], &[])));
    assert!(!pipe.wants_transmit(first, true));
    let (mut pipe, first, _) = two_paths();
    assert_eq!(receive(&mut pipe, first, &[frame(7, &[7], &[]), bytes(b"x")].concat()), Ok(Vec::new()));
    assert_eq!(pipe.ended(), Some(7));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes on any path: an error at most, and never anything but payload of a granted path.
    #[test]
    fn noise(parts in proptest::collection::vec((any::<bool>(), prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        (0u8..9, proptest::collection::vec(0u64..12, 0..4), proptest::collection::vec(any::<u8>(), 0..4)).prop_map(|(kind, fields, rest)| frame(kind, &fields, &rest)),
    ]), 0..12)) {
        let (mut pipe, first, second) = two_paths();
        pipe.rank(second, 1);
        let (mut fed, mut taken) = (0, 0);
        for (on_second, part) in parts {
            let path = if on_second { second } else { first };
            fed += part.len();
            match receive(&mut pipe, path, &part) {
                // What came too early waits for what is before it.
                Ok(bytes) => taken += bytes.len(),
                Err(violation) => prop_assert_eq!(receive(&mut pipe, first, &[]), Err(violation)),
            }
            let _ = (said(&mut pipe, first), said(&mut pipe, second));
            let _ = greeting(&part);
            prop_assert!(taken <= fed);
        }
        prop_assert!(pipe.counts().received <= fed as u64);
        prop_assert!(pipe.counts().acknowledged <= pipe.counts().sent);
    }
}

//! Several direct paths carry one pipe at once: what each takes goes by it, arrives in any order and is read in one, and what a lane had when it broke is
//! sent again by the others. A side that does not know of lanes is sent to by one path at a time.

#![allow(clippy::expect_used, reason = "a test")]

mod session_support;

use bytes::Bytes;
use session_support::frame;
use shoal_protocol::{
    limits,
    pipe::{Key, PathId, Pipe, Violation, greeting},
};

const DIRECT: u8 = 1;

/// What the pipe puts on a path next, where it has `payload` to send.
fn send(pipe: &mut Pipe, path: PathId, payload: &'static [u8]) -> Vec<u8> {
    pipe.transmit(path, 1 << 16, |_| vec![Bytes::from_static(payload)]).unwrap_or_default().to_vec()
}

/// What the pipe puts on a path that has nothing new to send.
fn said(pipe: &mut Pipe, path: PathId) -> Vec<u8> {
    std::iter::from_fn(|| pipe.transmit(path, 1 << 16, |_| Vec::new())).flatten().collect()
}

fn receive(pipe: &mut Pipe, path: PathId, bytes: &[u8]) -> Result<Vec<u8>, Violation> {
    let (mut input, mut taken) = (bytes, Vec::new());
    while let Some(piece) = pipe.receive(path, &mut input)? {
        taken.extend_from_slice(&piece);
    }
    Ok(taken)
}

/// Two ends and so many direct paths between them, all greeted.
fn ends(lanes: usize) -> ([Pipe; 2], Vec<[PathId; 2]>) {
    let [mut one, mut other] = [Pipe::new(Key([1; 16])), Pipe::new(Key([2; 16]))];
    let mut paths = Vec::new();
    for _ in 0..lanes {
        let ours = one.open(DIRECT).expect("a path");
        let words = said(&mut one, ours);
        let (greeting, used) = greeting(&words).expect("a greeting").expect("whole");
        let theirs = other.accept(DIRECT, greeting).expect("a path");
        receive(&mut other, theirs, &words[used..]).expect("honest");
        let words = said(&mut other, theirs);
        let (answer, used) = shoal_protocol::pipe::greeting(&words).expect("a greeting").expect("whole");
        assert_eq!(one.greeted(ours, answer), Ok(true));
        receive(&mut one, ours, &words[used..]).expect("honest");
        paths.push([ours, theirs]);
    }
    ([one, other], paths)
}

#[test]
fn what_comes_by_several_lanes_is_read_in_order() {
    let ([mut one, mut other], paths) = ends(3);
    assert_eq!(one.lanes(), 3);
    let pieces: Vec<Vec<u8>> =
        [b"first, ".as_slice(), b"second, ", b"third"].iter().zip(&paths).map(|(text, path)| send(&mut one, path[0], text)).collect();
    assert_eq!(receive(&mut other, paths[2][1], &pieces[2]).expect("honest"), b"");
    assert_eq!(receive(&mut other, paths[1][1], &pieces[1]).expect("honest"), b"");
    one.probe();
    let probe = said(&mut one, paths[0][0]);
    receive(&mut other, paths[1][1], &probe).expect("honest");
    let answer = said(&mut other, paths[1][1]);
    assert_eq!(answer, frame(3, &[0, 13], &[]), "nothing in order, and 13 bytes behind a gap");
    receive(&mut one, paths[1][0], &answer).expect("honest");
    assert_eq!(one.under_way(), (13, 20), "only what did not arrive is under way");
    assert_eq!(receive(&mut other, paths[0][1], &pieces[0]).expect("honest"), b"first, second, third");
}

#[test]
fn what_a_lane_had_when_it_broke_goes_by_the_others() {
    for dies in [0, 1] {
        let ([mut one, mut other], paths) = ends(2);
        let lost = send(&mut one, paths[dies][0], b"lost, ");
        let came = send(&mut one, paths[1 - dies][0], b"came");
        assert_eq!(receive(&mut other, paths[1 - dies][1], &came).expect("honest"), b"");
        one.lost(paths[dies][0]);
        other.lost(paths[dies][1]);
        let mut read = Vec::new();
        for _ in 0..4 {
            let words = said(&mut one, paths[1 - dies][0]);
            read.extend(receive(&mut other, paths[1 - dies][1], &words).expect("honest"));
            let words = said(&mut other, paths[1 - dies][1]);
            receive(&mut one, paths[1 - dies][0], &words).expect("honest");
        }
        assert_eq!(read, b"lost, came");
        assert!(!lost.is_empty() && one.lanes() == 1);
    }
}

#[test]
fn lanes_that_are_silent_are_left_together() {
    let ([mut one, _], paths) = ends(3);
    assert!(!send(&mut one, paths[1][0], b"never heard of").is_empty());
    one.silent();
    assert_eq!(one.lanes(), 1, "the one in use is kept, as there is none else");
    assert!(one.sends_on_suspect());
}

/// Two ends with a direct path, and the relayed one between them.
fn with_relayed() -> ([Pipe; 2], [PathId; 2]) {
    let ([mut one, mut other], _) = ends(1);
    let relayed = one.open(0).expect("a path");
    let words = said(&mut one, relayed);
    let (greeting, _) = greeting(&words).expect("a greeting").expect("whole");
    let theirs = other.accept(0, greeting).expect("a path");
    let words = said(&mut other, theirs);
    assert_eq!(one.greeted(relayed, shoal_protocol::pipe::greeting(&words).expect("a greeting").expect("whole").0), Ok(true));
    ([one, other], [relayed, theirs])
}

#[test]
fn a_relayed_path_is_no_lane() {
    let ([one, _], _) = with_relayed();
    assert_eq!(one.lanes(), 1);
}

#[test]
fn who_gives_a_direct_path_up_is_seen_by_the_other_side() {
    let ([mut one, mut other], [ours, theirs]) = with_relayed();
    assert!(!one.is_left());
    other.silent();
    for _ in 0..2 {
        let words = said(&mut other, theirs);
        receive(&mut one, ours, &words).expect("honest");
        let words = said(&mut one, ours);
        receive(&mut other, theirs, &words).expect("honest");
    }
    assert!(one.is_left(), "it sends directly, and is sent to through a relay");
    one.silent();
    assert!(!one.is_left(), "both use the relay");
}

#[test]
fn who_does_not_know_of_lanes_is_sent_to_by_one_path() {
    let mut pipe = Pipe::new(Key([1; 16]));
    let theirs = Key([2; 16]);
    let first = pipe.accept(DIRECT, shoal_protocol::pipe::Greeting::Open(theirs)).expect("a path");
    said(&mut pipe, first);
    let attach = shoal_protocol::pipe::Greeting::Attach { key: Key([1; 16]), own: theirs };
    let second = pipe.accept(DIRECT, attach).expect("a path");
    said(&mut pipe, second);
    assert_eq!(pipe.lanes(), 1);
    assert_eq!(send(&mut pipe, first, b"bytes"), frame(2, &[], b"bytes"), "without an offset");
    assert!(send(&mut pipe, second, b"bytes").is_empty());
}

#[test]
fn who_does_not_know_of_lanes_gets_nothing_twice_when_a_path_breaks_that_was_left_before() {
    let mut pipe = Pipe::new(Key([1; 16]));
    let theirs = Key([2; 16]);
    let first = pipe.accept(DIRECT, shoal_protocol::pipe::Greeting::Open(theirs)).expect("a path");
    said(&mut pipe, first);
    let second = pipe.accept(DIRECT, shoal_protocol::pipe::Greeting::Attach { key: Key([1; 16]), own: theirs }).expect("a path");
    said(&mut pipe, second);
    assert_eq!(send(&mut pipe, first, b"bytes"), frame(2, &[], b"bytes"));
    pipe.suspect(first);
    assert_eq!(said(&mut pipe, second), frame(5, &[1, 0, 0], &[]), "MOVE");
    receive(&mut pipe, second, &frame(6, &[1, 0], &[])).expect("GO");
    assert_eq!(said(&mut pipe, second), frame(2, &[], b"bytes"), "again, as nothing had arrived");
    pipe.lost(first);
    assert_eq!(said(&mut pipe, second), b"", "they are under way on this path");
}

#[test]
fn where_nothing_more_may_be_sent_each_lane_is_asked_what_has_arrived() {
    let ([mut one, mut other], paths) = ends(2);
    let late = send(&mut one, paths[1][0], &[1; 40_000]);
    let early = send(&mut one, paths[0][0], &[2; 24_000]);
    one.limit(32_000);
    let probe = said(&mut one, paths[0][0]);
    receive(&mut other, paths[0][1], &[early, probe].concat()).expect("honest");
    let answer = said(&mut other, paths[0][1]);
    assert_eq!(answer, frame(3, &[0, 24_000], &[]), "nothing in order, and 24,000 bytes behind a gap");
    receive(&mut one, paths[0][0], &answer).expect("honest");
    let probe = said(&mut one, paths[1][0]);
    assert_eq!(probe, frame(4, &[], &[]), "PROBE, which arrives behind what went by this lane");
    receive(&mut other, paths[1][1], &[late, probe].concat()).expect("honest");
    let answer = said(&mut other, paths[1][1]);
    receive(&mut one, paths[1][0], &answer).expect("honest");
    assert_eq!(one.under_way(), (64_000, 64_000));
}

#[test]
fn no_more_is_held_than_may_be_unacknowledged() {
    let part = |at: u64, payload: &[u8]| frame(8, &[at], payload);
    let last = limits::PIPE_UNACKNOWLEDGED - 1;
    let ([_, mut other], paths) = ends(1);
    let path = paths[0][1];
    assert_eq!(receive(&mut other, path, &part(last, b"x")), Ok(Vec::new()));
    assert_eq!(receive(&mut other, path, &part(last, b"xy")), Err(Violation::BytesUnasked));
    let ([_, mut other], paths) = ends(1);
    let result = (0..=limits::PIPE_GAPS as u64).try_for_each(|gap| receive(&mut other, paths[0][1], &part(1 + 2 * gap, b"x")).map(drop));
    assert_eq!(result, Err(Violation::BytesUnasked), "a byte here and a byte there");
    let ([_, mut other], paths) = ends(1);
    assert_eq!(receive(&mut other, paths[0][1], &part(u64::MAX >> 1, b"x")), Err(Violation::BytesUnasked));
    let ([_, mut other], paths) = ends(1);
    assert_eq!(receive(&mut other, paths[0][1], &part(0, b"")), Err(Violation::MalformedRecord));
}

#[test]
fn what_is_said_twice_and_cut_anew_is_read_once() {
    let text: Vec<u8> = (0..200).collect();
    let ([_, mut other], paths) = ends(1);
    let mut read = Vec::new();
    for (from, to) in [(50, 80), (100, 150), (40, 120), (60, 110), (10, 200), (0, 20), (0, 200), (150, 200)] {
        let part = frame(8, &[from as u64], &text[from..to]);
        read.extend(receive(&mut other, paths[0][1], &part).expect("honest"));
    }
    assert_eq!(read, text);
}

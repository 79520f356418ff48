//! Any bytes into a session: an error at most, never a panic, and no more memory than granted.

#![allow(clippy::expect_used, reason = "a test")]

mod session_support;

use bytes::Bytes;
use proptest::prelude::*;
use session_support::{Random, tight};
use shoal_protocol::session::{Config, Event, Session, Side};

/// What an honest peer says in a lively session.
fn honest(seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut session = Session::new(Side::Dialler, tight());
    let mut said = Vec::new();
    for _ in 0..20 {
        if let Ok(stream) = session.open() {
            session.write(stream, vec![7; random.size(5000)].into()).expect("open");
            match random.below(4) {
                0 => session.finish(stream).expect("open"),
                1 => session.reset(stream, random.next() >> 1),
                2 => session.stop(stream, 1),
                _ => {}
            }
        }
        session.ping(random.next().to_be_bytes());
        said.extend(session.transmit(1 << 16).unwrap_or_default());
    }
    said
}

fn feed(bytes: &[u8], cuts: &[usize]) {
    let config = tight();
    let mut session = Session::new(Side::Listener, config);
    for _ in 0..3 {
        let own = session.open().expect("granted");
        session.write(own, Bytes::from_static(b"own")).expect("open");
    }
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((*cuts.next().expect("cuts")).min(rest.len()));
        rest = behind;
        let result = session.receive_bytes(&Bytes::copy_from_slice(piece));
        let held = session.held();
        assert!(held.received <= config.connection_window && held.streams as u64 <= 2 * config.streams);
        if result.is_err() {
            break;
        }
        while session.transmit(4096).is_some() {}
    }
    while let Some(event) = session.poll_event() {
        if let Event::Readable(stream) = event {
            let _ = session.read(stream);
            session.consumed(stream, u64::MAX);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn noise(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
        feed(&bytes, &[cut]);
    }

    #[test]
    fn noise_behind_a_greeting(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
        let mut greeting = Session::new(Side::Dialler, Config::default()).transmit(1000).expect("a greeting").to_vec();
        greeting.extend(bytes);
        feed(&greeting, &[cut]);
    }

    #[test]
    fn honest_frames_with_a_few_bytes_changed(
        seed in any::<u64>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cuts in proptest::collection::vec(1usize..3000, 1..8),
    ) {
        let mut bytes = honest(seed);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        feed(&bytes, &cuts);
    }

    #[test]
    fn honest_frames_cut_out_doubled_or_swapped(
        seed in any::<u64>(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec(1usize..3000, 1..8),
    ) {
        let bytes = honest(seed);
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let (from, to) = (from.min(to), from.max(to));
        feed(&[&bytes[..from], &bytes[to..]].concat(), &cuts);
        feed(&[&bytes[..to], &bytes[from..]].concat(), &cuts);
    }
}

#[test]
fn what_an_honest_peer_says_is_accepted() {
    for seed in 0..200 {
        let mut session = Session::new(Side::Listener, tight());
        for piece in honest(seed).chunks(1 + seed as usize * 7) {
            // Answered at once, so that the next ping may come.
            let _ = session.transmit(1000);
            let result = session.receive(piece);
            assert!(result.is_ok(), "seed {seed}: {result:?}");
        }
    }
}

//! Work follows capacity and health, within seconds: simulated candidates whose speed changes under way.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use shoal_protocol::{choice::Choice, limits, time::Time};

/// A small generator (xorshift64*), so that a run repeats.
struct Random(u64);

impl Random {
    fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const fn at(milliseconds: u64) -> Time {
    Time::from_origin(Duration::from_millis(milliseconds))
}

/// Candidates that deliver at the given speeds (units a second, by time), a number of requests of 100 units being always under way.
/// The share of all units that the first one delivered in each second.
fn shares(seed: u64, seconds: u64, requests: usize, speed: impl Fn(usize, u64) -> f64) -> Vec<f64> {
    let mut choice = Choice::default();
    let mut random = Random(seed);
    let mut under_way: Vec<(usize, f64)> = Vec::new();
    let mut shares = Vec::new();
    for second in 0..seconds {
        let mut delivered = [0.0; 2];
        for step in 0..100 {
            let milliseconds = second * 1000 + step * 10;
            let now = at(milliseconds);
            while under_way.len() < requests {
                let peer = choice.pick(&[0, 1], now, random.fraction()).unwrap();
                choice.asked(peer, now);
                under_way.push((peer, 100.0));
            }
            let crowd = |peer| under_way.iter().filter(|(other, _)| *other == peer).count().max(1) as f64;
            let rates = [0, 1].map(|peer| speed(peer, milliseconds) / 100.0 / crowd(peer));
            for (peer, left) in &mut under_way {
                *left -= rates[*peer];
                delivered[*peer] += rates[*peer];
            }
            under_way.retain(|(peer, left)| {
                if *left <= 0.0 {
                    choice.delivered(*peer, 100, now);
                    choice.done(*peer, now);
                }
                *left > 0.0
            });
        }
        shares.push(delivered[0] / (delivered[0] + delivered[1]));
    }
    shares
}

#[test]
fn one_of_two_that_slows_down_gets_less_work_within_five_seconds() {
    for seed in 1..=50 {
        let shares = shares(seed, 20, 8, |peer, milliseconds| if peer == 0 && milliseconds >= 10_000 { 300.0 } else { 3_000.0 });
        let (before, after) = (&shares[3..10], &shares[15..]);
        assert!(before.iter().all(|share| (0.3..0.7).contains(share)), "seed {seed}: equals share equally: {before:?}");
        assert!(after.iter().all(|share| *share < 0.25), "seed {seed}: {after:?}");
    }
}

/// Small requests end in a millisecond: it takes fifty of them until it is certain how fast their peer is.
#[test]
fn one_that_answers_at_once_is_asked_more_before_it_is_certain_how_fast_it_is() {
    for seed in 1..=20 {
        let (mut choice, mut random, mut now) = (Choice::default(), Random(seed), 0);
        let mut slow = 0;
        for _ in 0..30 {
            let peer = choice.pick(&[0, 1], at(now), random.fraction()).unwrap();
            choice.asked(peer, at(now));
            slow += peer;
            now += if peer == 0 { 1 } else { 100 };
            choice.delivered(peer, 2_000, at(now));
            choice.done(peer, at(now));
        }
        assert!(slow < 10, "seed {seed}: {slow} of 30 were asked of the slow one");
    }
}

#[test]
fn one_that_recovers_is_noticed() {
    for seed in 1..=50 {
        let shares = shares(seed, 40, 8, |peer, milliseconds| if peer == 0 && milliseconds < 10_000 { 30.0 } else { 3_000.0 });
        let late = shares[30..].iter().sum::<f64>() / 10.0;
        assert!(late > 0.35, "seed {seed}: {shares:?}");
    }
}

#[test]
fn a_candidate_that_fails_rests_then_is_tried_once() {
    let mut choice = Choice::default();
    let now = at(0);
    choice.asked('a', now);
    choice.failed('a', now);
    assert_eq!(choice.pick(&['a'], now, 0.5), None);
    assert_eq!(choice.pick(&['a', 'b'], now, 0.0), Some('b'));
    assert_eq!(choice.ranked(&['a', 'b'], now), ['b', 'a'], "who rests comes last, but comes");
    assert_eq!(choice.rest(&['a'], now), limits::CHOICE_FIRST_REST);
    let later = now + limits::CHOICE_FIRST_REST;
    assert_eq!(choice.pick(&['a'], later, 0.5), Some('a'));
    choice.asked('a', later);
    assert_eq!(choice.pick(&['a'], later, 0.5), None, "one request tries whether it is back");
    choice.failed('a', later);
    assert_eq!(choice.rest(&['a'], later), limits::CHOICE_FIRST_REST * 2, "each failure doubles the rest");
    let back = later + limits::CHOICE_FIRST_REST * 2;
    choice.asked('a', back);
    choice.delivered('a', 1, back);
    assert_eq!(choice.pick(&['a'], back, 0.5), Some('a'), "it delivered: all is forgiven");
    for _ in 0..100 {
        choice.asked('a', back);
        choice.failed('a', back);
    }
    assert_eq!(choice.rest(&['a'], back), limits::CHOICE_LONGEST_REST);
}

#[test]
fn time_in_which_nothing_was_asked_tells_nothing() {
    let mut choice = Choice::default();
    for (peer, units) in [('a', 1_000), ('b', 100)] {
        choice.asked(peer, at(0));
        choice.delivered(peer, units, at(1_000));
        choice.done(peer, at(1_000));
    }
    assert_eq!(choice.ranked(&['b', 'a'], at(3_600_000)), ['a', 'b']);
}

#[test]
fn memory_is_bounded_and_keeps_who_is_being_asked() {
    let mut choice = Choice::default();
    choice.asked(0, at(0));
    for peer in 1..10_000_u64 {
        choice.asked(peer, at(peer));
        choice.delivered(peer, 1_000, at(peer + 1));
        choice.done(peer, at(peer + 1));
    }
    // Still known to deliver nothing: behind one that does.
    assert_eq!(choice.ranked(&[0, 9_999], at(10_100)), [9_999, 0]);
    assert!(format!("{choice:?}").matches("Record {").count() <= limits::CHOICE_PEERS);
}

/// One is asked for ten seconds, all the while; in each it delivers so much.
fn held(choice: &mut Choice<usize>, peer: usize, rate: u64) {
    choice.asked(peer, at(0));
    for tenth in 1..=100 {
        choice.delivered(peer, rate / 10, at(tenth * 100));
    }
}

#[test]
fn a_request_under_way_goes_to_one_who_promises_twice_as_much() {
    let mut choice = Choice::default();
    for (peer, rate) in [(0, 1_000), (1, 1_900), (2, 2_200), (3, 2_500)] {
        held(&mut choice, peer, rate);
        if peer > 0 {
            choice.done(peer, at(10_000));
        }
    }
    assert!(choice.faster(&0, &[0, 1], at(10_000)).is_none(), "less than twice as much");
    assert!(choice.faster(&0, &[0, 1, 2], at(10_000)) == Some(2));
    assert!(choice.faster(&0, &[0, 1, 2, 3], at(10_000)) == Some(3), "the best");
    // With another request already at it, half is left.
    choice.asked(3, at(10_000));
    assert!(choice.faster(&0, &[0, 1, 3], at(10_000)).is_none());
    // One that rests after a failure is nobody's hope.
    choice.failed(2, at(10_000));
    assert!(choice.faster(&0, &[0, 1, 2], at(10_000)).is_none());
}

#[test]
fn one_of_whom_nothing_is_known_is_tried_and_one_that_stalls_is_left() {
    let mut choice = Choice::default();
    held(&mut choice, 0, 1_000);
    assert!(choice.faster(&0, &[0], at(10_000)).is_none(), "nobody else");
    assert!(choice.faster(&0, &[0, 1], at(10_000)) == Some(1));
    held(&mut choice, 1, 600);
    choice.done(1, at(10_000));
    assert!(choice.faster(&0, &[0, 1], at(10_000)).is_none(), "it is slower");
    assert!(choice.faster(&0, &[0, 1], at(13_000)) == Some(1), "nothing came for three seconds");
    // Of a request that has only begun nothing is known.
    choice.asked(2, at(13_000));
    assert!(choice.faster(&2, &[0, 1], at(13_010)).is_none());
}

//! What the manager promises, step by step.

use std::time::Duration;

use super::*;
use crate::limits::{RESERVATION_LONGEST_WAIT, RESERVATION_OUTDATED, RESERVATION_REFUSED_WAIT};

type Manager = Reservations<&'static str, u16>;
const SECOND: Duration = Duration::from_secs(1);
const FIRST: Time = Time::from_origin(SECOND);

fn at(seconds: u64) -> Time {
    Time::from_origin(Duration::from_secs(seconds))
}

fn half() -> impl FnMut() -> f64 {
    || 0.5
}

/// Carries every dial and reservation out with success, until nothing is ordered any more.
fn settle(manager: &mut Manager, now: Time) {
    for _ in 0..32 {
        let orders = manager.due(now, &mut half());
        if orders.is_empty() {
            return;
        }
        for order in orders {
            match order {
                Order::Dial(id, _) => manager.connected(&id),
                Order::Reserve(id) => manager.reserved(&id, now, &mut half()),
                Order::Probe(id) => manager.probed(&id, true, now),
                Order::Resolve(source) => manager.resolved(source, Err(Problem::Unreachable), now, &mut half()),
                Order::Disconnect(_) => {}
            }
        }
    }
    panic!("it never settles: {manager:?}");
}

fn with(relays: &[&'static str]) -> Manager {
    let mut manager = Manager::new(2, 0);
    for relay in relays {
        assert!(manager.add(relay, vec![1], Tier::Configured));
    }
    manager
}

fn reserved(manager: &Manager) -> Vec<&'static str> {
    manager.rows().filter(|row| row.standing == Standing::Reserved).map(|row| *row.id).collect()
}

#[test]
fn two_of_three_hold_and_one_that_dies_is_replaced() {
    let mut manager = with(&["a", "b", "c"]);
    settle(&mut manager, FIRST);
    let held = reserved(&manager);
    assert_eq!(held.len(), 2);

    manager.lost(&held[0], Problem::Broken, at(2), &mut half());
    assert!(manager.reachable(), "the other one still holds");
    assert_eq!(manager.due(at(2), &mut half()), [], "a crowd has lost it too: not at once");
    settle(&mut manager, at(2) + RESERVATION_SPREAD);
    assert_eq!(reserved(&manager).len(), 2);
}

#[test]
fn waits_double_up_to_the_longest() {
    let mut manager = with(&["a"]);
    let mut now = FIRST;
    let mut waits = Vec::new();
    for _ in 0..6 {
        while manager.due(now, &mut || 1.0).is_empty() {
            now = now + Duration::from_millis(100);
        }
        manager.lost(&"a", Problem::Unreachable, now, &mut || 1.0);
        let since = now;
        while !matches!(manager.candidates[0].state, State::Waiting { until } if until <= now) {
            now = now + Duration::from_millis(100);
        }
        waits.push(now.since(since).as_secs());
    }
    assert_eq!(waits, [4, 8, 8, 8, 8, 8]);
    // Waking makes the next try immediate.
    manager.lost(&"a", Problem::Unreachable, now, &mut || 1.0);
    manager.woke(now);
    assert_eq!(manager.due(now, &mut half()), [Order::Dial("a", vec![1])]);
}

#[test]
fn a_transfer_that_stands_still_waits_for_a_second_at_most() {
    let mut manager = with(&["a", "b"]);
    settle(&mut manager, FIRST);
    manager.lost(&"a", Problem::Broken, at(2), &mut || 1.0);
    manager.lost(&"b", Problem::Broken, at(2), &mut || 1.0);
    manager.needed(at(2), &mut half());
    assert_eq!(manager.due(at(2), &mut half()), [], "others may stand still, too");
    assert_eq!(manager.due(at(2) + SECOND / 2, &mut half()).len(), 2);
    // One is not up yet, the other has no room.
    manager.lost(&"a", Problem::Unreachable, at(3), &mut || 1.0);
    manager.connected(&"b");
    assert_eq!(manager.due(at(3), &mut half()), [Order::Reserve("b")]);
    manager.refused(&"b", Problem::Full, at(3), &mut || 1.0);
    manager.needed(at(3), &mut half());
    assert_eq!(manager.due(at(4), &mut half()), [Order::Dial("a", vec![1])]);
}

#[test]
fn silence_counts_as_failure_and_a_slow_relay_keeps_nobody_waiting() {
    let mut manager = with(&["a", "b", "c"]);
    let first = manager.due(FIRST, &mut half());
    assert_eq!(first.len(), 2);
    let later = FIRST + RESERVATION_HASTE;
    assert_eq!(manager.due(later, &mut half()).len(), 1, "the third is tried beside two slow ones");
    assert_eq!(manager.due(later, &mut half()), []);
    let late = FIRST + RESERVATION_PATIENCE;
    let _ = manager.due(late, &mut half());
    assert_eq!(manager.rows().filter(|row| row.problem == Some(&Problem::Silent)).count(), 2);
}

#[test]
fn a_refusal_is_told_and_not_repeated_at_once() {
    let mut manager = with(&["a"]);
    let _ = manager.due(FIRST, &mut half());
    manager.connected(&"a");
    assert_eq!(manager.due(FIRST, &mut half()), [Order::Reserve("a")]);
    manager.refused(&"a", Problem::Full, FIRST, &mut half());
    assert_eq!(manager.rows().next().and_then(|row| row.problem), Some(&Problem::Full));
    assert_eq!(manager.due(FIRST + RESERVATION_LONGEST_WAIT, &mut half()), []);
    // The connection still stands, so it is not dialled again.
    assert_eq!(manager.due(FIRST + RESERVATION_REFUSED_WAIT, &mut half()), [Order::Reserve("a")]);
}

#[test]
fn reservations_are_renewed_before_they_end() {
    let mut manager = with(&["a", "b"]);
    settle(&mut manager, FIRST);
    assert_eq!(manager.due(FIRST + RESERVATION_RENEWAL / 2, &mut half()), []);
    let orders = manager.due(FIRST + RESERVATION_RENEWAL, &mut half());
    assert_eq!(orders, [Order::Reserve("a"), Order::Reserve("b")]);
    assert!(manager.reachable(), "it holds while it is renewed");
    manager.reserved(&"a", FIRST + RESERVATION_RENEWAL, &mut half());
    // b does not answer: its connection is of no use.
    let late = FIRST + RESERVATION_RENEWAL + RESERVATION_PATIENCE;
    assert_eq!(manager.due(late, &mut half()), [Order::Disconnect("b")]);
    assert_eq!(reserved(&manager), ["a"]);
}

#[test]
fn after_a_sleep_the_living_are_renewed_and_the_dead_replaced_at_once() {
    let mut manager = with(&["a", "b"]);
    settle(&mut manager, FIRST);
    let now = at(100);
    manager.woke(now);
    assert_eq!(manager.due(now, &mut half()), [Order::Probe("a"), Order::Probe("b")]);
    assert_eq!(manager.due(now, &mut half()), [], "each is asked once");
    manager.probed(&"a", true, now);
    assert_eq!(manager.due(now, &mut half()), [Order::Reserve("a")], "the relay may have let it expire meanwhile");
    manager.reserved(&"a", now, &mut half());
    let silent = now + crate::limits::RESERVATION_PROBE;
    assert_eq!(manager.due(silent, &mut half()), [Order::Disconnect("b"), Order::Dial("b", vec![1])]);

    // Switching tabs back and forth costs probes, not reservations.
    manager.woke(silent);
    let _ = manager.due(silent, &mut half());
    manager.probed(&"a", true, silent);
    assert_eq!(manager.due(silent, &mut half()), []);
}

#[test]
fn a_dead_connection_that_is_noticed_after_a_sleep_is_made_again_at_once() {
    let mut manager = with(&["a"]);
    settle(&mut manager, FIRST);
    let now = at(700);
    manager.woke(now);
    manager.lost(&"a", Problem::Broken, now, &mut || 1.0);
    let soon = now + RESERVATION_SPREAD / 16;
    assert_eq!(manager.due(soon, &mut half()), [Order::Dial("a", vec![1])]);
    // The other order: the loss is told before the waking.
    settle(&mut manager, soon);
    let again = at(2_000);
    manager.lost(&"a", Problem::Broken, again, &mut || 1.0);
    manager.woke(again);
    assert_eq!(manager.due(again, &mut half()), [Order::Dial("a", vec![1])]);
}

#[test]
fn a_doubt_is_settled_by_asking() {
    let mut manager = with(&["a"]);
    settle(&mut manager, FIRST);
    manager.doubted(&"a", at(2));
    assert_eq!(manager.due(at(2), &mut half()), [Order::Probe("a")]);
    manager.probed(&"a", true, at(2));
    assert_eq!(manager.due(at(3), &mut half()), []);
    manager.doubted(&"a", at(4));
    let _ = manager.due(at(4), &mut half());
    manager.probed(&"a", false, at(4));
    assert_eq!(manager.due(at(4), &mut half()), [Order::Disconnect("a"), Order::Dial("a", vec![1])]);
}

#[test]
fn doubts_do_not_put_a_renewal_off() {
    let mut manager = with(&["a"]);
    settle(&mut manager, FIRST);
    let mut renewed = 0;
    for minute in 1..=60 {
        let now = at(minute * 60);
        manager.doubted(&"a", now);
        for _ in 0..3 {
            for order in manager.due(now, &mut half()) {
                match order {
                    Order::Probe(id) => manager.probed(&id, true, now),
                    Order::Reserve(id) => {
                        manager.reserved(&id, now, &mut half());
                        renewed += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert!((3..=5).contains(&renewed), "{renewed} renewals in an hour");
}

#[test]
fn a_watched_relay_that_falls_silent_is_replaced_within_seconds_and_nobody_else_asks() {
    let mut manager = with(&["a", "b"]);
    settle(&mut manager, FIRST);
    assert!((2..60).all(|second| manager.due(at(second), &mut half()).is_empty()), "nothing speaks against them");
    manager.watch();
    // From now on nobody answers.
    let mut dialled = None;
    for second in 60..120 {
        let orders = manager.due(at(second), &mut half());
        if orders.iter().any(|order| matches!(order, Order::Dial(..))) {
            dialled = Some(second);
            break;
        }
    }
    assert!(dialled.is_some_and(|second| second <= 60 + 6), "dialled anew at {dialled:?}");
}

#[test]
fn a_watched_relay_that_answers_is_asked_every_few_seconds_and_kept() {
    let mut manager = with(&["a"]);
    manager.watch();
    settle(&mut manager, FIRST);
    let mut probes = 0;
    for second in 2..=61 {
        for order in manager.due(at(second), &mut half()) {
            assert!(matches!(order, Order::Probe("a")), "{order:?}");
            probes += 1;
            manager.probed(&"a", true, at(second));
        }
    }
    assert!((20..=24).contains(&probes), "{probes} in a minute");
}

#[test]
fn a_relay_that_moved_is_found_by_its_source() {
    let mut manager = Manager::new(2, 1);
    assert_eq!(manager.due(FIRST, &mut half()), [Order::Resolve(0)]);
    manager.resolved(0, Ok(vec![("a", vec![1])]), FIRST, &mut half());
    settle(&mut manager, FIRST);
    let mut now = at(10);
    manager.lost(&"a", Problem::Broken, now, &mut half());
    let mut dials = 0;
    loop {
        now = now + SECOND;
        let orders = manager.due(now, &mut half());
        if orders.contains(&Order::Resolve(0)) {
            break;
        }
        for _ in orders {
            dials += 1;
            manager.lost(&"a", Problem::Unreachable, now, &mut half());
        }
    }
    assert_eq!(dials, 2, "a relay that only restarts is not asked for its addresses by everybody");
    assert_eq!(manager.due(now, &mut half()), [], "the answer is waited for");
    manager.resolved(0, Ok(vec![("a", vec![2])]), now, &mut half());
    assert_eq!(manager.due(now, &mut half()), [Order::Dial("a", vec![2])]);
    // With another key at the same place, the old one is forgotten.
    manager.lost(&"a", Problem::Unreachable, now, &mut half());
    manager.resolved(0, Ok(vec![("new", vec![2])]), now, &mut half());
    assert!(!manager.contains(&"a"));
}

#[test]
fn what_worked_before_is_the_last_resort() {
    let mut manager = Manager::new(2, 1);
    manager.add("old", vec![7], Tier::Remembered);
    assert_eq!(manager.due(FIRST, &mut half()), [Order::Resolve(0)]);
    assert_eq!(manager.due(FIRST, &mut half()), [], "the settings come first");
    manager.resolved(0, Err(Problem::Unreachable), FIRST, &mut half());
    assert_eq!(manager.due(FIRST, &mut half()), [Order::Dial("old", vec![7])]);
    manager.connected(&"old");
    let _ = manager.due(FIRST, &mut half());
    manager.reserved(&"old", FIRST, &mut half());
    // The server is back: its relay is taken too.
    let orders = manager.due(at(10), &mut half());
    assert_eq!(orders, [Order::Resolve(0)]);
    manager.resolved(0, Ok(vec![("a", vec![1])]), at(10), &mut half());
    assert_eq!(manager.due(at(10), &mut half()), [Order::Dial("a", vec![1])]);
    assert_eq!(manager.source(0), Some((Standing::Connected, None)));
}

#[test]
fn an_empty_answer_is_a_problem_that_is_told() {
    let mut manager = Manager::new(2, 1);
    let _ = manager.due(FIRST, &mut half());
    manager.resolved(0, Ok(Vec::new()), FIRST, &mut half());
    assert_eq!(manager.source(0), Some((Standing::Waiting, Some(&Problem::Empty))));
}

#[test]
fn strangers_change_nothing_and_the_table_is_bounded() {
    let mut manager: Reservations<u32, u16> = Reservations::new(2, 0);
    manager.connected(&7);
    manager.reserved(&7, FIRST, &mut half());
    manager.lost(&7, Problem::Broken, FIRST, &mut half());
    assert!(!manager.reachable() && !manager.contains(&7));
    assert!(!manager.add(8, Vec::new(), Tier::Configured), "one that cannot be dialled");
    for id in 0..1_000 {
        assert!(manager.add(id, vec![1; 100], Tier::Remembered));
    }
    assert_eq!(manager.candidates.len(), RESERVATION_CANDIDATES);
    assert!(manager.candidates.iter().all(|candidate| candidate.addresses.len() == RESERVATION_ADDRESSES));
}

#[test]
fn an_address_that_is_out_of_date_is_asked_for_again_and_tried_at_once() {
    let mut manager = Manager::new(1, 1);
    let found = |manager: &mut Manager, address, now| manager.resolved(0, Ok(vec![("a", vec![address])]), now, &mut half());
    assert_eq!(manager.due(FIRST, &mut half()), [Order::Resolve(0)]);
    found(&mut manager, 1, FIRST);
    assert_eq!(manager.due(FIRST, &mut half()), [Order::Dial("a", vec![1])]);
    manager.outdated(&"a", at(2));
    manager.lost(&"a", Problem::Unreachable, at(2), &mut || 1.0);
    assert_eq!(manager.due(at(2), &mut half()), [], "its answer is from a second ago");
    let later = FIRST + RESERVATION_OUTDATED;
    manager.outdated(&"a", later);
    manager.outdated(&"unknown", later);
    let orders = manager.due(later, &mut half());
    assert!(orders.contains(&Order::Resolve(0)), "{orders:?}");
    manager.lost(&"a", Problem::Unreachable, later, &mut || 1.0);
    found(&mut manager, 2, later);
    assert_eq!(manager.due(later, &mut half()), [Order::Dial("a", vec![2])], "without the wait that follows a failure");
    manager.lost(&"a", Problem::Unreachable, later, &mut || 1.0);
    found(&mut manager, 2, later);
    assert_eq!(manager.due(later, &mut half()), [], "the same address again is no news");
}

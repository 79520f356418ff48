//! What may go through relays of others: each has its own allowance, which lasts for a period and comes back whole.

use std::time::Duration;

use shoal_protocol::{
    allowance::Allowances,
    limits::{FOREIGN_RELAY_PERIOD, FOREIGN_RELAYS},
    time::Time,
};

fn at(elapsed: Duration) -> Time {
    Time::from_origin(elapsed)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_relay_has_its_own_for_a_period_from_its_first_byte() {
    let mut allowances = Allowances::new(100);
    let began = at(SECOND);
    assert_eq!(allowances.left('a', began), 100);
    allowances.spend('a', 60, began);
    allowances.spend('a', 30, began + FOREIGN_RELAY_PERIOD / 2);
    assert_eq!(allowances.left('a', began + FOREIGN_RELAY_PERIOD / 2), 10);
    assert_eq!(allowances.left('b', began), 100);
    let last = began + (FOREIGN_RELAY_PERIOD - SECOND);
    assert_eq!(allowances.left('a', last), 10);
    assert_eq!(allowances.left('a', began + FOREIGN_RELAY_PERIOD), 100);
    allowances.spend('a', 1, began + FOREIGN_RELAY_PERIOD);
    assert_eq!(allowances.left('a', began + FOREIGN_RELAY_PERIOD), 99, "a new period begins");
}

#[test]
fn what_was_under_way_beyond_it_leaves_nothing_and_nothing_may_be_allowed() {
    let mut allowances = Allowances::new(100);
    allowances.spend('a', u64::MAX, at(SECOND));
    allowances.spend('a', 1, at(SECOND));
    assert_eq!(allowances.left('a', at(SECOND)), 0);
    assert_eq!(Allowances::new(0).left('a', at(SECOND)), 0);
}

#[test]
fn many_relays_are_remembered_and_those_that_were_used_most_longest() {
    let mut allowances = Allowances::new(100);
    allowances.spend(0, 100, at(SECOND));
    for relay in 1..10 * FOREIGN_RELAYS {
        allowances.spend(relay, 1, at(SECOND));
    }
    assert_eq!(allowances.left(0, at(SECOND)), 0);
    let known = (0..10 * FOREIGN_RELAYS).filter(|relay| allowances.left(*relay, at(SECOND)) < 100).count();
    assert_eq!(known, FOREIGN_RELAYS);
}

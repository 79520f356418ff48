//! Ten thousand pages lose their relay in one instant. All are back within a minute of its return, the rate at which they knock stays within four times
//! its mean, and the relay is neither idle while somebody waits nor buried.
//!
//! The relay is modelled by what the real one is bounded by: handshakes that it finishes a second, and sockets that may wait for theirs
//! (`max_pending`); who finds no place is turned away and knows it at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{collections::VecDeque, time::Duration};

use shoal_protocol::{
    reservations::{Order, Problem, Reservations, Tier},
    time::Time,
};

const CLIENTS: usize = 10_000;
/// Handshakes a second, with room to spare. (Five hundred real clients do not find the limit: `relay-server/tests/relay/stampede.rs`.)
const HANDSHAKES: usize = 800;
/// `max_pending` of the relay.
const PENDING: usize = 256;
const STEP: Duration = Duration::from_millis(10);

/// SplitMix64: the same seed, the same run.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// How it went, from the relay's return on.
#[derive(Debug)]
struct Outcome {
    /// Until the last client was back.
    all_back: Duration,
    /// Connection attempts in each second.
    knocks: Vec<usize>,
    /// Reservations granted in each second.
    granted: Vec<usize>,
    /// Clients missing at the begin of each second.
    missing: Vec<usize>,
}

fn simulate(seed: u64, down: Duration) -> Outcome {
    let mut random = Seeded(seed);
    let mut clients: Vec<Reservations<u8, u16>> = (0..CLIENTS).map(|_| Reservations::new(2, 0)).collect();
    let start = Time::from_origin(Duration::from_secs(1_000));
    for client in &mut clients {
        client.add(0, vec![1], Tier::Configured);
        assert_eq!(client.due(Time::default(), &mut || random.next()), [Order::Dial(0, vec![1])]);
        client.connected(&0);
        let _ = client.due(Time::default(), &mut || random.next());
        client.reserved(&0, start, &mut || random.next());
        client.lost(&0, Problem::Broken, start, &mut || random.next());
    }
    let mut outcome = Outcome { all_back: Duration::ZERO, knocks: Vec::new(), granted: Vec::new(), missing: Vec::new() };
    let mut queue: VecDeque<usize> = VecDeque::new();
    let mut now = start;
    let mut budget = 0.0;
    let back_at = start + down;
    let mut missing: Vec<usize> = (0..CLIENTS).collect();
    while !missing.is_empty() {
        now = now + STEP;
        let up = now >= back_at;
        let second = usize::try_from(now.since(back_at).as_secs()).unwrap();
        assert!(second < 120, "not back after two minutes");
        if up && outcome.knocks.len() <= second {
            outcome.missing.push(missing.len());
            outcome.knocks.push(0);
            outcome.granted.push(0);
        }
        for index in missing.iter().copied() {
            let client = &mut clients[index];
            for order in client.due(now, &mut || random.next()) {
                match order {
                    Order::Dial(..) if up => {
                        outcome.knocks[second] += 1;
                        if queue.len() < PENDING {
                            queue.push_back(index);
                        } else {
                            client.lost(&0, Problem::Unreachable, now, &mut || random.next());
                        }
                    }
                    Order::Dial(..) => client.lost(&0, Problem::Unreachable, now, &mut || random.next()),
                    Order::Reserve(_) | Order::Probe(_) | Order::Resolve(_) | Order::Disconnect(_) => panic!("{order:?}"),
                }
            }
        }
        budget = f64::min(budget + HANDSHAKES as f64 * STEP.as_secs_f64(), HANDSHAKES as f64 / 10.0);
        while up && budget >= 1.0 {
            let Some(index) = queue.pop_front() else { break };
            budget -= 1.0;
            clients[index].connected(&0);
            assert_eq!(clients[index].due(now, &mut || random.next()), [Order::Reserve(0)]);
            clients[index].reserved(&0, now, &mut || random.next());
            outcome.granted[second] += 1;
        }
        missing.retain(|index| !clients[*index].reachable());
    }
    outcome.all_back = now.since(back_at);
    outcome
}

fn check(seed: u64, down: Duration) {
    let outcome = simulate(seed, down);
    // The last second is not a whole one.
    let whole = outcome.knocks.len().saturating_sub(1).max(1);
    let mean = outcome.knocks[..whole].iter().sum::<usize>() as f64 / whole as f64;
    let peak = outcome.knocks.iter().copied().max().unwrap() as f64;
    println!(
        "seed {seed}, down {down:?}: all back after {:?}, peak {peak} a second, mean {mean:.0}, {:?}",
        outcome.all_back, outcome.granted
    );
    assert!(outcome.all_back <= Duration::from_secs(60), "{outcome:?}");
    assert!(peak <= 4.0 * mean, "peak {peak}, mean {mean}: {outcome:?}");
    for (second, (granted, missing)) in outcome.granted[..whole].iter().zip(&outcome.missing).enumerate() {
        // As long as more wait than knock in their longest wait, the relay works at full speed.
        if *missing > 8 * HANDSHAKES {
            assert!(*granted as f64 >= 0.9 * HANDSHAKES as f64, "starved in second {second}: {outcome:?}");
        }
        assert!(*granted > 0, "nobody got in in second {second}: {outcome:?}");
    }
}

#[test]
fn after_a_restart_that_takes_no_time() {
    check(1, Duration::ZERO);
}

#[test]
fn after_a_restart_that_takes_seconds() {
    check(2, Duration::from_secs(1));
    check(3, Duration::from_secs(5));
}

#[test]
#[ignore = "a minute; runs in the long run"]
fn after_an_outage_of_any_length() {
    for tenths in (0..200).step_by(3) {
        check(100 + tenths, Duration::from_millis(100 * tenths));
    }
}

#[test]
fn after_minutes() {
    check(4, Duration::from_secs(60));
    check(5, Duration::from_secs(300));
}

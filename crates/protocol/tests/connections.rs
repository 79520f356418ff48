//! The rules of the connection table, one by one, and that no sequence of events breaks its bounds.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use proptest::prelude::*;
use shoal_protocol::{
    connections::{Connections, HandshakeLimits, Handshakes, Limits, Network, Opened, Order, Path, Reason, Refused, Suspects},
    limits,
    time::Time,
};

const LIMITS: Limits = Limits { total: 8, kept_for_dialling: 2, protected: 4, per_peer: 2, per_network: 4, idle: Duration::from_secs(30) };

const HANDSHAKES: HandshakeLimits = HandshakeLimits { total: 4, per_network: 2, abortable: Some(Duration::from_secs(1)) };

const fn at(seconds: u64) -> Time {
    Time::from_origin(Duration::from_secs(seconds))
}

fn network(number: u32) -> Option<Network> {
    Some(Network::from(std::net::IpAddr::from(Ipv4Addr::from_bits(0x0101_0000 + number))))
}

fn inbound(peer: u32) -> Opened<u32> {
    Opened { peer, network: network(peer), path: Path::Direct, inbound: true }
}

fn outbound(peer: u32) -> Opened<u32> {
    Opened { inbound: false, ..inbound(peer) }
}

fn orders(connections: &mut Connections<u32, u32>) -> Vec<Order<u32>> {
    std::iter::from_fn(|| connections.poll_order()).collect()
}

fn table() -> Connections<u32, u32> {
    Connections::new(LIMITS, at(0))
}

#[test]
fn a_stranger_takes_the_place_of_what_is_long_unused_only() {
    let mut table = table();
    for peer in 0..6 {
        table.opened(peer, inbound(peer), at(0)).unwrap();
    }
    assert_eq!(table.opened(6, inbound(6), at(1)), Err(Refused::Total), "two places are kept for our own dials");
    for peer in [0, 1, 3, 4, 5] {
        table.moved(peer, 1024, at(4));
    }
    table.opened(6, inbound(6), at(5)).unwrap();
    assert_eq!(orders(&mut table), [Order::Close(2, Reason::LeastUseful)]);
    table.opened(7, outbound(7), at(5)).unwrap();
    table.opened(8, outbound(8), at(5)).unwrap();
    assert_eq!((table.len(), orders(&mut table).len()), (8, 0));
    table.opened(9, outbound(9), at(5)).unwrap();
    assert_eq!(orders(&mut table).len(), 1, "our own dial takes any place");
}

#[test]
fn protected_and_busy_ones_stay_whatever_comes() {
    let mut table = table();
    assert!(table.protect(0, "relay"));
    for peer in 0..6 {
        table.opened(peer, inbound(peer), at(0)).unwrap();
    }
    table.busy(1, true, at(0));
    for peer in 100..600 {
        let _ = table.opened(peer, if peer % 2 == 0 { inbound(peer) } else { outbound(peer) }, at(u64::from(peer)));
        table.tick(at(u64::from(peer)));
    }
    assert!(table.contains(0) && table.contains(1));
    assert!(table.len() <= LIMITS.total);
    table.release(0, "other", at(600));
    table.tick(at(660));
    assert!(table.contains(0), "still protected by its own tag");
    table.release(0, "relay", at(660));
    table.busy(1, false, at(660));
    table.tick(at(661));
    assert!(table.contains(0) && table.contains(1), "idle from now on, not from the first moment on");
    for second in 662..=690 {
        table.tick(at(second));
    }
    assert!(!table.contains(0) && !table.contains(1));
}

#[test]
fn not_everybody_can_be_protected() {
    let mut table = table();
    assert_eq!((0..8).filter(|peer| table.protect(*peer, "app")).count(), 4);
    assert!(table.protect(0, "relay"), "a second tag costs no place");
    table.release(1, "app", at(0));
    assert!(table.protect(7, "app"));
}

#[test]
fn a_peer_and_a_network_lose_their_own() {
    let mut table = table();
    table.opened(0, inbound(1), at(0)).unwrap();
    table.opened(1, inbound(1), at(0)).unwrap();
    table.moved(0, 1, at(1));
    table.opened(2, inbound(1), at(1)).unwrap();
    assert_eq!(orders(&mut table), [Order::Close(1, Reason::LeastUseful)], "a page that was reloaded comes back at once");
    table.busy(0, true, at(1));
    table.busy(2, true, at(1));
    assert_eq!(table.opened(3, inbound(1), at(1)), Err(Refused::Peer));

    let mut table = Connections::new(LIMITS, at(0));
    let neighbour = |peer| Opened { network: network(0), ..inbound(peer) };
    for peer in 0..4 {
        table.opened(peer, neighbour(peer), at(0)).unwrap();
    }
    assert_eq!(table.opened(4, neighbour(4), at(1)), Err(Refused::Network));
    table.opened(4, neighbour(4), at(6)).unwrap();
    assert_eq!(orders(&mut table).len(), 1);
    table.opened(5, inbound(5), at(6)).unwrap();
    assert!(orders(&mut table).is_empty());
}

#[test]
fn the_least_useful_goes_first() {
    // From the least to the most useful, each by one trait.
    let opened = |peer, path| Opened { path, ..outbound(peer) };
    let mut table = Connections::new(Limits { total: 7, per_peer: 9, ..LIMITS }, at(0));
    table.opened(1, opened(1, Path::Relayed), at(0)).unwrap(); // not the only one to its peer
    table.opened(2, opened(1, Path::Direct), at(0)).unwrap();
    table.opened(3, opened(3, Path::Direct), at(0)).unwrap(); // failing
    table.opened(4, opened(4, Path::Relayed), at(0)).unwrap(); // relayed
    table.opened(5, opened(5, Path::Direct), at(0)).unwrap(); // long unused
    table.opened(6, opened(6, Path::Direct), at(0)).unwrap(); // used, but little
    table.opened(7, opened(7, Path::Direct), at(0)).unwrap();
    for (id, bytes) in [(1, 1 << 30), (2, 1 << 20), (3, 1 << 30), (4, 1 << 30), (6, 1 << 10), (7, 1 << 20)] {
        table.moved(id, bytes, at(100));
    }
    table.failed(3);
    let mut gone = Vec::new();
    for id in 10..16 {
        table.opened(id, opened(id, Path::Direct), at(100)).unwrap();
        // The newcomers themselves are of use.
        table.busy(id, true, at(100));
        gone.extend(orders(&mut table));
    }
    assert_eq!(gone, [1, 3, 4, 5, 6, 2].map(|id| Order::Close(id, Reason::LeastUseful)));
}

#[test]
fn silence_and_an_unanswered_question_make_a_peer_dead() {
    let mut table = table();
    table.opened(1, outbound(1), at(0)).unwrap();
    table.opened(2, outbound(2), at(0)).unwrap();
    table.heard(1, at(11));
    // Asked at 10: the first was heard since, so its answer waits behind something else.
    table.unanswered(1, at(10));
    table.unanswered(2, at(10));
    assert_eq!(orders(&mut table), [Order::Close(2, Reason::Dead)]);
    table.unanswered(1, at(11));
    assert_eq!(orders(&mut table), [Order::Close(1, Reason::Dead)]);
}

#[test]
fn our_own_sleep_is_held_against_nobody() {
    let mut table = table();
    table.opened(1, outbound(1), at(0)).unwrap();
    for second in 0..10 {
        table.tick(at(second));
    }
    table.tick(at(600));
    table.unanswered(1, at(9));
    assert!(orders(&mut table).is_empty());
    for second in 600..620 {
        table.tick(at(second));
    }
    assert!(table.contains(1), "20 seconds of being awake are left of its 30");
    table.tick(at(621));
    assert_eq!(orders(&mut table), [Order::Close(1, Reason::Idle)]);
}

#[test]
fn half_open_ones_are_few_and_the_oldest_of_the_most_crowded_network_goes() {
    let (mut half_open, mut suspects) = (Handshakes::<u32>::new(HANDSHAKES), Suspects::default());
    let mut begin = |id, number, second| half_open.begin(id, network(number), &mut suspects, at(second));
    assert_eq!([begin(0, 0, 0), begin(1, 0, 1), begin(9, 9, 1)], [Ok(None); 3]);
    assert_eq!(begin(2, 0, 0), Err(Refused::Handshakes), "none is old enough");
    half_open.finished(9);
    let mut begin = |id, number, second| half_open.begin(id, network(number), &mut suspects, at(second));
    assert_eq!(begin(2, 0, 2), Ok(Some(0)), "as many as one network may have: it loses its own oldest");
    assert_eq!([begin(3, 3, 3), begin(4, 4, 4)], [Ok(None); 2]);
    assert_eq!(begin(5, 5, 5), Ok(Some(1)), "as many as there may be: the most crowded network loses its oldest");
    assert_eq!(half_open.len(), 4);

    let mut half_open = Handshakes::<u32>::new(HandshakeLimits { abortable: None, ..HANDSHAKES });
    assert_eq!([0, 1].map(|id| half_open.begin(id, network(0), &mut suspects, at(0))), [Ok(None); 2]);
    assert_eq!(half_open.begin(2, network(0), &mut suspects, at(9)), Err(Refused::Handshakes));
}

#[test]
fn a_network_whose_handshakes_came_to_nothing_loses_its_places_at_once_to_one_of_a_better_name() {
    let (mut half_open, mut suspects) = (Handshakes::<u32>::new(HANDSHAKES), Suspects::default());
    // All places are taken; the first one fails, and comes again at once.
    (0..4).for_each(|id| assert_eq!(half_open.begin(id, network(id), &mut suspects, at(0)), Ok(None)));
    half_open.failed(0, &mut suspects, at(0));
    assert_eq!(half_open.begin(10, network(0), &mut suspects, at(0)), Ok(None));
    half_open.failed(1, &mut suspects, at(0));
    assert_eq!(half_open.begin(11, network(1), &mut suspects, at(0)), Ok(None));
    assert_eq!(half_open.begin(12, network(0), &mut suspects, at(0)), Err(Refused::Handshakes), "suspects wait for each other");
    assert_eq!(half_open.begin(5, network(5), &mut suspects, at(0)), Ok(Some(10)), "others need not wait for them");
    assert_eq!(half_open.begin(6, network(6), &mut suspects, at(0)), Ok(Some(11)));
    assert_eq!(half_open.begin(7, network(7), &mut suspects, at(0)), Err(Refused::Handshakes), "only others are left");
    // Done in time is no failure, and a failure is forgotten.
    half_open.finished(5);
    assert_eq!(half_open.begin(13, network(5), &mut suspects, at(0)), Ok(None));
    assert_eq!(half_open.begin(8, network(8), &mut suspects, at(0)), Err(Refused::Handshakes));
    half_open.finished(13);
    assert_eq!(half_open.begin(14, network(0), &mut suspects, at(59)), Ok(None));
    assert_eq!(half_open.begin(9, network(9), &mut suspects, at(60)), Ok(Some(2)), "of equals the oldest");
}

#[derive(Clone, Debug)]
enum Step {
    Opened(u32, u32, bool, bool),
    Gone(u32),
    Moved(u32),
    Busy(u32, bool),
    Failed(u32),
    Unanswered(u32),
    Protect(u32),
    Release(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (id, peer) = (0..40_u32, 0..12_u32);
    prop_oneof![
        4 => (id.clone(), peer.clone(), any::<bool>(), any::<bool>()).prop_map(|(id, peer, direct, inbound)| Step::Opened(id, peer, direct, inbound)),
        1 => id.clone().prop_map(Step::Gone),
        2 => id.clone().prop_map(Step::Moved),
        1 => (id.clone(), any::<bool>()).prop_map(|(id, busy)| Step::Busy(id, busy)),
        1 => id.clone().prop_map(Step::Failed),
        1 => id.prop_map(Step::Unanswered),
        1 => peer.clone().prop_map(Step::Protect),
        1 => peer.prop_map(Step::Release),
        2 => (0..40_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn bounds_hold_and_what_is_kept_is_kept(steps in proptest::collection::vec(step(), 1..300)) {
        let mut table = table();
        let mut now = at(0);
        let mut open = BTreeMap::<u32, Opened<u32>>::new();
        let (mut busy, mut protected) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Opened(id, peer, direct, is_inbound) if !open.contains_key(&id) => {
                    let path = if direct { Path::Direct } else { Path::Relayed };
                    let new = Opened { path, inbound: is_inbound, network: network(peer / 2), peer };
                    if table.opened(id, new, now).is_ok() { open.insert(id, new); }
                }
                Step::Gone(id) => {
                    table.closed(id);
                    open.remove(&id);
                }
                Step::Moved(id) => table.moved(id, 1_000, now),
                Step::Busy(id, is_busy) if open.contains_key(&id) => {
                    table.busy(id, is_busy, now);
                    busy.retain(|other| *other != id);
                    if is_busy { busy.push(id) }
                }
                Step::Failed(id) => table.failed(id),
                Step::Unanswered(id) => table.unanswered(id, now),
                Step::Protect(peer) => {
                    protected.retain(|other| *other != peer);
                    protected.extend(table.protect(peer, "app").then_some(peer));
                }
                Step::Release(peer) => {
                    table.release(peer, "app", now);
                    protected.retain(|other| *other != peer);
                }
                Step::Wait(seconds) => {
                    now = now + Duration::from_secs(seconds);
                    table.tick(now);
                }
                _ => {}
            }
            busy.retain(|id| open.contains_key(id));
            while let Some(Order::Close(id, reason)) = table.poll_order() {
                prop_assert!(open.contains_key(&id), "{id} is not known");
                let closed = open.remove(&id).expect("just looked up");
                prop_assert!(reason == Reason::Dead || !busy.contains(&id), "{id} was busy: {reason:?}");
                // A protected peer loses one only to another one of its own.
                let others = open.values().filter(|other| other.peer == closed.peer).count();
                prop_assert!(reason == Reason::Dead || !protected.contains(&closed.peer) || others > 0, "{closed:?} was protected: {reason:?}");
            }
            busy.retain(|id| open.contains_key(id));
            prop_assert_eq!(table.len(), open.len());
            prop_assert!(open.len() <= LIMITS.total);
            for peer in 0..12 {
                prop_assert!(open.values().filter(|other| other.peer == peer).count() <= LIMITS.per_peer);
            }
        }
    }
}

#[test]
fn the_defaults_of_a_page_hold_together() {
    let defaults = Limits::default();
    assert!(defaults.kept_for_dialling < defaults.total && defaults.per_peer < defaults.total && defaults.per_network < defaults.total);
    assert!(limits::CONNECTION_SETTLED < defaults.idle);
}

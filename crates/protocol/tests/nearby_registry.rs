//! The relay's half against a plain model: whatever comes, goes, renames itself and floods, everybody hears of their own group and of no
//! other, in the end exactly who is there, and no more often than is due.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests panic like tests")]

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use shoal_protocol::{
    connections::Network,
    identity::PublicKey,
    limits::{NEARBY_ANNOUNCEMENTS, NEARBY_JOINS, NEARBY_LIFETIME, NEARBY_RENEWAL, NEARBY_UPDATE, NEARBY_UPDATE_EACH},
    nearby::{Bounds, Group, Heard, Name, Order, Presence, Refusal, Registry},
    time::Time,
};

const BOUNDS: Bounds = Bounds { total: 7, per_group: 4 };
const START: Time = Time::from_origin(Duration::ZERO);

fn key(number: u8) -> PublicKey {
    static KEYS: LazyLock<Vec<PublicKey>> = LazyLock::new(|| {
        let key = |number| PublicKey::from_bytes(SigningKey::from_bytes(&[number; 32]).verifying_key().as_bytes());
        (1..=201).map(key).collect::<Result<_, _>>().unwrap()
    });
    KEYS[usize::from(number)]
}

fn group(number: u8) -> Group {
    match number {
        0 => Group::Lan,
        _ => Group::Public(Network::from(std::net::IpAddr::from([198, 51, 100, number]))),
    }
}

fn name(number: u8) -> Option<Name> {
    (number > 0).then(|| Name::new(&format!("device {number}")).unwrap())
}

/// The devices in a list, as somebody who is not among them reads it.
fn read(list: &Bytes) -> Vec<(PublicKey, Option<Name>)> {
    match Presence::new(key(200), None, START).receive(list) {
        Ok(Some(Heard::Devices(devices))) => devices.into_iter().map(|device| (device.key, device.name)).collect(),
        other => panic!("{other:?}"),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Announce { device: u8, group: u8, name: u8 },
    Leave { nth: usize },
    Wait(Duration),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..8, 0_u8..3, 0_u8..3).prop_map(|(device, group, name)| Step::Announce { device, group, name }),
        2 => (0_usize..8).prop_map(|nth| Step::Leave { nth }),
        3 => (0_u64..4_000).prop_map(|milliseconds| Step::Wait(Duration::from_millis(milliseconds))),
        1 => (0_u64..200).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
    ]
}

/// A member as the test sees it: its stream, what it said last, and what it was told last.
#[derive(Debug)]
struct Stream {
    device: u8,
    group: u8,
    name: u8,
    announced: Time,
    told: Option<Bytes>,
}

#[derive(Debug)]
struct Model {
    registry: Registry<u32>,
    now: Time,
    next: u32,
    streams: BTreeMap<u32, Stream>,
    /// When a member was told something unasked.
    told_at: BTreeMap<u32, Time>,
}

impl Model {
    fn new() -> Self {
        Self { registry: Registry::new(BOUNDS), now: START, next: 0, streams: BTreeMap::new(), told_at: BTreeMap::new() }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Announce { device, group: at, name: called } => {
                let known = self.streams.iter().find(|(_, stream)| stream.device == device && stream.group == at).map(|(id, _)| *id);
                // Now and then on a new stream, which replaces the old one.
                let id = known.filter(|id| (id + u32::from(called)) % 5 != 0).unwrap_or_else(|| {
                    self.next += 1;
                    self.next
                });
                self.streams.entry(id).or_insert(Stream { device, group: at, name: called, announced: self.now, told: None });
                let orders = self.registry.announce(id, group(at), &key(device), name(called), self.now);
                if let Some(stream) = self.streams.get_mut(&id) {
                    (stream.name, stream.announced) = (called, self.now);
                }
                self.carry_out(orders, Some(id));
            }
            Step::Leave { nth } => {
                let Some(id) = self.streams.keys().nth(nth).copied() else { return };
                self.streams.remove(&id);
                self.registry.leave(id, self.now);
            }
            Step::Wait(time) => {
                let until = self.now + time;
                while let Some(at) = self.registry.deadline().filter(|at| *at <= until) {
                    self.now = self.now.max(at);
                    let orders = self.registry.poll(self.now);
                    assert!(self.registry.deadline().is_none_or(|next| next > self.now), "what was due is done");
                    self.carry_out(orders, None);
                }
                self.now = until;
            }
        }
        assert_eq!(self.registry.len(), self.streams.len());
        assert!(self.streams.len() <= BOUNDS.total);
        for at in 0..3 {
            assert!(self.streams.values().filter(|stream| stream.group == at).count() <= BOUNDS.per_group);
        }
    }

    fn carry_out(&mut self, orders: Vec<Order<u32>>, asked: Option<u32>) {
        for order in orders {
            match order {
                Order::Tell(id, list) => {
                    let at = self.streams[&id].group;
                    for (listed, _) in read(&list) {
                        assert!(
                            self.streams.values().any(|stream| stream.group == at && key(stream.device) == listed),
                            "{id} hears of its own group only"
                        );
                    }
                    if asked.is_none() {
                        let before = self.told_at.insert(id, self.now);
                        assert!(before.is_none_or(|before| self.now.since(before) >= NEARBY_UPDATE), "no list before its time");
                    }
                    self.streams.get_mut(&id).unwrap().told = Some(list);
                }
                Order::Drop(id, refusal) => {
                    let stream = self.streams.remove(&id).unwrap();
                    match refusal {
                        Refusal::Expired => assert!(self.now.since(stream.announced) >= NEARBY_LIFETIME),
                        Refusal::Replaced => assert_ne!(asked, Some(id)),
                        Refusal::Full | Refusal::TooOften => assert_eq!(asked, Some(id)),
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }

    /// After a while in which nothing happens, nobody's end either, everybody knows exactly who is here.
    fn settle(&mut self) {
        let quiet = NEARBY_UPDATE + NEARBY_UPDATE_EACH * 64;
        self.step(&Step::Wait(quiet));
        while self.registry.deadline().is_some_and(|next| next <= self.now + quiet) {
            self.step(&Step::Wait(quiet));
        }
        for stream in self.streams.values() {
            let mut expected: Vec<_> = self
                .streams
                .values()
                .filter(|other| other.group == stream.group)
                .map(|other| (key(other.device), name(other.name)))
                .collect();
            expected.sort_by_key(|(key, _)| *key.as_bytes());
            assert_eq!(read(stream.told.as_ref().unwrap()), expected);
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_everybody_knows_their_own_group(steps in prop::collection::vec(any_step(), 1..80)) {
        let mut model = Model::new();
        steps.iter().for_each(|step| model.step(step));
        model.settle();
        // Nobody renews: all are gone, and nothing is kept of them.
        model.step(&Step::Wait(NEARBY_LIFETIME));
        prop_assert!(model.registry.is_empty());
        prop_assert_eq!(model.registry.deadline(), None);
    }
}

fn announce(registry: &mut Registry<u32>, id: u32, device: u8, at: u8, now: Time) -> Vec<Order<u32>> {
    registry.announce(id, group(at), &key(device), None, now)
}

#[test]
fn two_see_each_other_come_and_go_and_a_third_elsewhere_sees_neither() {
    let mut registry = Registry::new(Bounds::default());
    let mut now = START;
    announce(&mut registry, 1, 1, 1, now);
    let elsewhere = announce(&mut registry, 3, 3, 2, now);
    let [Order::Tell(3, list)] = elsewhere.as_slice() else { panic!("{elsewhere:?}") };
    assert_eq!(read(list), [(key(3), None)]);
    now = now + NEARBY_UPDATE * 5;
    registry.poll(now);
    announce(&mut registry, 2, 2, 1, now);
    let told: Vec<_> = registry.poll(now).into_iter().filter(|order| matches!(order, Order::Tell(1, _))).collect();
    let [Order::Tell(_, list)] = told.as_slice() else { panic!("after a quiet time at once: {told:?}") };
    assert_eq!(read(list).len(), 2);
    registry.leave(2, now);
    assert_eq!(registry.poll(now), [], "the next list has to wait");
    now = registry.deadline().unwrap();
    let told = registry.poll(now);
    let [Order::Tell(1, list)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(read(list), [(key(1), None)]);
}

#[test]
fn who_renews_stays_and_who_falls_silent_goes() {
    let mut registry = Registry::new(Bounds::default());
    let mut now = START;
    announce(&mut registry, 1, 1, 1, now);
    announce(&mut registry, 2, 2, 1, now);
    for _ in 0..20 {
        now = now + NEARBY_RENEWAL;
        assert_eq!(announce(&mut registry, 1, 1, 1, now), [], "a renewal is no news");
        registry.poll(now);
    }
    assert_eq!(registry.len(), 1);
}

#[test]
fn floods_cost_their_sender_its_place_and_others_nothing() {
    let mut registry = Registry::new(Bounds::default());
    announce(&mut registry, 1, 1, 1, START);
    announce(&mut registry, 2, 2, 2, START);
    let refused = (0..100).map(|_| announce(&mut registry, 1, 1, 1, START)).position(|orders| !orders.is_empty());
    assert_eq!(refused, Some(NEARBY_ANNOUNCEMENTS as usize));
    // Coming and going, until the group has had enough of newcomers.
    let orders = (0..NEARBY_JOINS * 2).map(|id| {
        let orders = announce(&mut registry, 100 + id, 3, 2, START);
        registry.leave(100 + id, START);
        orders
    });
    let told = orders.filter(|orders| matches!(orders.as_slice(), [Order::Tell(..)])).count();
    assert_eq!(told, NEARBY_JOINS as usize - 1);
    assert_eq!(registry.len(), 1, "whoever was there stays");
    assert!(matches!(announce(&mut registry, 9, 9, 1, START).as_slice(), [Order::Tell(9, _)]), "another group is not concerned");
}

#[test]
fn a_full_group_and_a_full_relay_refuse_the_next_one() {
    let mut registry = Registry::new(BOUNDS);
    for device in 0..4 {
        assert!(matches!(announce(&mut registry, device.into(), device, 1, START).as_slice(), [Order::Tell(..)]));
    }
    assert_eq!(announce(&mut registry, 4, 4, 1, START), [Order::Drop(4, Refusal::Full)]);
    assert!(matches!(announce(&mut registry, 5, 0, 1, START).as_slice(), [Order::Drop(0, Refusal::Replaced), Order::Tell(5, _)]));
    for device in 10..13 {
        announce(&mut registry, device.into(), device, 2, START);
    }
    assert_eq!(announce(&mut registry, 13, 13, 3, START), [Order::Drop(13, Refusal::Full)]);
    assert_eq!(registry.len(), BOUNDS.total);
}

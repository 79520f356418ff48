//! Bytes of the nearby protocol: what is written is read, however it is cut; everything else is refused, and nothing is held of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use shoal_protocol::{
    connections::Network,
    identity::PublicKey,
    limits::{NEARBY_DEVICES_PER_GROUP, NEARBY_NAME, NEARBY_RENEWAL},
    nearby::{Announcements, Bounds, Group, Heard, Name, Order, Presence, Refusal, Registry, Violation},
    time::Time,
};

const START: Time = Time::from_origin(std::time::Duration::ZERO);

fn key(number: u64) -> PublicKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    PublicKey::from_bytes(SigningKey::from_bytes(&seed).verifying_key().as_bytes()).unwrap()
}

fn group() -> Group {
    Group::Public(Network::from("198.51.100.1".parse::<std::net::IpAddr>().unwrap()))
}

/// What a relay that lists these devices sends to the last of them.
fn list_of(devices: &[(u64, Option<Name>)]) -> Bytes {
    let mut registry = Registry::new(Bounds::default());
    let mut told = Bytes::new();
    for (number, name) in devices {
        for order in registry.announce(*number, group(), &key(*number), name.clone(), START) {
            if let Order::Tell(_, list) = order {
                told = list;
            }
        }
    }
    told
}

fn presence() -> Presence {
    Presence::new(key(0), None, START)
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut buffer = unsigned_varint::encode::usize_buffer();
    [unsigned_varint::encode::usize(body.len(), &mut buffer), body].concat()
}

fn any_name() -> impl Strategy<Value = Option<Name>> {
    any::<String>().prop_map(|text| Name::new(&text.chars().take(NEARBY_NAME / 4).collect::<String>()).ok())
}

proptest! {
    #[test]
    fn an_announcement_is_read_however_it_is_cut(names in prop::collection::vec(any_name(), 1..5), size in 1_usize..20) {
        let (mut wire, mut reader, mut read) = (Vec::new(), Announcements::default(), Vec::new());
        for name in &names {
            wire.extend(Presence::new(key(0), name.clone(), START).announcement(START).unwrap());
        }
        for mut piece in wire.chunks(size) {
            while let Some(name) = reader.next(&mut piece).unwrap() {
                read.push(name);
            }
        }
        prop_assert_eq!(read, names);
    }

    #[test]
    fn a_list_is_read_however_it_is_cut(names in prop::collection::vec(any_name(), 1..12), size in 1_usize..100) {
        let devices: Vec<_> = names.into_iter().enumerate().map(|(number, name)| (number as u64, name)).collect();
        let (mut presence, mut heard) = (presence(), None);
        for piece in list_of(&devices).chunks(size) {
            prop_assert_eq!(&heard, &None, "only the last byte completes it");
            heard = presence.receive(piece).unwrap();
        }
        let Some(Heard::Devices(read)) = heard else { return Err(TestCaseError::fail("no list")) };
        let mut expected: Vec<_> = devices.into_iter().filter(|(number, _)| *number != 0).map(|(number, name)| (key(number), name)).collect();
        expected.sort_by_key(|(key, _)| *key.as_bytes());
        prop_assert_eq!(read.into_iter().map(|device| (device.key, device.name)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nonsense_is_refused_or_waits_for_more(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = presence().receive(&bytes);
        let (mut reader, mut input) = (Announcements::default(), bytes.as_slice());
        while let Ok(Some(_)) = reader.next(&mut input) {}
    }

    #[test]
    fn a_changed_byte_never_makes_a_list_out_of_order(position in 0_usize..400, value in any::<u8>()) {
        let names = ["Ada", "Ben", "Cleo"].map(|name| Name::new(name).ok());
        let devices: Vec<_> = names.into_iter().enumerate().map(|(number, name)| (number as u64 + 1, name)).collect();
        let mut bytes = list_of(&devices).to_vec();
        let position = position % bytes.len();
        bytes[position] = value;
        if let Ok(Some(Heard::Devices(read))) = presence().receive(&bytes) {
            prop_assert!(read.windows(2).all(|pair| pair[0].key.as_bytes() < pair[1].key.as_bytes()));
        }
    }
}

#[test]
fn the_bytes_on_the_wire() {
    let name = Name::new("Ada").ok();
    assert_eq!(Presence::new(key(0), name.clone(), START).announcement(START).unwrap(), &b"\x04\x00Ada"[..]);
    assert_eq!(presence().announcement(START).unwrap(), &b"\x01\x00"[..]);
    let expected = [b"\x25\x01".as_slice(), key(1).as_bytes(), b"\x03Ada"].concat();
    assert_eq!(list_of(&[(1, name)]), expected);
    assert_eq!(Refusal::Full.message(), &b"\x02\x02\x01"[..]);
}

#[test]
fn announcements_come_in_time_and_with_a_new_name() {
    let mut presence = presence();
    assert!(presence.announcement(START).is_some() && presence.announcement(START).is_none());
    assert_eq!(presence.due(), START + NEARBY_RENEWAL);
    presence.rename(None, START);
    assert!(presence.announcement(START).is_none(), "the same name is no news");
    presence.rename(Name::new("Ada").ok(), START);
    assert_eq!(presence.announcement(START).unwrap(), &b"\x04\x00Ada"[..]);
    assert!(presence.announcement(START + NEARBY_RENEWAL).is_some());
}

#[test]
fn a_refusal_is_heard_with_its_reason() {
    for refusal in [Refusal::Full, Refusal::UnknownNetwork, Refusal::TooOften, Refusal::Replaced, Refusal::Expired, Refusal::Other(77)] {
        assert_eq!(presence().receive(&refusal.message()), Ok(Some(Heard::Refused(refusal))));
    }
}

#[test]
fn a_relay_that_breaks_a_rule_is_not_believed() {
    let (low, high) = if key(1).as_bytes() < key(2).as_bytes() { (key(1), key(2)) } else { (key(2), key(1)) };
    let device = |key: &[u8; 32], name: &[u8]| [key, &[name.len() as u8][..], name].concat();
    let list = |devices: &[Vec<u8>]| framed(&[&[1], devices.concat().as_slice()].concat());
    let (one, two) = (device(low.as_bytes(), b"one"), device(high.as_bytes(), b""));
    assert!(presence().receive(&list(&[one.clone(), two.clone()])).is_ok());
    let mut weak = [0; 32];
    weak[0] = 1;
    for (case, bytes, violation) in [
        ("an empty message", vec![0], Violation::Malformed),
        ("an unknown kind", framed(&[9]), Violation::Malformed),
        ("what only a device says", framed(b"\0Ada"), Violation::Malformed),
        ("a length in long form", vec![0x81, 0x00], Violation::Malformed),
        ("a length above all", vec![0xff, 0xff, 0x7f], Violation::TooLong { length: 0x1f_ffff }),
        ("a refusal with something behind it", framed(&[2, 1, 1]), Violation::Malformed),
        ("a refusal without a code", framed(&[2]), Violation::Malformed),
        ("a list out of order", list(&[two, one.clone()]), Violation::Malformed),
        ("a device twice", list(&[one.clone(), one.clone()]), Violation::Twice),
        ("a device cut off", list(&[one[..20].to_vec()]), Violation::Malformed),
        ("a name longer than the message", list(&[device(low.as_bytes(), b"one")[..34].to_vec()]), Violation::Malformed),
        ("a name that is none", list(&[device(low.as_bytes(), b"two\nlines")]), Violation::Malformed),
        ("a name that is no text", list(&[device(low.as_bytes(), b"\xff")]), Violation::Malformed),
        ("a name of 65 bytes", list(&[device(low.as_bytes(), &[b'x'; NEARBY_NAME + 1])]), Violation::Malformed),
        ("a weak key", list(&[device(&weak, b"one")]), Violation::Malformed),
        ("a list longer than a group", list(&vec![one; NEARBY_DEVICES_PER_GROUP * 3]), Violation::TooLong { length: 6_913 }),
    ] {
        assert_eq!(presence().receive(&bytes), Err(violation), "{case}");
    }
}

#[test]
fn a_device_that_breaks_a_rule_is_told_so_at_once() {
    for bytes in [vec![0], framed(&[1]), framed(b"\0two\nlines"), framed(b"\0\xff"), vec![66], vec![0xff; 9], framed(b"\0 Ada")] {
        let mut input = bytes.as_slice();
        assert!(Announcements::default().next(&mut input).is_err(), "{bytes:x?}");
    }
}

#[test]
fn a_full_group_fits_into_one_message() {
    let name = Name::new(&"x".repeat(NEARBY_NAME)).ok();
    let devices: Vec<_> = (1..=NEARBY_DEVICES_PER_GROUP as u64).map(|number| (number, name.clone())).collect();
    let list = list_of(&devices);
    assert_eq!(list.len(), 6_209 + 2);
    match presence().receive(&list) {
        Ok(Some(Heard::Devices(read))) => assert_eq!(read.len(), NEARBY_DEVICES_PER_GROUP),
        other => panic!("{other:?}"),
    }
}

//! Nearby devices: what a stranger announces to a relay, and what a relay tells a device.

use std::sync::LazyLock;

use shoal_protocol::{
    identity::PublicKey,
    limits::{NEARBY_DEVICES_PER_GROUP, NEARBY_NAME},
    nearby::{Announcements, Heard, Name, Presence, Violation},
    time::Time,
};

use crate::input::{Input, varint};

/// Some keys: a fuzzer would not find points of the curve.
static KEYS: LazyLock<Vec<PublicKey>> = LazyLock::new(|| {
    let candidates = (0..=255_u8).map(|first| {
        let mut bytes = [0x11; 32];
        bytes[0] = first;
        bytes
    });
    candidates.filter_map(|bytes| PublicKey::from_bytes(&bytes).ok()).collect()
});

/// Any bytes as announcements, in any pieces: what is read does not depend on the pieces, and has one spelling.
pub(crate) fn relay(data: &[u8]) {
    let mut input = Input::new(data);
    let cut = 1 + input.below(100);
    let bytes = input.rest();
    let read = |cut| {
        let (mut reader, mut names) = (Announcements::default(), Vec::new());
        for mut piece in bytes.chunks(cut) {
            loop {
                match reader.next(&mut piece) {
                    Ok(Some(name)) => names.push(name),
                    Ok(None) => break,
                    Err(violation) => return (names, Some(violation)),
                }
            }
        }
        (names, None)
    };
    let (names, violation) = read(cut);
    assert_eq!((&names, violation), (&read(usize::MAX).0, read(usize::MAX).1));
    let spelt: Vec<u8> = names.iter().flat_map(|name| announced(name.clone())).collect();
    assert!(bytes.starts_with(&spelt));
}

fn announced(name: Option<Name>) -> Vec<u8> {
    let now = Time::default();
    Presence::new(KEYS[0], name, now).announcement(now).expect("it is due").to_vec()
}

/// Lists and refusals, mostly well-formed, in any pieces: what is believed is in order, short, and without the device itself.
pub(crate) fn device(data: &[u8]) {
    let mut input = Input::new(data);
    let cut = 1 + input.below(100);
    let mut bytes = Vec::new();
    while !input.is_empty() && bytes.len() < 20_000 {
        let mut body = vec![input.byte() % 4];
        for _ in 0..input.below(NEARBY_DEVICES_PER_GROUP + 3) {
            body.extend(KEYS[input.below(KEYS.len())].as_bytes());
            let name = input.bytes(NEARBY_NAME + 1);
            body.push(name.len() as u8);
            body.extend(name);
        }
        body.extend(input.bytes(8));
        varint(body.len() as u64, &mut bytes);
        bytes.extend(body);
    }
    let (whole, whole_violation) = heard(&bytes, usize::MAX);
    let (pieces, violation) = heard(&bytes, cut);
    assert_eq!(violation, whole_violation);
    if violation.is_none() {
        // Of several lists in one piece only the last counts.
        assert_eq!(pieces.last(), whole.last());
    }
    for heard in pieces.into_iter().chain(whole) {
        if let Heard::Devices(devices) = heard {
            assert!(devices.len() <= NEARBY_DEVICES_PER_GROUP);
            assert!(devices.windows(2).all(|pair| pair[0].key.as_bytes() < pair[1].key.as_bytes()));
            assert!(devices.iter().all(|device| device.key != KEYS[0]));
        }
    }
}

/// What a device hears until the relay refuses or breaks a rule.
fn heard(bytes: &[u8], cut: usize) -> (Vec<Heard>, Option<Violation>) {
    let (mut presence, mut all) = (Presence::new(KEYS[0], None, Time::default()), Vec::new());
    for piece in bytes.chunks(cut) {
        match presence.receive(piece) {
            Ok(Some(heard)) => {
                let over = matches!(heard, Heard::Refused(_));
                all.push(heard);
                if over {
                    break;
                }
            }
            Ok(None) => {}
            Err(violation) => return (all, Some(violation)),
        }
    }
    (all, None)
}

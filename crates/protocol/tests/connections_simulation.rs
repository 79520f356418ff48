//! Crowds: what attackers do to the table, and whether honest peers are still served. Simulated, in steps of 10 ms.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use shoal_protocol::{
    connections::{Connections, HandshakeLimits, Handshakes, Limits, Network, Opened, Order, Path},
    time::Time,
};

const STEP: u64 = 10;

const fn at(milliseconds: u64) -> Time {
    Time::from_origin(Duration::from_millis(milliseconds))
}

fn network(number: u32) -> Network {
    IpAddr::from(Ipv4Addr::from_bits(0x0b00_0000 + number)).into()
}

#[test]
fn five_hundred_dials_against_a_limit_of_fifty_keep_the_protected_ones() {
    let limits = Limits { total: 50, kept_for_dialling: 10, ..Limits::default() };
    let mut table = Connections::<u32, u32>::new(limits, at(0));
    let opened = |peer| Opened { peer, network: Some(network(peer)), path: Path::Direct, inbound: true };
    for peer in 0..10 {
        assert!(table.protect(peer, "relay"));
        table.opened(peer, opened(peer), at(0)).unwrap();
    }
    for peer in 10..20 {
        table.opened(peer, opened(peer), at(0)).unwrap();
        table.busy(peer, true, at(0));
    }
    // Ten a second: slowly enough that every attacker before has settled.
    for peer in 1_000..1_500 {
        let now = at(u64::from(peer - 1_000) * 100 + 20_000);
        table.tick(now);
        let _ = table.opened(peer, opened(peer), now);
        assert!(table.len() <= 50);
    }
    assert!((0..20).all(|id| table.contains(id)));
    // And a dial of our own still finds a place.
    table.opened(2_000, Opened { inbound: false, ..opened(2_000) }, at(80_000)).unwrap();
    assert!(table.contains(2_000));
}

/// Attackers open handshakes and never finish them; honest peers need 200 ms for one, and begin one every 50 ms.
/// How many honest ones finished, and how many did not.
fn half_open(attackers: u32, networks: u32, over_milliseconds: u64, limits: HandshakeLimits) -> (u32, u32) {
    let mut handshakes = Handshakes::<u32>::new(limits);
    let mut honest = BTreeMap::new();
    let (mut finished, mut failed, mut begun, mut next_honest) = (0, 0, 0, 1_000_000_u32);
    for milliseconds in (0..over_milliseconds + 1_000).step_by(STEP as usize) {
        let now = at(milliseconds);
        let due = u32::try_from(u64::from(attackers) * milliseconds.min(over_milliseconds) / over_milliseconds).unwrap();
        while begun < due {
            if let Ok(Some(aborted)) = handshakes.begin(begun, Some(network(begun % networks)), now)
                && honest.remove(&aborted).is_some()
            {
                failed += 1;
            }
            begun += 1;
        }
        if milliseconds % 50 == 0 {
            match handshakes.begin(next_honest, Some(network(next_honest)), now) {
                Ok(_) => drop(honest.insert(next_honest, milliseconds + 200)),
                Err(_) => failed += 1,
            }
            next_honest += 1;
        }
        for id in honest.iter().filter(|(_, done)| **done <= milliseconds).map(|(id, _)| *id).collect::<Vec<_>>() {
            honest.remove(&id);
            handshakes.end(id);
            finished += 1;
        }
        assert!(handshakes.len() <= limits.total);
    }
    (finished, failed)
}

#[test]
fn five_thousand_half_open_handshakes_leave_honest_peers_served() {
    let limits = HandshakeLimits { total: 256, per_network: 32, abortable: true };
    // From one network at once, from ten, from a thousand over five seconds.
    for (networks, over) in [(1, 100), (10, 1_000), (1_000, 5_000)] {
        let (finished, failed) = half_open(5_000, networks, over, limits);
        assert_eq!(failed, 0, "{networks} networks: {finished} finished");
    }
    // What refusing instead would do: everybody is shut out for as long as the attackers hold on.
    let (finished, failed) = half_open(5_000, 1_000, 5_000, HandshakeLimits { abortable: false, ..limits });
    assert!(failed > finished);
}

#[test]
fn three_times_as_many_as_there_is_room_for_are_all_served_in_turn() {
    const PLACES: usize = 50;
    let limits = Limits { total: PLACES, kept_for_dialling: 0, ..Limits::default() };
    let mut table = Connections::<u32, u32>::new(limits, at(0));
    // Everyone works for a second, then stays connected without need, and wants again a minute later.
    let mut wants: Vec<u64> = (0..3 * PLACES as u64).map(|peer| peer * 20).collect();
    let mut working = BTreeMap::<u32, u64>::new();
    let (mut served, mut longest) = (vec![0; wants.len()], 0);
    for milliseconds in (0..240_000).step_by(STEP as usize) {
        let now = at(milliseconds);
        if milliseconds % 1_000 == 0 {
            table.tick(now);
        }
        for peer in working.iter().filter(|(_, until)| **until <= milliseconds).map(|(peer, _)| *peer).collect::<Vec<_>>() {
            working.remove(&peer);
            table.busy(peer, false, now);
        }
        for peer in 0..wants.len() as u32 {
            // Whoever was refused tries again every 250 ms.
            let since = wants[peer as usize];
            if since > milliseconds || (milliseconds - since) % 250 >= STEP {
                continue;
            }
            let opened = Opened { peer, network: Some(network(peer)), path: Path::Direct, inbound: true };
            if table.contains(peer) || table.opened(peer, opened, now).is_ok() {
                table.busy(peer, true, now);
                working.insert(peer, milliseconds + 1_000);
                served[peer as usize] += 1;
                longest = longest.max(milliseconds - since);
                wants[peer as usize] = milliseconds + 60_000;
            }
        }
        while let Some(Order::Close(peer, _)) = table.poll_order() {
            assert!(!working.contains_key(&peer), "{peer} was cut off at work");
        }
        assert!(table.len() <= PLACES);
    }
    assert!(served.iter().all(|times| *times >= 3), "{served:?}");
    assert!(longest < 15_000, "one waited {longest} ms");
}

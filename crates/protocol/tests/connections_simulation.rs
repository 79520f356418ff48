//! Crowds: what attackers do to the table, and whether honest peers are still served. Simulated, in steps of 10 ms.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use shoal_protocol::{
    connections::{Connections, HandshakeLimits, Handshakes, Limits, Network, Opened, Order, Path, Suspects},
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

/// Attackers open handshakes and never finish them, `attackers` in all over the given time. An honest peer begins every 50 ms, needs 200 ms,
/// and tries again 250 ms after it was refused or aborted. How long the honest ones took from their first attempt on, in order; those that
/// never got through count as a minute.
fn half_open(attackers: u32, networks: u32, over_milliseconds: u64, limits: HandshakeLimits) -> Vec<u64> {
    let mut crowd =
        Crowd { handshakes: Handshakes::new(limits), suspects: Suspects::default(), waiting: BTreeMap::new(), under_way: BTreeMap::new() };
    let (mut took, mut begun, mut honest) = (Vec::new(), 0, 1_000_000_u32);
    for milliseconds in (0..over_milliseconds + 10_000).step_by(STEP as usize) {
        if milliseconds % 50 == 0 && milliseconds < over_milliseconds {
            crowd.waiting.insert(honest, (milliseconds, milliseconds));
            honest += 1;
        }
        let due = u32::try_from(u64::from(attackers) * milliseconds.min(over_milliseconds) / over_milliseconds).unwrap();
        // The honest ones come somewhere between the attackers of a step, in another place each time.
        let middle = begun + (due - begun) * (u32::try_from(milliseconds / STEP).unwrap() * 7 % 10) / 10;
        (begun..middle).for_each(|id| crowd.begin(id, network(id % networks), milliseconds));
        let ready: Vec<u32> = crowd.waiting.iter().filter(|(_, (_, next))| *next <= milliseconds).map(|(id, _)| *id).collect();
        ready.into_iter().for_each(|id| crowd.begin(id, network(id), milliseconds));
        (middle..due).for_each(|id| crowd.begin(id, network(id % networks), milliseconds));
        begun = due;
        for (id, (since, _)) in crowd.under_way.extract_if(.., |_, (_, done)| *done <= milliseconds).collect::<Vec<_>>() {
            crowd.handshakes.finished(id);
            took.push(milliseconds - since);
        }
        assert!(crowd.handshakes.len() <= limits.total);
    }
    took.extend(crowd.waiting.iter().chain(&crowd.under_way).map(|_| 60_000));
    took.sort_unstable();
    took
}

/// The handshakes, and the honest peers: since when each tries, and when it tries next or is done.
struct Crowd {
    handshakes: Handshakes<u32>,
    suspects: Suspects,
    waiting: BTreeMap<u32, (u64, u64)>,
    under_way: BTreeMap<u32, (u64, u64)>,
}

impl Crowd {
    fn begin(&mut self, id: u32, network: Network, milliseconds: u64) {
        let honest = self.waiting.remove(&id).map(|(since, _)| since);
        let begun = self.handshakes.begin(id, Some(network), &mut self.suspects, at(milliseconds));
        if let Ok(Some(aborted)) = begun
            && let Some((since, _)) = self.under_way.remove(&aborted)
        {
            self.waiting.insert(aborted, (since, milliseconds + 250));
        }
        if let Some(since) = honest {
            let (place, next) = if begun.is_ok() { (&mut self.under_way, 200) } else { (&mut self.waiting, 250) };
            place.insert(id, (since, milliseconds + next));
        }
    }
}

#[test]
fn five_thousand_half_open_handshakes_leave_honest_peers_served() {
    let limits = HandshakeLimits { total: 1_024, per_network: 32, abortable: Some(Duration::from_secs(1)) };
    // From one network at once, from ten, from a thousand at once and over five seconds.
    for (attackers, networks, over) in [(5_000, 1, 100), (5_000, 10, 1_000), (5_000, 1_000, 100), (5_000, 1_000, 5_000)] {
        let took = half_open(attackers, networks, over, limits);
        let slow = took[took.len() * 99 / 100];
        assert!(slow < 2_000, "{attackers} from {networks} networks over {over} ms: p99 {slow} ms");
    }
    // Three times as many a second as there are places, from as many networks: they compete with each other, once they are known.
    let took = half_open(15_000, 1_000, 5_000, limits);
    assert!(took[took.len() / 2] < 250 && took.iter().all(|took| *took < 1_500), "{took:?}");
    // Three times as many from networks that nobody has met: slower, but everybody gets through.
    let took = half_open(15_000, 15_000, 5_000, limits);
    assert!(took[took.len() / 2] < 2_000 && took.iter().all(|took| *took < 6_000), "{took:?}");
    // What refusing instead would do: everybody is shut out for as long as the attackers hold on.
    let took = half_open(5_000, 1_000, 5_000, HandshakeLimits { abortable: None, ..limits });
    assert_eq!(took[took.len() / 2], 60_000);
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

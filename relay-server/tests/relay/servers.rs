//! Servers among each other, on one machine: they stay connected, tell pages of each other, and are reached through each other.

use std::time::Duration;

use libp2p::{Multiaddr, kad, multiaddr::Protocol, swarm::SwarmEvent};
use serde_json::Value;

use crate::support::{
    peer::{BehaviourEvent, Peer, Security},
    program::{Relay, free_tcp_port, free_udp_port},
    until,
};

/// One number of how servers stand with each other.
fn peering(relay: &Relay, name: &str) -> u64 {
    relay.health()["peering"][name].as_u64().unwrap_or_else(|| panic!("no {name} in /healthz"))
}

/// The address of `relay` over TCP.
fn by_tcp(relay: &Relay) -> Multiaddr {
    relay.address_by(&format!("/tcp/{}", relay.listen.port()))
}

/// Two servers that name each other by the ports and keys that they had when they first ran.
fn two_that_name_each_other() -> (Relay, Relay) {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ports = [free_tcp_port(), free_tcp_port()];
    let tcp = ports.map(|port| format!("127.0.0.1:{port}"));
    let address = |index: usize| {
        let relay = Relay::start_in(directories[index].path(), &[]);
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", ports[index], relay.peer())
    };
    let list = format!("{},{}", address(0), address(1));
    let mut numbers = 0..;
    let [first, second] = directories.map(|directory| {
        let index: usize = numbers.next().unwrap();
        Relay::start_with(directory, &["--tcp", &tcp[index], "--peers", &list])
    });
    (first, second)
}

#[tokio::test]
async fn a_named_server_stays_connected_by_each_way_though_nothing_is_said() {
    let server = Relay::start(&["--tcp", "same", "--quic", "127.0.0.1:0", "--idle-seconds", "1"]);
    let ways = [(by_tcp(&server), "tcp"), (server.address_by("/quic-v1"), "quic"), (server.address_by("/ws"), "webSocket")];
    for (address, way) in ways {
        let other = Relay::start(&["--peers", &address.to_string(), "--idle-seconds", "1"]);
        until("their connection", || peering(&other, "servers") == 1 && peering(&server, "servers") == 1).await;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!((&server.health()["ways"][way], server.counted("connections"), peering(&other, "servers")), (&1.into(), 1, 1));
        other.terminate();
        until("its end", || peering(&server, "servers") == 0).await;
    }
}

#[tokio::test]
async fn a_named_server_is_dialled_again_when_it_is_back() {
    let mut server = Relay::start(&["--tcp", "same"]);
    let other = Relay::start(&["--peers", &by_tcp(&server).to_string()]);
    until("their connection", || peering(&other, "servers") == 1).await;
    server.restart(&["--tcp", "same"], Duration::from_millis(500));
    until("the end of it", || peering(&other, "servers") == 0 || peering(&server, "servers") == 1).await;
    until("the next one", || peering(&other, "servers") == 1 && peering(&server, "servers") == 1).await;
}

#[tokio::test]
async fn of_servers_that_nobody_named_only_so_many_are_kept() {
    let server = Relay::start(&["--tcp", "same", "--max-servers", "1", "--idle-seconds", "1"]);
    let address = by_tcp(&server).to_string();
    let others = [(); 3].map(|()| Relay::start(&["--peers", &address]));
    until("one of them", || peering(&server, "servers") == 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(peering(&server, "servers"), 1);
    drop(others);
}

/// Whether `peer` is told by `relay` of anybody who has `key`.
async fn provider_at(peer: &mut Peer, key: &kad::RecordKey) -> bool {
    let wanted = key.clone();
    let query = peer.with(move |swarm| swarm.behaviour_mut().kad.get_providers(wanted)).await;
    let mut found = false;
    peer.event("an answer", |event| {
        let SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { id, result, step, .. })) = event else {
            return None;
        };
        if id != query {
            return None;
        }
        if let kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. })) = result {
            found |= !providers.is_empty();
        }
        step.last.then_some(found)
    })
    .await
}

#[tokio::test]
async fn what_is_announced_at_one_is_found_at_the_other() {
    let (first, second) = two_that_name_each_other();
    until("their connection", || peering(&first, "servers") == 1 && peering(&second, "servers") == 1).await;
    let mut alice = Peer::program(Security::Noise);
    let (id, address) = (first.peer(), first.address());
    alice.dial(address.clone()).await.unwrap();
    alice.with(move |swarm| swarm.behaviour_mut().kad.add_address(&id, address)).await;
    alice.reserve(first.address()).await.unwrap();
    let key = kad::RecordKey::new(b"a multihash");
    let mut told = false;
    for _ in 0..100 {
        let provided = key.clone();
        alice.with(move |swarm| swarm.behaviour_mut().kad.start_providing(provided)).await.unwrap();
        // Bob knows the second one only.
        let mut bob = Peer::new();
        let (id, address) = (second.peer(), second.address());
        bob.dial(address.clone()).await.unwrap();
        bob.with(move |swarm| swarm.behaviour_mut().kad.add_address(&id, address)).await;
        told = provider_at(&mut bob, &key).await;
        if told {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(told, "the second server knows nothing of it");
}

#[tokio::test]
async fn a_server_is_reached_through_the_relay_that_it_reserves_at_again_after_a_restart() {
    let mut relay = Relay::start(&["--tcp", "same"]);
    let server = Relay::start(&["--reserve-at", &by_tcp(&relay).to_string()]);
    for _ in 0..2 {
        until("its reservation", || peering(&server, "reservedAt") == 1 && relay.counted("reservations") == 1).await;
        let answer = server.bootstrap();
        let all: Vec<_> =
            ["addresses", "nativeAddresses"].iter().flat_map(|list| answer[list].as_array().cloned().unwrap_or_default()).collect();
        let through = |address: &Value| address.as_str().is_some_and(|text| text.contains("/p2p-circuit/"));
        assert!(all.iter().any(through), "{all:?}");
        let mut page = Peer::new();
        page.dial(relay.address()).await.unwrap();
        assert_eq!(page.dial_through(&relay, server.peer()).await, Ok(server.peer()));
        assert!(relay.counted("relayedBytes") > 0);
        relay.restart(&["--tcp", "same"], Duration::from_millis(200));
        until("the end of the old one", || peering(&server, "reservedAt") == 0 || relay.counted("reservations") == 1).await;
    }
}

/// Two servers of which one is reached at a relay; both go there by the address that ends like this, and listen as said.
async fn meet(ending: impl FnOnce(&Relay) -> Multiaddr, listens: impl Fn() -> [String; 2]) {
    let relay = Relay::start(&["--tcp", "same", "--quic", "127.0.0.1:0"]);
    let way = ending(&relay);
    let start = |setting: &str, value: &str| {
        let [flag, socket] = listens();
        Relay::start(&[setting, value, &flag, &socket, "--idle-seconds", "1"])
    };
    let reached = start("--reserve-at", &way.to_string());
    until("its reservation", || relay.counted("reservations") == 1).await;
    let circuit = way.clone().with(Protocol::P2pCircuit).with(Protocol::P2p(reached.peer()));
    let other = start("--peers", &format!("{circuit},{way}"));
    until("the direct connection", || peering(&other, "relayedServers") == 0 && peering(&other, "upgraded") >= 1).await;
    assert_eq!(peering(&reached, "relayedServers"), 0);
    until("the end of the circuit", || relay.counted("circuits") == 0).await;
    let before = relay.counted("relayedBytes");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!((relay.counted("relayedBytes"), peering(&other, "servers")), (before, 2));
}

#[tokio::test]
async fn two_servers_that_meet_at_a_relay_get_a_direct_connection_by_quic() {
    meet(|relay| relay.address_by("/quic-v1"), || ["--quic".to_owned(), format!("127.0.0.1:{}", free_udp_port())]).await;
}

#[tokio::test]
async fn two_servers_that_meet_at_a_relay_get_a_direct_connection_by_tcp() {
    meet(by_tcp, || ["--tcp".to_owned(), format!("127.0.0.1:{}", free_tcp_port())]).await;
}

#[tokio::test]
async fn without_hole_punching_they_stay_at_the_relay() {
    let relay = Relay::start(&["--tcp", "same"]);
    let way = by_tcp(&relay);
    let reached = Relay::start(&["--reserve-at", &way.to_string(), "--hole-punching", "false"]);
    until("its reservation", || relay.counted("reservations") == 1).await;
    let circuit = way.with(Protocol::P2pCircuit).with(Protocol::P2p(reached.peer()));
    let other = Relay::start(&["--peers", &circuit.to_string(), "--hole-punching", "false"]);
    until("their connection", || peering(&other, "relayedServers") == 1).await;
    assert_eq!((relay.counted("circuits"), peering(&other, "upgraded")), (1, 0));
}

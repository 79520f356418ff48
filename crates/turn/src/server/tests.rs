//! Clients as RFC 8656 wants them, and others.

use super::*;
use crate::{
    credentials::{Credentials, REALM},
    limits::{CHANNEL, LIFETIME, PERMISSION, PERMISSIONS},
    message::{address_of, encode, encode_proven, u32_at, xored},
    peers::tests::forbidden,
};

const ADDRESS: &str = "192.0.2.9";
const ALICE: &str = "198.51.100.1:5000";
const BOB: &str = "198.51.100.2:6000";
const PEER: &str = "8.8.8.8:7000";

fn at(seconds: u64) -> Now {
    Now { time: Time::from_origin(Duration::from_secs(1_000_000 + seconds)), unix_seconds: 2_000_000_000 + seconds }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn allowed() -> Allowed {
    Allowed { allocations: 100, per_peer: 2, per_network: 8, bytes_per_second: 10_000 }
}

/// A server, and what its clients keep.
struct World {
    server: Server,
    secret: Secret,
    next_port: u16,
    requests: u64,
}

/// What a request was answered with.
#[derive(Debug)]
struct Answer {
    kind: u16,
    code: Option<u16>,
    bytes: Vec<u8>,
}

impl Answer {
    fn of(outputs: &[Output], to: SocketAddr) -> Option<Self> {
        let bytes = outputs.iter().find_map(|output| match output {
            Output::Reply { to: who, bytes } if *who == to => Some(bytes.clone()),
            _ => None,
        })?;
        let message = Message::read(&bytes)?;
        let code = message.attribute(attribute::ERROR_CODE).map(|value| u16::from(value[2]) * 100 + u16::from(value[3]));
        Some(Self { kind: message.kind, code, bytes })
    }

    fn value(&self, kind: u16) -> Vec<u8> {
        Message::read(&self.bytes).unwrap().attribute(kind).unwrap().to_vec()
    }

    fn address(&self, kind: u16) -> SocketAddr {
        address_of(&self.value(kind), &Message::read(&self.bytes).unwrap().transaction).unwrap()
    }
}

impl World {
    fn new(allowed: Allowed) -> Self {
        Self::reached_at(ADDRESS, allowed)
    }

    fn reached_at(address: &str, allowed: Allowed) -> Self {
        let secret = Secret::new([5; 32]);
        Self { server: Server::new(secret.clone(), allowed, address.parse().unwrap()), secret, next_port: 50_000, requests: 0 }
    }

    fn transaction(&mut self) -> [u8; 12] {
        self.requests += 1;
        let mut transaction = [0xaa; 12];
        transaction[..8].copy_from_slice(&self.requests.to_be_bytes());
        transaction
    }

    fn give(&mut self, packet: &[u8], from: &str, now: Now) -> Vec<Output> {
        let port = self.next_port;
        let next = &mut self.next_port;
        self.server.receive(packet, socket(from), now, || {
            *next += 1;
            Some(port)
        })
    }

    /// A request with everything that credentials need.
    fn ask(&mut self, kind: u16, attributes: &[(u16, &[u8])], credentials: &Credentials, from: &str, now: Now) -> Answer {
        let transaction = self.transaction();
        self.ask_as(transaction, kind, attributes, credentials, from, now)
    }

    fn ask_as(
        &mut self,
        transaction: [u8; 12],
        kind: u16,
        attributes: &[(u16, &[u8])],
        credentials: &Credentials,
        from: &str,
        now: Now,
    ) -> Answer {
        let nonce = self.server.nonce(canonical(socket(from)), now);
        self.ask_with(transaction, kind, attributes, credentials, &nonce, from, now)
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a request is made of")]
    fn ask_with(
        &mut self,
        transaction: [u8; 12],
        kind: u16,
        attributes: &[(u16, &[u8])],
        credentials: &Credentials,
        nonce: &[u8],
        from: &str,
        now: Now,
    ) -> Answer {
        let key = credentials.key();
        let who: [(u16, &[u8]); 3] =
            [(attribute::USERNAME, credentials.username.as_bytes()), (attribute::REALM, REALM.as_bytes()), (attribute::NONCE, nonce)];
        let packet = encode_proven(kind, &transaction, &[attributes, &who].concat(), &key);
        let outputs = self.give(&packet, from, now);
        let answer = Answer::of(&outputs, canonical(socket(from))).unwrap();
        let message = Message::read(&answer.bytes).unwrap();
        assert_eq!(message.transaction, transaction);
        let told = matches!(answer.code, Some(400 | 401 | 438));
        assert!(message.is_proven(&key) || told, "only who is unknown gets an answer without a proof: {answer:?}");
        answer
    }

    fn allocate(&mut self, peer: &str, from: &str, now: Now) -> (Answer, Credentials) {
        let credentials = self.secret.credentials(peer, now.unix_seconds);
        (self.ask(kind::ALLOCATE, &UDP_ONLY, &credentials, from, now), credentials)
    }

    fn permit(&mut self, peers: &[&str], credentials: &Credentials, from: &str, now: Now) -> Option<u16> {
        let transaction = self.transaction();
        let values: Vec<Vec<u8>> = peers.iter().map(|peer| xored(socket(peer), &transaction)).collect();
        let attributes: Vec<(u16, &[u8])> = values.iter().map(|value| (attribute::XOR_PEER_ADDRESS, value.as_slice())).collect();
        self.ask_as(transaction, kind::CREATE_PERMISSION, &attributes, credentials, from, now).code
    }

    fn bind(&mut self, channel: u16, peer: &str, credentials: &Credentials, from: &str, now: Now) -> Option<u16> {
        let transaction = self.transaction();
        let (number, peer) = ([channel.to_be_bytes(), [0; 2]].concat(), xored(socket(peer), &transaction));
        let attributes: [(u16, &[u8]); 2] = [(attribute::CHANNEL_NUMBER, &number), (attribute::XOR_PEER_ADDRESS, &peer)];
        self.ask_as(transaction, kind::CHANNEL_BIND, &attributes, credentials, from, now).code
    }

    fn send(&mut self, peer: &str, data: &[u8], from: &str, now: Now) -> Vec<Output> {
        let peer = xored(socket(peer), &[1; 12]);
        let packet = encode(kind::SEND, &[1; 12], &[(attribute::XOR_PEER_ADDRESS, &peer), (attribute::DATA, data)]);
        self.give(&packet, from, now)
    }
}

/// Types and values.
type Attributes<'a> = &'a [(u16, &'a [u8])];

const UDP_ONLY: [(u16, &[u8]); 1] = [(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0])];

fn channel_data(channel: u16, data: &[u8]) -> Vec<u8> {
    [&channel.to_be_bytes(), &(data.len() as u16).to_be_bytes(), data].concat()
}

fn relay(port: u16, to: &str, bytes: &[u8]) -> Vec<Output> {
    vec![Output::Relay { port, to: socket(to), bytes: bytes.to_vec() }]
}

#[test]
fn a_stranger_is_told_what_he_needs_and_then_gets_a_port() {
    let mut world = World::new(allowed());
    let transaction = world.transaction();
    let outputs = world.give(&encode(kind::ALLOCATE, &transaction, &UDP_ONLY), ALICE, at(0));
    let told = Answer::of(&outputs, socket(ALICE)).unwrap();
    assert_eq!((told.kind, told.code), (0x0113, Some(401)));
    assert_eq!(told.value(attribute::REALM), REALM.as_bytes());
    let nonce = told.value(attribute::NONCE);
    let credentials = world.secret.credentials("alice", at(0).unix_seconds);
    let answer = world.ask_with([7; 12], kind::ALLOCATE, &UDP_ONLY, &credentials, &nonce, ALICE, at(0));
    assert_eq!((answer.kind, answer.code), (0x0103, None));
    assert_eq!(answer.address(attribute::XOR_RELAYED_ADDRESS), SocketAddr::new(ADDRESS.parse().unwrap(), 50_000));
    assert_eq!(answer.address(attribute::XOR_MAPPED_ADDRESS), socket(ALICE));
    assert_eq!(u32_at(&answer.value(attribute::LIFETIME), 0), Some(600));
    // The answer was lost: the same is said again, and no second port is opened. Another request is refused.
    let again = world.ask_with([7; 12], kind::ALLOCATE, &UDP_ONLY, &credentials, &nonce, ALICE, at(1));
    assert_eq!(again.address(attribute::XOR_RELAYED_ADDRESS).port(), 50_000);
    assert_eq!(world.ask_with([8; 12], kind::ALLOCATE, &UDP_ONLY, &credentials, &nonce, ALICE, at(1)).code, Some(437));
    assert_eq!(world.server.counts().allocations, 1);
}

#[test]
fn no_answer_to_a_stranger_is_worth_a_flood() {
    let mut world = World::new(allowed());
    for kind in [1, kind::ALLOCATE, kind::REFRESH, kind::CREATE_PERMISSION, kind::CHANNEL_BIND, kind::SEND, kind::DATA, 0x0103, 0x0113] {
        for length in (0..200).step_by(4) {
            let filling = vec![0; length];
            for attributes in [&[][..], &[(0x8022, &filling[..])], &[(attribute::MESSAGE_INTEGRITY, &filling[..])]] {
                let packet = encode(kind, &[3; 12], attributes);
                for output in world.give(&packet, ALICE, at(0)) {
                    let Output::Reply { bytes, .. } = output else { panic!("{output:?}") };
                    assert!(2 * (bytes.len() + 28) <= 3 * (packet.len() + 28), "{kind:#06x}: {} for {}", bytes.len(), packet.len());
                }
            }
        }
    }
    let asked = encode(kind::ALLOCATE, &[3; 12], &UDP_ONLY);
    assert!(!world.give(&asked, ALICE, at(0)).is_empty(), "the shortest request that a client sends is answered");
}

#[test]
fn credentials_end_but_what_was_made_with_them_is_kept() {
    let mut world = World::new(allowed());
    let (answer, credentials) = world.allocate("alice", ALICE, at(0));
    assert_eq!(answer.code, None);
    assert_eq!(world.ask(kind::ALLOCATE, &UDP_ONLY, &credentials, BOB, at(600)).code, None, "in the last second");
    assert_eq!(world.ask(kind::ALLOCATE, &UDP_ONLY, &credentials, "198.51.100.3:1", at(601)).code, Some(401));
    // The first one is over by now, as nobody refreshed it; the second goes on.
    assert_eq!(world.ask(kind::REFRESH, &[], &credentials, ALICE, at(601)).code, Some(437));
    for hour in 0..20 {
        let long: [(u16, &[u8]); 1] = [(attribute::LIFETIME, &[0xff; 4])];
        let answer = world.ask(kind::REFRESH, &long, &credentials, BOB, at(601 + hour * 3_500));
        assert_eq!((answer.code, u32_at(&answer.value(attribute::LIFETIME), 0)), (None, Some(3_600)), "hour {hour}");
    }
}

#[test]
fn who_cannot_prove_who_he_is_gets_nothing() {
    let mut world = World::new(allowed());
    let good = world.secret.credentials("alice", at(0).unix_seconds);
    let forged = |username: &str, password: &str| Credentials { username: username.to_owned(), password: password.to_owned() };
    let other = Secret::new([6; 32]).credentials("alice", at(0).unix_seconds);
    for bad in
        [forged(&good.username, "x"), forged(&good.username, ""), forged("9999999999:alice", &good.password), forged("alice", "x"), other]
    {
        assert_eq!(world.ask(kind::ALLOCATE, &UDP_ONLY, &bad, ALICE, at(0)).code, Some(401), "{bad:?}");
    }
    let old = world.server.nonce(socket(ALICE), at(0));
    let elsewhere = world.server.nonce(socket(BOB), at(0));
    let mut ask = |nonce: &[u8], now| {
        let good = world.secret.credentials("alice", now_unix(now));
        world.ask_with([1; 12], kind::REFRESH, &[], &good, nonce, ALICE, now).code
    };
    fn now_unix(now: Now) -> u64 {
        now.unix_seconds
    }
    assert_eq!(ask(&elsewhere, at(0)), Some(438), "told to another address");
    assert_eq!(ask(b"", at(0)), Some(438));
    assert_eq!(ask(&old, at(3_600)), Some(437), "of the last hour: good, but there is no allocation");
    assert_eq!(ask(&old, at(2 * 3_600)), Some(438));
    assert_eq!(world.server.counts().allocations, 0);
}

#[test]
fn nobody_is_relayed_to_what_is_not_the_internet() {
    for (address, family) in [(ADDRESS, 4), ("2001:db8::9", 6)] {
        let mut world = World::reached_at(address, allowed());
        let credentials = world.secret.credentials("alice", at(0).unix_seconds);
        let wish: [(u16, &[u8]); 2] =
            [UDP_ONLY[0], (attribute::REQUESTED_ADDRESS_FAMILY, if family == 4 { &[1, 0, 0, 0] } else { &[2, 0, 0, 0] })];
        assert_eq!(world.ask(kind::ALLOCATE, &wish, &credentials, ALICE, at(0)).code, None);
        for ip in forbidden() {
            let peer = SocketAddr::new(ip.parse().unwrap(), 80).to_string();
            assert_eq!(world.permit(&[&peer], &credentials, ALICE, at(0)), Some(403), "permission for {ip}");
            assert_eq!(world.permit(&[PEER, &peer], &credentials, ALICE, at(0)), Some(403), "permission for {ip} behind another");
            assert_eq!(world.bind(0x4000, &peer, &credentials, ALICE, at(0)), Some(403), "channel to {ip}");
            assert_eq!(world.send(&peer, b"x", ALICE, at(0)), [], "to {ip}");
            assert_eq!(world.server.relayed(50_000, b"x", socket(&peer), at(0)), None, "from {ip}");
        }
        assert_eq!(world.give(&channel_data(0x4000, b"x"), ALICE, at(0)), []);
        assert_eq!(world.server.counts(), Counts { allocations: 1, forbidden: 3 * forbidden().count() as u64, ..Counts::default() });
        let stranger = if family == 4 { "[2606:4700:4700::1111]:1" } else { PEER };
        assert_eq!(world.permit(&[stranger], &credentials, ALICE, at(0)), Some(443), "of the other family");
    }
}

#[test]
fn packets_go_both_ways_where_they_are_permitted() {
    let mut world = World::new(allowed());
    let (_, credentials) = world.allocate("alice", ALICE, at(0));
    assert_eq!(world.send(PEER, b"too early", ALICE, at(0)), []);
    assert_eq!(world.server.relayed(50_000, b"too early", socket(PEER), at(0)), None);
    assert_eq!(world.permit(&[PEER], &credentials, ALICE, at(0)), None);
    assert_eq!(world.send(PEER, b"hello", ALICE, at(1)), relay(50_000, PEER, b"hello"));
    // Permissions are for addresses, whatever the port.
    let Some(Output::Reply { to, bytes }) = world.server.relayed(50_000, b"answer", socket("8.8.8.8:1"), at(1)) else { panic!("nothing") };
    let message = Message::read(&bytes).unwrap();
    assert_eq!((to, message.kind), (socket(ALICE), kind::DATA));
    assert_eq!(message.attribute(attribute::DATA), Some(&b"answer"[..]));
    assert_eq!(
        message.attribute(attribute::XOR_PEER_ADDRESS).and_then(|value| address_of(value, &message.transaction)),
        Some(socket("8.8.8.8:1"))
    );
    assert_eq!(world.server.relayed(50_000, b"x", socket("8.8.4.4:7000"), at(1)), None, "another host");
    assert_eq!(world.server.relayed(50_001, b"x", socket(PEER), at(1)), None, "another port");
    assert_eq!(world.send(PEER, b"x", BOB, at(1)), [], "another client");
    let over = PERMISSION.as_secs();
    assert_eq!(world.send(PEER, b"last", ALICE, at(over - 1)), relay(50_000, PEER, b"last"));
    assert_eq!(world.send(PEER, b"x", ALICE, at(over)), [], "it is over");
    assert_eq!(world.server.relayed(50_000, b"x", socket(PEER), at(over)), None);
    assert_eq!(world.server.counts().relayed, 15);
}

#[test]
fn a_channel_says_the_same_with_four_bytes() {
    let mut world = World::new(allowed());
    let (_, credentials) = world.allocate("alice", ALICE, at(0));
    assert_eq!(world.bind(0x4000, PEER, &credentials, ALICE, at(0)), None);
    assert_eq!(world.give(&channel_data(0x4000, b"hello"), ALICE, at(1)), relay(50_000, PEER, b"hello"));
    let filled = [channel_data(0x4000, b"hello"), vec![0; 3]].concat();
    assert_eq!(world.give(&filled, ALICE, at(1)), relay(50_000, PEER, b"hello"), "with filling");
    let back = world.server.relayed(50_000, b"answer", socket(PEER), at(1));
    assert_eq!(back, Some(Output::Reply { to: socket(ALICE), bytes: channel_data(0x4000, b"answer") }));
    // A permission comes with it, for other ports too; it ends before the channel.
    assert_eq!(world.send("8.8.8.8:9", b"x", ALICE, at(1)), relay(50_000, "8.8.8.8:9", b"x"));
    assert_eq!(world.give(&channel_data(0x4000, b"x"), ALICE, at(PERMISSION.as_secs())), []);
    assert_eq!(world.bind(0x4000, "8.8.8.8:7001", &credentials, ALICE, at(310)), Some(400), "the channel is bound");
    assert_eq!(world.bind(0x4001, PEER, &credentials, ALICE, at(310)), Some(400), "the peer is bound");
    assert_eq!(world.bind(0x4000, PEER, &credentials, ALICE, at(310)), None, "once more");
    assert_eq!(world.give(&channel_data(0x4000, b"x"), ALICE, at(320)), relay(50_000, PEER, b"x"));
    for channel in [0x3FFF, 0x5000, 0, 0xFFFF] {
        assert_eq!(world.bind(channel, "8.8.8.8:2", &credentials, ALICE, at(320)), Some(400), "{channel:#x}");
    }
    assert_eq!(world.give(&channel_data(0x4001, b"x"), ALICE, at(320)), [], "not bound");
    assert_eq!(world.give(&channel_data(0x4000, b"hello")[..8], ALICE, at(320)), [], "cut off");
    assert_eq!(world.give(&channel_data(0x4000, b"x"), ALICE, at(310 + CHANNEL.as_secs())), []);
}

#[test]
fn nobody_takes_more_than_his_share() {
    let mut world = World::new(Allowed { allocations: 10, ..allowed() });
    assert_eq!(world.allocate("alice", "198.51.100.1:1", at(0)).0.code, None);
    assert_eq!(world.allocate("alice", "198.51.100.2:1", at(1)).0.code, None, "with credentials of another second");
    assert_eq!(world.allocate("alice", "198.51.100.3:1", at(0)).0.code, Some(486), "a third of one PeerId");
    for peer in 0..7 {
        assert_eq!(world.allocate(&format!("peer {peer}"), &format!("198.51.100.1:{}", 2 + peer), at(0)).0.code, None);
    }
    assert_eq!(world.allocate("one more", "198.51.100.1:100", at(0)).0.code, Some(486), "a ninth of one network");
    assert_eq!(world.allocate("bob", "198.51.100.9:1", at(0)).0.code, None);
    assert_eq!(world.allocate("carol", "198.51.100.10:1", at(0)).0.code, Some(508), "an eleventh in all");
    let (_, credentials) = world.allocate("bob", "198.51.100.9:1", at(0));
    let many: Vec<String> = (0..=PERMISSIONS).map(|number| format!("9.9.9.{number}:1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(world.permit(&many, &credentials, "198.51.100.9:1", at(0)), Some(508));
    assert_eq!(world.permit(&many[1..], &credentials, "198.51.100.9:1", at(0)), None);
    assert_eq!(world.permit(&many[1..], &credentials, "198.51.100.9:1", at(0)), None, "the same again");
    assert_eq!(world.permit(&many[..1], &credentials, "198.51.100.9:1", at(0)), Some(508));
}

#[test]
fn an_allocation_relays_so_much_a_second() {
    let mut world = World::new(allowed());
    let (_, credentials) = world.allocate("alice", ALICE, at(0));
    assert_eq!(world.permit(&[PEER], &credentials, ALICE, at(0)), None);
    let went = |world: &mut World, now| (0..20).filter(|_| !world.send(PEER, &[0; 1_000], ALICE, now).is_empty()).count();
    assert_eq!(went(&mut world, at(0)), 10);
    assert_eq!(world.server.relayed(50_000, &[0; 1_000], socket(PEER), at(0)), None, "both ways together");
    assert_eq!(went(&mut world, at(1)), 10);
    assert_eq!(went(&mut world, at(60)), 10, "what was not used is not saved");
    assert_eq!(world.server.counts().lost, 31);
}

#[test]
fn two_clients_of_one_server_reach_each_other_and_nothing_else_at_its_address() {
    let mut world = World::new(allowed());
    let (_, alice) = world.allocate("alice", ALICE, at(0));
    let (_, bob) = world.allocate("bob", BOB, at(0));
    let (of_alice, of_bob) = (format!("{ADDRESS}:50000"), format!("{ADDRESS}:50001"));
    assert_eq!(world.permit(&[&of_bob], &alice, ALICE, at(0)), None);
    assert_eq!(world.send(&of_bob, b"too early", ALICE, at(0)), [], "Bob has not permitted it");
    assert_eq!(world.bind(0x4000, &of_alice, &bob, BOB, at(0)), None);
    assert_eq!(world.send(&of_bob, b"hello", ALICE, at(0)), [Output::Reply { to: socket(BOB), bytes: channel_data(0x4000, b"hello") }]);
    for port in [22, 80, 3_478, 50_002] {
        assert_eq!(world.send(&format!("{ADDRESS}:{port}"), b"x", ALICE, at(0)), [], "port {port}");
    }
}

#[test]
fn what_is_given_up_or_forgotten_is_closed() {
    let mut world = World::new(allowed());
    let (_, alice) = world.allocate("alice", ALICE, at(0));
    world.allocate("bob", BOB, at(5));
    let mallory = world.secret.credentials("mallory", at(0).unix_seconds);
    assert_eq!(world.ask(kind::REFRESH, &[(attribute::LIFETIME, &[0; 4])], &mallory, ALICE, at(0)).code, Some(441), "another's");
    let answer = world.ask(kind::REFRESH, &[(attribute::LIFETIME, &[0; 4])], &alice, ALICE, at(1));
    assert_eq!((answer.code, u32_at(&answer.value(attribute::LIFETIME), 0)), (None, Some(0)));
    assert_eq!(world.server.counts().allocations, 1);
    assert_eq!(world.server.sweep(at(LIFETIME.as_secs() + 4)), []);
    assert_eq!(world.server.sweep(at(LIFETIME.as_secs() + 5)), [Output::Close { port: 50_001 }]);
    assert_eq!(world.server.counts().allocations, 0);
    assert_eq!(world.server.relayed(50_001, b"x", socket(PEER), at(606)), None);
    assert_eq!(world.allocate("alice", ALICE, at(606)).0.code, None, "the address can be used again");
}

#[test]
fn what_is_not_offered_is_refused_by_its_own_code() {
    let mut world = World::new(allowed());
    let credentials = world.secret.credentials("alice", at(0).unix_seconds);
    let cases: [(Attributes<'_>, u16); 6] = [
        (&[], 400),
        (&[(attribute::REQUESTED_TRANSPORT, &[6, 0, 0, 0])], 442),
        (&[UDP_ONLY[0], (attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])], 440),
        (&[UDP_ONLY[0], (attribute::REQUESTED_ADDRESS_FAMILY, &[9, 0, 0, 0])], 440),
        // DONT-FRAGMENT and EVEN-PORT.
        (&[UDP_ONLY[0], (0x001A, &[])], 420),
        (&[UDP_ONLY[0], (0x0018, &[0x80])], 420),
    ];
    for (attributes, code) in cases {
        assert_eq!(world.ask(kind::ALLOCATE, attributes, &credentials, ALICE, at(0)).code, Some(code), "{attributes:?}");
    }
    assert_eq!(world.server.receive(&encode(kind::ALLOCATE, &[0; 12], &UDP_ONLY), socket(ALICE), at(0), || None).len(), 1);
    for kind in [kind::REFRESH, kind::CREATE_PERMISSION, kind::CHANNEL_BIND] {
        assert_eq!(world.ask(kind, &[], &credentials, ALICE, at(0)).code, Some(437), "{kind:#x}");
    }
    world.allocate("alice", ALICE, at(0));
    assert_eq!(world.ask(kind::CREATE_PERMISSION, &[], &credentials, ALICE, at(0)).code, Some(400));
}

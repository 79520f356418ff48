//! TURN (RFC 8656): peers get credentials by libp2p and a port by them, and reach nothing that is not the internet.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use futures::AsyncReadExt as _;
use libp2p::StreamProtocol;
use shoal_protocol::ice::Servers;
use shoal_turn::{
    credentials::{Credentials, REALM},
    message::{Message, address_of, attribute, encode, encode_proven, xored},
};

use crate::support::{
    peer::Peer,
    program::{Relay, free_udp_port, refusal},
    soon, until,
};

const ICE: StreamProtocol = StreamProtocol::new("/shoal/ice/1.0.0");
/// Long enough for an answer on this machine; short enough to wait for its absence.
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(300);
/// The address of the relay's TURN server: one of this machine, at which nothing else is.
const HERE: &str = "127.0.0.9";

const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const CREATE_PERMISSION: u16 = 0x0008;
const CHANNEL_BIND: u16 = 0x0009;
const SEND: u16 = 0x0016;
const DATA: u16 = 0x0017;
const UDP: (u16, &[u8]) = (attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);

fn relay(arguments: &[&str]) -> Relay {
    let server = format!("{HERE}:{}", free_udp_port());
    Relay::start(&[&["--stun", &server, "--turn", "auto"], arguments].concat())
}

/// What the relay tells a peer.
async fn asked(relay: &Relay) -> (Peer, Servers) {
    let mut peer = Peer::new();
    peer.dial(relay.address()).await.unwrap();
    let mut stream = peer.streams.open_stream(relay.peer(), ICE).await.unwrap();
    let mut answer = Vec::new();
    soon("an answer", stream.read_to_end(&mut answer)).await.unwrap();
    let servers = Servers::decode(&answer).unwrap();
    (peer, servers)
}

/// A client of the TURN server.
struct Client {
    socket: UdpSocket,
    credentials: Credentials,
    nonce: Vec<u8>,
    requests: u8,
}

impl Client {
    /// One with a port there, and the port's address.
    fn allocated(servers: &Servers) -> (Self, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect((HERE, servers.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let turn = servers.turn.clone().unwrap();
        let credentials = Credentials { username: turn.username, password: turn.password };
        let mut client = Self { socket, credentials, nonce: Vec::new(), requests: 0 };
        client.socket.send(&encode(ALLOCATE, &[0xff; 12], &[UDP])).unwrap();
        let told = client.received().unwrap();
        client.nonce = Message::read(&told).unwrap().attribute(attribute::NONCE).unwrap().to_vec();
        let answer = client.ask(ALLOCATE, &[UDP]);
        let message = Message::read(&answer).unwrap();
        assert_eq!(code(&answer), None, "{answer:?}");
        let port = address_of(message.attribute(attribute::XOR_RELAYED_ADDRESS).unwrap(), &message.transaction).unwrap();
        (client, port)
    }

    fn received(&self) -> Option<Vec<u8>> {
        let mut packet = [0; 2_048];
        self.socket.recv(&mut packet).ok().map(|length| packet[..length].to_vec())
    }

    fn transaction(&self) -> [u8; 12] {
        [self.requests; 12]
    }

    fn ask(&mut self, kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let transaction = self.transaction();
        self.requests += 1;
        let who: [(u16, &[u8]); 3] = [
            (attribute::USERNAME, self.credentials.username.as_bytes()),
            (attribute::REALM, REALM.as_bytes()),
            (attribute::NONCE, &self.nonce),
        ];
        self.socket.send(&encode_proven(kind, &transaction, &[attributes, &who].concat(), &self.credentials.key())).unwrap();
        let answer = self.received().unwrap();
        let message = Message::read(&answer).unwrap();
        assert_eq!((message.kind & 0xFEEF, message.transaction), (kind, transaction));
        assert!(message.is_proven(&self.credentials.key()), "{answer:?}");
        answer
    }

    fn permit(&mut self, peer: SocketAddr) -> Option<u16> {
        let peer = xored(peer, &self.transaction());
        code(&self.ask(CREATE_PERMISSION, &[(attribute::XOR_PEER_ADDRESS, &peer)]))
    }

    fn bind(&mut self, peer: SocketAddr) -> Option<u16> {
        let peer = xored(peer, &self.transaction());
        code(&self.ask(CHANNEL_BIND, &[(attribute::CHANNEL_NUMBER, &[0x40, 0, 0, 0]), (attribute::XOR_PEER_ADDRESS, &peer)]))
    }

    fn send(&self, peer: SocketAddr, data: &[u8]) {
        let peer = xored(peer, &[9; 12]);
        self.socket.send(&encode(SEND, &[9; 12], &[(attribute::XOR_PEER_ADDRESS, &peer), (attribute::DATA, data)])).unwrap();
    }
}

fn code(answer: &[u8]) -> Option<u16> {
    let value = Message::read(answer).unwrap().attribute(attribute::ERROR_CODE)?;
    Some(u16::from(value[2]) * 100 + u16::from(value[3]))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_peers_of_one_relay_reach_each_other_by_its_ports() {
    let relay = relay(&[]);
    let ((_alice, of_alice), (_bob, of_bob)) = (asked(&relay).await, asked(&relay).await);
    assert_ne!(of_alice.turn, of_bob.turn, "credentials of their own");
    let ((mut alice, at_alice), (mut bob, at_bob)) = (Client::allocated(&of_alice), Client::allocated(&of_bob));
    assert_eq!(at_alice.ip(), HERE.parse::<IpAddr>().unwrap());
    assert_eq!((alice.permit(at_bob), bob.bind(at_alice)), (None, None));
    alice.send(at_bob, b"hello");
    assert_eq!(bob.received().unwrap(), b"\x40\x00\x00\x05hello");
    bob.socket.send(b"\x40\x00\x00\x06answer").unwrap();
    let packet = alice.received().unwrap();
    let message = Message::read(&packet).unwrap();
    assert_eq!((message.kind, message.attribute(attribute::DATA)), (DATA, Some(&b"answer"[..])));
    until("both are counted", || relay.counted("turnAllocations") == 2 && relay.counted("turnBytes") == 22).await;
    assert!(UdpSocket::bind(at_alice).is_err(), "the port is open");
    assert_eq!(code(&alice.ask(REFRESH, &[(attribute::LIFETIME, &[0; 4])])), None);
    until("one is left", || relay.counted("turnAllocations") == 1).await;
    UdpSocket::bind(at_alice).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_no_way_into_the_network_behind_it() {
    let relay = relay(&[]);
    let (_peer, servers) = asked(&relay).await;
    let (mut client, _) = Client::allocated(&servers);
    // A service behind the relay, which anybody of this machine can reach.
    let inside = ["127.0.0.1:0", "[::1]:0"].map(|address| UdpSocket::bind(address).unwrap());
    let forbidden = include_str!("../../../crates/turn/tests/forbidden.txt").lines();
    let mut tried = 0;
    for ip in forbidden {
        for port in inside.iter().map(|socket| socket.local_addr().unwrap().port()) {
            let peer = SocketAddr::new(ip.parse().unwrap(), port);
            assert_eq!(client.permit(peer), Some(403), "permission for {peer}");
            assert_eq!(client.bind(peer), Some(403), "channel to {peer}");
            client.send(peer, b"let me in");
            tried += 1;
        }
    }
    client.socket.send(b"\x40\x00\x00\x09let me in").unwrap();
    assert!(tried >= 80, "{tried}");
    for socket in &inside {
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        assert!(socket.recv(&mut [0; 64]).is_err(), "a packet came in");
    }
    until("they are counted", || relay.counted("turnForbidden") == 2 * tried).await;
    assert_eq!(relay.counted("turnBytes"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_has_so_many_ports_and_no_more() {
    let relay = relay(&["--max-turn-allocations-per-peer", "1"]);
    let (_peer, servers) = asked(&relay).await;
    let (first, _) = Client::allocated(&servers);
    let mut second =
        Client { socket: UdpSocket::bind("127.0.0.1:0").unwrap(), credentials: first.credentials, nonce: Vec::new(), requests: 0 };
    second.socket.connect((HERE, servers.port)).unwrap();
    second.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    second.socket.send(&encode(ALLOCATE, &[1; 12], &[UDP])).unwrap();
    let told = second.received().unwrap();
    second.nonce = Message::read(&told).unwrap().attribute(attribute::NONCE).unwrap().to_vec();
    assert_eq!(code(&second.ask(ALLOCATE, &[UDP])), Some(486));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_turn_tells_of_stun_and_who_has_none_does_not_speak_of_it() {
    let relay = Relay::start(&["--stun", &format!("{HERE}:{}", free_udp_port())]);
    let (_peer, servers) = asked(&relay).await;
    assert_eq!(servers.turn, None);
    assert_ne!(servers.port, 0);
    let without = Relay::start(&[]);
    let mut peer = Peer::new();
    peer.dial(without.address()).await.unwrap();
    assert!(peer.streams.open_stream(without.peer(), ICE).await.is_err());
}

#[test]
fn turn_without_stun_is_refused() {
    let line = refusal(&["--listen", "127.0.0.1:0", "--turn", "auto"]);
    assert!(line.contains("turn = auto") && line.contains("set stun"), "{line}");
}

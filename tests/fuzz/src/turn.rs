//! What anybody sends to the TURN server of the relay, clients with good credentials among them, and peers to its relayed ports.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use shoal_protocol::time::Time;
use shoal_turn::{
    Allowed, Now, Output, Server,
    credentials::{REALM, Secret},
    message::{Message, attribute, encode, encode_proven, xored},
    peers::is_allowed,
};

use crate::input::Input;

const ALLOWED: Allowed = Allowed { allocations: 6, per_peer: 2, per_network: 3, bytes_per_second: 4_000 };
/// Bytes of the headers of IPv4 and UDP.
const HEADERS: usize = 20 + 8;
/// Requests, indications, and one of their answers.
const KINDS: [u16; 8] = [0x0001, 0x0003, 0x0004, 0x0008, 0x0009, 0x0016, 0x0017, 0x0103];
const ATTRIBUTES: [u16; 9] = [
    attribute::CHANNEL_NUMBER,
    attribute::LIFETIME,
    attribute::XOR_PEER_ADDRESS,
    attribute::DATA,
    attribute::REQUESTED_ADDRESS_FAMILY,
    attribute::REQUESTED_TRANSPORT,
    attribute::USERNAME,
    0x001A,
    0x8022,
];

/// Any packets from some clients and peers, over any time: nobody is relayed to what is not the internet, a stranger's answer is no use for a flood, and
/// nobody holds more than his share.
pub(crate) fn server(data: &[u8]) {
    let mut input = Input::new(data);
    let own = IpAddr::from([198, 18, 0, 1]);
    let secret = Secret::new([1; 32]);
    let mut server = Server::new(secret.clone(), ALLOWED, own);
    let mut seconds = 0;
    let mut next_port = 50_000;
    while !input.is_empty() {
        let now = Now { time: Time::from_origin(Duration::from_secs(seconds)), unix_seconds: 1_000_000 + seconds };
        let from = SocketAddr::from(([9, 9, 9, input.byte() % 3], 1_000 + input.below(4) as u16));
        let outputs = match input.below(8) {
            0 => {
                seconds += input.length(4_000) as u64;
                server.sweep(now)
            }
            1 => {
                let (port, peer) = (50_000 + input.below(8) as u16, address(&mut input, own));
                let packet = input.bytes(3_000);
                server.relayed(port, &packet, peer, now).into_iter().collect()
            }
            2 => {
                let packet = input.bytes(3_000);
                give(&mut server, &mut next_port, &packet, from, now, false)
            }
            3 => {
                let packet = [&[0x40, input.byte() % 4, 0, input.byte() % 16][..], &input.bytes(20)].concat();
                give(&mut server, &mut next_port, &packet, from, now, false)
            }
            _ => {
                let packet = request(&mut input, &mut server, &secret, from, now, own);
                give(&mut server, &mut next_port, &packet, from, now, true)
            }
        };
        for output in outputs {
            if let Output::Relay { to, .. } = output {
                assert!(is_allowed(to.ip()), "relayed to {to}");
            }
        }
        assert!(server.counts().allocations <= ALLOWED.allocations);
    }
}

fn give(server: &mut Server, next_port: &mut u16, packet: &[u8], from: SocketAddr, now: Now, known: bool) -> Vec<Output> {
    let outputs = server.receive(packet, from, now, || {
        *next_port = next_port.checked_add(1)?;
        Some(*next_port - 1)
    });
    for output in &outputs {
        if let Output::Reply { to, bytes } = output
            && *to == from
            && !known
        {
            assert!(2 * (bytes.len() + HEADERS) <= 3 * (packet.len() + HEADERS), "{} bytes for {}", bytes.len(), packet.len());
        }
    }
    outputs
}

/// A message with some attributes, by somebody who knows a password.
fn request(input: &mut Input<'_>, server: &mut Server, secret: &Secret, from: SocketAddr, now: Now, own: IpAddr) -> Vec<u8> {
    let kind = KINDS[input.below(KINDS.len())];
    let transaction = [input.byte() % 4; 12];
    let mut attributes: Vec<(u16, Vec<u8>)> = Vec::new();
    for _ in 0..input.below(5) {
        let kind = ATTRIBUTES[input.below(ATTRIBUTES.len())];
        let value = match kind {
            attribute::XOR_PEER_ADDRESS if input.flag() => xored(address(input, own), &transaction),
            attribute::REQUESTED_TRANSPORT if input.flag() => vec![17, 0, 0, 0],
            attribute::CHANNEL_NUMBER if input.flag() => vec![0x40, input.byte() % 4, 0, 0],
            _ => input.bytes(24).to_vec(),
        };
        attributes.push((kind, value));
    }
    let credentials = secret.credentials(["a", "b", "c", "d"][input.below(4)], now.unix_seconds - (input.below(2) * 700) as u64);
    let nonce = nonce(server, from, now);
    let who = [
        (attribute::USERNAME, credentials.username.as_bytes()),
        (attribute::REALM, REALM.as_bytes()),
        (attribute::NONCE, nonce.as_slice()),
    ];
    let mut all: Vec<(u16, &[u8])> = attributes.iter().map(|(kind, value)| (*kind, value.as_slice())).collect();
    all.extend(who);
    if input.below(8) == 0 { encode(kind, &transaction, &all) } else { encode_proven(kind, &transaction, &all, &credentials.key()) }
}

/// What the server tells a stranger.
fn nonce(server: &mut Server, from: SocketAddr, now: Now) -> Vec<u8> {
    let asked = encode(0x0003, &[0xee; 12], &[(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0])]);
    let outputs = server.receive(&asked, from, now, || None);
    let [Output::Reply { bytes, .. }] = outputs.as_slice() else { panic!("a stranger was not answered: {outputs:?}") };
    Message::read(bytes).and_then(|message| message.attribute(attribute::NONCE)).map(<[u8]>::to_vec).unwrap_or_default()
}

fn address(input: &mut Input<'_>, own: IpAddr) -> SocketAddr {
    let ip: IpAddr = match input.below(6) {
        0 => own,
        1 => [127, 0, 0, 1].into(),
        2 => [10, 0, 0, input.byte()].into(),
        3 => [0, 0, 0, 0, 0, 0xffff, 0x0a00, 1].into(),
        _ => [8, 8, 8, input.byte() % 64].into(),
    };
    SocketAddr::new(ip, 50_000 + input.below(8) as u16)
}

//! Devices of one network find each other through the relay, and nobody else finds them: the real program, and clients that speak the
//! protocol as pages do, or not at all as they should.

use std::time::Instant;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{PeerId, Stream, StreamProtocol, identity::Keypair};
use shoal_protocol::{
    identity::PublicKey,
    nearby::{Heard, Name, Presence, Refusal},
    time::Time,
};

use crate::support::{peer::Peer, program::Relay, soon, until};

const NEARBY: StreamProtocol = StreamProtocol::new("/shoal/nearby/1.0.0");
/// The relay believes its proxy, which the tests are.
const PROXIED: &[&str] = &["--trust-proxy", "true"];
const HOME: &str = "198.51.100.7";
const ELSEWHERE: &str = "203.0.113.9";

/// A peer that wants to be found.
struct Device {
    peer: Peer,
    presence: Presence,
    stream: Stream,
    started: Instant,
    /// Bytes that the relay said.
    heard: u64,
}

impl Device {
    async fn new(relay: &Relay, name: &str) -> Self {
        Self::of(relay, Peer::new(), name).await
    }

    async fn behind(address: &str, relay: &Relay, name: &str) -> Self {
        Self::of(relay, Peer::forwarded_for(address), name).await
    }

    async fn of(relay: &Relay, mut peer: Peer, name: &str) -> Self {
        let address = relay.address();
        peer.dial(address).await.unwrap();
        let stream = peer.streams.clone().open_stream(relay.peer(), NEARBY).await.unwrap();
        let key = PublicKey::from_peer_id_bytes(&peer.id.to_bytes()).unwrap();
        let presence = Presence::new(key, Name::new(name).ok(), Time::default());
        let mut device = Self { peer, presence, stream, started: Instant::now(), heard: 0 };
        device.announce().await;
        device
    }

    fn now(&self) -> Time {
        Time::from_origin(self.started.elapsed())
    }

    async fn announce(&mut self) {
        let announcement = self.presence.announcement(self.now()).unwrap();
        self.stream.write_all(&announcement).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn rename(&mut self, name: &str) {
        self.presence.rename(Name::new(name).ok(), self.now());
        self.announce().await;
    }

    /// What the relay says next; `None` at the stream's end.
    async fn next(&mut self) -> Option<Heard> {
        let mut buffer = [0; 4_096];
        loop {
            let length = soon("the relay's word", self.stream.read(&mut buffer)).await.unwrap_or(0);
            self.heard += length as u64;
            if length == 0 {
                return None;
            }
            if let Some(heard) = self.presence.receive(&buffer[..length]).unwrap() {
                return Some(heard);
            }
        }
    }

    /// Waits until the relay says that exactly these are near.
    async fn sees(&mut self, expected: &[(PeerId, &str)]) {
        let mut expected: Vec<_> = expected.iter().map(|(peer, name)| (peer.to_string(), (*name).to_owned())).collect();
        expected.sort();
        let mut last = Vec::new();
        let seen = soon("the others", async {
            while let Some(Heard::Devices(devices)) = self.next().await {
                last = devices
                    .iter()
                    .map(|device| (device.key.to_string(), device.name.as_ref().map_or("", Name::as_str).to_owned()))
                    .collect();
                last.sort();
                if last == expected {
                    return true;
                }
            }
            false
        });
        assert!(seen.await, "{last:?} instead of {expected:?}");
    }

    /// Waits until the relay refuses, and closes the stream.
    async fn refused(&mut self) -> Refusal {
        loop {
            match self.next().await {
                Some(Heard::Refused(refusal)) => {
                    assert_eq!(self.next().await, None, "the stream ends");
                    return refusal;
                }
                Some(Heard::Devices(_)) => {}
                None => panic!("closed without a word"),
            }
        }
    }
}

#[tokio::test]
async fn two_behind_one_address_see_each_other_and_a_third_elsewhere_sees_neither() {
    let relay = Relay::start(PROXIED);
    for (home, other, elsewhere) in [
        (HOME, HOME, ELSEWHERE),
        ("2001:db8:1::5", "2001:db8:1::6", "2001:db8:2::5"),
        ("10.0.0.3", "192.168.0.9", HOME),
        ("64:ff9b::198.51.100.8", "::ffff:198.51.100.8", "64:ff9b::198.51.100.9"),
    ] {
        let mut phone = Device::behind(home, &relay, "phone").await;
        let mut third = Device::behind(elsewhere, &relay, "third").await;
        let mut laptop = Device::behind(other, &relay, "").await;
        laptop.sees(&[(phone.peer.id, "phone")]).await;
        phone.sees(&[(laptop.peer.id, "")]).await;
        phone.rename("Ada's phone").await;
        laptop.sees(&[(phone.peer.id, "Ada's phone")]).await;
        assert_eq!(relay.counted("nearby"), 3);
        // They can be reached as everybody can: by a circuit.
        laptop.peer.reserve(relay.address()).await.unwrap();
        phone.peer.dial_through(&relay, laptop.peer.id).await.unwrap();
        // One goes by its stream, the other by its connection.
        laptop.stream.close().await.unwrap();
        phone.sees(&[]).await;
        drop((phone, laptop));
        third.sees(&[]).await;
        let own_list = (1 + 1 + 32 + 1 + "third".len()) as u64;
        assert_eq!(third.heard, own_list, "nothing that happened elsewhere made a difference");
        drop(third);
        until("everybody's end", || relay.counted("nearby") == 0).await;
    }
}

#[tokio::test]
async fn a_header_that_anybody_can_write_is_not_believed() {
    // Two that claim to be far from each other are where their connections come from: on this machine.
    let relay = Relay::start(&["--nearby", "lan"]);
    let mut one = Device::behind(HOME, &relay, "one").await;
    let mut two = Device::behind(ELSEWHERE, &relay, "two").await;
    two.sees(&[(one.peer.id, "one")]).await;
    one.sees(&[(two.peer.id, "two")]).await;
}

#[tokio::test]
async fn a_proxy_that_hides_where_its_clients_are_makes_nobody_near() {
    let relay = Relay::start(&[]);
    let mut one = Device::new(&relay, "one").await;
    one.sees(&[]).await;
    // The proxy says for whom, but the relay has not been told to trust it: it may have the world behind it.
    let mut stranger = Device::behind(HOME, &relay, "stranger").await;
    assert_eq!(stranger.refused().await, Refusal::UnknownNetwork);
    let mut silent = Device::new(&relay, "silent").await;
    assert_eq!(silent.refused().await, Refusal::UnknownNetwork);
    // A trusted proxy that says nothing is no better.
    let relay = Relay::start(PROXIED);
    assert_eq!(Device::new(&relay, "unnamed").await.refused().await, Refusal::UnknownNetwork);
}

#[tokio::test]
async fn the_operator_decides_who_is_near() {
    let relay = Relay::start(&["--nearby", "public", "--trust-proxy", "true"]);
    assert_eq!(Device::behind("192.168.0.2", &relay, "private").await.refused().await, Refusal::UnknownNetwork);
    Device::behind(HOME, &relay, "public").await.sees(&[]).await;
    let relay = Relay::start(&["--external", "/dns4/relay.example/tcp/443/tls/ws"]);
    let mut peer = Peer::new();
    let address = format!("/ip4/127.0.0.1/tcp/{}/ws", relay.listen.port());
    peer.dial(address.parse().unwrap()).await.unwrap();
    let mut stream = peer.streams.open_stream(relay.peer(), NEARBY).await.unwrap();
    stream.write_all(b"\x01\x00").await.unwrap();
    let mut answer = Vec::new();
    soon("the refusal", stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, Refusal::UnknownNetwork.message(), "a relay of the internet has no LAN");
    let relay = Relay::start(&["--nearby", "off"]);
    let mut peer = Peer::new();
    peer.dial(relay.address()).await.unwrap();
    let error = peer.streams.open_stream(relay.peer(), NEARBY).await.unwrap_err();
    assert!(matches!(error, libp2p_stream::OpenStreamError::UnsupportedProtocol(_)), "{error}");
}

#[tokio::test]
async fn a_full_network_refuses_the_next_one_and_others_are_not_concerned() {
    let relay = Relay::start(&["--trust-proxy", "true", "--max-nearby-per-network", "2"]);
    let mut one = Device::behind(HOME, &relay, "one").await;
    let two = Device::behind(HOME, &relay, "two").await;
    assert_eq!(Device::behind(HOME, &relay, "three").await.refused().await, Refusal::Full);
    Device::behind(ELSEWHERE, &relay, "four").await.sees(&[]).await;
    drop(two);
    one.sees(&[]).await;
    let three = Device::behind(HOME, &relay, "three").await;
    one.sees(&[(three.peer.id, "three")]).await;
}

#[tokio::test]
async fn the_newest_stream_of_a_device_counts() {
    let relay = Relay::start(&[]);
    let key = Keypair::generate_ed25519();
    let mut watcher = Device::new(&relay, "watcher").await;
    let mut first = Device::of(&relay, Peer::with_key(key.clone()), "first").await;
    watcher.sees(&[(first.peer.id, "first")]).await;
    let mut second = Device::of(&relay, Peer::with_key(key), "second").await;
    assert_eq!(first.refused().await, Refusal::Replaced);
    watcher.sees(&[(second.peer.id, "second")]).await;
    // Many on one connection: the last one.
    for number in 0..200 {
        second.stream = second.peer.streams.clone().open_stream(relay.peer(), NEARBY).await.unwrap();
        if number % 10 == 0 {
            second.rename(&format!("turn {number}")).await;
        }
    }
    second.rename("at last").await;
    watcher.sees(&[(second.peer.id, "at last")]).await;
    assert_eq!(relay.counted("nearby"), 2);
}

#[tokio::test]
async fn nonsense_and_floods_end_their_stream_and_nothing_else() {
    let relay = Relay::start(&[]);
    let mut watcher = Device::new(&relay, "watcher").await;
    let mut hostile = Device::new(&relay, "hostile").await;
    watcher.sees(&[(hostile.peer.id, "hostile")]).await;
    for nonsense in [&b"\0"[..], b"\x01\x01", b"\x04\x00\xff\xff\xff", b"\x05\x00 Ada", b"\x42\x00", &[0xff; 300], b"\x06\x00a\nb\x07\x08"]
    {
        hostile.stream.write_all(nonsense).await.unwrap();
        soon("the end", async { while hostile.next().await.is_some() {} }).await;
        watcher.sees(&[]).await;
        hostile.stream = hostile.peer.streams.clone().open_stream(relay.peer(), NEARBY).await.unwrap();
        hostile.rename("").await;
        hostile.rename("hostile").await;
        watcher.sees(&[(hostile.peer.id, "hostile")]).await;
    }
    // As many announcements as the wire takes.
    let flood = b"\x01\x00".repeat(100_000);
    let _ = hostile.stream.write_all(&flood).await;
    assert_eq!(hostile.refused().await, Refusal::TooOften);
    watcher.sees(&[]).await;
    watcher.rename("still here").await;
    assert_eq!((relay.counted("nearby"), relay.counted("connections")), (1, 2));
}

#[tokio::test]
async fn who_stops_reading_holds_up_nobody() {
    let relay = Relay::start(&[]);
    let mut watcher = Device::new(&relay, "watcher").await;
    let mut lazy = Device::new(&relay, "lazy").await;
    let mut busy = Device::new(&relay, "busy").await;
    for name in ["one", "two", "three", "four"] {
        busy.rename(name).await;
        watcher.sees(&[(lazy.peer.id, "lazy"), (busy.peer.id, name)]).await;
    }
    // What waits for it is the way of the group, and at last how it is now.
    lazy.sees(&[(watcher.peer.id, "watcher"), (busy.peer.id, "four")]).await;
}

//! The peer as it is asked.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{Sender, channel},
    time::{sleep, timeout},
};

use crate::behaviour::{BYTES, Shared, look, note, serve, swarm};

/// How long the relay may take to say by which address it sees us, over each transport.
const OBSERVED: Duration = Duration::from_millis(1_500);
/// How often something is looked at that no event tells.
const EVERY: Duration = Duration::from_millis(5);

/// What the swarm may be told.
enum Order {
    Dial(DialOpts),
    Listen(Multiaddr),
}

/// A peer that others can reach through the relay.
pub(crate) struct Node {
    pub(crate) id: PeerId,
    relay: Multiaddr,
    orders: Sender<Order>,
    streams: libp2p_stream::Control,
    seen: Shared,
    /// When the last fetch began.
    began: Instant,
}

/// What a relay says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bootstrap {
    peer_id: String,
    native_addresses: Vec<Multiaddr>,
}

impl Node {
    /// Starts it, and waits until others can reach it.
    pub(crate) async fn open(relay: &str, within: Duration) -> Result<Self, String> {
        let Bootstrap { peer_id, native_addresses } = bootstrap(relay)?;
        let relay_id: PeerId = peer_id.parse().map_err(|_| format!("{peer_id} is no PeerId"))?;
        let mut swarm = swarm()?;
        let id = *swarm.local_peer_id();
        let seen = Shared::default();
        let mut streams = swarm.behaviour().stream.new_control();
        tokio::spawn(serve(streams.accept(BYTES).map_err(|error| error.to_string())?));
        let (orders, mut received) = channel(8);
        let noted = seen.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => note(event, &noted),
                    Some(order) = received.recv() => {
                        let refused = match order {
                            Order::Dial(options) => swarm.dial(options).err().map(|error| error.to_string()),
                            Order::Listen(address) => swarm.listen_on(address).err().map(|error| error.to_string()),
                        };
                        look(&noted).notes.extend(refused);
                    }
                }
            }
        });
        let mut node = Self { id, relay: Multiaddr::empty(), orders, streams, seen, began: Instant::now() };
        node.reserve(relay_id, native_addresses, within).await?;
        Ok(node)
    }

    /// Connects to the relay by every transport, so that each has an address that others can be told, and reserves a place.
    async fn reserve(&mut self, relay: PeerId, addresses: Vec<Multiaddr>, within: Duration) -> Result<(), String> {
        for address in &addresses {
            self.order(Order::Dial(DialOpts::peer_id(relay).addresses(vec![address.clone()]).condition(PeerCondition::Always).build()))
                .await?;
        }
        let wanted = addresses.len();
        let _some_may_be_blocked = self.until(OBSERVED, || look(&self.seen).observed >= wanted).await;
        let (_, address) =
            look(&self.seen).direct.get(&relay).cloned().ok_or_else(|| format!("no way to the relay: {:?}", look(&self.seen).notes))?;
        // The connection that stands is used.
        let address =
            if address.iter().any(|part| matches!(part, Protocol::P2p(_))) { address } else { address.with(Protocol::P2p(relay)) };
        self.relay = address.with(Protocol::P2pCircuit);
        self.order(Order::Listen(self.relay.clone())).await?;
        self.until(within, || look(&self.seen).reserved).await.map_err(|()| format!("no reservation: {:?}", look(&self.seen).notes))
    }

    /// Reads bytes from a peer that it meets through the relay.
    pub(crate) async fn fetch(&mut self, size: &str, peer: &str, within: Duration) -> Result<Value, String> {
        let bytes: u64 = size.parse().map_err(|_| format!("{size} is no size"))?;
        let peer: PeerId = peer.parse().map_err(|_| format!("{peer} is no PeerId"))?;
        self.began = Instant::now();
        let address = self.relay.clone().with(Protocol::P2p(peer));
        self.order(Order::Dial(DialOpts::peer_id(peer).addresses(vec![address]).build())).await?;
        let reading = timeout(within, self.read(peer, bytes)).await;
        let (first, all) = reading.map_err(|_| format!("not here in time: {:?}", look(&self.seen).notes))??;
        let direct = self.since(&peer);
        Ok(json!({ "first": first, "all": all, "path": if direct.is_some() { "direct" } else { "relayed" }, "direct": direct }))
    }

    /// Milliseconds until the first bytes, and until all.
    async fn read(&mut self, peer: PeerId, bytes: u64) -> Result<(f64, f64), String> {
        let mut stream = loop {
            match self.streams.open_stream(peer, BYTES).await {
                Ok(stream) => break stream,
                // The dial is under way.
                Err(libp2p_stream::OpenStreamError::Io(_)) => sleep(EVERY).await,
                Err(error) => return Err(error.to_string()),
            }
        };
        let read = async {
            stream.write_all(&bytes.to_be_bytes()).await?;
            let (mut came, mut first, mut buffer) = (0, None, vec![0; 65_536]);
            while came < bytes {
                let length = stream.read(&mut buffer).await?;
                if length == 0 {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
                }
                first.get_or_insert_with(|| self.milliseconds());
                came += length as u64;
            }
            Ok((first.unwrap_or(0.0), self.milliseconds()))
        };
        read.await.map_err(|error| error.to_string())
    }

    /// Waits for a direct connection.
    pub(crate) async fn direct(&self, peer: &str, within: Duration) -> Result<Value, String> {
        let peer: PeerId = peer.parse().map_err(|_| format!("{peer} is no PeerId"))?;
        let _it_is_told_by_its_absence = self.until(within, || look(&self.seen).direct.contains_key(&peer)).await;
        Ok(json!(self.since(&peer)))
    }

    /// How it stands with a peer.
    pub(crate) fn way(&self, peer: &str) -> Result<Value, String> {
        let peer: PeerId = peer.parse().map_err(|_| format!("{peer} is no PeerId"))?;
        let seen = look(&self.seen);
        let direct = seen.direct.get(&peer).map(|(_, address)| address.to_string());
        Ok(
            json!({ "direct": direct.is_some(), "running": direct.is_none() && !seen.gave_up.contains(&peer), "text": format!("{direct:?} {:?}", seen.notes) }),
        )
    }

    /// Milliseconds from the last fetch to the direct connection.
    fn since(&self, peer: &PeerId) -> Option<f64> {
        look(&self.seen).direct.get(peer).map(|(at, _)| at.saturating_duration_since(self.began).as_secs_f64() * 1_000.0)
    }

    fn milliseconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64() * 1_000.0
    }

    async fn order(&self, order: Order) -> Result<(), String> {
        self.orders.send(order).await.map_err(|_| "its swarm has ended".to_owned())
    }

    async fn until(&self, within: Duration, holds: impl Fn() -> bool) -> Result<(), ()> {
        let waiting = async {
            while !holds() {
                sleep(EVERY).await;
            }
        };
        timeout(within, waiting).await.map_err(|_| ())
    }
}

/// Asks a relay for its addresses.
fn bootstrap(url: &str) -> Result<Bootstrap, String> {
    let host = url.trim_start_matches("http://");
    let ask = || {
        let mut stream = TcpStream::connect(host)?;
        write!(stream, "GET /bootstrap HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = ask().map_err(|error| format!("{url}: {error}"))?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("an answer without a body")?;
    serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))
}

//! A libp2p node that pages dial by WebTransport, and that sends back what they send (`/echo/1.0.0`). It prints the address to dial.
//!
//! ```sh
//! cargo run --release -p shoal-webtransport --example echo -- /ip4/0.0.0.0/udp/4001/quic-v1/webtransport
//! ```

use std::error::Error;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, io::copy};
use libp2p::{
    Multiaddr, StreamProtocol, SwarmBuilder, identify, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use libp2p_stream as stream;
use shoal_webtransport::{Config, Transport};

const ECHO: StreamProtocol = StreamProtocol::new("/echo/1.0.0");

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    stream: stream::Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: Multiaddr = std::env::args().nth(1).unwrap_or("/ip4/127.0.0.1/udp/0/quic-v1/webtransport".into()).parse()?;
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|identity| Transport::new(identity.clone(), Config::default()))?
        .with_behaviour(|identity| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new("/echo/1.0.0".into(), identity.public())),
            ping: ping::Behaviour::default(),
            stream: stream::Behaviour::new(),
        })?
        .build();
    let mut streams = swarm.behaviour().stream.new_control().accept(ECHO)?;
    swarm.listen_on(address)?;
    loop {
        tokio::select! {
            event = swarm.select_next_some() => if let SwarmEvent::NewListenAddr { address, .. } = event {
                println!("{address}/p2p/{}", swarm.local_peer_id());
            },
            Some((_, stream)) = streams.next() => {
                tokio::spawn(async move {
                    let (from, mut to) = stream.split();
                    // Who leaves in the middle has what came until then.
                    let _ = copy(from, &mut to).await;
                    to.close().await
                });
            }
        }
    }
}

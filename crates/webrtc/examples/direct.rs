//! A libp2p node that pages and programs dial by WebRTC, and that sends back what they send (`/echo/1.0.0`), or takes and gives as many bytes as it is
//! told to (`/perf/1.0.0`). It prints the addresses to dial.
//!
//! ```sh
//! cargo run --release -p shoal-webrtc --example direct -- /ip4/0.0.0.0/udp/4001/webrtc-direct
//! ```

#[cfg(not(target_arch = "wasm32"))]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    native::run().await
}

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::{error::Error, io};

    use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, io::copy};
    use libp2p::{
        Multiaddr, Stream, StreamProtocol, SwarmBuilder, identify, ping,
        swarm::{NetworkBehaviour, SwarmEvent},
    };
    use libp2p_stream as stream;
    use shoal_webrtc::{Config, Transport};

    const ECHO: StreamProtocol = StreamProtocol::new("/echo/1.0.0");
    /// libp2p's measurement: <https://github.com/libp2p/specs/blob/master/perf/perf.md>.
    const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
    /// Bytes written or read at once.
    const CHUNK: usize = 64 * 1024;

    #[derive(NetworkBehaviour)]
    struct Behaviour {
        identify: identify::Behaviour,
        ping: ping::Behaviour,
        stream: stream::Behaviour,
    }

    pub(super) async fn run() -> Result<(), Box<dyn Error>> {
        let address: Multiaddr = std::env::args().nth(1).unwrap_or("/ip4/127.0.0.1/udp/0/webrtc-direct".into()).parse()?;
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_other_transport(|identity| {
                Transport::new(identity.clone(), Config::default()).map_err(Box::<dyn Error + Send + Sync>::from)
            })?
            .with_behaviour(|identity| Behaviour {
                identify: identify::Behaviour::new(identify::Config::new("/echo/1.0.0".into(), identity.public())),
                ping: ping::Behaviour::default(),
                stream: stream::Behaviour::new(),
            })?
            .with_swarm_config(|config| config.with_idle_connection_timeout(std::time::Duration::from_secs(60)))
            .build();
        let mut control = swarm.behaviour().stream.new_control();
        let (mut echoes, mut measurements) = (control.accept(ECHO)?, control.accept(PERF)?);
        swarm.listen_on(address)?;
        loop {
            tokio::select! {
                event = swarm.select_next_some() => if let SwarmEvent::NewListenAddr { address, .. } = event {
                    println!("{address}/p2p/{}", swarm.local_peer_id());
                },
                Some((_, stream)) = echoes.next() => drop(tokio::spawn(echo(stream))),
                Some((_, stream)) = measurements.next() => drop(tokio::spawn(perf(stream))),
            }
        }
    }

    /// Who leaves in the middle has what came until then.
    async fn echo(stream: Stream) -> io::Result<()> {
        let (from, mut to) = stream.split();
        copy(from, &mut to).await?;
        to.close().await
    }

    /// Takes whatever comes, then gives as many bytes as the first eight said.
    async fn perf(mut stream: Stream) -> io::Result<()> {
        let mut wanted = [0; 8];
        stream.read_exact(&mut wanted).await?;
        let mut left = u64::from_be_bytes(wanted);
        let mut buffer = vec![0; CHUNK];
        while stream.read(&mut buffer).await? > 0 {}
        while left > 0 {
            let length = left.min(CHUNK as u64);
            stream.write_all(&buffer[..length as usize]).await?;
            left -= length;
        }
        stream.close().await
    }
}

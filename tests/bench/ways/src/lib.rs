//! The page's half of the measurement of ways to servers: the node's own transports move bytes between a worker and a native peer, WebSockets
//! once as they are and once with Noise and yamux on them. The other halves are `relay-server/examples/websocket_peer.rs`,
//! `crates/webtransport/examples/measure.rs` and `crates/webrtc/examples/measure_direct.rs`.
#![cfg(target_arch = "wasm32")]

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport as _,
    core::{
        Endpoint,
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, PortUse},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise,
    swarm::{self, SwarmEvent},
    yamux,
};
use shoal_node::transport::{race::Race, webrtc_direct, websocket::Transport, webtransport};
use shoal_protocol::addresses::{Filter, Reach};
use shoal_webrtc::Older;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::MessagePort;

/// libp2p's measurement: <https://github.com/libp2p/specs/blob/master/perf/perf.md>.
const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
/// Bytes written or read at once.
const CHUNK: usize = 64 * 1024;

/// Milliseconds from the dial to a connection with Noise and a muxer, as the node makes it. `shim` leads to the page's peer connections.
#[wasm_bindgen]
pub async fn dial(shim: MessagePort, address: String) -> Result<f64, JsError> {
    let began = now();
    let (swarm, _) = connected(shim, &address).await?;
    let time = now() - began;
    drop(swarm);
    Ok(time)
}

/// Milliseconds to send and then receive so many bytes over the bare transport, its socket being open. At least one byte must come back.
#[wasm_bindgen]
pub async fn bare(_: MessagePort, address: String, up: f64, down: f64) -> Result<f64, JsError> {
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
    let mut socket = transport().dial(parse(&address)?, options)?.await?;
    let began = now();
    socket.write_all(&(up as u64).to_be_bytes()).await?;
    socket.write_all(&(down as u64).to_be_bytes()).await?;
    send(&mut socket, up as usize).await?;
    receive(&mut socket, down as usize).await?;
    Ok(now() - began)
}

/// The same over a libp2p stream, by `/perf/1.0.0`.
#[wasm_bindgen]
pub async fn secured(shim: MessagePort, address: String, up: f64, down: f64) -> Result<f64, JsError> {
    let (swarm, peer) = connected(shim, &address).await?;
    perform(swarm, peer, up, down).await
}

/// The same by rust-libp2p's WebTransport for pages, which the node had once.
#[wasm_bindgen]
pub async fn packaged(_: MessagePort, address: String, up: f64, down: f64) -> Result<f64, JsError> {
    let key = Keypair::generate_ed25519();
    let transport = libp2p_webtransport_websys::Transport::new(libp2p_webtransport_websys::Config::new(&key)).boxed();
    let (swarm, peer) = dialled(transport, &key, parse(&address)?).await?;
    perform(swarm, peer, up, down).await
}

async fn perform(mut swarm: Swarm<libp2p_stream::Behaviour>, peer: PeerId, up: f64, down: f64) -> Result<f64, JsError> {
    let mut control = swarm.behaviour().new_control();
    let (stop, stopped) = futures::channel::oneshot::channel::<()>();
    spawn_local(async move {
        let running = async { while swarm.next().await.is_some() {} };
        futures::future::select(Box::pin(running), stopped).await;
    });
    let mut stream = control.open_stream(peer, PERF).await?;
    let began = now();
    stream.write_all(&(down as u64).to_be_bytes()).await?;
    send(&mut stream, up as usize).await?;
    stream.close().await?;
    receive(&mut stream, down as usize).await?;
    let time = now() - began;
    drop(stop);
    Ok(time)
}

/// The node's own, for a peer of this machine.
fn transport() -> Transport {
    let mut filter = Filter::new(Reach::Loopback);
    filter.trust_path("/raw");
    Transport::new(Some(filter), Race::default())
}

/// Lets this address pass, of whatever range this machine has its own.
fn trusting(address: &Multiaddr) -> Filter {
    let mut filter = Filter::new(Reach::Loopback);
    let mut parts = address.iter();
    if let (Some(Protocol::Ip4(host)), Some(Protocol::Udp(port))) = (parts.next(), parts.next()) {
        filter.trust(&host.to_string(), port);
    }
    filter
}

/// A swarm that is connected to the address, composed as the node's is for relays.
async fn connected(shim: MessagePort, address: &str) -> Result<(Swarm<libp2p_stream::Behaviour>, PeerId), JsError> {
    let key = Keypair::generate_ed25519();
    let secured = transport()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let address = parse(address)?;
    let filter = || Some(trusting(&address));
    let (webrtc, _) = shoal_webrtc::new(key.public().to_peer_id(), shim, shoal_webrtc::Config::default());
    let transport = webtransport::Transport::new(&key, filter(), Race::default())
        .or_transport(webrtc_direct::Transport::new(webrtc.to_servers(&key, Older::default()), filter()))
        .map(|either, _| either.into_inner())
        .or_transport(secured)
        .map(|either, _| either.into_inner())
        .boxed();
    dialled(transport, &key, address).await
}

async fn dialled(
    transport: Boxed<(PeerId, StreamMuxerBox)>,
    key: &Keypair,
    address: Multiaddr,
) -> Result<(Swarm<libp2p_stream::Behaviour>, PeerId), JsError> {
    let mut swarm = Swarm::new(transport, libp2p_stream::Behaviour::new(), key.public().to_peer_id(), swarm::Config::with_wasm_executor());
    swarm.dial(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => return Ok((swarm, peer_id)),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), mut left: usize) -> Result<(), JsError> {
    let chunk = vec![7; CHUNK];
    while left > 0 {
        let length = left.min(CHUNK);
        stream.write_all(&chunk[..length]).await?;
        left -= length;
    }
    Ok(stream.flush().await?)
}

async fn receive(stream: &mut (impl AsyncRead + Unpin), mut left: usize) -> Result<(), JsError> {
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        match stream.read(&mut buffer).await? {
            0 => return Err(JsError::new(&format!("{left} bytes did not come"))),
            length => left -= length.min(left),
        }
    }
    Ok(())
}

fn parse(address: &str) -> Result<Multiaddr, JsError> {
    Ok(address.parse()?)
}

/// Milliseconds, to a fraction.
fn now() -> f64 {
    js_sys::global().unchecked_into::<web_sys::WorkerGlobalScope>().performance().map_or(f64::NAN, |clock| clock.now())
}

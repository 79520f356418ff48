//! Dials a server of others by the node's own transports, and moves bytes over one libp2p stream, each of them compared.
//!
//! ```text
//!   page ──► 16 bytes: how many follow, how many are wanted (big endian) ──► bytes ──► server
//!                                                          page ◄── bytes ◄── server
//! ```
//!
//! Nobody ends a half before all has come: Kubo's `ipfs p2p` ends both at once.
#![cfg(target_arch = "wasm32")]

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport as _,
    core::muxing::StreamMuxerBox,
    identity::Keypair,
    swarm::{self, SwarmEvent},
};
use shoal_node::transport::{race::Race, webrtc_direct, webtransport};
use shoal_protocol::addresses::{Filter, Reach};
use shoal_webrtc::{Older, direct::Version};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::MessagePort;

thread_local! {
    /// What was learnt of servers, as the page's node keeps it.
    static OLDER: Older = Older::default();
}

/// Bytes written or read at once.
const CHUNK: usize = 64 * 1024;

/// Dials the address and moves so many bytes there and so many back. `version` of WebRTC-direct: 1 or 2 alone, or 0 for what the node does.
///
/// Gives the milliseconds until the connection stood, for the way there, and for the way back.
#[wasm_bindgen]
pub async fn exchange(shim: MessagePort, address: String, protocol: String, version: u8, up: f64, down: f64) -> Result<Vec<f64>, JsError> {
    let began = now();
    let (mut swarm, peer) = connected(shim, &address, version).await?;
    let dialled = now();
    let mut control = swarm.behaviour().new_control();
    let (stop, stopped) = futures::channel::oneshot::channel::<()>();
    spawn_local(async move {
        let running = async { while swarm.next().await.is_some() {} };
        futures::future::select(Box::pin(running), stopped).await;
    });
    let mut stream = control.open_stream(peer, StreamProtocol::try_from_owned(protocol)?).await?;
    let (up, down) = (up as usize, down as usize);
    let opened = now();
    stream.write_all(&(up as u64).to_be_bytes()).await?;
    stream.write_all(&(down as u64).to_be_bytes()).await?;
    send(&mut stream, up).await?;
    // The first byte of the answer says that all has come.
    receive(&mut stream, 0, 1).await?;
    let sent = now();
    receive(&mut stream, 1, down).await?;
    let received = now();
    stream.close().await?;
    drop(stop);
    Ok(vec![dialled - began, sent - opened, received - sent])
}

async fn connected(shim: MessagePort, address: &str, version: u8) -> Result<(Swarm<libp2p_stream::Behaviour>, PeerId), JsError> {
    let key = Keypair::generate_ed25519();
    let filter = || Some(Filter::new(Reach::Loopback));
    let direct_version = match version {
        1 => Some(Version::V1),
        2 => Some(Version::V2),
        _ => None,
    };
    let config = shoal_webrtc::Config { direct_version, ..Default::default() };
    let (webrtc, _) = shoal_webrtc::new(key.public().to_peer_id(), shim, config);
    let transport = webrtc_direct::Transport::new(webrtc.to_servers(&key, OLDER.with(Older::clone)), filter())
        .or_transport(webtransport::Transport::new(&key, filter(), Race::default()))
        .map(|either, _| -> (PeerId, StreamMuxerBox) { either.into_inner() })
        .boxed();
    let mut swarm = Swarm::new(transport, libp2p_stream::Behaviour::new(), key.public().to_peer_id(), swarm::Config::with_wasm_executor());
    swarm.dial(address.parse::<Multiaddr>()?)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => return Ok((swarm, peer_id)),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

/// What stands at each place, there as here: no two places near each other have the same, and a lost or repeated piece shows.
const fn at(place: usize) -> u8 {
    ((place as u32).wrapping_mul(0x9e37_79b1) >> 24) as u8
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: usize) -> Result<(), JsError> {
    for begin in (0..bytes).step_by(CHUNK) {
        let chunk: Vec<u8> = (begin..bytes.min(begin + CHUNK)).map(at).collect();
        stream.write_all(&chunk).await?;
    }
    Ok(stream.flush().await?)
}

async fn receive(stream: &mut (impl AsyncRead + Unpin), mut place: usize, end: usize) -> Result<(), JsError> {
    let mut buffer = vec![0; CHUNK];
    while place < end {
        let most = CHUNK.min(end - place);
        let length = stream.read(&mut buffer[..most]).await?;
        if length == 0 {
            return Err(JsError::new(&format!("{} bytes did not come", end - place)));
        }
        if let Some(wrong) = (0..length).find(|index| buffer[*index] != at(place + index)) {
            return Err(JsError::new(&format!("another byte than was sent, at {}", place + wrong)));
        }
        place += length;
    }
    Ok(())
}

/// Milliseconds, to a fraction.
fn now() -> f64 {
    js_sys::global().unchecked_into::<web_sys::WorkerGlobalScope>().performance().map_or(f64::NAN, |clock| clock.now())
}

//! Bytes that go through a circuit and come back.

use std::time::{Duration, Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{Multiaddr, PeerId, Stream};

use super::peer::{BYTES, Peer};

/// Bytes sent at once.
const PIECE: usize = 64 * 1024;
/// How long they may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Becomes reachable at the relay. What is done with the answer sends back whatever comes on one stream.
pub(crate) async fn reserve(peer: &mut Peer, relay: &Multiaddr) -> impl Future<Output = ()> + Send + 'static {
    peer.reserve(relay.clone()).await.unwrap();
    let mut incoming = peer.streams.accept(BYTES).unwrap();
    async move {
        let (_, stream) = incoming.next().await.unwrap();
        let (reader, mut writer) = stream.split();
        futures::io::copy(reader, &mut writer).await.unwrap();
        writer.close().await.unwrap();
    }
}

/// Reaches `other` through the relay, sends it so many bytes, and compares what comes back. How long it took.
pub(crate) async fn exchange(peer: &mut Peer, relay: &Multiaddr, other: PeerId, size: usize) -> Duration {
    peer.dial_by(relay, other).await.unwrap();
    let stream = peer.streams.open_stream(other, BYTES).await.unwrap();
    let began = Instant::now();
    tokio::time::timeout(LIMIT, there_and_back(stream, size)).await.expect("the exchange");
    began.elapsed()
}

async fn there_and_back(stream: Stream, size: usize) {
    let pattern: Vec<u8> = (0..PIECE).map(|index| (index * 31 % 251) as u8).collect();
    let pieces = || (0..size).step_by(PIECE).map(|at| &pattern[..PIECE.min(size - at)]);
    let (mut reader, mut writer) = stream.split();
    let sent = async {
        for piece in pieces() {
            writer.write_all(piece).await.unwrap();
        }
        writer.close().await.unwrap();
    };
    let received = async {
        let mut buffer = vec![0; PIECE];
        for piece in pieces() {
            let came = &mut buffer[..piece.len()];
            reader.read_exact(came).await.unwrap();
            assert!(came == piece, "other bytes came back");
        }
        assert_eq!(reader.read(&mut buffer).await.unwrap(), 0);
    };
    futures::future::join(sent, received).await;
}

//! Ten thousand streams, and circuits beside them, opened and ended in every order: nothing of them is left at the relay.

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, stream};
use libp2p::{PeerId, Stream, StreamProtocol};

use crate::support::{peer::Peer, program::Relay, until};

const STREAMS: usize = 10_000;
/// Streams at first that are not counted: buffers grow, and the allocator takes what it will use.
const WARM_UP: usize = 5_000;
/// At the same time: fewer than a connection may have.
const AT_ONCE: usize = 64;
/// Circuits, as a share of the streams; fewer than a peer may open in a minute.
const STREAMS_PER_CIRCUIT: usize = 40;
/// Bytes by which the relay may grow without being said to leak: less than a quarter of a kilobyte for each stream.
const GROWTH: u64 = 2 * 1024 * 1024;

const HOP: StreamProtocol = StreamProtocol::new("/libp2p/circuit/relay/0.2.0/hop");
const PING: StreamProtocol = StreamProtocol::new("/ipfs/ping/1.0.0");

/// Who opens streams to the relay, and circuits to somebody else.
struct Visitor {
    relay: Relay,
    id: PeerId,
    peer: Peer,
    target: Peer,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_leave_nothing() {
    let relay = Relay::start(&[]);
    let (mut peer, mut target) = (Peer::new(), Peer::new());
    target.reserve(relay.address()).await.unwrap();
    let id = peer.dial(relay.address()).await.unwrap();
    let mut visitor = Visitor { relay, id, peer, target };

    visitor.visit(WARM_UP).await;
    let (memory, connections) = (visitor.relay.memory(), visitor.relay.counted("connections"));
    visitor.visit(STREAMS).await;
    let grown = visitor.relay.memory().saturating_sub(memory);
    println!("{STREAMS} streams and {} circuits: the relay has grown by {grown} bytes", STREAMS / STREAMS_PER_CIRCUIT);
    assert_eq!(visitor.relay.counted("connections"), connections, "the streams cost a connection");
    assert_eq!(visitor.relay.counted("reservations"), 1);
    assert!(grown <= GROWTH, "{grown} bytes more after {STREAMS} streams");
}

impl Visitor {
    async fn visit(&mut self, streams: usize) {
        let (control, id) = (&self.peer.streams, self.id);
        let ended = stream::iter(0..streams).map(async |number| end(number, id, control.clone()).await).buffer_unordered(AT_ONCE);
        ended.collect::<Vec<()>>().await;
        let address = self.relay.address();
        for _ in 0..streams / STREAMS_PER_CIRCUIT {
            let target = self.target.id;
            assert_eq!(self.peer.dial_by(&address, target).await, Ok(target));
            self.peer.with(move |swarm| swarm.disconnect_peer_id(target)).await.unwrap();
            self.peer.disconnected_from(target).await;
        }
        until("the circuits are over", || self.relay.counted("circuits") == 0).await;
    }
}

/// Opens a stream and ends it, in another way for each number.
async fn end(number: usize, relay: PeerId, mut control: libp2p_stream::Control) {
    let protocol = if number.is_multiple_of(2) { HOP } else { PING };
    let mut stream = control.open_stream(relay, protocol).await.unwrap();
    // What the relay answers, and whether it does, is its affair.
    match number % 7 {
        // Reset before anything was said.
        0 => {}
        // Half closed, and read to the end.
        1 => {
            let _ = stream.close().await;
            read(&mut stream).await;
        }
        // Half a message, then reset.
        2 => drop(stream.write_all(&[40, 8, 0]).await),
        // Half a message, then half closed.
        3 => {
            let _ = stream.write_all(&[40, 8, 0]).await;
            let _ = stream.close().await;
            read(&mut stream).await;
        }
        // No message at all.
        4 => {
            let _ = stream.write_all(&[3, 0xff, 0xff, 0xff]).await;
            let _ = stream.close().await;
            read(&mut stream).await;
        }
        // A question (for ping), whose answer is read.
        5 => {
            let _ = stream.write_all(&[31; 32]).await;
            let _ = stream.close().await;
            read(&mut stream).await;
        }
        // A question whose answer is not waited for.
        _ => drop(stream.write_all(&[31; 32]).await),
    }
}

async fn read(stream: &mut Stream) {
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

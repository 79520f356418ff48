//! WebTransport beside the WebSocket: what its streams carry is counted like everything else.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        StreamMuxer,
        muxing::{StreamMuxerBox, StreamMuxerEvent},
        transport::Boxed,
    },
    identity::Keypair,
    multiaddr::Protocol,
};
use shoal_webtransport::{Connection, Lasting, Stream, Transport};

use crate::{health::Health, settings::Config, websocket};

/// What a listener of these settings allows.
fn allowed(config: &Config) -> shoal_webtransport::Config {
    shoal_webtransport::Config {
        handshake_timeout: Duration::from_secs(config.handshake_seconds),
        handshakes: config.max_pending,
        handshakes_per_network: config.max_pending_per_network,
        handshakes_unproven: config.max_pending / 4,
        idle_timeout: Duration::from_secs(config.silent_seconds),
        streams: u32::try_from(config.max_streams_per_connection).unwrap_or(u32::MAX),
        ..shoal_webtransport::Config::default()
    }
}

/// Both ways in as one transport, and the WebTransport addresses that are worth keeping.
pub(crate) fn beside(
    web_socket: websocket::Transport,
    config: &Config,
    key: &Keypair,
    health: Arc<Health>,
) -> (Boxed<(PeerId, StreamMuxerBox)>, Lasting) {
    let transport = Transport::new(key.clone(), allowed(config));
    let lasting = transport.lasting();
    let counted =
        transport.map(move |(peer, connection), _| (peer, StreamMuxerBox::new(Counted { connection, health: Arc::clone(&health) })));
    (web_socket.or_transport(counted).map(|either, _| either.into_inner()).boxed(), lasting)
}

/// Whether an address is one of WebTransport.
pub(crate) fn is_web_transport(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::WebTransport)
}

/// What an operator says where pages reach the relay, with the hashes of certificates, which are those of any address of the relay.
pub(crate) fn with_hashes_of(address: &Multiaddr, like: &Multiaddr) -> Multiaddr {
    let hashes = like.iter().filter(|part| matches!(part, Protocol::Certhash(_)));
    hashes.fold(address.clone(), |address, hash| address.with(hash))
}

/// A connection whose bytes are counted.
struct Counted {
    connection: Connection,
    health: Arc<Health>,
}

impl Counted {
    fn stream(&self, stream: Stream) -> CountedStream {
        CountedStream { stream, health: Arc::clone(&self.health) }
    }
}

impl StreamMuxer for Counted {
    type Substream = CountedStream;
    type Error = <Connection as StreamMuxer>::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<CountedStream, Self::Error>> {
        let stream = ready!(Pin::new(&mut self.connection).poll_inbound(context))?;
        Poll::Ready(Ok(self.stream(stream)))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<CountedStream, Self::Error>> {
        let stream = ready!(Pin::new(&mut self.connection).poll_outbound(context))?;
        Poll::Ready(Ok(self.stream(stream)))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.connection).poll_close(context)
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.connection).poll(context)
    }
}

struct CountedStream {
    stream: Stream,
    health: Arc<Health>,
}

impl AsyncRead for CountedStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let length = ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.health.bytes_received.add(length);
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let length = ready!(Pin::new(&mut self.stream).poll_write(context, buffer))?;
        self.health.bytes_sent.add(length);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

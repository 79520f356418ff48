//! What a listener allows.

use std::{sync::Arc, time::Duration};

use quinn::VarInt;

/// The settings of a [`Transport`](crate::Transport).
#[derive(Debug, Clone)]
pub struct Config {
    /// How long an attempt may take until its peer is known. 10 s: three round trips of the worst link, and a browser that is busy loading.
    pub handshake_timeout: Duration,
    /// Attempts under way at once. Beyond it, new ones are refused. 256: what one core completes in a second.
    pub handshakes: usize,
    /// Of these from one network: an IPv4 address, or a /64 of IPv6. 32: an office behind one address, whose people all open the page at nine.
    pub handshakes_per_network: usize,
    /// Attempts under way from which on a client has to show that it receives at the address from which it sends (QUIC's Retry, RFC 9000 8.1.2): a
    /// round trip more for everybody, and no place for those who only pretend. 64.
    pub handshakes_unproven: usize,
    /// After so much silence a connection is dead. 30 s; a third of it is the interval of keep-alives.
    pub idle_timeout: Duration,
    /// Streams that a peer may have open at once. 256.
    pub streams: u32,
    /// Bytes of one stream that may be under way to us. 1 MiB: 100 Mbit/s at 80 ms.
    pub stream_window: u32,
    /// Bytes of all streams of a connection that may be under way to us. 4 MiB.
    pub connection_window: u32,
    /// Bytes of a connection that we keep until the other side has acknowledged them. 4 MiB.
    pub send_window: u64,
    /// Certificates before and after the present one whose hashes are told where an address is kept, and confirmed. 26: a year.
    pub around: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            handshakes: 256,
            handshakes_per_network: 32,
            handshakes_unproven: 64,
            idle_timeout: Duration::from_secs(30),
            streams: 256,
            stream_window: 1024 * 1024,
            connection_window: 4 * 1024 * 1024,
            send_window: 4 * 1024 * 1024,
            around: 26,
        }
    }
}

/// Streams in one direction that a browser needs for HTTP/3: control and the two of QPACK (RFC 9114 6.2); and one to spare.
const ONE_WAY_STREAMS: u32 = 4;

impl Config {
    /// As QUIC takes it.
    pub(crate) fn quic(&self) -> Arc<quinn::TransportConfig> {
        let mut quic = quinn::TransportConfig::default();
        quic.max_concurrent_bidi_streams(VarInt::from_u32(self.streams))
            .max_concurrent_uni_streams(VarInt::from_u32(ONE_WAY_STREAMS))
            .stream_receive_window(VarInt::from_u32(self.stream_window))
            .receive_window(VarInt::from_u32(self.connection_window))
            .send_window(self.send_window)
            .keep_alive_interval(Some(self.idle_timeout / 3))
            .max_idle_timeout(Some(VarInt::from_u32(u32::try_from(self.idle_timeout.as_millis()).unwrap_or(u32::MAX)).into()));
        Arc::new(quic)
    }
}

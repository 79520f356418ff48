//! What a listener allows.

use std::time::Duration;

/// The settings of a [`Transport`](crate::Transport).
#[derive(Debug, Clone)]
pub struct Config {
    /// How long an attempt may take until its peer is known. 10 s: three round trips of the worst link, and a browser that is busy loading.
    pub handshake_timeout: Duration,
    /// Attempts under way at once. Beyond it, a new one takes the place of the oldest that has not shown yet that it receives where it says it is;
    /// if there is none, it is not answered. 256: what one core completes in a second.
    pub handshakes: usize,
    /// Of these from one network: an IPv4 address, or a /64 of IPv6. 32: an office behind one address, whose people all open the page at nine.
    pub handshakes_per_network: usize,
    /// Addresses that are remembered because a connectivity check came from them. Beyond it, the oldest are forgotten. 16,384: about 2 MB.
    pub checks: usize,
    /// Of these from one network. A machine checks from each of its addresses, so twice as many as attempts. 64.
    pub checks_per_network: usize,
    /// After so much silence a connection is dead. 30 s: browsers check every 5 s, go-libp2p every 15 s, as long as they want the connection.
    pub idle_timeout: Duration,
    /// Streams that a peer may have open at once, and we as well. 256.
    pub streams: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            handshakes: 256,
            handshakes_per_network: 32,
            checks: 16_384,
            checks_per_network: 64,
            idle_timeout: Duration::from_secs(30),
            streams: 256,
        }
    }
}

/// The largest packet of UDP that is sent: bytes. IPv6 carries as much without asking anybody (RFC 8200 5: 1,280, less its header of 40 and UDP's 8).
pub(super) const DATAGRAM: usize = 1_232;

/// The largest packet that is read: bytes. What is longer was not sent by a data channel.
pub(super) const RECEIVED_DATAGRAM: usize = 2_048;

/// Bytes of a data chunk's piece of a message: a datagram without SCTP's headers (12 and 16), DTLS's (13, or less in 1.3) and what AES-GCM adds
/// (24, or 17), as a multiple of four.
pub(super) const PIECE: u32 = 1_164;

/// What SCTP holds of what a peer sent and nobody read, of all channels: bytes. It is the window that the peer is told. 1 MiB: 100 Mbit/s at 80 ms.
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What a stream holds beyond that for its reader, after which it stays in SCTP's window: bytes.
pub(super) const READ_AHEAD: usize = 64 * 1024;

/// A writer waits while a stream has so much under way, where its line holds that ([`Underway`](super::underway::Underway)): bytes. Enough for 25 Mbit/s at 80 ms on
/// each stream, and for all of it on four.
pub(super) const STREAM_UNSENT: usize = 256 * 1024;

/// So much it may always have: bytes. What Chromium has room for in its socket.
pub(super) const LEAST_UNSENT: usize = 64 * 1024;

/// All writers wait while a connection has so many times as much under way.
pub(super) const CONNECTION_UNSENT: usize = 4;

/// The longest frame that is sent as one message: bytes. go-libp2p reads the length before a frame into a buffer of so many, and fails the stream where a message
/// does not fit (Kubo 0.43); so the length of a longer frame is a message of its own, as in what it sends itself.
pub(super) const WHOLE_FRAME: usize = 4_096;

/// Bytes that are taken of a peer that is not known yet: DTLS and Noise need about 6 kB, and streams may be opened before (libp2p/specs
/// webrtc/webrtc-direct.md, "Connection Security").
pub(super) const BEFORE_KNOWN: usize = 64 * 1024;

/// Addresses from which one connection is taken: a browser checks from each of its own until it has chosen.
pub(super) const ADDRESSES_PER_CONNECTION: usize = 8;

/// How long a check counts: a client says hello at once after the answer, and repeats the check for as long as it gets none.
pub(super) const CHECK_COUNTS: Duration = Duration::from_secs(10);

/// Packets that wait for one connection. Beyond it they are lost, as on any full link. 512: half of the window.
pub(super) const WAITING_PACKETS: usize = 512;

/// How long the peer may take to close a channel of its own whose stream is over, and how many such channels may wait for it. rust-libp2p in a page never closes
/// any.
pub(super) const PARTING: (Duration, usize) = (Duration::from_secs(10), 64);

/// How long what was written may take to leave after a connection was closed.
pub(super) const CLOSING: Duration = Duration::from_secs(1);

/// SCTP's first and least time until it repeats, in milliseconds: those of Chromium's data channels.
pub(super) const REPEAT_AFTER: (u64, u64) = (500, 400);

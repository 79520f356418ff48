//! The bounds an operator does not set: each with its reason. What an operator does set is in [`crate::config`].

use std::time::Duration;

/// Bytes of the largest WebSocket frame and message accepted, from the first byte of a socket on. Two Noise frames
/// (65,535 B each) fit; libp2p's own WebSocket transport accepts 256 MiB from anybody.
pub(crate) const WEBSOCKET_MESSAGE: usize = 128 * 1024;

/// Bytes a socket reads at once. Every idle connection keeps one such buffer, so it is a price paid 10,000 times; 8 KiB relay no faster
/// (2.05 ms of processor time for each MB with either).
pub(crate) const WEBSOCKET_READ: usize = 4 * 1024;

/// Bytes gathered before they are written without waiting for a flush: one syscall for many small frames.
pub(crate) const WEBSOCKET_WRITE: usize = 32 * 1024;

/// Bytes of outgoing frames that may wait in one socket: what is below the write threshold plus one whole message and
/// room for the control frames that answer a peer's pings.
pub(crate) const WEBSOCKET_WRITE_QUEUE: usize = WEBSOCKET_WRITE + 2 * WEBSOCKET_MESSAGE;

/// Upgraded sockets that may wait for the swarm to take them. The number of unauthenticated sockets is bounded by
/// `max_pending`; this only decouples two tasks.
pub(crate) const ARRIVALS: usize = 64;

/// How long whoever stands in the door is left alone there, however many wait outside: an honest handshake takes some round trips.
pub(crate) const UNDISTURBED: Duration = Duration::from_secs(1);

/// Connections at once that have not sent the header of their first request: their buffers are not made yet, so they cost a few kilobytes.
pub(crate) const SILENT: usize = 1_024;

/// Of these, from one network.
pub(crate) const SILENT_PER_NETWORK: usize = 128;

/// How long a client may take to send its first byte, and then the header of an HTTP request, and how long a kept-alive connection may idle.
pub(crate) const HTTP_HEADER: Duration = Duration::from_secs(10);

/// Bytes of one HTTP request header; browsers send one or two kilobytes.
pub(crate) const HTTP_BUFFER: usize = 16 * 1024;

/// The share of a connection's streams that the relay does not use for streams of its own opening: a quarter, so that a crowd of
/// circuits towards one peer waits instead of costing that peer its connection, and its own streams still find room.
pub(crate) const STREAMS_KEPT: usize = 4;

/// Bytes of the receive window of one stream: yamux's initial 256 KiB, the least it accepts; its default for a whole
/// connection is 1 GiB.
pub(crate) const STREAM_WINDOW: usize = 256 * 1024;

/// Bytes of one QUIC stream that may be under way to the relay: 100 Mbit/s at 80 ms. As of WebTransport.
pub(crate) const QUIC_STREAM_WINDOW: u32 = 1024 * 1024;

/// Bytes of all streams of a QUIC connection that may be under way to the relay.
pub(crate) const QUIC_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Streams of one connection on which the relay is asked for its ICE servers and has not answered yet: a page asks once in some minutes.
pub(crate) const ICE_STREAMS: usize = 2;

/// Packets that came to relayed ports of TURN and wait for being sent on: some milliseconds of what 1,000 allocations may relay.
pub(crate) const RELAYED_PACKETS: usize = 1_024;

/// Ports that are tried for one allocation: other programs of the machine may have some.
pub(crate) const PORT_ATTEMPTS: usize = 64;

/// How often allocations that nobody refreshed are ended, and the counters told.
pub(crate) const TURN_SWEEP: Duration = Duration::from_secs(1);

/// Bytes of the largest Kademlia message (libp2p's own default, stated because it is a bound).
pub(crate) const KAD_MESSAGE: usize = 16 * 1024;

/// Keys of which the relay remembers providers, all peers together.
pub(crate) const PROVIDED_KEYS: usize = 65_536;

/// Addresses kept of one provider record: enough for some relays and transports, too few to aim a port scan.
pub(crate) const ADDRESSES_PER_PROVIDER: usize = 8;

/// Peers and networks whose request rate is remembered. Beyond it, whoever is not yet known has to wait.
pub(crate) const RATE_BUCKETS: usize = 65_536;

/// How often the network interfaces are read again: a laptop changes its network, the relay's addresses follow.
pub(crate) const INTERFACE_CHECK: Duration = Duration::from_secs(30);

/// How long a certificate that could not be renewed waits for the next attempt: authorities allow a handful of failures an hour.
pub(crate) const ACME_AGAIN: Duration = Duration::from_secs(3_600);

/// How long the transports may take to say where they listen: they look at the network interfaces.
pub(crate) const LISTENING: Duration = Duration::from_secs(2);

/// How long open connections get to say goodbye after a signal to stop.
pub(crate) const SHUTDOWN: Duration = Duration::from_millis(500);

/// How long libp2p lets the negotiation of a stream take.
pub(crate) const NEGOTIATION: Duration = Duration::from_secs(10);

/// How long an older connection of a peer may be silent, once the peer has made a newer one. A round trip of a bad mobile link; and whoever is judged
/// wrongly still has the newer one.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// Streams of one connection on which it is asked at once whether the relay lives: two, says the specification of ping. A third one takes the oldest's place.
pub(crate) const PING_STREAMS: usize = 2;

/// File descriptors that are not connections: the runtime, the log, files being sent, with room to spare.
pub(crate) const OWN_FILES: u64 = 64;

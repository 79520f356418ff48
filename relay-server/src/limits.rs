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
/// How long the goodbyes get to leave: QUIC's are sent by a task of its own, after libp2p counts the connection as closed.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long libp2p lets the negotiation of a stream take.
pub(crate) const NEGOTIATION: Duration = Duration::from_secs(10);

/// How long an older connection of a peer may be silent, once the peer has made a newer one. A round trip of a bad mobile link; and whoever is judged
/// wrongly still has the newer one.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// Streams of one connection on which it is asked at once whether the relay lives: two, says the specification of ping. A third one takes the oldest's place.
pub(crate) const PING_STREAMS: usize = 2;

/// File descriptors that are not connections: the runtime, the log, files being sent, with room to spare.
pub(crate) const OWN_FILES: u64 = 64;

/// Dials under way at once: some for each server that is known, and the answers to whether somebody is reached.
pub(crate) const DIALS: usize = 64;

/// Addresses that a name in a setting is looked up to.
pub(crate) const ADDRESSES_OF_NAME: usize = 4;

/// How long after a failure a server is dialled again at the soonest, and …
pub(crate) const REDIAL_FIRST: Duration = Duration::from_secs(1);
/// … at the latest, half of each up to chance: a server that is back is not dialled by all others in one moment.
pub(crate) const REDIAL_LONGEST: Duration = Duration::from_secs(300);

/// How long a connection through a relay stays beside the direct one that replaces it.
pub(crate) const RELAYED_AFTER_DIRECT: Duration = Duration::from_secs(5);

/// Servers of one network (IPv4 address or IPv6 /64) that stay connected without being named in the settings.
pub(crate) const SERVERS_PER_NETWORK: usize = 4;

/// Servers that a link may show: more than anybody has in one room.
pub(crate) const FOUND_SERVERS: usize = 32;

/// Servers a minute that a link may show for the first time, so that a flood of inventions is not a flood of dials.
pub(crate) const FINDS_PER_MINUTE: u32 = 60;

/// Addresses that libp2p's mDNS may hold before it is begun anew. It keeps whatever it is told, for as long as it is told.
pub(crate) const MDNS_RECORDS: usize = 512;

/// How long nobody listens to mDNS then.
pub(crate) const MDNS_DEAF: Duration = Duration::from_secs(60);

/// How often mDNS asks who is there.
pub(crate) const MDNS_INTERVAL: Duration = Duration::from_secs(120);

/// Failures after which a server that the link has shown is forgotten. Its next answer shows it anew.
pub(crate) const FOUND_FAILURES: u32 = 4;

/// Failures after which the operator is told of a server that the settings name: some seconds.
pub(crate) const TOLD_FAILURES: u32 = 4;

/// How long the one of two servers with the greater PeerId waits for the other's dial, when they find each other: one connection is enough.
pub(crate) const FIND_HEAD_START: Duration = Duration::from_secs(3);

/// How long a server that the link has shown and that turned out to be none of ours is left alone.
pub(crate) const NOT_OURS: Duration = Duration::from_secs(600);

/// Own addresses that may turn out to be reached from outside.
pub(crate) const CANDIDATES: usize = 16;

/// Answers a minute, all networks together, to whether somebody is reached: each is a dial to where a stranger says.
pub(crate) const REACH_ANSWERS_PER_MINUTE: u32 = 120;

/// How long the router may take to map a port before the operator is told that it does not.
pub(crate) const UPNP_PATIENCE: Duration = Duration::from_secs(20);

/// How long until a router is looked for again after none was found.
pub(crate) const UPNP_AGAIN: Duration = Duration::from_secs(600);

/// Connections that wait for being accepted, as tokio has it where it opens the port itself.
pub(crate) const BACKLOG: u32 = 1_024;

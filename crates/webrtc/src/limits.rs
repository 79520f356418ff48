//! Every bound of this crate, with its reason.

use std::time::Duration;

/// The largest frame, length prefix included, that may be sent to a peer that did not say it takes more: bytes.
///
/// "the max message size MUST be 16 KiB" (libp2p/specs webrtc/README.md, "Multiplexing").
pub const STRANGER_FRAME: usize = 16 * 1024;

/// The largest frame, length prefix included, that is sent to a server: bytes.
///
/// go-libp2p 0.49 reads the beginning of a frame into a buffer of this size, and resets the stream where the message that brings it is longer. It sends
/// lengths as messages of their own and does not meet this itself. Frames of 8 KiB, the length before each by itself, were no faster: 30.0 MB/s from
/// Chromium instead of 30.1, at the same processor time.
pub const SERVER_FRAME: usize = 4 * 1024;

/// The most that a frame adds to its payload: bytes.
///
/// A length prefix of at most 4 bytes (frames stay below 2²⁸), the flag field of 2, the key of the message field of 1
/// and its length of at most 4.
pub const FRAME_OVERHEAD: usize = 4 + 2 + 1 + 4;

/// The largest frame that is accepted from anybody, length prefix included: bytes.
///
/// 256 KiB is what a browser takes as one data channel message; go-libp2p accepts as much (libp2p/specs pull 628).
pub const ACCEPTED_FRAME: usize = 256 * 1024 + FRAME_OVERHEAD;

/// The largest frame that is sent to a peer that takes it: bytes.
///
/// Payloads of 64 KiB were the fastest in Chromium and as fast as any in Firefox.
pub const PREFERRED_FRAME: usize = 64 * 1024 + FRAME_OVERHEAD;

/// What one stream may hold that its reader has not taken yet: bytes. More resets the stream.
///
/// Data channels have no back-pressure towards the sender, so this must exceed the credit windows of the protocols above.
pub const STREAM_BUFFER: usize = 16 * 1024 * 1024;

/// How long a stream whose owner has left waits for the peer's last frames: FIN_ACK, or a FIN of its own.
///
/// js-libp2p waits as long for ours (`DEFAULT_FIN_ACK_TIMEOUT`).
pub const LINGER: Duration = Duration::from_secs(10);

/// The largest signalling message, without its length prefix: bytes. Session descriptions of browsers are below 4 KiB.
pub const SIGNALING_MESSAGE: usize = 32 * 1024;

/// The largest ICE candidate as JSON: bytes. Browsers write about 300.
pub const CANDIDATE: usize = 4 * 1024;

/// The least UDP port at which a peer's candidate is tried: those below belong to services, and no browser takes one of them.
pub const LEAST_PORT: u16 = 1_024;

/// The longest ICE user name fragment: characters (RFC 8839, section 5.4).
pub const ICE_CREDENTIAL: usize = 256;

/// How many ICE candidates are taken from, and sent to, one peer. A machine with many interfaces gathers about 20.
pub const CANDIDATES: usize = 64;

/// Of how many servers is remembered that they know the first version of `/webrtc-direct` alone: of those that a page can have to do with, and more. Beyond it, nothing is.
pub const OLDER_SERVERS: usize = 32;

/// How long a server may take to be connected by [the second version](crate::direct::Version::V2) of `/webrtc-direct` before it is dialled by the first one.
///
/// A connection takes five round trips or so; a server that does not know the version is silent, so this is what dialling it costs: once, for it is remembered.
pub const DIRECT_PATIENCE: Duration = Duration::from_secs(4);

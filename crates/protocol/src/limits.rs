//! Every bound of this crate, in one place, each with its reason and with what happens when it is reached.
//! One section per module.

// ---- content ----------------------------------------------------------------------------------------------------

/// Longest block, in bytes: 2 MiB, what every IPFS implementation accepts (bitswap's message limit is 4 MiB) and twice
/// the largest leaf that we make. A longer one is refused before it is hashed or decoded.
pub const BLOCK_BYTES: usize = 2 * 1024 * 1024;

/// Longest content inside an identity CID, in bytes: 128, Kubo's own limit. More would let a link carry a file past the
/// block store. A longer one is refused when parsed.
pub const IDENTITY_BYTES: usize = 128;

/// Longest binary CID, in bytes: version, codec and hash code take one byte each, an identity's length two.
pub const CID_BYTES: usize = 5 + IDENTITY_BYTES;

/// Longest CID as text, in characters: base16 of the longest binary CID behind its multibase letter. Checked before
/// decoding, because base58 takes quadratic time.
pub const CID_TEXT: usize = 1 + 2 * CID_BYTES;

/// Most links of one dag-pb node: 8,192. Our profiles make at most 1,024, Kubo shards a directory at 256 KiB, which is
/// under 6,000 of the shortest entries. A node with more is refused when decoded.
pub const LINKS_PER_NODE: usize = 8_192;

/// Deepest DAG, counted in links from its root: 64. A balanced file of 2^64 bytes has depth 9, and nobody nests
/// directories that far. With [`LINKS_PER_NODE`] it bounds what a walk holds: 64 · 8,192 links of 64 bytes, 32 MiB in
/// the worst case that an attacker can build (twice that for a range), under 200 KiB for a real file. A deeper DAG is
/// refused.
pub const DAG_DEPTH: usize = 64;

/// Most distinct blocks of one walk: 2^18, a file of almost 256 GiB in our default profile and 64 GiB in Kubo's, past what
/// a page may store. It bounds the set of blocks already passed to 25 MiB (measured). A larger DAG is refused.
pub const WALK_BLOCKS: usize = 1 << 18;

// ---- identity ---------------------------------------------------------------------------------------------------

/// Longest spelling of a public key, in characters: the longest real one, a `did:key`, has 56. Checked before decoding,
/// because base58 takes quadratic time.
pub const PUBLIC_KEY_TEXT: usize = 64;

// ---- session ----------------------------------------------------------------------------------------------------

/// Streams that either side may have open at once: a thousand small blocks may be asked for at the same time, and
/// an idle stream costs a few hundred bytes.
pub const SESSION_STREAMS: u64 = 1024;
/// Bytes of one stream that may be on the way or with its reader: two of the largest blocks, so that the next one travels while
/// one is being verified and stored; at 100 MB/s it covers a round trip of 40 ms.
pub const SESSION_STREAM_WINDOW: u64 = 4 * 1024 * 1024;
/// Bytes of all streams of a session that may be on the way or unread: four streams at full speed, and what a
/// reader that stops can make us hold.
pub const SESSION_CONNECTION_WINDOW: u64 = 16 * 1024 * 1024;
/// Payload of one data frame: large enough that framing costs nothing, small enough that an urgent frame behind it
/// waits less than a millisecond at 100 MB/s.
pub const SESSION_FRAME_PAYLOAD: u64 = 64 * 1024;
/// Bytes of one stream that wait to be sent: enough to keep the wire busy while the next block is loaded.
pub const SESSION_STREAM_BUFFER: u64 = 1024 * 1024;
/// Bytes of all streams of a session that wait to be sent; every stream may hold [`SESSION_STREAM_RESERVE`] beyond it.
pub const SESSION_SEND_BUFFER: u64 = 8 * 1024 * 1024;
/// Bytes that a stream may always hold unsent, so that streams whose reader stopped cannot starve the others.
pub const SESSION_STREAM_RESERVE: u64 = 16 * 1024;

/// What every session grants before its HELLO arrives, so that opening costs no round trip: streams.
pub const SESSION_FIRST_STREAMS: u64 = 64;
/// What every session grants before its HELLO arrives: bytes of one stream.
pub const SESSION_FIRST_STREAM_WINDOW: u64 = 64 * 1024;
/// What every session grants before its HELLO arrives: bytes of all streams.
pub const SESSION_FIRST_CONNECTION_WINDOW: u64 = 256 * 1024;
/// What every session accepts before its HELLO arrives: payload of one data frame.
pub const SESSION_FIRST_FRAME_PAYLOAD: u64 = 16 * 1024;
/// Largest value that a HELLO may announce for any limit: offsets cannot overflow, and no honest peer needs more.
pub const SESSION_ANNOUNCED: u64 = 1 << 40;
/// Bytes of a HELLO frame: today's fields take under 60; the rest is room for later ones, which are ignored here.
pub const SESSION_HELLO_FRAME: u64 = 1024;

// ---- exchange ---------------------------------------------------------------------------------------------------

/// Longest request, in bytes: kind, the longest CID, scope with a range, two counts come to under 190. A longer one is
/// refused before it is read on.
pub const EXCHANGE_REQUEST: usize = 256;

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
/// the worst case that an attacker can build, under 200 KiB for a real file. A deeper DAG is refused.
pub const DAG_DEPTH: usize = 64;

/// Most distinct blocks of one walk: 2^18, a file of 256 GiB in our default profile and 64 GiB in Kubo's, past what a
/// page may store. It bounds the set of blocks already passed to about 25 MiB. A larger DAG is refused.
pub const WALK_BLOCKS: usize = 1 << 18;

// ---- identity ---------------------------------------------------------------------------------------------------

/// Longest spelling of a public key, in characters: the longest real one, a `did:key`, has 56. Checked before decoding,
/// because base58 takes quadratic time.
pub const PUBLIC_KEY_TEXT: usize = 64;

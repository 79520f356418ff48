//! Every bound of the store, with its reason. The largest block is the protocol's: `shoal_protocol::limits::BLOCK_BYTES`.

/// Most block bytes written by one transaction. Measured: larger ones are no faster, and a failed one loses more work.
pub const COMMIT_BYTES: usize = 16 * 1024 * 1024;

/// Most blocks written by one transaction. With blocks of 2 KiB this is 8 MiB: well past the point where the fixed cost of a transaction
/// disappears.
pub const COMMIT_BLOCKS: usize = 4096;

/// Most block bytes that wait for a transaction or are in one; a `put` beyond it waits. One transaction commits while the next gathers.
pub const QUEUE_BYTES: usize = 2 * COMMIT_BYTES;

/// Most blocks that wait for a transaction or are in one; a `put` beyond it waits. Bounds the bookkeeping when blocks are tiny.
pub const QUEUE_BLOCKS: usize = 2 * COMMIT_BLOCKS;

/// Bytes of recently written and read blocks kept in memory, so that a reader who follows a fetch does not touch the disk.
pub const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Most reads in one transaction, whose answers are given together: enough to hide its fixed cost, few enough that the first does not wait for
/// a long list. At most 8 MiB of blocks, as larger ones than 64 KiB rest in files.
pub const READ_BATCH: usize = 128;

/// Largest file of blocks, in bytes: few enough files for a large store, and little to move when one has to be emptied.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Files of blocks held open at once: each costs a descriptor, and opening one a few milliseconds.
pub const OPEN_SEGMENTS: usize = 16;

/// Places of blocks kept in memory, of about 100 bytes each: of the last 16 GiB written, with leaves of 1 MiB.
pub const REMEMBERED_PLACES: usize = 16 * 1024;

/// Bytes of live blocks moved by one transaction out of a file that is mostly dead.
pub const MOVE_BYTES: u64 = 8 * 1024 * 1024;

/// Blocks deleted by one transaction. Deleting has to read each block to know its length, so this bounds the bytes in flight at 64 MiB.
pub const DELETE_BATCH: usize = 32;

/// From this size on a block is looked for before it is written: below it, writing one that is already there costs less than looking. It is also
/// the size from which a block goes into a file of blocks, as IndexedDB would make a file for it alone; and from which it fills most of the
/// network buffer that it may be a slice of, so that keeping the buffer costs less than a copy.
pub const LARGE_BLOCK_BYTES: usize = 64 * 1024;

/// Longest name of a record, in bytes: names are written by our own code, a longer one is a mistake.
pub const MAX_RECORD_NAME_BYTES: usize = 256;

/// Largest value of a record, in bytes. Records are settings and small caches; content belongs into blocks.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Wait for the database to open, in milliseconds. A healthy one opens in 5 to 200; a longer wait means another tab holds an older version.
pub const OPEN_TIMEOUT_MS: u32 = 10_000;

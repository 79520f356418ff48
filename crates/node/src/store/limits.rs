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

/// Most reads in one transaction: enough to hide its fixed cost, few enough that the first answer does not wait for a long list.
pub const READ_BATCH: usize = 1024;

/// Blocks deleted by one transaction. Deleting has to read each block to know its length, so this bounds the bytes in flight at 64 MiB.
pub const DELETE_BATCH: usize = 32;

/// From this size on a block is looked for before it is written: below it, writing one that is already there costs less than looking. It is also
/// the size from which a block fills most of the network buffer that it may be a slice of, so that keeping the buffer costs less than a copy.
pub const LARGE_BLOCK_BYTES: usize = 64 * 1024;

/// Longest name of a record, in bytes: names are written by our own code, a longer one is a mistake.
pub const MAX_RECORD_NAME_BYTES: usize = 256;

/// Largest value of a record, in bytes. Records are settings and small caches; content belongs into blocks.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Wait for the database to open, in milliseconds. A healthy one opens in 5 to 200; a longer wait means another tab holds an older version.
pub const OPEN_TIMEOUT_MS: u32 = 10_000;

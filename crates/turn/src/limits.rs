//! What one allocation may cost, and for how long.

use std::time::Duration;

/// How long credentials can be used for a first request: long enough for a connection to be made, with its repeats. What was allocated with them lives on.
pub const CREDENTIALS: Duration = Duration::from_secs(10 * 60);

/// How long an allocation lives that is not refreshed: RFC 8656, section 3.2.
pub const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// The longest that a client may ask for: the same section's recommendation.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// How long a permission lives: section 9, not to be changed.
pub const PERMISSION: Duration = Duration::from_secs(5 * 60);
/// How long a channel lives: section 12, not to be changed.
pub const CHANNEL: Duration = Duration::from_secs(10 * 60);
/// How long a nonce can be used: a client with an older one is told the next at the cost of one round trip. RFC 8489, section 9.2, asks for an hour or less.
pub const NONCE: Duration = Duration::from_secs(60 * 60);

/// Permissions of an allocation, each an address: ICE asks for one for each candidate of the other side, of which browsers tell a dozen.
pub const PERMISSIONS: usize = 32;
/// Channels of an allocation: as many, for the same reason.
pub const CHANNELS: usize = 32;

/// Bytes of a packet that is read: what Ethernet carries, and a little more.
pub const PACKET: usize = 2_048;
/// Bytes of a USERNAME: a number of ten digits, a colon and a PeerId.
pub const USERNAME: usize = 128;
/// Channel numbers: RFC 8656, section 12.
pub const CHANNEL_NUMBERS: std::ops::RangeInclusive<u16> = 0x4000..=0x4FFF;

//! Content in and out: publishing into the store, fetching from peers into it, serving peers from it, reading it in file order.

pub mod fetch;
pub mod offer;
pub mod publish;
pub mod read;
pub mod senders;
pub mod serve;
pub mod source;

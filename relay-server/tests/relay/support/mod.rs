//! What the tests stand on: the program, a libp2p peer, a plain HTTP client.

pub(crate) mod bytes;
pub(crate) mod certificates;
pub(crate) mod http;
pub(crate) mod patience;
pub(crate) mod peer;
pub(crate) mod program;
pub(crate) mod udp;

pub(crate) use patience::{PATIENCE, soon, until};

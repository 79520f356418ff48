//! The native half: a listener for `/webrtc-direct`, which pages and programs dial without knowing it before.
//!
//! ```text
//! port        one UDP socket: checks (`stun`) are answered and remembered (`checks`); whoever checked may begin, if there is a place (`door`)
//!   session   one connection as a value: `tunnel` (SCTP in DTLS), and a stream of `crate::stream` on each data channel
//! connection  what libp2p sees of it, after Noise
//! transport, listener   the ports, and the addresses at which they are reached
//! ```

mod addresses;
mod certificate;
mod checks;
mod config;
mod connection;
mod dcep;
mod door;
mod error;
mod listener;
mod port;
mod session;
mod substream;
mod transport;
mod tunnel;
mod underway;

pub mod stun;

pub use addresses::address_of;
pub use certificate::{Certhash, Certificate, CertificateError};
pub use config::Config;
pub use connection::Connection;
pub use dcep::Said;
pub use error::{End, Error};
pub use port::is_hello;
pub use substream::Stream;
pub use transport::Transport;

#![doc = include_str!("../README.md")]

mod addresses;
pub mod certificates;
mod config;
mod connection;
mod door;
mod drafts;
mod error;
mod listener;
mod session;
mod stream;
mod transport;

pub use addresses::address_of;
pub use config::Config;
pub use connection::Connection;
pub use error::Error;
pub use stream::Stream;
pub use transport::{Lasting, Transport};

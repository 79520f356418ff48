//! What pages need to connect to each other directly: their address from outside (STUN), a port at the relay where even that does not help (TURN), and
//! credentials for it, by libp2p (`crates/protocol/docs/ice.md`).
//!
//! ```text
//! UDP ─ desk ─┬─ STUN: answered at once
//!             └─ TURN: shoal_turn::Server ─ ports ─ UDP ─ peers
//! libp2p ─ credentials
//! ```

mod credentials;
mod desk;
mod ports;

pub(crate) use credentials::Behaviour;
pub(crate) use desk::serve;

use std::net::{IpAddr, SocketAddr};

use libp2p::identity::Keypair;
use shoal_protocol::addresses::{Reach, reach_of_ip};
use shoal_turn::credentials::Secret;

use crate::{
    addresses,
    settings::{Config, Turn},
};

/// What the secret of the credentials is derived for.
const DOMAIN: &[u8] = b"shoal turn credentials 1";

/// Where STUN is, and what TURN's credentials follow from, where it is offered.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    pub(crate) port: u16,
    pub(crate) secret: Option<Secret>,
}

/// The secret of the relay with this key: the same after a restart.
fn secret(key: &Keypair) -> Option<Secret> {
    key.derive_secret(DOMAIN).map(Secret::new)
}

/// The address of the relayed ports: what the operator says, or where STUN listens, or by what others reach the relay, or the machine's own that lies furthest out.
fn relayed_address(config: &Config, listen: SocketAddr) -> Option<IpAddr> {
    let machine = || addresses::reachable_ips(listen).into_iter().min_by_key(|ip| reach_of_ip(*ip).unwrap_or(Reach::Loopback));
    match config.turn {
        Turn::Off => None,
        Turn::At(ip) => Some(ip),
        Turn::Auto if !listen.ip().is_unspecified() => Some(listen.ip()),
        Turn::Auto => config.external.0.iter().find_map(addresses::ip_of).or_else(machine),
    }
}

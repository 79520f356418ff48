//! The server: who has which port, whom he may reach by it, and for how long. RFC 8656, whose sections are meant below.

mod allocation;
mod requests;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use shoal_protocol::{connections::Network, time::Time};

use crate::{
    binding,
    credentials::Secret,
    limits::{CHANNEL_NUMBERS, PACKET},
    message::{self, Message, attribute, u16_at},
};
use allocation::Allocation;

/// Types of messages (section 17); the class is in bits 4 and 8.
mod kind {
    pub(super) const ALLOCATE: u16 = 0x0003;
    pub(super) const REFRESH: u16 = 0x0004;
    pub(super) const SEND: u16 = 0x0016;
    pub(super) const DATA: u16 = 0x0017;
    pub(super) const CREATE_PERMISSION: u16 = 0x0008;
    pub(super) const CHANNEL_BIND: u16 = 0x0009;
    pub(super) const SUCCESS: u16 = 0x0100;
    pub(super) const ERROR: u16 = 0x0110;
}

/// What the server gives to whom.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Allocations in all.
    pub allocations: usize,
    /// Allocations of a PeerId: one for each connection that is being made, which is why one is not enough.
    pub per_peer: usize,
    /// Allocations of a network.
    pub per_network: usize,
    /// Bytes a second that an allocation relays, both ways together; what is beyond is lost, as on any narrow link.
    pub bytes_per_second: u64,
}

/// The time, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Of the clock that only goes forward.
    pub time: Time,
    /// Seconds since 1970, by which credentials end.
    pub unix_seconds: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to a client, from the server's own port.
    Reply {
        /// The client.
        to: SocketAddr,
        /// The packet.
        bytes: Vec<u8>,
    },
    /// Send this to a peer, from a relayed port.
    Relay {
        /// The relayed port.
        port: u16,
        /// The peer.
        to: SocketAddr,
        /// The packet.
        bytes: Vec<u8>,
    },
    /// Close a relayed port.
    Close {
        /// The relayed port.
        port: u16,
    },
}

/// What it did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Allocations that live.
    pub allocations: usize,
    /// Bytes that were relayed, both ways.
    pub relayed: u64,
    /// Packets that were too many for their allocation.
    pub lost: u64,
    /// Addresses to which nobody is relayed that somebody asked for.
    pub forbidden: u64,
}

/// The state of all allocations.
#[derive(Debug)]
pub struct Server {
    secret: Secret,
    allowed: Allowed,
    /// The address at which the relayed ports are.
    address: IpAddr,
    /// By the client's address: the server has one of its own.
    allocations: HashMap<SocketAddr, Allocation>,
    ports: HashMap<u16, SocketAddr>,
    counts: Counts,
}

impl Server {
    /// A server whose relayed ports are at `address`.
    #[must_use]
    pub fn new(secret: Secret, allowed: Allowed, address: IpAddr) -> Self {
        Self {
            secret,
            allowed,
            address: address.to_canonical(),
            allocations: HashMap::new(),
            ports: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// A packet came to the server's port. `open` opens a port of the family of the server's address and says its number, or that there is none.
    pub fn receive(&mut self, packet: &[u8], from: SocketAddr, now: Now, open: impl FnOnce() -> Option<u16>) -> Vec<Output> {
        let from = canonical(from);
        match packet.first() {
            Some(0x40..=0x4F) => self.on_channel_data(packet, from, now),
            Some(0x00..=0x3F) if packet.len() <= PACKET => {
                let Some(message) = Message::read(packet) else { return Vec::new() };
                match message.kind {
                    kind::SEND => self.on_send(&message, from, now),
                    kind::ALLOCATE | kind::REFRESH | kind::CREATE_PERMISSION | kind::CHANNEL_BIND => {
                        let answer = self.on_request(&message, packet.len(), from, now, open);
                        answer.into_iter().flatten().collect()
                    }
                    _ => binding::answer(packet, from).map(|bytes| Output::Reply { to: from, bytes }).into_iter().collect(),
                }
            }
            _ => Vec::new(),
        }
    }

    /// A packet of a peer came to a relayed port.
    pub fn relayed(&mut self, port: u16, packet: &[u8], from: SocketAddr, now: Now) -> Option<Output> {
        let from = canonical(from);
        let client = *self.ports.get(&port)?;
        let allocation = self.allocations.get_mut(&client)?;
        if packet.len() > PACKET
            || !allocation.permits(from.ip(), now.time)
            || !self.counts.count(allocation.take(packet.len(), now.time), packet.len())
        {
            return None;
        }
        let bytes = match allocation.channel_of(from, now.time) {
            Some(channel) => {
                let length = packet.len() as u16;
                [&channel.to_be_bytes(), &length.to_be_bytes(), packet].concat()
            }
            None => {
                let transaction = allocation.next_transaction();
                let peer = message::xored(from, &transaction);
                message::encode(kind::DATA, &transaction, &[(attribute::XOR_PEER_ADDRESS, &peer), (attribute::DATA, packet)])
            }
        };
        Some(Output::Reply { to: client, bytes })
    }

    /// Ends what has not been refreshed; to be called every few seconds.
    pub fn sweep(&mut self, now: Now) -> Vec<Output> {
        let over: Vec<SocketAddr> =
            self.allocations.iter().filter(|(_, allocation)| allocation.is_over(now.time)).map(|(client, _)| *client).collect();
        self.allocations.values_mut().for_each(|allocation| allocation.tidy(now.time));
        over.into_iter().filter_map(|client| self.end(client)).collect()
    }

    /// Whether this client has an allocation: then it is no stranger.
    #[must_use]
    pub fn serves(&self, client: SocketAddr) -> bool {
        self.allocations.contains_key(&canonical(client))
    }

    /// What it did so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { allocations: self.allocations.len(), ..self.counts }
    }

    fn on_channel_data(&mut self, packet: &[u8], from: SocketAddr, now: Now) -> Vec<Output> {
        let channel = u16_at(packet, 0).filter(|number| CHANNEL_NUMBERS.contains(number));
        // Over UDP there may be filling behind the data, and there need not be (section 12.5).
        let data = u16_at(packet, 2).and_then(|length| packet.get(4..4 + usize::from(length)));
        let (Some(channel), Some(data)) = (channel, data) else { return Vec::new() };
        let Some(to) = self.allocations.get(&from).and_then(|allocation| allocation.peer_of(channel, now.time)) else { return Vec::new() };
        self.send(from, to, data, now)
    }

    fn on_send(&mut self, message: &Message<'_>, from: SocketAddr, now: Now) -> Vec<Output> {
        const KNOWN: [u16; 2] = [attribute::XOR_PEER_ADDRESS, attribute::DATA];
        let strange = message.attributes().any(|attribute| attribute.kind < message::OPTIONAL && !KNOWN.contains(&attribute.kind));
        let to = message.attribute(attribute::XOR_PEER_ADDRESS).and_then(|value| message::address_of(value, &message.transaction));
        match (to, message.attribute(attribute::DATA)) {
            (Some(to), Some(data)) if !strange => self.send(from, to, data, now),
            _ => Vec::new(),
        }
    }

    /// Brings what a client sends to a peer, where he is permitted to.
    fn send(&mut self, client: SocketAddr, to: SocketAddr, data: &[u8], now: Now) -> Vec<Output> {
        let Some(allocation) = self.allocations.get_mut(&client) else { return Vec::new() };
        if !allocation.permits(to.ip(), now.time) || !self.counts.count(allocation.take(data.len(), now.time), data.len()) {
            return Vec::new();
        }
        let port = allocation.port;
        if to.ip() != self.address {
            return vec![Output::Relay { port, to, bytes: data.to_vec() }];
        }
        // At this address there are allocations and other things; to the former packets go by hand, to the latter not at all.
        self.relayed(to.port(), data, SocketAddr::new(self.address, port), now).into_iter().collect()
    }

    fn end(&mut self, client: SocketAddr) -> Option<Output> {
        let port = self.allocations.remove(&client)?.port;
        self.ports.remove(&port);
        Some(Output::Close { port })
    }

    fn of_peer(&self, peer: &str) -> usize {
        self.allocations.values().filter(|allocation| allocation.peer == peer).count()
    }

    fn of_network(&self, network: Network) -> usize {
        self.allocations.keys().filter(|client| Network::from(client.ip()) == network).count()
    }
}

impl Counts {
    /// Counts a packet, if it is `taken`; whether it is.
    fn count(&mut self, taken: bool, bytes: usize) -> bool {
        if taken {
            self.relayed += bytes as u64;
        } else {
            self.lost += 1;
        }
        taken
    }
}

/// A socket of both families tells IPv4 clients by mapped addresses.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whole seconds, as messages tell them.
fn seconds(duration: Duration) -> [u8; 4] {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).to_be_bytes()
}

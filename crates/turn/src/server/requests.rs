//! What a client asks for, once he has shown who he is.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use shoal_protocol::connections::Network;

use super::{
    Now, Output, Server,
    allocation::{Allocation, Full, NotBound},
    kind, seconds,
};
use crate::{
    credentials::{self, REALM},
    limits::{CHANNEL_NUMBERS, LIFETIME, LONGEST_LIFETIME, NONCE},
    message::{self, Message, OPTIONAL, attribute, u16_at, u32_at},
    peers::is_allowed,
};

/// Why a request is refused: RFC 8489, section 14.8; RFC 8656, section 19.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    BadRequest = 400,
    Unauthorized = 401,
    Forbidden = 403,
    UnknownAttribute = 420,
    AllocationMismatch = 437,
    StaleNonce = 438,
    AddressFamilyNotSupported = 440,
    WrongCredentials = 441,
    UnsupportedTransportProtocol = 442,
    PeerAddressFamilyMismatch = 443,
    AllocationQuotaReached = 486,
    InsufficientCapacity = 508,
}

/// What has to be understood in a request, and is.
const KNOWN: [u16; 9] = [
    attribute::USERNAME,
    attribute::MESSAGE_INTEGRITY,
    attribute::REALM,
    attribute::NONCE,
    attribute::CHANNEL_NUMBER,
    attribute::LIFETIME,
    attribute::XOR_PEER_ADDRESS,
    attribute::REQUESTED_ADDRESS_FAMILY,
    attribute::REQUESTED_TRANSPORT,
];

/// UDP, as IP numbers it.
const UDP: u8 = 17;
/// The families of REQUESTED-ADDRESS-FAMILY.
const V4: u8 = 1;
const V6: u8 = 2;
/// Bytes of the shorter headers of IP and UDP: with them an answer to a stranger is at most one and a half times as long as his request.
const HEADERS: usize = 20 + 8;

/// Who asks: his name, and the key of his password.
struct Asker<'a> {
    username: &'a str,
    peer: String,
    key: [u8; 16],
    /// Whether his credentials are still good for something new.
    current: bool,
}

/// What a request leads to: attributes of the answer, and whether the allocation ends by it.
struct Granted {
    attributes: Vec<(u16, Vec<u8>)>,
    ended: bool,
}

impl Granted {
    const fn with(attributes: Vec<(u16, Vec<u8>)>) -> Self {
        Self { attributes, ended: false }
    }
}

impl Server {
    /// Answers a request of `length` bytes; what else is to be done comes after the answer.
    pub(super) fn on_request(
        &mut self,
        message: &Message<'_>,
        length: usize,
        from: SocketAddr,
        now: Now,
        open: impl FnOnce() -> Option<u16>,
    ) -> [Option<Output>; 2] {
        let asker = match self.examine(message, from, now) {
            Ok(asker) => asker,
            Err(refusal) => {
                let bytes = self.refuse_stranger(message, refusal, from, now);
                let worth_it = 2 * (bytes.len() + HEADERS) <= 3 * (length + HEADERS);
                return [worth_it.then_some(Output::Reply { to: from, bytes }), None];
            }
        };
        let granted = self.grant(message, &asker, from, now, open);
        let mut close = None;
        let (kind, attributes) = match granted {
            Ok(Granted { attributes, ended }) => {
                if ended {
                    close = self.end(from);
                }
                (message.kind | kind::SUCCESS, attributes)
            }
            Err(refusal) => {
                if refusal == Refusal::Forbidden {
                    self.counts.forbidden += 1;
                }
                (message.kind | kind::ERROR, vec![(attribute::ERROR_CODE, error_code(refusal).to_vec())])
            }
        };
        let attributes: Vec<(u16, &[u8])> = attributes.iter().map(|(kind, value)| (*kind, value.as_slice())).collect();
        let bytes = message::encode_proven(kind, &message.transaction, &attributes, &asker.key);
        [Some(Output::Reply { to: from, bytes }), close]
    }

    /// Who asks: RFC 8489, section 9.2.4.
    fn examine<'a>(&self, message: &Message<'a>, from: SocketAddr, now: Now) -> Result<Asker<'a>, Refusal> {
        if message.attribute(attribute::MESSAGE_INTEGRITY).is_none() {
            return Err(Refusal::Unauthorized);
        }
        let text = |kind| message.attribute(kind).and_then(|value| std::str::from_utf8(value).ok());
        let (Some(username), Some(realm), Some(nonce)) =
            (text(attribute::USERNAME), text(attribute::REALM), message.attribute(attribute::NONCE))
        else {
            return Err(Refusal::BadRequest);
        };
        let holder = credentials::holder(username).filter(|_| realm == REALM).ok_or(Refusal::Unauthorized)?;
        let key = self.secret.expected(username).key();
        if !message.is_proven(&key) {
            return Err(Refusal::Unauthorized);
        }
        if !self.is_fresh(nonce, from, now) {
            return Err(Refusal::StaleNonce);
        }
        Ok(Asker { username, peer: holder.peer, key, current: now.unix_seconds <= holder.until })
    }

    fn grant(
        &mut self,
        message: &Message<'_>,
        asker: &Asker<'_>,
        from: SocketAddr,
        now: Now,
        open: impl FnOnce() -> Option<u16>,
    ) -> Result<Granted, Refusal> {
        if message.attributes().any(|attribute| attribute.kind < OPTIONAL && !KNOWN.contains(&attribute.kind)) {
            return Err(Refusal::UnknownAttribute);
        }
        if message.kind == kind::ALLOCATE {
            return self.allocate(message, asker, from, now, open);
        }
        let ended = self.allocations.get(&from).is_none_or(|allocation| allocation.is_over(now.time));
        if ended {
            return Err(Refusal::AllocationMismatch);
        }
        let (address, allocation) = (self.address, self.allocations.get_mut(&from).ok_or(Refusal::AllocationMismatch)?);
        if allocation.username != asker.username {
            return Err(Refusal::WrongCredentials);
        }
        match message.kind {
            kind::REFRESH => {
                let family = requested_family(message)?;
                if family.is_some_and(|family| family != family_of(address)) {
                    return Err(Refusal::PeerAddressFamilyMismatch);
                }
                let lifetime = lifetime(message)?;
                allocation.until = now.time + lifetime;
                Ok(Granted { attributes: vec![(attribute::LIFETIME, seconds(lifetime).to_vec())], ended: lifetime.is_zero() })
            }
            kind::CREATE_PERMISSION => {
                let peers = peers(message, address)?;
                if peers.is_empty() {
                    return Err(Refusal::BadRequest);
                }
                let ips: Vec<IpAddr> = peers.iter().map(SocketAddr::ip).collect();
                allocation.permit(&ips, now.time).map_err(|Full| Refusal::InsufficientCapacity)?;
                Ok(Granted::with(Vec::new()))
            }
            _ => {
                let channel = message.attribute(attribute::CHANNEL_NUMBER).and_then(|value| u16_at(value, 0));
                let channel = channel.filter(|channel| CHANNEL_NUMBERS.contains(channel)).ok_or(Refusal::BadRequest)?;
                let [peer] = peers(message, address)?[..] else { return Err(Refusal::BadRequest) };
                allocation.bind(channel, peer, now.time).map_err(|reason| match reason {
                    NotBound::Taken => Refusal::BadRequest,
                    NotBound::Full => Refusal::InsufficientCapacity,
                })?;
                Ok(Granted::with(Vec::new()))
            }
        }
    }

    /// Section 7.2.
    fn allocate(
        &mut self,
        message: &Message<'_>,
        asker: &Asker<'_>,
        from: SocketAddr,
        now: Now,
        open: impl FnOnce() -> Option<u16>,
    ) -> Result<Granted, Refusal> {
        if let Some(allocation) = self.allocations.get(&from) {
            // The answer was lost.
            if allocation.made_by == message.transaction && allocation.username == asker.username && !allocation.is_over(now.time) {
                return Ok(self.allocated(allocation.port, from, message, allocation.until.since(now.time)));
            }
            return Err(Refusal::AllocationMismatch);
        }
        if !asker.current {
            return Err(Refusal::Unauthorized);
        }
        let transport = message.attribute(attribute::REQUESTED_TRANSPORT).ok_or(Refusal::BadRequest)?;
        if transport.first() != Some(&UDP) {
            return Err(Refusal::UnsupportedTransportProtocol);
        }
        // Without a wish it is IPv4 (section 7.2).
        if requested_family(message)?.unwrap_or(V4) != family_of(self.address) {
            return Err(Refusal::AddressFamilyNotSupported);
        }
        let lifetime = lifetime(message)?.max(LIFETIME);
        let network = Network::from(from.ip());
        if self.of_peer(&asker.peer) >= self.allowed.per_peer || self.of_network(network) >= self.allowed.per_network {
            return Err(Refusal::AllocationQuotaReached);
        }
        if self.allocations.len() >= self.allowed.allocations {
            return Err(Refusal::InsufficientCapacity);
        }
        let port = open().filter(|port| !self.ports.contains_key(port)).ok_or(Refusal::InsufficientCapacity)?;
        let allocation = Allocation::new(
            port,
            asker.username,
            asker.peer.clone(),
            message.transaction,
            now.time + lifetime,
            self.allowed.bytes_per_second,
            now.time,
        );
        self.allocations.insert(from, allocation);
        self.ports.insert(port, from);
        Ok(self.allocated(port, from, message, lifetime))
    }

    fn allocated(&self, port: u16, from: SocketAddr, message: &Message<'_>, lifetime: Duration) -> Granted {
        let relayed = SocketAddr::new(self.address, port);
        Granted::with(vec![
            (attribute::XOR_RELAYED_ADDRESS, message::xored(relayed, &message.transaction)),
            (attribute::LIFETIME, seconds(lifetime).to_vec()),
            (attribute::XOR_MAPPED_ADDRESS, message::xored(from, &message.transaction)),
        ])
    }

    /// Tells somebody who has not shown who he is why, and what he needs for it.
    fn refuse_stranger(&self, message: &Message<'_>, refusal: Refusal, from: SocketAddr, now: Now) -> Vec<u8> {
        let code = error_code(refusal);
        let nonce = self.nonce(from, now);
        let helps = matches!(refusal, Refusal::Unauthorized | Refusal::StaleNonce);
        let all: [(u16, &[u8]); 3] = [(attribute::ERROR_CODE, &code), (attribute::REALM, REALM.as_bytes()), (attribute::NONCE, &nonce)];
        message::encode(message.kind | kind::ERROR, &message.transaction, &all[..if helps { 3 } else { 1 }])
    }

    /// A number that only this server could have told, only to this address, and not long ago: in 12 letters, since it is told to strangers.
    pub(super) fn nonce(&self, from: SocketAddr, now: Now) -> [u8; 12] {
        self.nonce_of(from, now.time.since(Default::default()).as_secs() / NONCE.as_secs())
    }

    fn nonce_of(&self, from: SocketAddr, period: u64) -> [u8; 12] {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let proof = self.secret.proof("nonce", format!("{period} {from}").as_bytes());
        std::array::from_fn(|at| LETTERS[usize::from(proof[at] & 31)])
    }

    /// Whether it is of this hour or of the last.
    fn is_fresh(&self, nonce: &[u8], from: SocketAddr, now: Now) -> bool {
        let period = now.time.since(Default::default()).as_secs() / NONCE.as_secs();
        [period, period.wrapping_sub(1)].iter().any(|period| self.nonce_of(from, *period) == nonce)
    }
}

fn error_code(refusal: Refusal) -> [u8; 4] {
    let code = refusal as u16;
    [0, 0, (code / 100) as u8, (code % 100) as u8]
}

fn family_of(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { V4 } else { V6 }
}

/// Section 18.6.
fn requested_family(message: &Message<'_>) -> Result<Option<u8>, Refusal> {
    match message.attribute(attribute::REQUESTED_ADDRESS_FAMILY) {
        None => Ok(None),
        Some([family @ (V4 | V6), ..]) => Ok(Some(*family)),
        Some(_) => Err(Refusal::AddressFamilyNotSupported),
    }
}

/// How long the allocation is to live: what was asked for, within bounds; nothing at all to end it (section 8.2).
fn lifetime(message: &Message<'_>) -> Result<Duration, Refusal> {
    let Some(value) = message.attribute(attribute::LIFETIME) else { return Ok(LIFETIME) };
    let wanted = Duration::from_secs(u32_at(value, 0).ok_or(Refusal::BadRequest)?.into());
    Ok(if wanted.is_zero() { wanted } else { wanted.clamp(LIFETIME, LONGEST_LIFETIME) })
}

/// The peers that a request names, if all of them may be reached. At the server's own address there are other clients' ports: see `Server::send`.
fn peers(message: &Message<'_>, own: IpAddr) -> Result<Vec<SocketAddr>, Refusal> {
    let values = message.attributes().filter(|attribute| attribute.kind == attribute::XOR_PEER_ADDRESS);
    let peers = values.map(|attribute| message::address_of(attribute.value, &message.transaction).ok_or(Refusal::BadRequest));
    let peers = peers.collect::<Result<Vec<_>, _>>()?;
    if peers.iter().any(|peer| !is_allowed(peer.ip()) && peer.ip() != own) {
        return Err(Refusal::Forbidden);
    }
    if peers.iter().any(|peer| peer.is_ipv4() != own.is_ipv4()) {
        return Err(Refusal::PeerAddressFamilyMismatch);
    }
    Ok(peers)
}

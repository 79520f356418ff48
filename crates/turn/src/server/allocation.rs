//! One client's port: whom he may reach by it, by which channels, how much, and for how long.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use shoal_protocol::time::Time;

use crate::{
    limits::{CHANNEL, CHANNELS, PERMISSION, PERMISSIONS},
    message::Transaction,
};

/// What a client has.
#[derive(Debug)]
pub(super) struct Allocation {
    /// The relayed port.
    pub(super) port: u16,
    /// The name of the credentials by which it was made; only with these it is changed.
    pub(super) username: String,
    /// The PeerId in it.
    pub(super) peer: String,
    /// Of the request that made it: asked once more, it is answered once more.
    pub(super) made_by: Transaction,
    /// When it ends.
    pub(super) until: Time,
    permissions: HashMap<IpAddr, Time>,
    channels: HashMap<u16, (SocketAddr, Time)>,
    allowance: Allowance,
    /// Of indications, which nobody answers: any number will do.
    indications: u64,
}

/// No more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The channel or the peer belongs to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotBound {
    Taken,
    Full,
}

impl Allocation {
    pub(super) fn new(
        port: u16,
        username: &str,
        peer: String,
        made_by: Transaction,
        until: Time,
        bytes_per_second: u64,
        now: Time,
    ) -> Self {
        Self {
            port,
            username: username.to_owned(),
            peer,
            made_by,
            until,
            permissions: HashMap::new(),
            channels: HashMap::new(),
            allowance: Allowance { per_second: bytes_per_second, left: bytes_per_second, at: now },
            indications: 0,
        }
    }

    pub(super) fn is_over(&self, now: Time) -> bool {
        self.until <= now
    }

    /// Whether packets may go to this address and come from it now.
    pub(super) fn permits(&self, ip: IpAddr, now: Time) -> bool {
        !self.is_over(now) && self.permissions.get(&ip).is_some_and(|until| now < *until)
    }

    /// Permits these addresses, all or none.
    pub(super) fn permit(&mut self, ips: &[IpAddr], now: Time) -> Result<(), Full> {
        self.tidy(now);
        let new = ips.iter().enumerate().filter(|(at, ip)| !self.permissions.contains_key(ip) && !ips[..*at].contains(ip)).count();
        if self.permissions.len() + new > PERMISSIONS {
            return Err(Full);
        }
        self.permissions.extend(ips.iter().map(|ip| (*ip, now + PERMISSION)));
        Ok(())
    }

    /// Binds a channel to a peer, or keeps it bound for as long again.
    pub(super) fn bind(&mut self, channel: u16, peer: SocketAddr, now: Time) -> Result<(), NotBound> {
        self.tidy(now);
        let taken = self.channels.iter().any(|(number, (bound, _))| (*number == channel) != (*bound == peer));
        if taken {
            return Err(NotBound::Taken);
        }
        if !self.channels.contains_key(&channel) && self.channels.len() == CHANNELS {
            return Err(NotBound::Full);
        }
        self.permit(&[peer.ip()], now).map_err(|Full| NotBound::Full)?;
        self.channels.insert(channel, (peer, now + CHANNEL));
        Ok(())
    }

    pub(super) fn peer_of(&self, channel: u16, now: Time) -> Option<SocketAddr> {
        self.channels.get(&channel).filter(|(_, until)| now < *until).map(|(peer, _)| *peer)
    }

    pub(super) fn channel_of(&self, peer: SocketAddr, now: Time) -> Option<u16> {
        self.channels.iter().find(|(_, (bound, until))| *bound == peer && now < *until).map(|(channel, _)| *channel)
    }

    /// Whether so many bytes more may be relayed now; then they are counted.
    pub(super) fn take(&mut self, bytes: usize, now: Time) -> bool {
        self.allowance.take(bytes as u64, now)
    }

    pub(super) fn next_transaction(&mut self) -> Transaction {
        self.indications += 1;
        let mut transaction = [0; 12];
        transaction[4..].copy_from_slice(&self.indications.to_be_bytes());
        transaction
    }

    /// Forgets what is over.
    pub(super) fn tidy(&mut self, now: Time) {
        self.permissions.retain(|_, until| now < *until);
        self.channels.retain(|_, (_, until)| now < *until);
    }
}

/// Bytes that may be relayed: a second's worth at once.
#[derive(Debug)]
struct Allowance {
    per_second: u64,
    left: u64,
    at: Time,
}

impl Allowance {
    fn take(&mut self, bytes: u64, now: Time) -> bool {
        let waited = now.since(self.at).min(Duration::from_secs(1));
        let gained = u64::try_from(u128::from(self.per_second) * waited.as_micros() / 1_000_000).unwrap_or(u64::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(self.per_second);
            self.at = now;
        }
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

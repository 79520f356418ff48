//! The bytes of messages, and nothing about what they mean: `length kind fields`, see docs/nearby.md.

use bytes::{Bytes, BytesMut};

use super::{Device, Name};
use crate::{
    identity::PublicKey,
    limits::{NEARBY_DEVICES_PER_GROUP, NEARBY_NAME},
    varint::{self, NoNumber},
};

const HERE: u8 = 0x00;
const DEVICES: u8 = 0x01;
const REFUSED: u8 = 0x02;

/// Bytes of a key.
const KEY: usize = 32;
/// Longest body of what a device says: kind and name.
const FROM_DEVICE: usize = 1 + NEARBY_NAME;
/// Longest body of what a relay says: kind, and for each device its key, the length of its name (one byte, as names are short) and its name.
const FROM_RELAY: usize = 1 + NEARBY_DEVICES_PER_GROUP * (KEY + 1 + NEARBY_NAME);

/// The other side broke the protocol: the stream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message of a kind that it may not send, or that cannot be read.
    #[error("malformed message")]
    Malformed,
    /// A message longer than any may be.
    #[error("message of {length} bytes is longer than any may be")]
    TooLong {
        /// What its head announced.
        length: u64,
    },
    /// The same device twice in one list.
    #[error("a device is listed twice")]
    Twice,
}

/// Why a relay does not list a device, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room for another device, in this group or in all.
    Full,
    /// The relay cannot tell which devices are near this one.
    UnknownNetwork,
    /// It announces itself too often, or its group does.
    TooOften,
    /// The same device announces itself on a newer stream.
    Replaced,
    /// It did not announce itself again in time.
    Expired,
    /// A reason of a later version.
    Other(u64),
}

impl Refusal {
    fn code(self) -> u64 {
        match self {
            Self::Full => 1,
            Self::UnknownNetwork => 2,
            Self::TooOften => 3,
            Self::Replaced => 4,
            Self::Expired => 5,
            Self::Other(code) => code,
        }
    }

    fn from_code(code: u64) -> Self {
        match code {
            1 => Self::Full,
            2 => Self::UnknownNetwork,
            3 => Self::TooOften,
            4 => Self::Replaced,
            5 => Self::Expired,
            code => Self::Other(code),
        }
    }

    /// The message that says so.
    #[must_use]
    pub fn message(self) -> Bytes {
        let mut body = vec![REFUSED];
        varint::put(self.code(), &mut body);
        framed(&body)
    }
}

/// The message by which a device announces itself.
pub(super) fn here(name: Option<&Name>) -> Bytes {
    let name = name.map_or("", Name::as_str);
    framed(&[&[HERE], name.as_bytes()].concat())
}

/// The message that tells a group of its devices.
pub(super) fn devices<'a>(devices: impl Iterator<Item = (&'a [u8; KEY], Option<&'a Name>)>) -> Bytes {
    let mut body = vec![DEVICES];
    for (key, name) in devices {
        let name = name.map_or("", Name::as_str);
        body.extend_from_slice(key);
        varint::put(name.len() as u64, &mut body);
        body.extend_from_slice(name.as_bytes());
    }
    framed(&body)
}

fn framed(body: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(body.len() + varint::LONGEST);
    varint::put(body.len() as u64, &mut message);
    message.extend_from_slice(body);
    message.into()
}

/// What a relay says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FromRelay {
    Devices(Vec<Device>),
    Refused(Refusal),
}

impl FromRelay {
    pub(super) fn decode(body: &[u8]) -> Result<Self, Violation> {
        match body.split_first() {
            Some((&DEVICES, list)) => read_devices(list).map(Self::Devices),
            Some((&REFUSED, mut code)) => {
                let refusal = Refusal::from_code(varint::take(&mut code).map_err(|_| Violation::Malformed)?);
                if code.is_empty() { Ok(Self::Refused(refusal)) } else { Err(Violation::Malformed) }
            }
            _ => Err(Violation::Malformed),
        }
    }
}

fn read_devices(mut list: &[u8]) -> Result<Vec<Device>, Violation> {
    let mut devices: Vec<Device> = Vec::new();
    while !list.is_empty() {
        let (key, rest) = list.split_first_chunk::<KEY>().ok_or(Violation::Malformed)?;
        list = rest;
        let length = varint::take(&mut list).ok().and_then(|length| usize::try_from(length).ok()).ok_or(Violation::Malformed)?;
        let (name, rest) = list.split_at_checked(length).ok_or(Violation::Malformed)?;
        list = rest;
        let key = PublicKey::from_bytes(key).map_err(|_| Violation::Malformed)?;
        // In the order of their keys: there is one list for each set of devices.
        match devices.last().map(|last| last.key.as_bytes().cmp(key.as_bytes())) {
            Some(std::cmp::Ordering::Equal) => return Err(Violation::Twice),
            Some(std::cmp::Ordering::Greater) => return Err(Violation::Malformed),
            _ if devices.len() == NEARBY_DEVICES_PER_GROUP => return Err(Violation::Malformed),
            _ => devices.push(Device { key, name: read_name(name)? }),
        }
    }
    Ok(devices)
}

fn read_name(bytes: &[u8]) -> Result<Option<Name>, Violation> {
    let text = str::from_utf8(bytes).map_err(|_| Violation::Malformed)?;
    if text.is_empty() { Ok(None) } else { Name::new(text).map(Some).map_err(|_| Violation::Malformed) }
}

/// Cuts a stream of bytes into messages. Holds what has arrived of one, at most as long as the longest.
#[derive(Debug)]
pub(super) struct Messages {
    most: usize,
    held: BytesMut,
}

impl Messages {
    pub(super) fn from_relay() -> Self {
        Self { most: FROM_RELAY, held: BytesMut::new() }
    }

    /// The next complete body; `None` when `input` is used up.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, Violation> {
        loop {
            let mut rest = &self.held[..];
            let missing = match varint::take(&mut rest) {
                Ok(length) if length > self.most as u64 => return Err(Violation::TooLong { length }),
                Ok(0) | Err(NoNumber::Malformed) => return Err(Violation::Malformed),
                // No overflow: it has just been compared.
                Ok(length) => length as usize - rest.len(),
                Err(NoNumber::Short) => 1,
            };
            if missing == 0 {
                let head = self.held.len() - rest.len();
                let body = std::mem::take(&mut self.held).freeze().split_off(head);
                return Ok(Some(body));
            }
            if input.is_empty() {
                return Ok(None);
            }
            let (piece, later) = input.split_at(missing.min(input.len()));
            self.held.extend_from_slice(piece);
            *input = later;
        }
    }
}

/// Reads what a device says, on the relay's side.
#[derive(Debug)]
pub struct Announcements(Messages);

impl Default for Announcements {
    fn default() -> Self {
        Self(Messages { most: FROM_DEVICE, held: BytesMut::new() })
    }
}

impl Announcements {
    /// The name in the next announcement; `None` when `input` is used up.
    ///
    /// # Errors
    /// A violation, after which nothing more is read.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Option<Name>>, Violation> {
        let Some(body) = self.0.next(input)? else { return Ok(None) };
        match body.split_first() {
            Some((&HERE, name)) => read_name(name).map(Some),
            _ => Err(Violation::Malformed),
        }
    }
}

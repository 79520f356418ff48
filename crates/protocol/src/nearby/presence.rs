//! A device's half: announces itself in time, and keeps the list that the relay tells.

use bytes::Bytes;

use super::{
    Device, Name, Refusal, Violation,
    message::{self, FromRelay, Messages},
};
use crate::{identity::PublicKey, limits::NEARBY_RENEWAL, time::Time};

/// What the relay said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// These devices are near, all of them; this one is not among them.
    Devices(Vec<Device>),
    /// The relay does not list this device. It closes the stream.
    Refused(Refusal),
}

/// One device at one relay, for as long as the stream between them lives.
#[derive(Debug)]
pub struct Presence {
    own: PublicKey,
    name: Option<Name>,
    due: Time,
    messages: Messages,
}

impl Presence {
    /// The device with the key `own` on a fresh stream.
    pub fn new(own: PublicKey, name: Option<Name>, now: Time) -> Self {
        Self { own, name, due: now, messages: Messages::from_relay() }
    }

    /// Takes another name, to be announced at once.
    pub fn rename(&mut self, name: Option<Name>, now: Time) {
        if name != self.name {
            self.name = name;
            self.due = now;
        }
    }

    /// When there is something to send.
    pub const fn due(&self) -> Time {
        self.due
    }

    /// What is to be sent now.
    pub fn announcement(&mut self, now: Time) -> Option<Bytes> {
        if now < self.due {
            return None;
        }
        self.due = now + NEARBY_RENEWAL;
        Some(message::here(self.name.as_ref()))
    }

    /// Takes bytes from the relay. Of several lists only the last one counts.
    ///
    /// # Errors
    /// A violation: the relay is not to be believed, and the stream is to be closed.
    pub fn receive(&mut self, mut input: &[u8]) -> Result<Option<Heard>, Violation> {
        let mut heard = None;
        while let Some(body) = self.messages.next(&mut input)? {
            heard = Some(match FromRelay::decode(&body)? {
                FromRelay::Refused(refusal) => return Ok(Some(Heard::Refused(refusal))),
                FromRelay::Devices(mut devices) => {
                    devices.retain(|device| device.key != self.own);
                    Heard::Devices(devices)
                }
            });
        }
        Ok(heard)
    }
}

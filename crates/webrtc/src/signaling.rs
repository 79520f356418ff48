//! What two peers say to each other over the signalling stream, before they have a connection of their own.
//!
//! ```text
//! uvarint length · Message { optional Type type = 1; optional string data = 2; optional uint32 max_frame = 100 }
//! ```
//!
//! Source: libp2p/specs webrtc/webrtc.md. `max_frame` is ours, on offers and answers: the largest stream frame, in bytes with its
//! length prefix, that the sender takes on the new connection. Others skip a field that they do not know.

use bytes::Bytes;
use thiserror::Error;

use crate::{
    limits::{SIGNALING_MESSAGE, STRANGER_FRAME},
    prefixed::{PrefixError, Prefixed},
    protobuf::{Fields, Malformed, Value, put_varint},
};

/// The name of the protocol that carries these messages.
pub const PROTOCOL: &str = "/webrtc-signaling/0.0.1";

/// One signalling message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The initiator's session description.
    Offer(Description),
    /// The responder's session description.
    Answer(Description),
    /// An ICE candidate of the sender: `RTCIceCandidate.toJSON()` as JSON, or `null` or `""` when there are no more.
    Candidate(String),
}

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The description as SDP.
    pub sdp: String,
    /// The largest stream frame that its sender takes, in bytes with its length prefix, if it said so: a peer of this implementation.
    pub max_frame: Option<usize>,
}

/// The peer's bytes are no signalling messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignalingError {
    /// The length prefix is wrong or too large.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// The message is no protobuf message.
    #[error(transparent)]
    Message(#[from] Malformed),
    /// The message's type is missing or unknown.
    #[error("a signalling message of unknown type")]
    UnknownType,
    /// The message's text is not UTF-8.
    #[error("a signalling message whose data is not UTF-8")]
    NotText,
}

impl Message {
    /// The message with its length prefix.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, data, max_frame) = match self {
            Message::Offer(description) => (OFFER, &description.sdp, description.max_frame),
            Message::Answer(description) => (ANSWER, &description.sdp, description.max_frame),
            Message::Candidate(candidate) => (CANDIDATE, candidate, None),
        };
        let mut body = Vec::with_capacity(data.len() + 16);
        // Zero is written, too: js-libp2p requires the type.
        put_varint(&mut body, 1 << 3);
        put_varint(&mut body, kind);
        put_varint(&mut body, 2 << 3 | 2);
        put_varint(&mut body, data.len() as u64);
        body.extend_from_slice(data.as_bytes());
        if let Some(max_frame) = max_frame {
            put_varint(&mut body, MAX_FRAME << 3);
            put_varint(&mut body, max_frame as u64);
        }
        let mut out = Vec::with_capacity(body.len() + 4);
        put_varint(&mut out, body.len() as u64);
        out.extend_from_slice(&body);
        out
    }

    fn decode(bytes: Bytes) -> Result<Self, SignalingError> {
        let (mut kind, mut data, mut max_frame) = (None, Bytes::new(), None);
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Varint(number)) => kind = Some(number),
                (2, Value::Bytes(bytes)) => data = bytes,
                (MAX_FRAME, Value::Varint(number)) => {
                    // Below the standard's size it would take less than everybody does: not a peer of ours.
                    max_frame = usize::try_from(number).ok().filter(|frame| *frame >= STRANGER_FRAME);
                }
                (1 | 2, _) => return Err(Malformed.into()),
                _ => {}
            }
        }
        let data = String::from_utf8(data.into()).map_err(|_| SignalingError::NotText)?;
        let description = |sdp| Description { sdp, max_frame };
        match kind {
            Some(OFFER) => Ok(Message::Offer(description(data))),
            Some(ANSWER) => Ok(Message::Answer(description(data))),
            Some(CANDIDATE) => Ok(Message::Candidate(data)),
            _ => Err(SignalingError::UnknownType),
        }
    }
}

/// Reads signalling messages from the bytes of the stream.
#[derive(Debug)]
pub struct Decoder(Prefixed);

impl Default for Decoder {
    fn default() -> Self {
        // The prefix of a message within the limit takes at most 3 bytes.
        Self(Prefixed::new(SIGNALING_MESSAGE + 3))
    }
}

impl Decoder {
    /// Takes the next bytes of the stream.
    pub fn receive(&mut self, bytes: Bytes) {
        self.0.receive(bytes);
    }

    /// The next message, if one is complete.
    ///
    /// # Errors
    /// The bytes are no signalling message; the decoder must not be used any more.
    pub fn next_message(&mut self) -> Result<Option<Message>, SignalingError> {
        self.0.next()?.map(Message::decode).transpose()
    }
}

const OFFER: u64 = 0;
const ANSWER: u64 = 1;
const CANDIDATE: u64 = 2;
/// Out of the range that the specification is likely to use.
const MAX_FRAME: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(bytes: &[u8]) -> Result<Vec<Message>, SignalingError> {
        let mut decoder = Decoder::default();
        decoder.receive(Bytes::copy_from_slice(bytes));
        let mut messages = Vec::new();
        while let Some(message) = decoder.next_message()? {
            messages.push(message);
        }
        Ok(messages)
    }

    #[test]
    fn bytes_on_the_wire() {
        let offer = Message::Offer(Description { sdp: "v=0".into(), max_frame: Some(65_536) });
        assert_eq!(offer.encode(), b"\x0c\x08\x00\x12\x03v=0\xa0\x06\x80\x80\x04");
        let candidate = Message::Candidate("null".into());
        assert_eq!(candidate.encode(), b"\x08\x08\x02\x12\x04null");
    }

    #[test]
    fn an_offer_without_the_extension_is_a_strangers() {
        let expected = Message::Offer(Description { sdp: "v=0".into(), max_frame: None });
        assert_eq!(decode(b"\x07\x08\x00\x12\x03v=0").unwrap(), [expected]);
    }

    #[test]
    fn a_type_is_required() {
        assert_eq!(decode(b"\x05\x12\x03v=0"), Err(SignalingError::UnknownType));
    }

    #[test]
    fn a_message_above_the_limit_is_refused() {
        let offer = Message::Candidate("x".repeat(SIGNALING_MESSAGE + 1));
        assert!(matches!(decode(&offer.encode()), Err(SignalingError::Prefix(PrefixError::TooLong { .. }))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn messages_survive(sdp in ".{0,2000}", max_frame in prop::option::of(STRANGER_FRAME..1 << 30)) {
            let description = Description { sdp: sdp.clone(), max_frame };
            for message in [Message::Offer(description.clone()), Message::Answer(description), Message::Candidate(sdp)] {
                prop_assert_eq!(decode(&message.encode()).unwrap(), [message]);
            }
        }
    }
}

//! What travels on a data channel: frames of a flag and a piece of the stream, each behind its length.
//!
//! ```text
//! uvarint length · Message { optional Flag flag = 1; optional bytes message = 2 }
//! ```
//!
//! Source: libp2p/specs webrtc/README.md, "Multiplexing".

use bytes::{BufMut, Bytes};
use thiserror::Error;

use crate::{
    limits::FRAME_OVERHEAD,
    prefixed::{PrefixError, Prefixed},
    protobuf::{Fields, Malformed, Value, put_varint, varint_length},
};

/// What a frame says about its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// The sender will send no more data.
    Fin,
    /// The sender will read no more data.
    StopSending,
    /// The sender gave up both directions.
    Reset,
    /// The sender has received a [`Flag::Fin`].
    FinAck,
}

impl Flag {
    fn number(self) -> u8 {
        match self {
            Flag::Fin => 0,
            Flag::StopSending => 1,
            Flag::Reset => 2,
            Flag::FinAck => 3,
        }
    }

    /// Numbers of a later version of the protocol are no flag for us.
    fn from_number(number: u64) -> Option<Self> {
        [Flag::Fin, Flag::StopSending, Flag::Reset, Flag::FinAck].into_iter().find(|flag| u64::from(flag.number()) == number)
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// What it says about the stream.
    pub flag: Option<Flag>,
    /// The next piece of the stream.
    pub message: Option<Bytes>,
}

/// The peer's bytes are no frames. The stream must be reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The length prefix is wrong or too large.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// The frame is no protobuf message.
    #[error(transparent)]
    Message(#[from] Malformed),
}

impl Frame {
    /// Reads a frame without its length prefix. Unknown fields and flags are skipped.
    fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let length = bytes.len();
        let mut frame = Frame::default();
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Varint(number)) => frame.flag = Flag::from_number(number),
                // A slice keeps the whole frame in memory: copied if that is mostly padding.
                (2, Value::Bytes(message)) if message.len() < length / 2 => {
                    frame.message = Some(Bytes::copy_from_slice(&message));
                }
                (2, Value::Bytes(message)) => frame.message = Some(message),
                (1 | 2, _) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(frame)
    }
}

/// Reads frames from data channel messages. A frame may span messages, and a message may hold many frames.
#[derive(Debug, Clone)]
pub struct Decoder(Prefixed);

impl Decoder {
    /// Accepts frames of at most `limit` bytes, length prefix included.
    pub fn new(limit: usize) -> Self {
        Self(Prefixed::new(limit))
    }

    /// Takes one data channel message.
    pub fn receive(&mut self, message: Bytes) {
        self.0.receive(message);
    }

    /// The next frame, if one is complete.
    ///
    /// # Errors
    /// The bytes are no frame, or one above the limit; the decoder must not be used any more.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        match self.0.next()? {
            Some(bytes) => Ok(Some(Frame::decode(bytes)?)),
            None => Ok(None),
        }
    }

    /// How many bytes of an unfinished frame are held.
    pub fn held(&self) -> usize {
        self.0.held()
    }
}

/// Appends a frame that holds only `flag`.
pub fn encode_flag(flag: Flag, out: &mut Vec<u8>) {
    out.extend_from_slice(&[2, FLAG_KEY, flag.number()]);
}

/// Appends a frame that holds `parts`, one after the other, as its message.
pub fn encode_data(parts: &[&[u8]], out: &mut Vec<u8>) {
    let payload: usize = parts.iter().map(|part| part.len()).sum();
    let body = 1 + varint_length(payload as u64) + payload;
    out.reserve(body + FRAME_OVERHEAD);
    put_varint(out, body as u64);
    out.put_u8(MESSAGE_KEY);
    put_varint(out, payload as u64);
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Field 1, varint.
const FLAG_KEY: u8 = 1 << 3;
/// Field 2, length-delimited.
const MESSAGE_KEY: u8 = 2 << 3 | 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{ACCEPTED_FRAME, STRANGER_FRAME};
    use proptest::prelude::*;

    fn decode(bytes: Vec<u8>) -> Result<Vec<Frame>, FrameError> {
        let mut decoder = Decoder::new(ACCEPTED_FRAME);
        decoder.receive(bytes.into());
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[test]
    fn bytes_on_the_wire() {
        let mut out = Vec::new();
        encode_flag(Flag::Fin, &mut out);
        encode_flag(Flag::FinAck, &mut out);
        encode_data(&[b"he", b"llo"], &mut out);
        assert_eq!(out, b"\x02\x08\x00\x02\x08\x03\x07\x12\x05hello");
    }

    #[test]
    fn a_frame_may_hold_data_and_a_flag() {
        let frames = decode(b"\x09\x08\x00\x12\x05hello".to_vec()).unwrap();
        let expected = Frame { flag: Some(Flag::Fin), message: Some(Bytes::from_static(b"hello")) };
        assert_eq!(frames, [expected]);
    }

    #[test]
    fn unknown_fields_and_flags_are_skipped() {
        // flag 9, field 3 (bytes), field 4 (fixed 32)
        let frames = decode(b"\x0a\x08\x09\x1a\x01x\x25\x00\x00\x00\x00".to_vec()).unwrap();
        assert_eq!(frames, [Frame::default()]);
    }

    #[test]
    fn the_largest_payloads_fit_their_frames() {
        for limit in [STRANGER_FRAME, ACCEPTED_FRAME] {
            let mut out = Vec::new();
            encode_data(&[&vec![1; limit - FRAME_OVERHEAD]], &mut out);
            assert!(out.len() <= limit, "{} > {limit}", out.len());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode(bytes);
        }

        #[test]
        fn data_survives(payload in prop::collection::vec(any::<u8>(), 0..40_000)) {
            let mut out = Vec::new();
            encode_data(&[&payload], &mut out);
            let frames = decode(out).unwrap();
            prop_assert_eq!(frames, [Frame { flag: None, message: Some(payload.into()) }]);
        }
    }
}

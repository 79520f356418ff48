//! The little of protobuf that both wire formats of this crate need: fields of a message, read without copying, and written.
//!
//! Hand-written because a frame is two fields, and because a generated decoder copies every payload.

use bytes::{Buf, BufMut, Bytes};
use thiserror::Error;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed protobuf message")]
pub struct Malformed;

/// The value of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Varint(u64),
    Bytes(Bytes),
    /// A fixed 32-bit or 64-bit number: no field of ours has this type.
    Fixed,
}

/// The fields of a message, in the order in which they were written.
pub(crate) struct Fields(Bytes);

impl Fields {
    pub(crate) fn of(message: Bytes) -> Self {
        Self(message)
    }

    /// The next field's number and value; `None` at the end of the message.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Value)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                if length > self.0.len() {
                    return Err(Malformed);
                }
                Value::Bytes(self.0.split_to(length))
            }
            5 => self.skip(4)?,
            _ => return Err(Malformed),
        };
        Ok(Some((key >> 3, value)))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, length) = varint(&self.0)?.ok_or(Malformed)?;
        self.0.advance(length);
        Ok(value)
    }

    fn skip(&mut self, length: usize) -> Result<Value, Malformed> {
        if length > self.0.len() {
            return Err(Malformed);
        }
        self.0.advance(length);
        Ok(Value::Fixed)
    }
}

/// The unsigned varint at the start of `bytes` and its length; `None` if its end has not arrived.
///
/// Tolerates the padded spellings that protobuf encoders may produce.
pub(crate) fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(VARINT_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < VARINT_MAX { Ok(None) } else { Err(Malformed) }
}

/// Appends `value` as an unsigned varint.
pub(crate) fn put_varint(out: &mut impl BufMut, value: u64) {
    let mut buffer = unsigned_varint::encode::u64_buffer();
    out.put_slice(unsigned_varint::encode::u64(value, &mut buffer));
}

/// How many bytes `value` takes as an unsigned varint.
pub(crate) fn varint_length(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// A 64-bit number takes at most ten groups of seven bits.
const VARINT_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_agree_with_the_encoder() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_length(value), "{value}");
                assert_eq!(varint(&out), Ok(Some((value, out.len()))));
                assert_eq!(varint(&out[..out.len() - 1]), Ok(None));
            }
        }
    }

    #[test]
    fn an_endless_varint_is_refused() {
        assert_eq!(varint(&[0xff; 9]), Ok(None));
        assert_eq!(varint(&[0xff; 10]), Err(Malformed));
    }
}

//! The little of protobuf that dag-pb and UnixFS consist of: numbered fields that hold a number or some bytes.
//! Strict: numbers in their shortest form only, no groups; byte fields are slices of the input, never copies.

use bytes::{BufMut as _, Bytes, BytesMut};
use unsigned_varint::{decode, encode};

/// Reads the fields of one message, in the order in which they were written.
pub(super) struct Fields {
    rest: Bytes,
}

/// One field: its number in the message's definition, and its value.
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) value: Value,
}

pub(super) enum Value {
    Number(u64),
    Bytes(Bytes),
    /// A fixed-width number, which no field of ours has: only to be skipped.
    Fixed,
}

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Fields {
    pub(super) fn new(message: Bytes) -> Self {
        Self { rest: message }
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        let (number, rest) = decode::u64(&self.rest).map_err(|_| Malformed)?;
        let length = self.rest.len() - rest.len();
        let digits = self.rest.split_to(length);
        // unsigned-varint silently drops what of a tenth byte does not fit into 64 bits.
        if digits.get(9).is_some_and(|tenth| *tenth > 1) { Err(Malformed) } else { Ok(number) }
    }

    fn bytes(&mut self, length: u64) -> Result<Bytes, Malformed> {
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(self.rest.split_to(length)),
            _ => Err(Malformed),
        }
    }

    fn field(&mut self) -> Result<Field, Malformed> {
        let key = self.number()?;
        let value = match key & 7 {
            NUMBER => Value::Number(self.number()?),
            FIXED_64 => self.bytes(8).map(|_| Value::Fixed)?,
            BYTES => {
                let length = self.number()?;
                Value::Bytes(self.bytes(length)?)
            }
            FIXED_32 => self.bytes(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed),
        };
        match key >> 3 {
            0 => Err(Malformed),
            number => Ok(Field { number, value }),
        }
    }
}

/// Ends after the first error.
impl Iterator for Fields {
    type Item = Result<Field, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest.clear();
        }
        Some(field)
    }
}

/// A run of numbers without keys, as a packed repeated field has it.
pub(super) fn packed(bytes: Bytes) -> impl Iterator<Item = Result<u64, Malformed>> {
    let mut fields = Fields::new(bytes);
    std::iter::from_fn(move || {
        if fields.rest.is_empty() {
            return None;
        }
        let number = fields.number();
        if number.is_err() {
            fields.rest.clear();
        }
        Some(number)
    })
}

pub(super) fn put_number(out: &mut BytesMut, field: u64, value: u64) {
    put_varint(out, field << 3 | NUMBER);
    put_varint(out, value);
}

pub(super) fn put_bytes(out: &mut BytesMut, field: u64, value: &[u8]) {
    put_varint(out, field << 3 | BYTES);
    put_varint(out, value.len() as u64);
    out.put_slice(value);
}

fn put_varint(out: &mut BytesMut, number: u64) {
    out.put_slice(encode::u64(number, &mut encode::u64_buffer()));
}

/// Wire types, <https://protobuf.dev/programming-guides/encoding/#structure>.
const NUMBER: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

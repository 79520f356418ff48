//! Numbers on the wire: unsigned LEB128 in its shortest form, below 2^63 (multiformats' unsigned-varint).

use unsigned_varint::{decode, encode};

/// Bytes of the longest number.
pub(crate) const LONGEST: usize = 9;

/// Why no number could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoNumber {
    /// The bytes end inside it.
    Short,
    /// Too long, or not in its shortest form.
    Malformed,
}

/// Takes one number off the front of `bytes`.
pub(crate) fn take(bytes: &mut &[u8]) -> Result<u64, NoNumber> {
    let window = bytes.get(..LONGEST).unwrap_or(bytes);
    match decode::u64(window) {
        Ok((number, rest)) => {
            let used = window.len() - rest.len();
            *bytes = bytes.get(used..).unwrap_or_default();
            Ok(number)
        }
        Err(decode::Error::Insufficient) if bytes.len() < LONGEST => Err(NoNumber::Short),
        Err(_) => Err(NoNumber::Malformed),
    }
}

/// Appends one number. Numbers of 2^63 and more do not exist on the wire; callers bound theirs far below.
pub(crate) fn put(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(encode::u64(number, &mut encode::u64_buffer()));
}

/// Bytes that `number` takes.
pub(crate) fn length(number: u64) -> usize {
    encode::u64(number, &mut encode::u64_buffer()).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_reads_back_and_leaves_the_rest() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), (1 << 63) - 1] {
            let mut bytes = Vec::new();
            put(number, &mut bytes);
            assert_eq!(bytes.len(), length(number));
            bytes.push(7);
            let mut rest = bytes.as_slice();
            assert_eq!(take(&mut rest), Ok(number));
            assert_eq!(rest, [7]);
        }
    }

    #[test]
    fn long_forms_and_overlong_numbers_are_refused() {
        assert_eq!(take(&mut [0x80, 0x00].as_slice()), Err(NoNumber::Malformed));
        assert_eq!(take(&mut [0xff; 9].as_slice()), Err(NoNumber::Malformed));
        assert_eq!(take(&mut [0xff; 20].as_slice()), Err(NoNumber::Malformed));
        assert_eq!(take(&mut [0xff; 8].as_slice()), Err(NoNumber::Short));
        assert_eq!(take(&mut [].as_slice()), Err(NoNumber::Short));
    }
}

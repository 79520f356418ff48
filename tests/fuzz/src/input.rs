//! A program, read from any bytes: each decision takes the next byte or two, so that a small change of the input is a small change of what
//! happens.

use bytes::Bytes;

/// What is left of an input. At the end all numbers are zero.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `bound`, which is at most 256.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// A length, mostly small: one byte says how large it may be, the next ones what it is.
    pub(crate) fn length(&mut self, most: usize) -> usize {
        let small = usize::from(self.byte());
        let length = if small < 240 { small } else { (small - 239) * 4_096 + usize::from(self.byte()) };
        length.min(most)
    }

    /// A number of the whole range: how many bytes, then these.
    pub(crate) fn number(&mut self) -> u64 {
        let size = self.below(9);
        (0..size).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// The next bytes as they are, after their length.
    pub(crate) fn bytes(&mut self, most: usize) -> Bytes {
        let length = self.length(most).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Bytes::copy_from_slice(taken)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// The byte at `offset` of what `side` sends on `stream`: another one at each place, so that a shift or a swap is seen.
pub(crate) fn content(stream: u64, side: usize, offset: u64) -> u8 {
    let mixed = (stream * 31 + side as u64 + 1).wrapping_add(offset).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u8
}

/// `length` of these bytes from `offset` on.
pub(crate) fn contents(stream: u64, side: usize, offset: u64, length: usize) -> Bytes {
    (0..length as u64).map(|at| content(stream, side, offset + at)).collect::<Vec<u8>>().into()
}

/// A number in the shortest form of the wire.
pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

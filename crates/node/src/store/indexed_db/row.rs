//! A row of `blocks`: the bytes themselves, or the place in a segment where they are.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};

use super::segments::HEAD_BYTES;

/// What is stored under a digest.
#[derive(Debug)]
pub(super) enum Row {
    /// The bytes, in a buffer of exactly their length.
    Inline(Uint8Array),
    /// Where they are.
    Placed(Place),
}

/// Where the bytes of a block are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the segment.
    pub(super) segment: u32,
    /// Byte of the file at which the block's bytes begin, behind the record's head.
    pub(super) offset: u64,
    /// Length of the block in bytes.
    pub(super) length: u32,
}

impl Row {
    /// `None` for a value that no version of ours wrote.
    pub(super) fn of(value: &JsValue) -> Option<Row> {
        if let Some(array) = value.dyn_ref::<Uint8Array>() {
            return Some(Row::Inline(array.clone()));
        }
        let fields = value.dyn_ref::<Array>()?;
        let number = |index: u32| fields.get(index).as_f64();
        Some(Row::Placed(Place { segment: number(0)? as u32, offset: number(1)? as u64, length: number(2)? as u32 }))
    }
}

impl Place {
    /// The row for it.
    pub(super) fn to_row(self) -> JsValue {
        Array::of3(&self.segment.into(), &(self.offset as f64).into(), &self.length.into()).into()
    }

    /// Byte of the file behind the block.
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }

    /// Bytes of the file that the block takes, with its head.
    pub(super) fn occupied(&self) -> u64 {
        HEAD_BYTES + u64::from(self.length)
    }
}

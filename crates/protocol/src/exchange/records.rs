//! The response: records of kind, length and payload.

use super::Violation;
use crate::{
    limits::BLOCK_BYTES,
    session::Buffer,
    varint::{self, NoNumber},
};
use bytes::Bytes;

const BLOCK: u8 = 0x01;
const MISSING: u8 = 0x02;
const END: u8 = 0x03;
const REFUSED: u8 = 0x04;
const HAVE: u8 = 0x05;

/// Longest head: kind and length.
const HEAD: usize = 1 + varint::LONGEST;

/// Why a provider does not serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It could not read the request.
    Malformed,
    /// It does not know this kind of request, or of CID.
    Unknown,
    /// It asks for more than a walk can have.
    TooMuch,
    /// Too many requests are being served: ask later, or someone else.
    Busy,
    /// The DAG breaks a rule (limits, sizes that contradict each other); others will say the same.
    Broken,
    /// The provider does not serve this to this peer.
    Denied,
    /// It would go through a relay that is not the provider's to use for so much: ask again by a direct path.
    Relayed,
    /// A reason of a later version.
    Other(u64),
}

impl Refusal {
    fn code(self) -> u64 {
        match self {
            Self::Malformed => 1,
            Self::Unknown => 2,
            Self::TooMuch => 3,
            Self::Busy => 4,
            Self::Broken => 5,
            Self::Denied => 6,
            Self::Relayed => 7,
            Self::Other(code) => code,
        }
    }

    fn from_code(code: u64) -> Self {
        match code {
            1 => Self::Malformed,
            2 => Self::Unknown,
            3 => Self::TooMuch,
            4 => Self::Busy,
            5 => Self::Broken,
            6 => Self::Denied,
            7 => Self::Relayed,
            code => Self::Other(code),
        }
    }

    /// The whole response that says so.
    #[must_use]
    pub fn record(self) -> Bytes {
        Record::Refused(self).encode().into_iter().next().unwrap_or_default()
    }
}

/// One record of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The bytes of the block at which the walk stands.
    Block(Bytes),
    /// The provider lacks the block at this position of the walk; the response ends.
    Missing { position: u64 },
    /// Everything asked for has been sent.
    End,
    /// The request is not served; the response ends.
    Refused(Refusal),
    /// Yes, to [`super::Request::Has`]; the response ends.
    Have,
}

/// Bytes that a block of `length` bytes takes in a response, its head included: what to give credit for once it is dealt with.
#[must_use]
pub fn block_record_bytes(length: usize) -> u64 {
    let mut head = vec![BLOCK];
    varint::put(length as u64, &mut head);
    (head.len() + length) as u64
}

impl Record {
    /// The record as it travels: its head, and a block's bytes as they are.
    pub(super) fn encode(self) -> Vec<Bytes> {
        let (kind, number) = match self {
            Self::Block(data) => {
                let mut head = vec![BLOCK];
                varint::put(data.len() as u64, &mut head);
                return vec![head.into(), data];
            }
            Self::Missing { position } => (MISSING, Some(position)),
            Self::End => (END, None),
            Self::Refused(refusal) => (REFUSED, Some(refusal.code())),
            Self::Have => (HAVE, None),
        };
        let mut payload = Vec::new();
        if let Some(number) = number {
            varint::put(number, &mut payload);
        }
        let mut record = vec![kind];
        varint::put(payload.len() as u64, &mut record);
        record.extend_from_slice(&payload);
        vec![record.into()]
    }
}

/// Cuts a response into records. Holds at most one that is incomplete, and of that only what has arrived.
#[derive(Debug, Default)]
pub(super) struct Records {
    head: Vec<u8>,
    open: Option<(u8, u64)>,
    body: Buffer,
}

impl Records {
    /// Whether a record has begun and not ended.
    pub(super) fn is_inside(&self) -> bool {
        self.open.is_some() || !self.head.is_empty()
    }

    /// The next complete record; `None` when `input` is used up.
    pub(super) fn next(&mut self, input: &mut Bytes) -> Result<Option<Record>, Violation> {
        let whole = input.len();
        let (kind, length) = match self.open {
            Some(open) => open,
            None => match self.take_head(input)? {
                Some(open) => *self.open.insert(open),
                None => return Ok(None),
            },
        };
        let missing = usize::try_from(length - self.body.len()).unwrap_or(usize::MAX);
        let piece = input.split_to(missing.min(input.len()));
        // A small part of a large buffer is copied, so that keeping a block does not keep everything around it.
        self.body.push(if piece.len() * 2 < whole { Bytes::copy_from_slice(&piece) } else { piece });
        if self.body.len() < length {
            return Ok(None);
        }
        self.open = None;
        complete(kind, self.body.join()).map(Some)
    }

    fn take_head(&mut self, input: &mut Bytes) -> Result<Option<(u8, u64)>, Violation> {
        let before = self.head.len();
        let gathered = input.len().min(HEAD - before);
        self.head.extend_from_slice(input.get(..gathered).unwrap_or_default());
        let Some((&kind, mut rest)) = self.head.split_first() else { return Ok(None) };
        let most = match kind {
            BLOCK => BLOCK_BYTES as u64,
            MISSING | REFUSED => varint::LONGEST as u64,
            END | HAVE => 0,
            _ => return Err(Violation::MalformedRecord),
        };
        let length = match varint::take(&mut rest) {
            Ok(length) => length,
            Err(NoNumber::Short) => {
                *input = Bytes::new();
                return Ok(None);
            }
            Err(NoNumber::Malformed) => return Err(Violation::MalformedRecord),
        };
        if length > most {
            return Err(Violation::RecordTooLong { length });
        }
        let used = self.head.len() - rest.len() - before;
        self.head.clear();
        *input = input.split_off(used);
        Ok(Some((kind, length)))
    }
}

fn complete(kind: u8, payload: Bytes) -> Result<Record, Violation> {
    let mut rest: &[u8] = &payload;
    let record = match kind {
        BLOCK => return Ok(Record::Block(payload)),
        MISSING => Record::Missing { position: number(&mut rest)? },
        REFUSED => Record::Refused(Refusal::from_code(number(&mut rest)?)),
        END => Record::End,
        HAVE => Record::Have,
        _ => return Err(Violation::MalformedRecord),
    };
    if rest.is_empty() { Ok(record) } else { Err(Violation::MalformedRecord) }
}

fn number(rest: &mut &[u8]) -> Result<u64, Violation> {
    varint::take(rest).map_err(|_| Violation::MalformedRecord)
}

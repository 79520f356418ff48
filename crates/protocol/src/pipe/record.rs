//! The bytes of records, and nothing about what they mean: `length kind fields`, see docs/session.md.

use super::{Key, Violation};
use crate::{
    limits,
    varint::{self, NoNumber},
};

const OPEN: u8 = 0x00;
const ATTACH: u8 = 0x01;
const BYTES: u8 = 0x02;
const ACKNOWLEDGE: u8 = 0x03;
const PROBE: u8 = 0x04;
const MOVE: u8 = 0x05;
const GO: u8 = 0x06;
const END: u8 = 0x07;
const PART: u8 = 0x08;
/// Whoever does not know it takes bytes from one path at a time, as BYTES.
const LANES: u8 = 0x40;
/// Kinds that a receiver who does not know them skips; every other unknown kind ends the pipe.
const IGNORABLE: std::ops::RangeInclusive<u8> = 0x40..=0x7f;

/// Longest record that is neither a greeting nor payload: kind and three numbers.
const CONTROL: u64 = 1 + 3 * varint::LONGEST as u64;
/// Bytes in front of the payload of a BYTES or PART record, at most.
pub(super) const BYTES_HEAD: usize = 2 * varint::LONGEST + 1;

/// What a side says first on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Here begins a pipe; whoever wants to attach another path to it must say this key.
    Open(Key),
    /// This path carries a pipe that exists.
    Attach {
        /// The key of the side that reads this: by it, it knows the pipe.
        key: Key,
        /// The key of the side that says this.
        own: Key,
    },
}

/// A record that is read as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Greeting(Greeting),
    /// So many bytes have been received, and so many behind a gap.
    Acknowledge {
        received: u64,
        ahead: u64,
    },
    /// Acknowledge, please.
    Probe,
    /// May I send on this path? If you take bytes from the path of turn `after`, answer once you have `until` or that path is gone;
    /// else at once.
    Move {
        turn: u64,
        after: u64,
        until: u64,
    },
    /// Yes: from this byte on.
    Go {
        turn: u64,
        received: u64,
    },
    /// The pipe is over.
    End {
        code: u64,
    },
    /// I take parts, by any path.
    Lanes,
}

impl Record {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(32);
        let mut put = |kind: u8, numbers: &[u64]| {
            body.push(kind);
            numbers.iter().for_each(|number| varint::put(*number, &mut body));
        };
        match *self {
            Self::Greeting(Greeting::Open(_)) => put(OPEN, &[]),
            Self::Greeting(Greeting::Attach { .. }) => put(ATTACH, &[]),
            Self::Acknowledge { received, ahead: 0 } => put(ACKNOWLEDGE, &[received]),
            Self::Acknowledge { received, ahead } => put(ACKNOWLEDGE, &[received, ahead]),
            Self::Probe => put(PROBE, &[]),
            Self::Move { turn, after, until } => put(MOVE, &[turn, after, until]),
            Self::Go { turn, received } => put(GO, &[turn, received]),
            Self::End { code } => put(END, &[code]),
            Self::Lanes => put(LANES, &[]),
        }
        match self {
            Self::Greeting(Greeting::Open(key)) => body.extend_from_slice(&key.0),
            Self::Greeting(Greeting::Attach { key, own }) => body.extend([key.0, own.0].concat()),
            _ => {}
        }
        varint::put(body.len() as u64, out);
        out.extend_from_slice(&body);
    }
}

/// Appends everything of a BYTES record but its payload; of a PART record where it is said `at` which byte that begins.
pub(super) fn put_bytes_head(payload: u64, at: Option<u64>, out: &mut Vec<u8>) {
    varint::put(payload + 1 + at.map_or(0, varint::length) as u64, out);
    out.push(if at.is_some() { PART } else { BYTES });
    at.into_iter().for_each(|at| varint::put(at, out));
}

/// What came by a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Record(Record),
    /// The next payload of a BYTES record, or some of it; of a PART record, with the offset of its first byte.
    Bytes(Option<u64>, &'a [u8]),
}

/// Cuts what comes by a path into records. Payload is handed on as it arrives: no more is held than one record without payload.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    head: Vec<u8>,
    payload: u64,
    /// Where the payload begins, if it is said.
    at: Option<u64>,
    skip: u64,
}

/// A record's start that could be read.
enum Head {
    Record(Record),
    Bytes { at: Option<u64>, length: u64 },
    Ignored { length: u64 },
}

impl Decoder {
    /// The next item, or `None` when `input` is used up.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Item<'a>>, Violation> {
        loop {
            self.skip -= cut(input, self.skip).len() as u64;
            if input.is_empty() {
                return Ok(None);
            }
            if self.payload > 0 {
                let piece = cut(input, self.payload);
                self.payload -= piece.len() as u64;
                let at = self.at;
                self.at = at.map(|at| at + piece.len() as u64);
                return Ok(Some(Item::Bytes(at, piece)));
            }
            match self.take_head(input)? {
                None => return Ok(None),
                Some(Head::Record(record)) => return Ok(Some(Item::Record(record))),
                Some(Head::Bytes { at, length }) => (self.at, self.payload) = (at, length),
                Some(Head::Ignored { length }) => self.skip = length,
            }
        }
    }

    fn take_head(&mut self, input: &mut &[u8]) -> Result<Option<Head>, Violation> {
        if self.head.is_empty()
            && let Some((head, used)) = parse(input)?
        {
            cut(input, used as u64);
            return Ok(Some(head));
        }
        // It straddles two inputs: gather what a record without payload can have at most, and give back what it did not need.
        let before = self.head.len();
        let most = limits::PIPE_GREETING + varint::LONGEST as u64;
        let gathered = input.get(..input.len().min((most as usize).saturating_sub(before))).unwrap_or_default();
        self.head.extend_from_slice(gathered);
        let parsed = parse(&self.head)?;
        let used = parsed.as_ref().map_or(gathered.len(), |(_, used)| used.saturating_sub(before));
        cut(input, used as u64);
        Ok(parsed.map(|(head, _)| {
            self.head = Vec::new();
            head
        }))
    }
}

/// Reads a greeting off the front of what came by a path, and how many bytes it took; `None` while some are missing. Ignorable
/// records may not stand before it.
///
/// # Errors
/// Where it is something else.
pub fn greeting(bytes: &[u8]) -> Result<Option<(Greeting, usize)>, Violation> {
    match parse(bytes)? {
        None => Ok(None),
        Some((Head::Record(Record::Greeting(greeting)), used)) => Ok(Some((greeting, used))),
        Some(_) => Err(Violation::MisplacedGreeting),
    }
}

/// Takes up to `most` bytes off the front.
pub(super) fn cut<'a>(input: &mut &'a [u8], most: u64) -> &'a [u8] {
    let (piece, rest) = input.split_at(usize::try_from(most).unwrap_or(usize::MAX).min(input.len()));
    *input = rest;
    piece
}

/// Reads a record up to its payload; `None` while bytes are missing.
fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Violation> {
    let mut rest = bytes;
    let Some(length) = number(&mut rest)? else { return Ok(None) };
    let length = length.checked_sub(1).ok_or(Violation::MalformedRecord)?;
    if length > limits::PIPE_RECORD {
        return Err(Violation::RecordTooLong);
    }
    let Some((&kind, mut rest)) = rest.split_first() else { return Ok(None) };
    let used = bytes.len() - rest.len();
    let most = match kind {
        BYTES | PART => {
            let before = rest.len();
            let at = if kind == PART { number(&mut rest)? } else { None };
            if kind == PART && at.is_none() {
                return Ok(None);
            }
            let head = before - rest.len();
            let length = length.checked_sub(head as u64).filter(|length| *length > 0).ok_or(Violation::MalformedRecord)?;
            return Ok(Some((Head::Bytes { at, length }, used + head)));
        }
        OPEN | ATTACH => limits::PIPE_GREETING,
        ACKNOWLEDGE..=END | LANES => CONTROL,
        kind if IGNORABLE.contains(&kind) => return Ok(Some((Head::Ignored { length }, used))),
        kind => return Err(Violation::UnknownRecord(kind)),
    };
    if length >= most {
        return Err(Violation::RecordTooLong);
    }
    let Some(fields) = rest.get(..length as usize) else { return Ok(None) };
    let record = parse_fields(kind, fields).ok_or(Violation::MalformedRecord)?;
    Ok(Some((Head::Record(record), used + fields.len())))
}

/// Takes a number off the front; `None` while bytes of it are missing.
fn number(bytes: &mut &[u8]) -> Result<Option<u64>, Violation> {
    match varint::take(bytes) {
        Ok(number) => Ok(Some(number)),
        Err(NoNumber::Short) => Ok(None),
        Err(NoNumber::Malformed) => Err(Violation::MalformedRecord),
    }
}

fn parse_fields(kind: u8, mut fields: &[u8]) -> Option<Record> {
    // Later versions say more behind the keys.
    match kind {
        OPEN => return fields.first_chunk().map(|key| Record::Greeting(Greeting::Open(Key(*key)))),
        ATTACH => {
            let (key, rest) = fields.split_first_chunk()?;
            return rest.first_chunk().map(|own| Record::Greeting(Greeting::Attach { key: Key(*key), own: Key(*own) }));
        }
        _ => {}
    }
    let mut number = || varint::take(&mut fields).ok();
    let record = match kind {
        ACKNOWLEDGE => Record::Acknowledge { received: number()?, ahead: number().unwrap_or(0) },
        PROBE => Record::Probe,
        MOVE => Record::Move { turn: number()?, after: number()?, until: number()? },
        GO => Record::Go { turn: number()?, received: number()? },
        END => Record::End { code: number()? },
        LANES => Record::Lanes,
        _ => return None,
    };
    fields.is_empty().then_some(record)
}

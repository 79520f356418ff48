//! The bytes of frames, and nothing about what they mean: `length kind fields`, see docs/session.md.

use super::{Input, StreamId, Violation};
use crate::{
    limits,
    varint::{self, NoNumber},
};
use bytes::Bytes;

const HELLO: u8 = 0x00;
const DATA: u8 = 0x01;
const CREDIT: u8 = 0x02;
const CONNECTION_CREDIT: u8 = 0x03;
const STREAM_CREDIT: u8 = 0x04;
const RESET: u8 = 0x05;
const STOP: u8 = 0x06;
const PING: u8 = 0x07;
const PONG: u8 = 0x08;
/// Kinds that a receiver who does not know them skips; every other unknown kind ends the session.
const IGNORABLE: std::ops::RangeInclusive<u8> = 0x40..=0x7f;

const FLAG_FINISH: u8 = 0x01;
const FLAG_URGENT: u8 = 0x02;

/// Bytes that a data frame may be longer than its payload, its length prefix not counted: kind, two numbers, flags.
const DATA_FIELDS: u64 = 2 + 2 * varint::LONGEST as u64;
/// Room to reserve for everything of a data frame but its payload.
pub(crate) const DATA_OVERHEAD: u64 = DATA_FIELDS + varint::LONGEST as u64;
/// Longest control frame but HELLO: kind and three numbers.
const CONTROL_FRAME: u64 = 1 + 3 * varint::LONGEST as u64;
/// Most bytes gathered before a frame's fields can be read.
const HEAD: usize = limits::SESSION_HELLO_FRAME as usize + varint::LONGEST;

/// The only version there is.
pub(crate) const VERSION: u64 = 1;

/// What a side announces of itself first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Highest version of this protocol that the side speaks.
    pub version: u64,
    /// Longest payload of a data frame that the side accepts, in bytes.
    pub frame_payload: u64,
    /// Bytes of one stream that the side accepts before it grants more.
    pub stream_window: u64,
    /// Bytes of all streams together that the side accepts before it grants more.
    pub connection_window: u64,
    /// Streams that the other side may have open at once.
    pub streams: u64,
}

/// A frame that is read as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Hello(Hello),
    Credit { stream: StreamId, limit: u64 },
    ConnectionCredit { limit: u64 },
    StreamCredit { limit: u64 },
    Reset { stream: StreamId, code: u64, end: u64 },
    Stop { stream: StreamId, code: u64 },
    Ping([u8; 8]),
    Pong([u8; 8]),
}

/// The fields of a data frame; its payload of `length` bytes follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) stream: StreamId,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) finish: bool,
    pub(crate) urgent: bool,
}

impl Control {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(64);
        match *self {
            Self::Hello(hello) => {
                body.push(HELLO);
                numbers(&[hello.version, hello.frame_payload, hello.stream_window, hello.connection_window, hello.streams], &mut body);
            }
            Self::Credit { stream, limit } => {
                body.push(CREDIT);
                numbers(&[stream.number(), limit], &mut body);
            }
            Self::ConnectionCredit { limit } => {
                body.push(CONNECTION_CREDIT);
                numbers(&[limit], &mut body);
            }
            Self::StreamCredit { limit } => {
                body.push(STREAM_CREDIT);
                numbers(&[limit], &mut body);
            }
            Self::Reset { stream, code, end } => {
                body.push(RESET);
                numbers(&[stream.number(), code, end], &mut body);
            }
            Self::Stop { stream, code } => {
                body.push(STOP);
                numbers(&[stream.number(), code], &mut body);
            }
            Self::Ping(token) => {
                body.push(PING);
                body.extend_from_slice(&token);
            }
            Self::Pong(token) => {
                body.push(PONG);
                body.extend_from_slice(&token);
            }
        }
        varint::put(body.len() as u64, out);
        out.extend_from_slice(&body);
    }
}

impl Data {
    /// Appends everything of the frame but its payload.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let fields = 2 + varint::length(self.stream.number()) + varint::length(self.offset);
        varint::put(fields as u64 + self.length, out);
        out.push(DATA);
        numbers(&[self.stream.number(), self.offset], out);
        out.push(if self.finish { FLAG_FINISH } else { 0 } | if self.urgent { FLAG_URGENT } else { 0 });
    }
}

fn numbers(values: &[u64], out: &mut Vec<u8>) {
    for value in values {
        varint::put(*value, out);
    }
}

/// What came off the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Control(Control),
    /// The fields of a data frame; `length` bytes of payload follow as [`Item::Payload`].
    Data(Data),
    /// Part of the payload of the last data frame. `last`: the frame is complete.
    Payload {
        bytes: Bytes,
        last: bool,
    },
    /// A frame of a kind that may be ignored.
    Ignored,
}

/// Cuts the byte stream into frames. Payload is handed on as it arrives, so that the decoder itself never holds more
/// than the fields of one frame.
#[derive(Debug)]
pub(crate) struct Decoder {
    longest: u64,
    head: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Payload { left: u64 },
    Skip { left: u64 },
}

/// A frame's start that could be read.
enum Head {
    Control(Control),
    Data(Data),
    Ignored { length: u64 },
}

impl Decoder {
    /// A decoder that accepts data frames of up to `frame_payload` bytes of payload.
    pub(crate) fn new(frame_payload: u64) -> Self {
        Self { longest: frame_payload + DATA_FIELDS, head: Vec::new(), state: State::Head }
    }

    /// The next item, or `None` when `input` is used up.
    pub(crate) fn next(&mut self, input: &mut Input<'_>) -> Result<Option<Item>, Violation> {
        loop {
            match self.state {
                State::Payload { left } => {
                    let bytes = input.take(left);
                    if bytes.is_empty() {
                        return Ok(None);
                    }
                    let left = left - bytes.len() as u64;
                    self.state = if left == 0 { State::Head } else { State::Payload { left } };
                    return Ok(Some(Item::Payload { bytes, last: left == 0 }));
                }
                State::Skip { left } => {
                    let left = left - input.skip(left);
                    if left > 0 {
                        self.state = State::Skip { left };
                        return Ok(None);
                    }
                    self.state = State::Head;
                }
                State::Head => {
                    let Some(head) = self.take_head(input)? else { return Ok(None) };
                    match head {
                        Head::Control(frame) => return Ok(Some(Item::Control(frame))),
                        Head::Data(data) => {
                            if data.length > 0 {
                                self.state = State::Payload { left: data.length };
                            }
                            return Ok(Some(Item::Data(data)));
                        }
                        Head::Ignored { length } => {
                            self.state = State::Skip { left: length };
                            return Ok(Some(Item::Ignored));
                        }
                    }
                }
            }
        }
    }

    fn take_head(&mut self, input: &mut Input<'_>) -> Result<Option<Head>, Violation> {
        if self.head.is_empty() {
            let parsed = parse_head(input.rest(), self.longest)?;
            if let Some((head, used)) = parsed {
                input.skip(used as u64);
                return Ok(Some(head));
            }
        }
        // The fields straddle two inputs: gather what a head can have at most, and give back what it did not need.
        let before = self.head.len();
        let gathered = input.rest().len().min(HEAD - before);
        self.head.extend_from_slice(input.rest().get(..gathered).unwrap_or_default());
        match parse_head(&self.head, self.longest)? {
            Some((head, used)) => {
                input.skip(used.saturating_sub(before) as u64);
                self.head = Vec::new();
                Ok(Some(head))
            }
            None => {
                input.skip(gathered as u64);
                Ok(None)
            }
        }
    }
}

/// Reads a frame up to its payload; `None` while bytes are missing.
fn parse_head(bytes: &[u8], longest: u64) -> Result<Option<(Head, usize)>, Violation> {
    let mut rest = bytes;
    let length = match varint::take(&mut rest) {
        Ok(0) | Err(NoNumber::Malformed) => return Err(Violation::MalformedFrame),
        Ok(length) => length,
        Err(NoNumber::Short) => return Ok(None),
    };
    if length > longest.max(limits::SESSION_HELLO_FRAME) {
        return Err(Violation::FrameTooLong);
    }
    let Some((&kind, fields)) = rest.split_first() else { return Ok(None) };
    let used = bytes.len() - fields.len();
    let length = length - 1;
    if IGNORABLE.contains(&kind) {
        return Ok(Some((Head::Ignored { length }, used)));
    }
    if kind == DATA {
        return parse_data(fields, length, longest).map(|data| data.map(|(data, fields)| (Head::Data(data), used + fields)));
    }
    let most = match kind {
        HELLO => limits::SESSION_HELLO_FRAME,
        CREDIT..=PONG => CONTROL_FRAME,
        _ => return Err(Violation::UnknownFrame(kind)),
    };
    if length >= most {
        return Err(Violation::FrameTooLong);
    }
    let Some(body) = usize::try_from(length).ok().and_then(|length| fields.get(..length)) else { return Ok(None) };
    let control = parse_control(kind, body).ok_or(Violation::MalformedFrame)?;
    Ok(Some((Head::Control(control), used + body.len())))
}

fn parse_data(fields: &[u8], length: u64, longest: u64) -> Result<Option<(Data, usize)>, Violation> {
    let within = usize::try_from(length).map_or(fields, |length| fields.get(..length).unwrap_or(fields));
    let complete = within.len() as u64 == length;
    let mut rest = within;
    let read = (|| {
        let stream = varint::take(&mut rest)?;
        let offset = varint::take(&mut rest)?;
        let (&flags, payload) = rest.split_first().ok_or(NoNumber::Short)?;
        Ok((stream, offset, flags, within.len() - payload.len()))
    })();
    let (stream, offset, flags, used) = match read {
        Ok(fields) => fields,
        Err(NoNumber::Short) if !complete => return Ok(None),
        Err(_) => return Err(Violation::MalformedFrame),
    };
    let stream = StreamId::from_number(stream).ok_or(Violation::MalformedFrame)?;
    if flags & !(FLAG_FINISH | FLAG_URGENT) != 0 {
        return Err(Violation::MalformedFrame);
    }
    let length = length - used as u64;
    if length + DATA_FIELDS > longest {
        return Err(Violation::FrameTooLong);
    }
    Ok(Some((Data { stream, offset, length, finish: flags & FLAG_FINISH != 0, urgent: flags & FLAG_URGENT != 0 }, used)))
}

fn parse_control(kind: u8, mut body: &[u8]) -> Option<Control> {
    let body = &mut body;
    let control = match kind {
        HELLO => {
            let hello = Hello {
                version: number(body)?,
                frame_payload: number(body)?,
                stream_window: number(body)?,
                connection_window: number(body)?,
                streams: number(body)?,
            };
            // Later versions say more behind these fields.
            return Some(Control::Hello(hello));
        }
        CREDIT => Control::Credit { stream: stream(body)?, limit: number(body)? },
        CONNECTION_CREDIT => Control::ConnectionCredit { limit: number(body)? },
        STREAM_CREDIT => Control::StreamCredit { limit: number(body)? },
        RESET => Control::Reset { stream: stream(body)?, code: number(body)?, end: number(body)? },
        STOP => Control::Stop { stream: stream(body)?, code: number(body)? },
        PING => Control::Ping(token(body)?),
        PONG => Control::Pong(token(body)?),
        _ => return None,
    };
    body.is_empty().then_some(control)
}

fn number(body: &mut &[u8]) -> Option<u64> {
    varint::take(body).ok()
}

fn stream(body: &mut &[u8]) -> Option<StreamId> {
    number(body).and_then(StreamId::from_number)
}

fn token(body: &mut &[u8]) -> Option<[u8; 8]> {
    let (token, rest) = body.split_first_chunk::<8>()?;
    *body = rest;
    Some(*token)
}

//! What arrives: every frame is checked against what was granted before anything of it is kept.

use super::{
    Hello, Input, Priority, Session, Side, StreamId, Violation,
    frame::{Control, Data, Item},
    stream::{self, Stream},
};
use crate::limits;
use bytes::Bytes;

impl Session {
    /// Takes bytes off the wire, cut anywhere. Payload is copied once.
    ///
    /// # Errors
    /// When the peer breaks the protocol: drop it.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.take(Input::borrowed(bytes))
    }

    /// As [`Session::receive`], without copying payload that is a large part of `bytes`.
    ///
    /// # Errors
    /// When the peer breaks the protocol: drop it.
    pub fn receive_bytes(&mut self, bytes: &Bytes) -> Result<(), Violation> {
        self.take(Input::shared(bytes))
    }

    fn take(&mut self, mut input: Input<'_>) -> Result<(), Violation> {
        if let Some(violation) = self.violation {
            return Err(violation);
        }
        loop {
            let step = match self.decoder.next(&mut input) {
                Ok(None) => return Ok(()),
                Ok(Some(item)) => self.on_item(item),
                Err(violation) => Err(violation),
            };
            if let Err(violation) = step {
                self.violation = Some(violation);
                return Err(violation);
            }
        }
    }

    fn on_item(&mut self, item: Item) -> Result<(), Violation> {
        if self.peer.is_none() != matches!(item, Item::Control(Control::Hello(_))) {
            return Err(Violation::HelloExpected);
        }
        match item {
            Item::Control(frame) => self.on_control(frame),
            Item::Data(data) => self.on_data(data),
            Item::Payload { bytes, last } => {
                self.on_payload(bytes, last);
                Ok(())
            }
            Item::Ignored => Ok(()),
        }
    }

    fn on_control(&mut self, frame: Control) -> Result<(), Violation> {
        match frame {
            Control::Hello(hello) => self.on_hello(hello),
            Control::ConnectionCredit { limit } => self.outbound.raise(limit),
            Control::StreamCredit { limit } => {
                self.own_streams.raise(limit)?;
                self.note_openable();
                Ok(())
            }
            Control::Credit { stream, limit } => {
                let Some(entry) = self.named(stream)? else { return Ok(()) };
                entry.send.window.raise(limit)?;
                self.queue_data(stream);
                Ok(())
            }
            Control::Reset { stream, code, end } => {
                let entry = self.named(stream)?.ok_or(Violation::DataAfterEnd)?;
                entry.receive.reset(code, end)?;
                self.arrived(stream);
                Ok(())
            }
            Control::Stop { stream, code } => self.on_stop(stream, code),
            Control::Ping(token) => match self.pong_owed.replace(token) {
                None => Ok(()),
                Some(_) => Err(Violation::PingFlood),
            },
            Control::Pong(token) => match self.ping.take() {
                Some(ping) if ping.sent && ping.token == token => {
                    self.events.pong = Some(token);
                    Ok(())
                }
                _ => Err(Violation::UnaskedPong),
            },
        }
    }

    fn on_hello(&mut self, hello: Hello) -> Result<(), Violation> {
        let announced = [
            (hello.version, 1),
            (hello.frame_payload, limits::SESSION_FIRST_FRAME_PAYLOAD),
            (hello.stream_window, limits::SESSION_FIRST_STREAM_WINDOW),
            (hello.connection_window, limits::SESSION_FIRST_CONNECTION_WINDOW),
            (hello.streams, limits::SESSION_FIRST_STREAMS),
        ];
        if announced.iter().any(|(value, least)| value < least || *value > limits::SESSION_ANNOUNCED) {
            return Err(Violation::BadHello);
        }
        self.peer = Some(hello);
        self.outbound.enlarge(hello.connection_window);
        self.own_streams.enlarge(hello.streams);
        let opened: Vec<StreamId> = self.streams.keys().copied().collect();
        for stream in opened {
            if let Some(entry) = self.streams.get_mut(&stream) {
                entry.send.window.enlarge(hello.stream_window);
            }
            self.queue_data(stream);
        }
        self.note_openable();
        self.events.ready = true;
        Ok(())
    }

    fn on_stop(&mut self, stream: StreamId, code: u64) -> Result<(), Violation> {
        let Some(entry) = self.named(stream)? else { return Ok(()) };
        if entry.send.check_open().is_err() && !entry.send.is_finishing() {
            return Ok(());
        }
        let dropped = entry.send.reset(code);
        if let Some(entry) = self.streams.get_mut(&stream) {
            self.events.push(stream, entry, stream::STOPPED);
        }
        self.queue_control(stream);
        self.release(dropped);
        Ok(())
    }

    fn on_data(&mut self, data: Data) -> Result<(), Violation> {
        if data.length == 0 && !data.finish {
            return Err(Violation::EmptyFrame);
        }
        let opener = data.stream.opened_by() != self.side;
        if data.urgent && !(opener && data.offset == 0) {
            return Err(Violation::MisplacedPriority);
        }
        let entry = self.named(data.stream)?.ok_or(Violation::DataAfterEnd)?;
        if data.urgent {
            entry.priority = Priority::Urgent;
        }
        entry.receive.begin(data.offset, data.length, data.finish)?;
        if !self.inbound.receive(data.length) {
            return Err(Violation::BeyondCredit);
        }
        if data.length == 0 {
            self.arrived(data.stream);
        } else {
            self.arriving = Some(data.stream);
        }
        Ok(())
    }

    fn on_payload(&mut self, bytes: Bytes, last: bool) {
        let Some(stream) = self.arriving else { return };
        let length = bytes.len() as u64;
        if last {
            self.arriving = None;
        }
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        if entry.receive.payload(bytes, last) {
            self.inbound.use_up(length);
        }
        self.arrived(stream);
    }

    /// Bytes or the end of a stream arrived.
    fn arrived(&mut self, stream: StreamId) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        if entry.receive.is_readable() {
            self.events.push(stream, entry, stream::READABLE);
        }
        self.settle(stream);
    }

    /// The stream that a frame of the peer names, opened by that where it is new; `None`: it is closed and forgotten.
    fn named(&mut self, stream: StreamId) -> Result<Option<&mut Stream>, Violation> {
        if stream.opened_by() == self.side {
            if stream.index() >= self.own_streams.sent() {
                return Err(Violation::NeverOpened);
            }
            return Ok(self.streams.get_mut(&stream).map(Box::as_mut));
        }
        let opened = self.peer_streams.received();
        if stream.index() >= opened {
            if !self.peer_streams.receive(stream.index() + 1 - opened) {
                return Err(Violation::TooManyStreams);
            }
            let window = self.peer_stream_window();
            // Lower numbers may still come: frames of several streams can overtake each other at the sender.
            for index in opened..=stream.index() {
                let mut entry = Box::new(Stream::new(Priority::Bulk, window, self.config.stream_window));
                entry.named = false;
                self.streams.insert(StreamId::of(self.peer_side(), index), entry);
            }
        }
        let Some(entry) = self.streams.get_mut(&stream) else { return Ok(None) };
        if !entry.named {
            entry.named = true;
            self.events.push(stream, entry, stream::OPENED);
        }
        Ok(Some(entry))
    }

    fn peer_side(&self) -> Side {
        match self.side {
            Side::Dialler => Side::Listener,
            Side::Listener => Side::Dialler,
        }
    }
}

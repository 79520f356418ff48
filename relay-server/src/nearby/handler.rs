//! One connection's stream: reads announcements, writes the newest list. A newer stream of the same connection replaces it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use futures::{AsyncRead as _, AsyncWrite as _};
use libp2p::{
    PeerId, Stream, StreamProtocol,
    core::upgrade::{DeniedUpgrade, ReadyUpgrade},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol,
        handler::{ConnectionEvent, FullyNegotiatedInbound},
    },
};
use shoal_protocol::{
    identity::PublicKey,
    nearby::{Announcements, Group, Name, Refusal},
};

use super::Vantage;

/// The protocol's name: `crates/protocol/docs/nearby.md`.
const PROTOCOL: StreamProtocol = StreamProtocol::new("/shoal/nearby/1.0.0");
/// Bytes read at once: one of the longest announcements, and some.
const READ: usize = 128;

/// To the behaviour.
#[derive(Debug)]
pub(crate) enum FromHandler {
    /// The device announces itself.
    Here { stream: u64, group: Group, key: Box<PublicKey>, name: Option<Name> },
    /// Its stream has ended.
    Left { stream: u64 },
}

/// From the behaviour.
#[derive(Debug)]
pub(crate) enum ToHandler {
    /// Send this list instead of any that has not begun to be sent.
    Tell(u64, Bytes),
    /// Say why, and close the stream.
    Drop(u64, Refusal),
}

/// One connection's half of the behaviour.
pub(crate) struct Handler {
    peer: PeerId,
    ip: Option<IpAddr>,
    vantage: Vantage,
    streams: u64,
    /// In a box, since most connections have none.
    open: Option<Box<Open>>,
    /// At most two: what became of the last stream, and what the present one says.
    events: VecDeque<FromHandler>,
}

/// A stream.
struct Open {
    number: u64,
    stream: Stream,
    /// Who it is and where, found out once; or why it is not listed.
    device: Result<(Group, Box<PublicKey>), Refusal>,
    announcements: Announcements,
    read: Bytes,
    /// Whether the behaviour has been told of it, and is to be told of its end.
    listed: bool,
    /// What is being written.
    writing: Bytes,
    /// What is written next. A newer one takes its place, so a device that stops reading costs two lists.
    next: Option<Bytes>,
    /// Nothing is read any more; once everything is written, it is closed.
    closing: bool,
}

impl Handler {
    /// For a connection of `peer` from `ip`.
    pub(super) fn new(peer: PeerId, ip: Option<IpAddr>, vantage: Vantage) -> Self {
        Self { peer, ip, vantage, streams: 0, open: None, events: VecDeque::new() }
    }

    fn device(&self) -> Result<(Group, Box<PublicKey>), Refusal> {
        let group = self.ip.and_then(|ip| Group::of(ip, self.vantage.scope())).ok_or(Refusal::UnknownNetwork)?;
        let key = PublicKey::from_peer_id_bytes(&self.peer.to_bytes()).map_err(|_| Refusal::UnknownNetwork)?;
        Ok((group, Box::new(key)))
    }

    fn opened(&mut self, stream: Stream) {
        self.end();
        self.streams += 1;
        self.open = Some(Box::new(Open {
            number: self.streams,
            stream,
            device: self.device(),
            announcements: Announcements::default(),
            read: Bytes::new(),
            listed: false,
            writing: Bytes::new(),
            next: None,
            closing: false,
        }));
    }

    /// Lets go of the stream.
    fn end(&mut self) {
        if let Some(open) = self.open.take()
            && open.listed
        {
            // What it said and the behaviour has not heard is of no interest any more.
            self.events.clear();
            self.events.push_back(FromHandler::Left { stream: open.number });
        }
    }
}

impl Open {
    /// Works until there is nothing to do, or something to tell the behaviour. An error, or `Ok(None)`, is the stream's end.
    fn drive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<FromHandler>>> {
        if !self.closing
            && let Poll::Ready(said) = self.listen(context)?
        {
            let Some(name) = said else { return Poll::Ready(Ok(None)) };
            match &self.device {
                Ok((group, key)) => {
                    self.listed = true;
                    return Poll::Ready(Ok(Some(FromHandler::Here { stream: self.number, group: *group, key: key.clone(), name })));
                }
                Err(refusal) => self.refuse(*refusal),
            }
        }
        ready!(self.write(context))?;
        if !self.closing {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.stream).poll_close(context))?;
        Poll::Ready(Ok(None))
    }

    /// The next announcement; `None` at the end.
    fn listen(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Option<Name>>>> {
        loop {
            let mut input = &self.read[..];
            let said = self.announcements.next(&mut input).map_err(io::Error::other)?;
            let left = input.len();
            self.read.advance(self.read.len() - left);
            if let Some(name) = said {
                return Poll::Ready(Ok(Some(name)));
            }
            let mut buffer = [0; READ];
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))? {
                0 => return Poll::Ready(Ok(None)),
                length => self.read = Bytes::copy_from_slice(&buffer[..length]),
            }
        }
    }

    /// Writes what there is to write.
    fn write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.writing.is_empty() {
                let length = ready!(Pin::new(&mut self.stream).poll_write(context, &self.writing))?;
                if length == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.writing.advance(length);
            }
            match self.next.take() {
                Some(next) => self.writing = next,
                None => return Pin::new(&mut self.stream).poll_flush(context),
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.listed = false;
        self.closing = true;
        self.next = Some(refusal.message());
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = ToHandler;
    type ToBehaviour = FromHandler;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Infallible;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, Infallible, FromHandler>> {
        loop {
            // First what there is to tell: nothing more is read while the behaviour is behind.
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
            }
            let Some(open) = &mut self.open else { return Poll::Pending };
            match ready!(open.drive(context)) {
                Ok(Some(event)) => self.events.push_back(event),
                Ok(None) => self.end(),
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "nearby stream ended");
                    self.end();
                }
            }
        }
    }

    fn on_behaviour_event(&mut self, event: ToHandler) {
        let (ToHandler::Tell(number, _) | ToHandler::Drop(number, _)) = event;
        let Some(open) = self.open.as_mut().filter(|open| open.number == number && !open.closing) else { return };
        match event {
            ToHandler::Tell(_, list) => open.next = Some(list),
            ToHandler::Drop(_, refusal) => open.refuse(refusal),
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, DeniedUpgrade, (), Infallible>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. }) = event {
            self.opened(stream);
        }
    }
}

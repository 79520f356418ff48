//! SCTP inside DTLS, as a value: packets and the time go in, packets and what happened to data channels come out.
//!
//! ```text
//! packet ──► DTLS ──► SCTP ──► Happening, messages            writes ──► SCTP ──► DTLS ──► packet
//! ```
//!
//! What nobody reads stays in SCTP, whose window then closes: that is how a slow reader slows the peer. A stack that hands out every message at once,
//! as str0m does, has only the choice between a buffer without bound and a stream that fails, hence its parts without it.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use dimpl::{Dtls, Output};
use sctp_proto::{
    Association, AssociationHandle, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, PayloadProtocolIdentifier as Kind,
    ServerConfig, StreamEvent, TransportConfig,
};

use super::{
    certificate::{Certhash, Certificate, certhash_of},
    config::{CONNECTION_WINDOW, DATAGRAM, PIECE, RECEIVED_DATAGRAM, REPEAT_AFTER},
    error::{End, Error},
};
use crate::limits::{ACCEPTED_FRAME, STRANGER_FRAME};

/// What all connections of a listener have in common.
#[derive(Clone)]
pub(super) struct Settings {
    certificate: Certificate,
    dtls: Arc<dimpl::Config>,
    endpoint: Arc<EndpointConfig>,
    server: Arc<ServerConfig>,
}

impl Settings {
    /// With this certificate.
    ///
    /// # Errors
    /// Where DTLS finds its cryptography wanting.
    pub(super) fn new(certificate: Certificate) -> Result<Self, Error> {
        let mut endpoint = EndpointConfig::default();
        endpoint.max_payload_size(PIECE);
        let transport = TransportConfig::default()
            .with_max_receive_buffer_size(CONNECTION_WINDOW)
            .with_max_receive_message_size(ACCEPTED_FRAME as u32)
            .with_max_send_message_size(STRANGER_FRAME as u32)
            .with_max_init_retransmits(None)
            .with_rto_initial_ms(REPEAT_AFTER.0)
            .with_rto_min_ms(REPEAT_AFTER.1);
        let mut server = ServerConfig::default();
        server.transport = Arc::new(transport);
        Ok(Self {
            certificate,
            dtls: Arc::new(dimpl::Config::builder().mtu(DATAGRAM).build().map_err(Error::Setup)?),
            endpoint: Arc::new(endpoint),
            server: Arc::new(server),
        })
    }

    pub(super) fn certhash(&self) -> &Certhash {
        &self.certificate.hash
    }
}

/// What happened to data channels, or to all of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// Channels can be opened.
    Up,
    /// The peer sent on a channel that was not there.
    Opened(u16),
    /// There may be something to read.
    Readable(u16),
    /// The peer closed it.
    Closed(u16),
    /// Its number can be used again.
    Reusable(u16),
    /// There are no more channels.
    Down(End),
}

/// Packets to send, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Packets {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Packets {
    fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).filter_map(|(begin, end)| self.bytes.get(begin..*end))
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// One connection's.
pub(super) struct Tunnel {
    dtls: Dtls,
    /// When DTLS wants to be woken.
    wake: Option<Instant>,
    /// The client's certificate, once it has proven it.
    client: Option<Certhash>,
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    /// The latest packet with data.
    latest: Bytes,
    /// The window that the peer was told last, and bytes that were read since.
    window: (u32, usize),
}

/// SCTP wants addresses, and never uses them.
const NOWHERE: std::net::SocketAddr = std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5_000);

impl Tunnel {
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            dtls: Dtls::new_auto(Arc::clone(&settings.dtls), settings.certificate.dtls.clone(), now),
            wake: None,
            client: None,
            endpoint: Endpoint::new(Arc::clone(&settings.endpoint), Some(Arc::clone(&settings.server))),
            association: None,
            latest: Bytes::new(),
            window: (CONNECTION_WINDOW, 0),
        }
    }

    /// The hash of the client's certificate: it has its key, and receives where it says it is.
    pub(super) fn client(&self) -> Option<&Certhash> {
        self.client.as_ref()
    }

    /// Takes a packet. Tells whether it was the peer's, for certain.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn receive(&mut self, packet: &[u8], now: Instant, out: &mut Packets) -> Result<bool, End> {
        self.dtls.handle_timeout(now).map_err(dtls)?;
        self.dtls.handle_packet(packet).map_err(dtls)?;
        self.drain(now, out)
    }

    /// It is this late.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn at(&mut self, now: Instant, out: &mut Packets) -> Result<(), End> {
        if self.wake.is_some_and(|wake| wake <= now) {
            self.dtls.handle_timeout(now).map_err(dtls)?;
            self.drain(now, out)?;
        }
        if let Some((_, association)) = self.association.as_mut()
            && association.poll_timeout().is_some_and(|wake| wake <= now)
        {
            association.handle_timeout(now);
        }
        Ok(())
    }

    /// When it wants to be told how late it is.
    pub(super) fn wake(&self) -> Option<Instant> {
        let sctp = self.association.as_ref().and_then(|(_, association)| association.poll_timeout());
        self.wake.into_iter().chain(sctp).min()
    }

    fn drain(&mut self, now: Instant, out: &mut Packets) -> Result<bool, End> {
        let mut scratch = [0; RECEIVED_DATAGRAM];
        let mut authentic = false;
        loop {
            match self.dtls.poll_output(&mut scratch) {
                Output::Packet(packet) => out.push(packet),
                Output::ApplicationData(data) => {
                    authentic = true;
                    let data = Bytes::copy_from_slice(data);
                    if first_chunk(&data) == Some(DATA) {
                        self.latest = data.clone();
                    }
                    self.take(data, now);
                }
                Output::PeerCert(certificate) => self.client = certhash_of(certificate),
                Output::Timeout(wake) => {
                    self.wake = Some(wake);
                    return Ok(authentic);
                }
                Output::CloseNotify => return Err(End::ClosedByPeer),
                Output::BufferTooSmall { .. } => return Err(End::Dtls("a record is too long".into())),
                _ => {}
            }
        }
    }

    fn take(&mut self, data: Bytes, now: Instant) {
        match self.endpoint.handle(now, NOWHERE, None, None, data) {
            // Browsers repeat the first packet of an association on bad links: the first one stays.
            Some((handle, DatagramEvent::NewAssociation(new))) => {
                self.association.get_or_insert((handle, new));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = self.association.as_mut() {
                    association.handle_event(event);
                }
            }
            None => {}
        }
    }

    /// Tells the peer that there is room again. SCTP does so only when something comes (RFC 9260 6.2), and whoever was told that there is none sends
    /// nothing until a timer of half a second or more asks anew. So its latest packet is taken twice more: what came before is acknowledged again, at
    /// the second time at once, with the window of now.
    fn widen(&mut self, now: Instant) {
        let (told, read) = self.window;
        if told < CONNECTION_WINDOW / 2 && read >= CONNECTION_WINDOW as usize / 4 && !self.latest.is_empty() {
            self.window.1 = 0;
            self.take(self.latest.clone(), now);
            self.take(self.latest.clone(), now);
        }
    }

    /// What there is to send.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn transmit(&mut self, now: Instant, out: &mut Packets) -> Result<(), End> {
        self.widen(now);
        loop {
            if let Some((handle, association)) = self.association.as_mut() {
                while let Some(event) = association.poll_endpoint_event() {
                    if let Some(event) = self.endpoint.handle_event(*handle, event) {
                        association.handle_event(event);
                    }
                }
            }
            let transmit = self.endpoint.poll_transmit().or_else(|| self.association.as_mut()?.1.poll_transmit(now));
            let Some(transmit) = transmit else { return Ok(()) };
            if let Payload::RawEncode(packets) = transmit.payload {
                for packet in packets {
                    if let Some(window) = told_window(&packet) {
                        self.window = (window, 0);
                    }
                    self.dtls.send_application_data(&packet).map_err(dtls)?;
                    self.drain(now, out)?;
                }
            }
        }
    }

    /// The next thing that happened.
    pub(super) fn happening(&mut self) -> Option<Happening> {
        let (_, association) = self.association.as_mut()?;
        loop {
            return Some(match association.poll()? {
                Event::Connected => Happening::Up,
                Event::HandshakeFailed { reason } | Event::AssociationLost { reason } => Happening::Down(ended(&reason)),
                Event::Stream(StreamEvent::Opened { id }) => {
                    // It is in a queue as well, which would grow.
                    let _ = association.accept_stream();
                    Happening::Opened(id)
                }
                Event::Stream(StreamEvent::Readable { id }) => Happening::Readable(id),
                Event::Stream(StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. }) => Happening::Closed(id),
                Event::Stream(StreamEvent::ResetComplete { id }) => Happening::Reusable(id),
                _ => continue,
            });
        }
    }

    fn stream(&mut self, channel: u16) -> Option<sctp_proto::Stream<'_>> {
        self.association.as_mut()?.1.stream(channel).ok()
    }

    /// Opens a channel, as far as SCTP knows of any. Fails where its number is in use, or was a moment ago.
    pub(super) fn open(&mut self, channel: u16) -> bool {
        self.association.as_mut().is_some_and(|(_, association)| association.open_stream(channel, Kind::Binary).is_ok())
    }

    /// The next message of a channel: whether it is one about the channel, and its bytes.
    pub(super) fn read(&mut self, channel: u16) -> Option<(bool, Bytes)> {
        let message = self.stream(channel)?.read().ok()??;
        let mut bytes = vec![0; message.len()];
        message.read(&mut bytes).ok()?;
        self.window.1 += bytes.len();
        let is_empty = matches!(message.ppi, Kind::BinaryEmpty | Kind::StringEmpty);
        Some((message.ppi == Kind::Dcep, if is_empty { Bytes::new() } else { bytes.into() }))
    }

    /// Sends a message that belongs to the stream on a channel.
    pub(super) fn write(&mut self, channel: u16, message: &[u8]) -> bool {
        self.stream(channel).is_some_and(|mut stream| stream.write_with_ppi(message, Kind::Binary).is_ok())
    }

    /// Sends a message about a channel.
    pub(super) fn write_about(&mut self, channel: u16, message: &[u8]) -> bool {
        self.stream(channel).is_some_and(|mut stream| stream.write_with_ppi(message, Kind::Dcep).is_ok())
    }

    /// Bytes of a channel that the peer has not acknowledged.
    pub(super) fn unsent(&mut self, channel: u16) -> usize {
        self.stream(channel).and_then(|stream| stream.buffered_amount().ok()).unwrap_or_default()
    }

    /// Closes a channel. What was written is sent before.
    pub(super) fn close(&mut self, channel: u16) {
        if let Some(mut stream) = self.stream(channel) {
            // Fails only where there is no association any more.
            let _ = stream.close();
        }
    }

    /// Says goodbye.
    pub(super) fn end(&mut self, now: Instant, out: &mut Packets) {
        // Whatever fails here, the connection is over.
        if self.dtls.close().is_ok() {
            let _ = self.drain(now, out);
        }
    }
}

/// The type of the first chunk in a packet: RFC 9260 3.2.
fn first_chunk(packet: &[u8]) -> Option<u8> {
    packet.get(HEADER).copied()
}

/// What an acknowledgement in front of a packet says of the window: RFC 9260 3.3.4.
fn told_window(packet: &[u8]) -> Option<u32> {
    let window = packet.get(HEADER + 8..HEADER + 12)?;
    (first_chunk(packet) == Some(SACK)).then(|| u32::from_be_bytes(window.try_into().unwrap_or_default()))
}

/// Bytes of a packet of SCTP before its chunks, and types of chunks.
const HEADER: usize = 12;
const DATA: u8 = 0;
const SACK: u8 = 3;

fn dtls(error: dimpl::Error) -> End {
    End::Dtls(error.to_string())
}

fn ended(reason: &sctp_proto::AssociationError) -> End {
    match reason {
        sctp_proto::AssociationError::AssociationClosed | sctp_proto::AssociationError::ApplicationClosed => End::ClosedByPeer,
        reason => End::Sctp(reason.to_string()),
    }
}

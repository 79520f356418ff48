//! Somebody who dials: ICE, DTLS and data channels by str0m, the streams on them by this crate's state machine. Browsers and go-libp2p are in `tests/`.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p_core::{Multiaddr, multiaddr::Protocol, upgrade::InboundConnectionUpgrade as _};
use libp2p_identity::{Keypair, PeerId};
use multihash::Multihash;
use shoal_webrtc::stream::{Limits, Read, Stream};
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    channel::{ChannelConfig, ChannelId},
    config::Fingerprint,
    ice::IceCreds,
    net::{Protocol as Transport, Receive},
};
use tokio::{net::UdpSocket, sync::Notify, time::timeout};

/// Bytes of a channel that wait in SCTP while more are written.
const UNSENT: usize = 256 * 1024;
/// The longest packet.
const PACKET: usize = 2_048;

/// How a client tells its password.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Version {
    One,
    Two,
}

#[derive(Default)]
struct Channel {
    /// Which of the streams that had this channel's id, one after the other.
    number: u64,
    stream: Option<Stream>,
    open: bool,
    closed: bool,
    left: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct State {
    rtc: Rtc,
    channels: HashMap<ChannelId, Channel>,
    arrived: VecDeque<(ChannelId, u64)>,
    /// The number of the next stream.
    next: u64,
    up: bool,
    ended: bool,
}

impl State {
    /// A stream on a channel that is new, whatever had its id before. Its number.
    fn begin(&mut self, id: ChannelId) -> u64 {
        self.next += 1;
        let channel = Channel { number: self.next, stream: Some(Stream::new(Limits::default())), ..Channel::default() };
        self.channels.insert(id, channel);
        self.next
    }
}

struct Inner {
    state: Mutex<State>,
    driver: Notify,
    changed: Notify,
}

/// A connection of somebody who dialled.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.0.state.lock().unwrap();
        let mut channels: Vec<_> = state
            .channels
            .iter()
            .map(|(id, channel)| format!("{id:?} {} {} {} {:?}", channel.open, channel.closed, channel.left, channel.stream))
            .collect();
        channels.sort();
        write!(formatter, "{channels:#?} {}", state.ended)
    }
}

impl Client {
    /// Connects, and proves who it is.
    pub(crate) async fn dial(address: &Multiaddr, version: Version) -> io::Result<(PeerId, Self)> {
        Self::dial_as(&Keypair::generate_ed25519(), address, version).await
    }

    /// The same with a key that is known.
    pub(crate) async fn dial_as(identity: &Keypair, address: &Multiaddr, version: Version) -> io::Result<(PeerId, Self)> {
        let (client, noise, hashes) = Self::connect(address, version, None).await?;
        let prologue = [b"libp2p-webrtc-noise:", &hashes.0.to_bytes()[..], &hashes.1.to_bytes()].concat();
        let noise_config = libp2p_noise::Config::new(identity).map_err(io::Error::other)?.with_prologue(prologue);
        let (peer, output) = timeout(super::PATIENCE, noise_config.upgrade_inbound(noise, "/noise")).await?.map_err(io::Error::other)?;
        // As go-libp2p: Noise's channel is never closed.
        std::mem::forget(output);
        Ok((peer, client))
    }

    /// Connects, and has Noise's channel. `expected` takes the place of the certificate in the address.
    pub(crate) async fn connect(
        address: &Multiaddr,
        version: Version,
        expected: Option<Multihash<64>>,
    ) -> io::Result<(Self, Substream, (Multihash<64>, Multihash<64>))> {
        let (remote, hash) = parts(address);
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let local = socket.local_addr()?;
        str0m::crypto::from_feature_flags().install_process_default();
        let mut rtc = Rtc::builder().set_sctp_max_buffered_amount(4 * 1024 * 1024).build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap()).unwrap();
        rtc.add_remote_candidate(Candidate::host(remote, "udp").unwrap());
        let mut direct = rtc.direct_api();
        let hash = expected.unwrap_or(hash);
        let own = Multihash::wrap(0x12, &direct.local_dtls_fingerprint().bytes).unwrap();
        direct.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".into(), bytes: hash.digest().to_vec() });
        let (ours, theirs) = names(version);
        direct.set_local_ice_credentials(ours);
        direct.set_remote_ice_credentials(theirs);
        direct.set_ice_controlling(true);
        direct.start_dtls(true).unwrap();
        direct.start_sctp(true);
        let handshake = direct.create_data_channel(ChannelConfig { negotiated: Some(0), ..ChannelConfig::default() });
        let state = State { rtc, channels: HashMap::new(), arrived: VecDeque::new(), next: 0, up: false, ended: false };
        let client = Self(Arc::new(Inner { state: Mutex::new(state), driver: Notify::new(), changed: Notify::new() }));
        let noise = client.attach(&mut client.0.state.lock().unwrap(), handshake);
        tokio::spawn(drive(client.0.clone(), socket, local));
        Ok((client, noise, (own, hash)))
    }

    fn attach(&self, state: &mut State, id: ChannelId) -> Substream {
        let number = state.begin(id);
        Substream { inner: self.0.clone(), id, number }
    }

    /// Opens a stream.
    pub(crate) fn open(&self) -> Substream {
        let mut state = self.0.state.lock().unwrap();
        let id = state.rtc.direct_api().create_data_channel(ChannelConfig::default());
        let stream = self.attach(&mut state, id);
        drop(state);
        self.0.driver.notify_one();
        stream
    }

    /// The next stream of the listener.
    pub(crate) async fn accept(&self) -> Substream {
        timeout(super::PATIENCE, self.arrival()).await.expect("a stream of the listener")
    }

    /// The same, however long it takes.
    pub(crate) async fn arrival(&self) -> Substream {
        loop {
            let changed = self.0.changed.notified();
            if let Some((id, number)) = self.0.state.lock().unwrap().arrived.pop_front() {
                return Substream { inner: self.0.clone(), id, number };
            }
            changed.await;
        }
    }

    /// Until the connection is no more.
    pub(crate) async fn ended(&self) {
        timeout(super::PATIENCE, self.end()).await.expect("the end of the connection");
    }

    /// The same, however long it takes.
    pub(crate) async fn end(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.0.state.lock().unwrap().ended {
                return;
            }
            changed.await;
        }
    }

    /// Whether it is connected.
    pub(crate) fn is_up(&self) -> bool {
        self.0.state.lock().unwrap().up
    }

    /// Leaves without a word.
    pub(crate) fn vanish(&self) {
        self.0.state.lock().unwrap().ended = true;
        self.0.driver.notify_one();
    }
}

/// Where to send, and the certificate.
pub(crate) fn parts(address: &Multiaddr) -> (SocketAddr, Multihash<64>) {
    let mut parts = address.iter();
    let (Some(Protocol::Ip4(ip)), Some(Protocol::Udp(port))) = (parts.next(), parts.next()) else { panic!("{address}") };
    let hash = parts.find_map(|part| if let Protocol::Certhash(hash) = part { Some(hash) } else { None }).unwrap();
    ((ip, port).into(), hash)
}

/// The client's own name, and the listener's.
pub(crate) fn names(version: Version) -> (IceCreds, IceCreds) {
    let random = bs(&Keypair::generate_ed25519().public().to_peer_id());
    match version {
        Version::One => {
            let both = IceCreds { ufrag: format!("libp2p+webrtc+v1/{random}"), pass: format!("libp2p+webrtc+v1/{random}") };
            (both.clone(), both)
        }
        Version::Two => {
            let name = format!("libp2p+webrtc+v2/{random}");
            (IceCreds { ufrag: random[..4].into(), pass: random }, IceCreds { ufrag: name.clone(), pass: name })
        }
    }
}

fn bs(peer: &PeerId) -> String {
    let text = peer.to_base58();
    text[text.len() - 32..].into()
}

async fn drive(inner: Arc<Inner>, socket: UdpSocket, local: SocketAddr) {
    let mut buffer = vec![0; PACKET];
    loop {
        let (packets, wake) = step(&inner);
        for (to, packet) in packets {
            let _ = socket.send_to(&packet, to).await;
        }
        let Some(wake) = wake else {
            inner.changed.notify_waiters();
            return;
        };
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, source)) = received else { continue };
                let mut received = Some((length, source));
                let mut state = inner.state.lock().unwrap();
                while let Some((length, source)) = received {
                    if let Ok(contents) = buffer[..length].try_into() {
                        let receive = Receive { proto: Transport::Udp, source, destination: local, contents };
                        let _ = state.rtc.handle_input(Input::Receive(Instant::now(), receive));
                        if let Some(more) = drain(&inner, &mut state) {
                            for (to, packet) in more {
                                let _ = socket.try_send_to(&packet, to);
                            }
                        }
                    }
                    received = socket.try_recv_from(&mut buffer).ok();
                }
            }
            () = inner.driver.notified() => {}
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
}

fn step(inner: &Arc<Inner>) -> (Vec<(SocketAddr, Vec<u8>)>, Option<Instant>) {
    let mut state = inner.state.lock().unwrap();
    let _ = state.rtc.handle_input(Input::Timeout(Instant::now()));
    let packets = drain(inner, &mut state);
    let wake = (!state.ended).then(|| Instant::now() + Duration::from_millis(5));
    (packets.unwrap_or_default(), wake)
}

fn drain(inner: &Arc<Inner>, state: &mut State) -> Option<Vec<(SocketAddr, Vec<u8>)>> {
    let mut packets = Vec::new();
    if state.ended {
        return None;
    }
    loop {
        match state.rtc.poll_output() {
            Ok(Output::Transmit(transmit)) => packets.push((transmit.destination, transmit.contents.to_vec())),
            Ok(Output::Event(event)) => happened(inner, state, event),
            Ok(Output::Timeout(_)) if state.rtc.is_alive() => break,
            Ok(Output::Timeout(_)) | Err(_) => {
                end(inner, state);
                break;
            }
        }
    }
    Some(packets)
}

fn end(inner: &Arc<Inner>, state: &mut State) {
    state.ended = true;
    state.channels.values_mut().for_each(|channel| {
        channel.closed = true;
        channel.stream.iter_mut().for_each(Stream::channel_closed);
        wake(channel);
    });
    inner.changed.notify_waiters();
}

fn happened(inner: &Arc<Inner>, state: &mut State, event: Event) {
    match event {
        Event::Connected => state.up = true,
        Event::ChannelOpen(id, _) => {
            // An id whose channel closed is given to another one.
            if state.channels.get(&id).is_none_or(|channel| channel.closed) {
                let number = state.begin(id);
                state.arrived.push_back((id, number));
                inner.changed.notify_waiters();
            }
            state.channels.entry(id).or_default().open = true;
            settle(state, id);
        }
        Event::ChannelData(data) => {
            let Some(stream) = state.channels.get_mut(&data.id).and_then(|channel| channel.stream.as_mut()) else { return };
            stream.receive(data.data.into());
            settle(state, data.id);
        }
        Event::ChannelClose(id) => {
            let Some(channel) = state.channels.get_mut(&id) else { return };
            channel.closed = true;
            channel.stream.iter_mut().for_each(Stream::channel_closed);
            settle(state, id);
        }
        Event::ChannelBufferedAmountLow(id) => settle(state, id),
        Event::IceConnectionStateChange(str0m::IceConnectionState::Disconnected) => end(inner, state),
        _ => {}
    }
}

fn wake(channel: &mut Channel) {
    channel.reader.take().into_iter().chain(channel.writer.take()).for_each(Waker::wake);
}

fn settle(state: &mut State, id: ChannelId) {
    let Some(channel) = state.channels.get_mut(&id) else { return };
    let Some(stream) = &mut channel.stream else { return };
    let mut frame = Vec::new();
    while channel.open && !channel.closed && stream.transmit(&mut frame) {
        if let Some(mut out) = state.rtc.channel(id) {
            assert!(out.write(true, &frame).unwrap(), "a flag that does not fit");
        }
        frame.clear();
    }
    if channel.open && !channel.closed && stream.is_over() {
        channel.closed = true;
        state.rtc.direct_api().close_data_channel(id);
    }
    wake(channel);
    if channel.closed && channel.left {
        state.channels.remove(&id);
    }
}

/// A stream of a client.
pub(crate) struct Substream {
    inner: Arc<Inner>,
    id: ChannelId,
    number: u64,
}

impl Substream {
    pub(crate) fn reset(&self) {
        self.with(|stream| stream.reset());
    }

    /// Its channel, as long as no other stream has it.
    fn channel<'a>(&self, state: &'a mut State) -> Option<&'a mut Channel> {
        state.channels.get_mut(&self.id).filter(|channel| channel.number == self.number)
    }

    fn with(&self, change: impl FnMut(&mut Stream)) {
        let mut state = self.inner.state.lock().unwrap();
        let Some(channel) = self.channel(&mut state) else { return };
        channel.stream.iter_mut().for_each(change);
        settle(&mut state, self.id);
        self.inner.driver.notify_one();
    }
}

impl AsyncRead for Substream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.inner.state.lock().unwrap();
        let Some(channel) = self.channel(&mut state) else { return Poll::Ready(Err(io::Error::other("another stream has its channel"))) };
        match channel.stream.as_mut().unwrap().read_into(buffer) {
            Ok(length) => Poll::Ready(Ok(length)),
            Err(Read::Finished) => Poll::Ready(Ok(0)),
            Err(Read::Failed(failure)) => Poll::Ready(Err(io::Error::other(failure))),
            Err(_) => {
                channel.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Substream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.inner.state.lock().unwrap();
        let State { rtc, channels, .. } = &mut *state;
        let Some(channel) = channels.get_mut(&self.id).filter(|channel| channel.number == self.number) else {
            return Poll::Ready(Err(io::Error::other("another stream has its channel")));
        };
        let stream = channel.stream.as_mut().unwrap();
        stream.writable().map_err(io::Error::other)?;
        let out = rtc.channel(self.id).filter(|_| channel.open);
        if let Some(mut out) = out
            && out.buffered_amount() < UNSENT
        {
            let mut frame = Vec::new();
            let written = stream.write(&[buffer], &mut frame).map_err(io::Error::other)?;
            assert!(out.write(true, &frame).unwrap(), "too much in all");
            self.inner.driver.notify_one();
            return Poll::Ready(Ok(written));
        }
        if let Some(mut out) = rtc.channel(self.id).filter(|_| channel.open) {
            out.set_buffered_amount_low_threshold(UNSENT / 2);
        }
        channel.writer = Some(context.waker().clone());
        self.inner.driver.notify_one();
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(Stream::finish);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Substream {
    fn drop(&mut self) {
        if let Some(channel) = self.channel(&mut self.inner.state.lock().unwrap()) {
            channel.left = true;
        }
        self.with(Stream::abandon);
    }
}

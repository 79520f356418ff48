//! From a stream of bytes to an authenticated connection with streams: multistream-select, then Noise (or TLS 1.3, where it is offered), then
//! yamux. A peer that knows only what libp2p has given up (SECIO, mplex) is refused, and why is said. What was agreed on is counted in `/healthz`.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite, future::Either};
use libp2p::{
    PeerId,
    core::{
        muxing::StreamMuxerBox,
        upgrade::{InboundConnectionUpgrade as _, OutboundConnectionUpgrade as _, UpgradeInfo as _},
    },
    identity::Keypair,
    noise, tls,
};
use multistream_select::{Negotiated, Version, dialer_select_proto, listener_select_proto};

use crate::{
    health::{Agreed, Health},
    muxer,
};

/// What can authenticate the relay and its peers.
#[derive(Clone)]
pub(crate) struct Security {
    noise: noise::Config,
    tls: tls::Config,
}

impl Security {
    /// For the relay with `key`.
    ///
    /// # Errors
    /// Where no certificate or handshake key can be made.
    pub(crate) fn new(key: &Keypair) -> io::Result<Self> {
        let noise = noise::Config::new(key).map_err(io::Error::other)?;
        Ok(Self { noise, tls: tls::Config::new(key).map_err(io::Error::other)? })
    }

    /// What is offered: TLS only where programs come, since no page can have its certificates.
    fn offered(&self, with_tls: bool) -> impl Iterator<Item = &'static str> {
        self.noise.protocol_info().chain(self.tls.protocol_info().filter(move |_| with_tls))
    }
}

/// Which part this server takes in a handshake: usually that of its end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It proposes.
    Dialler,
    /// It chooses.
    Listener,
}

/// The peer at the other end of `socket`, and the connection to it with at most `streams` streams.
///
/// # Errors
/// Where the peer cannot show who it is, or nothing is known to both.
pub(crate) async fn authenticated<S>(
    socket: S,
    security: Security,
    part: Part,
    with_tls: bool,
    streams: usize,
    health: Arc<Health>,
) -> io::Result<(PeerId, StreamMuxerBox)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (protocol, socket) = agreed(socket, part, security.offered(with_tls).collect()).await?;
    let noise = security.noise.protocol_info().any(|name| name == protocol);
    let (peer, socket) = match (noise, part) {
        (true, Part::Listener) => security.noise.upgrade_inbound(socket, protocol).await.map(left).map_err(io::Error::other)?,
        (true, Part::Dialler) => security.noise.upgrade_outbound(socket, protocol).await.map(left).map_err(io::Error::other)?,
        (false, Part::Listener) => security.tls.upgrade_inbound(socket, protocol).await.map(right).map_err(io::Error::other)?,
        (false, Part::Dialler) => security.tls.upgrade_outbound(socket, protocol).await.map(right).map_err(io::Error::other)?,
    };
    let (muxer, socket) = agreed(socket, part, vec![muxer::PROTOCOL]).await?;
    tracing::debug!(%peer, security = protocol, muxer, "negotiated");
    health.agreed(if noise { Agreed::Noise } else { Agreed::Tls });
    Ok((peer, StreamMuxerBox::new(muxer::Muxer::new(socket, part, streams, health))))
}

fn left<P, L, R>((peer, socket): (P, L)) -> (P, Either<L, R>) {
    (peer, Either::Left(socket))
}

fn right<P, L, R>((peer, socket): (P, R)) -> (P, Either<L, R>) {
    (peer, Either::Right(socket))
}

/// One of `ours` that the peer knows as well.
async fn agreed<S>(socket: S, part: Part, ours: Vec<&'static str>) -> io::Result<(&'static str, Negotiated<Overheard<S>>)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (socket, offers) = Overheard::new(socket);
    let chosen = match part {
        Part::Listener => listener_select_proto(socket, ours.clone()).await,
        Part::Dialler => dialer_select_proto(socket, ours.clone(), Version::V1).await,
    };
    let chosen = chosen.map_err(|error| match part {
        Part::Listener => offers.refused(ours.into_iter(), error),
        Part::Dialler => io::Error::other(error),
    });
    offers.end();
    chosen
}

/// Bytes of a negotiation that are listened to: a handful of names.
const NEGOTIATION: usize = 512;

/// A stream whose first bytes are listened to, for what they offer.
struct Overheard<S> {
    socket: S,
    heard: Option<Offers>,
}

/// What has been offered so far, in the form of the wire: one name on a line, its length before it. Nothing, once nobody asks any more.
#[derive(Clone)]
struct Offers(Arc<Mutex<Option<Vec<u8>>>>);

impl<S> Overheard<S> {
    fn new(socket: S) -> (Self, Offers) {
        let offers = Offers(Arc::new(Mutex::new(Some(Vec::new()))));
        (Self { socket, heard: Some(offers.clone()) }, offers)
    }
}

impl Offers {
    /// Whether to go on listening.
    fn heard(&self, bytes: &[u8]) -> bool {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(heard) = heard.as_mut() else { return false };
        heard.extend_from_slice(&bytes[..bytes.len().min(NEGOTIATION - heard.len())]);
        heard.len() < NEGOTIATION
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn names(&self) -> Vec<String> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = heard.as_deref().unwrap_or_default().split(|byte| *byte == b'\n');
        let names = lines.filter_map(|line| line.iter().position(|byte| *byte == b'/').map(|start| &line[start..]));
        // Strangers write them: nothing but what a name consists of gets into a log.
        let sound = names.filter_map(|name| std::str::from_utf8(name).ok()).filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
        sound.filter(|name| !name.starts_with("/multistream/")).map(str::to_owned).collect()
    }

    /// Why it came to nothing.
    fn refused<'a>(&self, ours: impl Iterator<Item = &'a str>, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
        let (ours, theirs) = (ours.collect::<Vec<_>>(), self.names());
        if theirs.is_empty() || theirs.iter().any(|name| ours.contains(&name.as_str())) {
            return io::Error::other(error);
        }
        io::Error::other(format!("the peer offers {}, this relay knows {}", theirs.join(", "), ours.join(", ")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Overheard<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(Pin::new(&mut this.socket).poll_read(context, buffer))?;
        this.heard = this.heard.take().filter(|offers| offers.heard(&buffer[..length]));
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Overheard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, buffer)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_names_are_repeated() {
        let (_, offers) = Overheard::new(());
        offers.heard(b"\x13/multistream/1.0.0\n\x0d/mplex/6.7.0\n\x05/a\x1b[b\n\xff/\xff\n");
        assert_eq!(offers.names(), ["/mplex/6.7.0"]);
        let refusal = offers.refused([muxer::PROTOCOL].into_iter(), "closed").to_string();
        assert_eq!(refusal, "the peer offers /mplex/6.7.0, this relay knows /yamux/1.0.0");
        assert_eq!(offers.refused(["/mplex/6.7.0"].into_iter(), "closed").to_string(), "closed");
        assert!(!offers.heard(&[b'a'; 10_000]));
        offers.end();
        assert!(offers.names().is_empty() && !offers.heard(b"/b\n"));
    }
}

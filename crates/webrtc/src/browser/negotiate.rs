//! Carries a [`Negotiation`] out: between a signalling stream and a peer connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt, FutureExt, future::poll_fn};
use futures_timer::Delay;
use libp2p_identity::PeerId;
use libp2p_swarm::Stream;

use super::{config::Config, connection::Connection, error::Error, peer::Peer, port::Shim};
use crate::{
    negotiation::{Input, Negotiation, NegotiationError, Output, Role},
    signaling::{Decoder, Message},
};

/// A signalling stream.
pub(super) struct Signaling {
    stream: Stream,
    decoder: Decoder,
}

impl Signaling {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, decoder: Decoder::default() }
    }

    /// The next message; `None` when the peer has ended its half.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        loop {
            if let Some(message) = self.decoder.next_message()? {
                return Poll::Ready(Ok(Some(message)));
            }
            let mut buffer = [0; 4096];
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(length)) => self.decoder.receive(Bytes::copy_from_slice(&buffer[..length])),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The first message, which makes or breaks an inbound negotiation.
    pub(super) async fn receive(&mut self) -> Result<Message, Error> {
        poll_fn(|cx| self.poll_receive(cx)).await?.ok_or(Error::Negotiation(NegotiationError::Ended))
    }

    async fn send(&mut self, message: &Message) -> io::Result<()> {
        self.stream.write_all(&message.encode()).await?;
        self.stream.flush().await
    }

    /// Ends the stream as js-libp2p does: this half, then waits for the peer's, so that nothing is reset.
    fn end(mut self) {
        wasm_bindgen_futures::spawn_local(async move {
            let goodbye = async {
                self.stream.close().await?;
                let mut rest = [0; 256];
                while self.stream.read(&mut rest).await? > 0 {}
                io::Result::Ok(())
            };
            futures::future::select(Box::pin(goodbye), Delay::new(GOODBYE)).await;
        });
    }
}

/// Makes an offer and all that follows. Calls `offering` just before the offer leaves.
pub(super) async fn initiate(
    shim: &Shim,
    config: &Config,
    remote: PeerId,
    signaling: Signaling,
    offering: impl FnOnce(),
) -> Result<Connection, Error> {
    let negotiation = Negotiation::new(Role::Initiator, config.accepted_frame, config.sent_frame);
    let peer = shim.initiate(remote)?;
    offering();
    run(negotiation, peer, signaling).await
}

/// Answers the first message of the peer and does all that follows.
pub(super) async fn respond(
    shim: &Shim,
    config: &Config,
    remote: PeerId,
    signaling: Signaling,
    first: Message,
) -> Result<Connection, Error> {
    let mut negotiation = Negotiation::new(Role::Responder, config.accepted_frame, config.sent_frame);
    match negotiation.handle(Input::Received(first))? {
        Some(Output::RemoteDescription(offer)) => {
            let peer = shim.respond(remote, &offer)?;
            run(negotiation, peer, signaling).await
        }
        _ => Err(Error::Negotiation(NegotiationError::Ended)),
    }
}

async fn run(mut negotiation: Negotiation, peer: Peer, signaling: Signaling) -> Result<Connection, Error> {
    // Gone once the peer ended it or it broke.
    let mut signaling = Some(signaling);
    let mut patience: Option<Delay> = None;
    loop {
        let input = poll_fn(|cx| {
            if let Poll::Ready(input) = peer.poll_input(cx) {
                return Poll::Ready(input);
            }
            if let Some(delay) = &mut patience
                && delay.poll_unpin(cx).is_ready()
            {
                return Poll::Ready(Err(Error::TimedOut));
            }
            match signaling.as_mut().map(|stream| stream.poll_receive(cx)) {
                Some(Poll::Ready(Ok(Some(message)))) => Poll::Ready(Ok(Input::Received(message))),
                Some(Poll::Ready(Ok(None))) => Poll::Ready(Ok(Input::StreamEnded)),
                // A peer that is connected already may drop the first connection before we are.
                Some(Poll::Ready(Err(Error::SignalingStream(error)))) => {
                    tracing::debug!(peer = ?peer.peer(), %error, "signalling stream broke");
                    Poll::Ready(Ok(Input::StreamEnded))
                }
                Some(Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
                Some(Poll::Pending) | None => Poll::Pending,
            }
        })
        .await?;
        if input == Input::StreamEnded {
            if let Some(stream) = signaling.take() {
                stream.end();
            }
            patience = Some(Delay::new(AFTER_STREAM));
        }
        match negotiation.handle(input)? {
            Some(Output::Send(message)) => {
                if let Some(stream) = &mut signaling {
                    stream.send(&message).await?;
                }
            }
            Some(Output::RemoteDescription(sdp)) => peer.command("answer", &sdp),
            Some(Output::RemoteCandidate(candidate)) => peer.command("candidate", &candidate),
            Some(Output::Established { sent_frame, extended }) => {
                if let Some(stream) = signaling {
                    stream.end();
                }
                peer.establish(sent_frame, extended);
                return Ok(Connection::new(peer));
            }
            None => {}
        }
    }
}

/// `future`, unless it takes too long.
pub(super) async fn within<T>(limit: Duration, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let future = std::pin::pin!(future);
    match futures::future::select(future, Delay::new(limit)).await {
        futures::future::Either::Left((result, _)) => result,
        futures::future::Either::Right(_) => Err(Error::TimedOut),
    }
}

/// How long a peer connection may still take when nothing more can come over the signalling stream.
const AFTER_STREAM: Duration = Duration::from_secs(5);

/// How long the peer may take to end its half of the signalling stream.
const GOODBYE: Duration = Duration::from_secs(5);

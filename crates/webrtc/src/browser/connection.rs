//! A connection to a peer, page to page: a muxer whose streams are data channels.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use libp2p_core::{StreamMuxer, muxing::StreamMuxerEvent};
use send_wrapper::SendWrapper;

use super::{channel::Substream, error::Error, peer::Peer};

/// A WebRTC connection. Dropping it closes it, and every stream on it.
pub struct Connection(SendWrapper<Option<Peer>>);

impl Connection {
    pub(super) fn new(peer: Peer) -> Self {
        Self(SendWrapper::new(Some(peer)))
    }

    fn peer(&self) -> Result<&Peer, Error> {
        let closed = || Error::Ended("closed by this side".into());
        self.0.as_ref().ok_or_else(closed)
    }
}

impl StreamMuxer for Connection {
    type Substream = Substream;
    type Error = Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        self.peer()?.poll_accept(cx)
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        self.peer()?.poll_open(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        drop(Option::take(&mut self.0));
        Poll::Ready(Ok(()))
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        self.peer()?.poll_end(cx)
    }
}

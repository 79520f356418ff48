//! WebSockets that the HTTP server upgraded, as streams of bytes.
//!
//! libp2p's own WebSocket transport binds a port of its own and accepts frames of 256 MiB before it knows who sends them;
//! here the port is shared with the files, and the frame limit stands before the first byte.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::extract::ws::{Message, WebSocket};
use bytes::Buf as _;
use futures::{AsyncRead, AsyncWrite, Sink as _, StreamExt as _};

use crate::{health::Health, limits};

/// The binary messages of a WebSocket as a stream of bytes (libp2p: message borders carry no meaning).
pub(crate) struct Bytes {
    socket: WebSocket,
    /// The rest of the message that was read last.
    unread: bytes::Bytes,
    health: Arc<Health>,
}

impl Bytes {
    /// Counts in `health`.
    pub(crate) const fn new(socket: WebSocket, health: Arc<Health>) -> Self {
        Self { socket, unread: bytes::Bytes::new(), health }
    }
}

impl AsyncRead for Bytes {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            match ready!(this.socket.poll_next_unpin(context)) {
                Some(Ok(Message::Binary(bytes))) => {
                    this.health.bytes_received.add(bytes.len());
                    this.unread = bytes;
                }
                // A goodbye is answered as the socket is read on, and then nothing more comes. Left unanswered, it counts as a failure
                // in Firefox, which makes the page's next socket wait for 200 to 400 ms.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => {}
                Some(Ok(Message::Text(_))) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                None => return Poll::Ready(Ok(0)),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let length = buffer.len().min(this.unread.len());
        this.unread.copy_to_slice(&mut buffer[..length]);
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.socket).poll_ready(context)).map_err(io::Error::other)?;
        let length = buffer.len().min(limits::WEBSOCKET_MESSAGE);
        let message = Message::Binary(bytes::Bytes::copy_from_slice(&buffer[..length]));
        Pin::new(&mut this.socket).start_send(message).map_err(io::Error::other)?;
        this.health.bytes_sent.add(length);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context).map_err(io::Error::other)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_close(context).map_err(io::Error::other)
    }
}

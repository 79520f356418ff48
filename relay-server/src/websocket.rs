//! WebSockets as streams of bytes: those that the HTTP server upgraded, and those that this server dialled.
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
use futures::{AsyncRead, AsyncWrite, Sink, Stream, StreamExt as _};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, protocol::WebSocketConfig},
};

use crate::{health::Health, limits};

/// Messages that come and go.
pub(crate) trait Messages:
    Stream<Item = Result<Message, Self::Failure>> + Sink<Message, Error = Self::Failure> + Send + Unpin
{
    /// What can go wrong.
    type Failure: std::error::Error + Send + Sync + 'static;
}

impl Messages for WebSocket {
    type Failure = axum::Error;
}

/// A WebSocket that this server dialled.
pub(crate) struct Dialled<S>(WebSocketStream<S>);

impl<S> Dialled<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin,
{
    /// Asks whoever is at the other end of `stream` for a WebSocket at `url`.
    ///
    /// # Errors
    /// What came instead.
    pub(crate) async fn upgrade(stream: S, url: &str) -> io::Result<Self> {
        let bounds = WebSocketConfig::default()
            .max_frame_size(Some(limits::WEBSOCKET_MESSAGE))
            .max_message_size(Some(limits::WEBSOCKET_MESSAGE))
            .read_buffer_size(limits::WEBSOCKET_READ)
            .write_buffer_size(limits::WEBSOCKET_WRITE)
            .max_write_buffer_size(limits::WEBSOCKET_WRITE_QUEUE);
        let (socket, _) = client_async_with_config(url, stream, Some(bounds)).await.map_err(io::Error::other)?;
        Ok(Self(socket))
    }
}

impl<S> Messages for Dialled<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin,
{
    type Failure = tungstenite::Error;
}

impl<S> Stream for Dialled<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    type Item = Result<Message, tungstenite::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(ready!(self.0.poll_next_unpin(context)).map(|outcome| outcome.map(received)))
    }
}

/// What [`Bytes`] tells apart.
fn received(message: tungstenite::Message) -> Message {
    match message {
        tungstenite::Message::Binary(bytes) => Message::Binary(bytes),
        tungstenite::Message::Text(text) => Message::Text(text.as_str().into()),
        tungstenite::Message::Ping(bytes) => Message::Ping(bytes),
        tungstenite::Message::Pong(bytes) => Message::Pong(bytes),
        tungstenite::Message::Close(_) | tungstenite::Message::Frame(_) => Message::Close(None),
    }
}

impl<S> Sink<Message> for Dialled<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    type Error = tungstenite::Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.0).poll_ready(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Self::Error> {
        // Nothing else is ever sent.
        let Message::Binary(bytes) = message else { return Ok(()) };
        Pin::new(&mut self.0).start_send(tungstenite::Message::Binary(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}

/// The binary messages of a WebSocket as a stream of bytes (libp2p: message borders carry no meaning).
pub(crate) struct Bytes<S> {
    socket: S,
    /// The rest of the message that was read last.
    unread: bytes::Bytes,
    health: Arc<Health>,
}

impl<S: Messages> Bytes<S> {
    /// Counts in `health`.
    pub(crate) const fn new(socket: S, health: Arc<Health>) -> Self {
        Self { socket, unread: bytes::Bytes::new(), health }
    }
}

impl<S: Messages> AsyncRead for Bytes<S> {
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

impl<S: Messages> AsyncWrite for Bytes<S> {
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

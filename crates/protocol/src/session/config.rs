//! What one side allows, and how much it buffers.

use super::frame::{Hello, VERSION};
use crate::limits;

/// Limits of a session. The defaults are in [`crate::limits`], with their reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of one stream that the peer may send ahead of [`Session::consumed`](super::Session::consumed): at least 4/3 of
    /// the largest message of which a caller consumes nothing before it is complete.
    pub stream_window: u64,
    /// Bytes of all streams that the peer may send ahead of [`Session::read`](super::Session::read).
    pub connection_window: u64,
    /// Streams that each side may have open.
    pub streams: u64,
    /// Longest payload of a data frame, in bytes, both ways.
    pub frame_payload: u64,
    /// Bytes of one stream that may wait to be sent.
    pub stream_buffer: u64,
    /// Bytes of all streams that may wait to be sent.
    pub send_buffer: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            stream_window: limits::SESSION_STREAM_WINDOW,
            connection_window: limits::SESSION_CONNECTION_WINDOW,
            streams: limits::SESSION_STREAMS,
            frame_payload: limits::SESSION_FRAME_PAYLOAD,
            stream_buffer: limits::SESSION_STREAM_BUFFER,
            send_buffer: limits::SESSION_SEND_BUFFER,
        }
    }
}

impl Config {
    /// Every limit moved into what the protocol allows to announce.
    pub(super) fn within_protocol(mut self) -> Self {
        let most = limits::SESSION_ANNOUNCED;
        self.stream_window = self.stream_window.clamp(limits::SESSION_FIRST_STREAM_WINDOW, most);
        self.connection_window = self.connection_window.clamp(limits::SESSION_FIRST_CONNECTION_WINDOW, most);
        self.streams = self.streams.clamp(limits::SESSION_FIRST_STREAMS, most);
        self.frame_payload = self.frame_payload.clamp(limits::SESSION_FIRST_FRAME_PAYLOAD, most);
        self.stream_buffer = self.stream_buffer.clamp(limits::SESSION_STREAM_RESERVE, most);
        self.send_buffer = self.send_buffer.clamp(limits::SESSION_STREAM_RESERVE, most);
        self
    }

    pub(super) fn hello(&self) -> Hello {
        Hello {
            version: VERSION,
            frame_payload: self.frame_payload,
            stream_window: self.stream_window,
            connection_window: self.connection_window,
            streams: self.streams,
        }
    }
}

//! One libp2p stream on one data channel, as a value: what may be read and written, which flags are owed, when the channel may close.
//!
//! ```text
//!            open ──FIN──▶ finished ──FIN_ACK──▶ acknowledged        our half
//!            open ──FIN received (FIN_ACK owed)──▶ finished          the peer's half
//!            both over: the channel closes          RESET, overflow, malformed bytes: both over at once
//! ```
//!
//! Bytes that arrived are read before an end is reported, whatever the end is. Only [`Read::Finished`] means that the stream is
//! complete: a stream that ends otherwise is reported as [`Read::Failed`], so that nothing truncated passes for whole.
//! What a full receive buffer would have held is lost, hence the stream is reset and stays failed.
//!
//! Source: libp2p/specs webrtc/README.md, "Closing an `RTCDataChannel`".

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use thiserror::Error;

use crate::{
    frame::{Decoder, Flag, FrameError, encode_data, encode_flag},
    limits::{ACCEPTED_FRAME, FRAME_OVERHEAD, STRANGER_FRAME},
};

/// The bounds of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame to send, length prefix included: bytes.
    pub sent_frame: usize,
    /// The largest frame to accept, length prefix included: bytes.
    pub accepted_frame: usize,
    /// The most that is held for a reader that is late: bytes.
    pub receive_buffer: usize,
}

impl Default for Limits {
    /// The limits towards a stranger.
    fn default() -> Self {
        Self { sent_frame: STRANGER_FRAME, accepted_frame: ACCEPTED_FRAME, receive_buffer: crate::limits::STREAM_BUFFER }
    }
}

/// Why a stream ended before both sides had finished it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Failure {
    /// The peer gave the stream up.
    #[error("the peer reset the stream")]
    ResetByPeer,
    /// This side gave the stream up.
    #[error("the stream was reset")]
    Reset,
    /// The data channel closed under the stream.
    #[error("the data channel closed before the stream was finished")]
    ChannelClosed,
    /// More arrived than the reader took and the buffer holds.
    #[error("the reader was too slow: more than the receive buffer holds arrived")]
    Overflow,
    /// The peer's bytes are no frames.
    #[error("malformed frame: {0}")]
    Malformed(#[from] FrameError),
}

/// Why nothing more can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The peer reads no more.
    #[error("the peer stopped reading")]
    Stopped,
    /// This half was finished before.
    #[error("the stream was closed for writing")]
    Finished,
    /// The stream failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// The next bytes.
    Data(Bytes),
    /// Nothing for now.
    Pending,
    /// The peer finished its half; all of it has been read.
    Finished,
    /// The stream ended without that.
    Failed(Failure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// The peer's FIN arrived.
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    Open,
    /// Our FIN is on its way.
    Finished,
    /// The peer has our FIN.
    Acknowledged,
}

/// The state of one stream.
#[derive(Debug, Clone)]
pub struct Stream {
    limits: Limits,
    decoder: Decoder,
    received: VecDeque<Bytes>,
    received_bytes: usize,
    reading: Reading,
    writing: Writing,
    /// The peer sent STOP_SENDING: what we would write is lost.
    write_stopped: bool,
    /// What arrives is dropped: the reader has left, or was told that it lost something.
    discarding: bool,
    failure: Option<Failure>,
    channel_closed: bool,
    /// Flags to send, each at most once in the life of the stream.
    owed: VecDeque<Flag>,
}

impl Stream {
    /// A stream on a new data channel; both halves are open.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            decoder: Decoder::new(limits.accepted_frame),
            received: VecDeque::new(),
            received_bytes: 0,
            reading: Reading::Open,
            writing: Writing::Open,
            write_stopped: false,
            discarding: false,
            failure: None,
            channel_closed: false,
            owed: VecDeque::new(),
        }
    }

    /// Takes one message of the data channel.
    pub fn receive(&mut self, message: Bytes) {
        if self.failure.is_some() {
            return;
        }
        self.decoder.receive(message);
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => {
                    if let Some(message) = frame.message {
                        self.receive_data(message);
                    }
                    if let Some(flag) = frame.flag {
                        self.receive_flag(flag);
                    }
                    if self.failure.is_some() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => return self.fail(Failure::Malformed(error), true),
            }
        }
    }

    fn receive_data(&mut self, message: Bytes) {
        // Data behind a FIN is a mistake of the peer that harms only itself.
        if message.is_empty() || self.discarding || self.reading == Reading::Finished {
            return;
        }
        let cost = message.len() + PIECE_COST;
        if self.received_bytes + cost > self.limits.receive_buffer {
            return self.overflow();
        }
        self.received_bytes += cost;
        self.received.push_back(message);
    }

    fn receive_flag(&mut self, flag: Flag) {
        match flag {
            Flag::Fin => {
                if self.reading == Reading::Open {
                    self.reading = Reading::Finished;
                    self.owed.push_back(Flag::FinAck);
                }
            }
            Flag::FinAck => {
                if self.writing == Writing::Finished {
                    self.writing = Writing::Acknowledged;
                }
            }
            Flag::StopSending => self.write_stopped = true,
            Flag::Reset => self.fail(Failure::ResetByPeer, false),
        }
    }

    /// The data channel closed: nothing more arrives or leaves.
    pub fn channel_closed(&mut self) {
        self.channel_closed = true;
        self.owed.clear();
        if self.reading == Reading::Open || self.writing == Writing::Open {
            self.fail(Failure::ChannelClosed, false);
        }
    }

    /// Ends the stream because its reader is too far behind: what it has not read is dropped, for some of it is lost already.
    pub fn overflow(&mut self) {
        if self.failure.is_none() {
            self.discard();
            self.fail(Failure::Overflow, true);
        }
    }

    /// The next bytes for the reader.
    pub fn read(&mut self) -> Read {
        if let Some(bytes) = self.received.pop_front() {
            self.received_bytes -= bytes.len() + PIECE_COST;
            return Read::Data(bytes);
        }
        match (self.reading, self.failure) {
            (Reading::Finished, None | Some(Failure::ChannelClosed | Failure::ResetByPeer)) if !self.discarding => Read::Finished,
            (_, Some(failure)) => Read::Failed(failure),
            (Reading::Finished, None) => Read::Finished,
            (Reading::Open, None) => Read::Pending,
        }
    }

    /// Copies the next bytes into `buffer`; as [`read`](Self::read), with the number of bytes in place of them.
    pub fn read_into(&mut self, buffer: &mut [u8]) -> Result<usize, Read> {
        let mut copied = 0;
        while copied < buffer.len() {
            let Some(front) = self.received.front_mut() else {
                break;
            };
            let length = front.len().min(buffer.len() - copied);
            buffer[copied..copied + length].copy_from_slice(&front[..length]);
            copied += length;
            self.received_bytes -= length;
            front.advance(length);
            if front.is_empty() {
                self.received.pop_front();
                self.received_bytes -= PIECE_COST;
            }
        }
        if copied > 0 || buffer.is_empty() { Ok(copied) } else { Err(self.read()) }
    }

    /// How much memory the bytes that wait for the reader take, about: bytes.
    pub fn buffered(&self) -> usize {
        self.received_bytes + self.decoder.held()
    }

    /// The same of those that the reader can take at once, so without an unfinished frame: bytes.
    pub fn readable(&self) -> usize {
        self.received_bytes
    }

    /// Whether data may be written.
    ///
    /// # Errors
    /// The reason why it may not.
    pub fn writable(&self) -> Result<(), WriteError> {
        if let Some(failure) = self.failure {
            Err(WriteError::Failed(failure))
        } else if self.writing != Writing::Open {
            Err(WriteError::Finished)
        } else if self.write_stopped {
            Err(WriteError::Stopped)
        } else {
            Ok(())
        }
    }

    /// Appends to `frame` one frame with as much of `parts` as fits, and tells how many bytes that is.
    ///
    /// # Errors
    /// Nothing can be written any more.
    pub fn write(&mut self, parts: &[&[u8]], frame: &mut Vec<u8>) -> Result<usize, WriteError> {
        self.writable()?;
        let mut room = self.limits.sent_frame - FRAME_OVERHEAD;
        let mut fitting = Vec::with_capacity(parts.len());
        let mut taken = 0;
        for part in parts {
            let length = part.len().min(room);
            if length > 0 {
                fitting.push(&part[..length]);
            }
            taken += length;
            room -= length;
        }
        if taken > 0 {
            encode_data(&fitting, frame);
        }
        Ok(taken)
    }

    /// Finishes our half: the peer will read what was written, then the end.
    pub fn finish(&mut self) {
        if self.failure.is_none() && self.writing == Writing::Open {
            self.writing = Writing::Finished;
            self.owed.push_back(Flag::Fin);
        }
    }

    /// Gives both halves up.
    pub fn reset(&mut self) {
        if !self.is_over() {
            self.discard();
            self.fail(Failure::Reset, true);
        }
    }

    /// The owner has left. What it finished still completes, within [`LINGER`](crate::limits::LINGER), after which the caller
    /// calls [`expire`](Self::expire); what it left unfinished is reset.
    ///
    /// A half that was left open after everything of the peer was read, or that the peer does not want, is finished, as yamux does.
    pub fn abandon(&mut self) {
        if self.failure.is_some() || self.is_over() {
            return self.discard();
        }
        let peer_finished = self.reading == Reading::Finished && self.received.is_empty();
        if self.writing == Writing::Open && !peer_finished && !self.write_stopped {
            return self.reset();
        }
        self.discard();
        self.finish();
        if self.reading == Reading::Open {
            self.owed.push_back(Flag::StopSending);
        }
    }

    /// The peer did not complete an abandoned stream in time.
    pub fn expire(&mut self) {
        self.reset();
    }

    /// The next flag to send, as a frame. Send them as soon as the data channel is open.
    pub fn transmit(&mut self, frame: &mut Vec<u8>) -> bool {
        match self.owed.pop_front() {
            Some(flag) => {
                encode_flag(flag, frame);
                true
            }
            None => false,
        }
    }

    /// Whether the data channel is of no more use: close it.
    pub fn is_over(&self) -> bool {
        let completed = self.writing == Writing::Acknowledged && self.reading == Reading::Finished;
        self.channel_closed || (self.owed.is_empty() && (self.failure.is_some() || completed))
    }

    /// Why the stream ended early, if it did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    fn fail(&mut self, failure: Failure, tell_peer: bool) {
        if self.failure.is_some() {
            return;
        }
        self.failure = Some(failure);
        self.owed.clear();
        if tell_peer && !self.channel_closed {
            self.owed.push_back(Flag::Reset);
        }
    }

    fn discard(&mut self) {
        self.discarding = true;
        self.received.clear();
        self.received_bytes = 0;
    }
}

/// What holding one received piece costs besides its bytes: bytes. Without it, frames of one byte would evade the buffer's bound.
const PIECE_COST: usize = 64;

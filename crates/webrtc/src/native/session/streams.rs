//! The streams of a session: how they come, carry bytes, and go.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use super::{By, Channel, HANDSHAKE, Key, Owner, Session, is_ours, wake};
use crate::{
    limits::{ACCEPTED_FRAME, LINGER},
    native::{
        config::{CONNECTION_UNSENT, PARTING, READ_AHEAD, WHOLE_FRAME},
        dcep::{ACKNOWLEDGEMENT, OPENING, Said},
        error::End,
    },
    stream::{Failure, Limits, Read, Stream, WriteError},
};

impl Session {
    pub(super) fn insert(&mut self, number: u16, by: By) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        let limits = Limits { receive_buffer: READ_AHEAD + ACCEPTED_FRAME * 2, ..Limits::default() };
        let stream = Stream::new(limits);
        let channel = Channel {
            number,
            by,
            stream,
            owner: Owner::Present,
            live: true,
            opening: by == By::Peer,
            unread: false,
            reader: None,
            writer: None,
        };
        self.channels.insert(key, channel);
        self.live.insert(number, key);
        key
    }

    pub(super) fn opened(&mut self, number: u16) {
        if self.live.contains_key(&number) {
            return;
        }
        if number == HANDSHAKE && !self.known {
            self.insert(number, By::Both);
        } else if is_ours(number) || self.theirs >= self.most {
            self.tunnel.close(number);
        } else {
            self.theirs += 1;
            self.insert(number, By::Peer);
        }
    }

    /// Takes from SCTP what the stream holds.
    pub(super) fn pull(&mut self, key: Key, now: Instant) {
        let Some(channel) = self.channels.get_mut(&key).filter(|channel| channel.live) else { return };
        let number = channel.number;
        channel.unread = false;
        loop {
            if channel.stream.readable() >= READ_AHEAD {
                channel.unread = true;
                break;
            }
            let Some((is_about, message)) = self.tunnel.read(number) else { break };
            match (is_about.then(|| Said::read(&message)), channel.opening) {
                (Some(Some(Said::Open)), true) => {
                    channel.opening = false;
                    self.tunnel.write_about(number, &ACKNOWLEDGEMENT);
                    self.arrived.push_back(key);
                    wake(&mut self.on_arrival);
                }
                (Some(_), false) => {}
                // Something else before it was opened.
                (_, true) => {
                    channel.stream.reset();
                    channel.owner = Owner::Left;
                    break;
                }
                (None, false) => channel.stream.receive(message),
            }
        }
        if channel.reader.is_none() {
            // Whoever will read it may sleep: libp2p's ping looks for the next question only when its connection is polled for another reason.
            wake(&mut self.on_end);
        }
        wake(&mut channel.reader);
        if channel.stream.writable().is_err() {
            wake(&mut channel.writer);
        }
        self.settle(key, now);
    }

    /// The peer closed a channel. What it had sent before is still read.
    pub(super) fn closed(&mut self, number: u16) {
        self.parting.retain(|(_, other)| *other != number);
        let Some(key) = self.live.get(&number).copied() else { return };
        if let Some(channel) = self.channels.get_mut(&key) {
            while let Some((false, message)) = self.tunnel.read(number) {
                channel.stream.receive(message);
            }
            channel.stream.channel_closed();
            wake(&mut channel.reader);
            wake(&mut channel.writer);
        }
        self.detach(key);
    }

    /// Sends the flags that are owed, and closes the channel once it is of no more use.
    pub(super) fn settle(&mut self, key: Key, now: Instant) {
        let Some(channel) = self.channels.get_mut(&key).filter(|channel| channel.live) else { return };
        if channel.owner != Owner::Silent {
            let mut frame = Vec::new();
            while channel.stream.transmit(&mut frame) {
                if !self.tunnel.write(channel.number, &frame) {
                    channel.stream.channel_closed();
                }
                self.sending.insert(key);
                frame.clear();
            }
        }
        if channel.stream.is_over() {
            let (number, by) = (channel.number, channel.by);
            self.detach(key);
            match by {
                By::Peer => self.parting.push_back((now + PARTING.0, number)),
                By::Us | By::Both => self.tunnel.close(number),
            }
        }
    }

    /// The stream has no channel any more.
    fn detach(&mut self, key: Key) {
        let Some(channel) = self.channels.get_mut(&key).filter(|channel| channel.live) else { return };
        channel.live = false;
        self.live.remove(&channel.number);
        self.blocked.remove(&key);
        self.sending.remove(&key);
        match channel.by {
            By::Us => self.ours -= 1,
            By::Peer => self.theirs -= 1,
            By::Both => {}
        }
        wake(&mut self.on_room);
        if channel.owner != Owner::Present {
            self.channels.remove(&key);
        }
    }

    pub(super) fn expire(&mut self, key: Key, now: Instant) {
        let Some(channel) = self.channels.get_mut(&key) else { return };
        channel.stream.expire();
        self.settle(key, now);
    }

    /// Bytes that the peer has not acknowledged.
    pub(super) fn unsent(&mut self) -> usize {
        let mut all = 0;
        let (channels, tunnel) = (&self.channels, &mut self.tunnel);
        self.sending.retain(|key| {
            let unsent = channels.get(key).map_or(0, |channel| tunnel.unsent(channel.number));
            all += unsent;
            unsent > 0
        });
        all
    }

    /// Wakes the writers that have room again: half of it, so that they are not woken for every packet.
    pub(super) fn unblock(&mut self, now: Instant) {
        if self.sending.is_empty() {
            return;
        }
        let unsent = self.unsent();
        self.underway.left(unsent, now);
        let enough = self.underway.allowed() / 2;
        if unsent > CONNECTION_UNSENT * enough {
            return;
        }
        let (channels, tunnel) = (&mut self.channels, &mut self.tunnel);
        self.blocked.retain(|key| {
            let Some(channel) = channels.get_mut(key) else { return false };
            let still = tunnel.unsent(channel.number) > enough;
            if !still {
                wake(&mut channel.writer);
            }
            still
        });
    }

    /// The next stream that the peer opened.
    pub(crate) fn poll_arrival(&mut self, context: &Context<'_>) -> Poll<Result<Key, End>> {
        if let Some(end) = &self.ended {
            return Poll::Ready(Err(end.clone()));
        }
        if let Some(key) = self.arrived.pop_front() {
            return Poll::Ready(Ok(key));
        }
        self.on_arrival = Some(context.waker().clone());
        Poll::Pending
    }

    /// A stream of ours, once there is room for it.
    pub(crate) fn poll_open(&mut self, context: &Context<'_>) -> Poll<Result<Key, End>> {
        if let Some(end) = &self.ended {
            return Poll::Ready(Err(end.clone()));
        }
        if let Some(number) = (self.ours < self.most).then(|| self.free_number()).flatten() {
            self.ours += 1;
            let key = self.insert(number, By::Us);
            self.tunnel.write_about(number, &OPENING);
            return Poll::Ready(Ok(key));
        }
        self.on_room = Some(context.waker().clone());
        Poll::Pending
    }

    fn free_number(&mut self) -> Option<u16> {
        let number = self.next_number;
        // Twice as many as may be open at once, so that those that were closed have time to come back.
        if usize::from(number) < 4 * self.most && self.tunnel.open(number) {
            self.next_number += 2;
            return Some(number);
        }
        for _ in 0..self.returned.len() {
            let number = self.returned.pop_front()?;
            if self.tunnel.open(number) {
                return Some(number);
            }
            // A reset of it is still on its way.
            self.returned.push_back(number);
        }
        None
    }

    /// Reads from a stream. Tells as well whether SCTP has more room now.
    pub(crate) fn poll_read(
        &mut self,
        key: Key,
        context: &Context<'_>,
        buffer: &mut [u8],
        now: Instant,
    ) -> (Poll<Result<usize, Read>>, bool) {
        let Some(channel) = self.channels.get_mut(&key) else { return (Poll::Ready(Ok(0)), false) };
        let read = channel.stream.read_into(buffer);
        let pulls = channel.unread && channel.stream.readable() < READ_AHEAD;
        if let Err(Read::Pending) = read {
            channel.reader = Some(context.waker().clone());
            return (Poll::Pending, false);
        }
        if pulls {
            self.pull(key, now);
        }
        (Poll::Ready(read), pulls)
    }

    /// Writes to a stream.
    pub(crate) fn poll_write(&mut self, key: Key, context: &Context<'_>, parts: &[&[u8]], now: Instant) -> Poll<Result<usize, WriteError>> {
        let (unsent, allowed) = (self.unsent(), self.underway.allowed());
        let Some(channel) = self.channels.get_mut(&key) else { return Poll::Ready(Err(WriteError::Finished)) };
        channel.stream.writable()?;
        if unsent >= CONNECTION_UNSENT * allowed || self.tunnel.unsent(channel.number) >= allowed {
            channel.writer = Some(context.waker().clone());
            self.blocked.insert(key);
            return Poll::Pending;
        }
        let mut frame = Vec::new();
        let written = channel.stream.write(parts, &mut frame)?;
        if written > 0 {
            let (length, rest) = frame.split_at(if frame.len() > WHOLE_FRAME { prefix(&frame) } else { 0 });
            let sent = length.is_empty() || self.tunnel.write(channel.number, length);
            if !sent || !self.tunnel.write(channel.number, rest) {
                channel.stream.reset();
                self.settle(key, now);
                return Poll::Ready(Err(WriteError::Failed(Failure::ChannelClosed)));
            }
            self.sending.insert(key);
            self.underway.gave(frame.len(), unsent + frame.len(), now);
        }
        Poll::Ready(Ok(written))
    }

    /// Nothing more is written to a stream.
    pub(crate) fn finish(&mut self, key: Key, now: Instant) {
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.stream.finish();
            self.settle(key, now);
        }
    }

    /// Whoever held a stream has left it.
    pub(crate) fn abandon(&mut self, key: Key, now: Instant) {
        let Some(channel) = self.channels.get_mut(&key) else { return };
        if !channel.live {
            self.channels.remove(&key);
            return;
        }
        channel.owner = Owner::Left;
        channel.stream.abandon();
        self.settle(key, now);
        if self.channels.contains_key(&key) {
            self.lingering.push_back((now + LINGER, key));
            // What it has not read is in the way of others.
            self.pull(key, now);
        }
    }

    /// The same, without a word on the channel, which the peer closes when it likes: go-libp2p never closes Noise's, js-libp2p at once.
    pub(crate) fn leave_silently(&mut self, key: Key) {
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.owner = Owner::Silent;
            if !channel.live {
                self.channels.remove(&key);
            }
        }
    }
}

/// Bytes of the length before a frame: a varint ends with the first byte below 128.
fn prefix(frame: &[u8]) -> usize {
    frame.iter().position(|byte| *byte < 0x80).map_or(0, |last| last + 1)
}

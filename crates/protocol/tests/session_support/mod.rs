//! Two sessions and the wires between them, driven by a seed.
#![allow(dead_code, clippy::expect_used, reason = "each test file uses a part of it")]

use shoal_protocol::session::{Config, Session, Side, Violation};
use std::{
    collections::VecDeque,
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

/// SplitMix64: the same numbers for the same seed, on every platform.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Sizes as they come: mostly small, sometimes large.
    pub(crate) fn size(&mut self, largest: u64) -> usize {
        let bits = self.below(64 - largest.leading_zeros() as u64 + 1);
        self.below(1 << bits).min(largest) as usize
    }
}

/// The byte that stands at `offset` of what `side` sends on `stream`.
pub(crate) fn content(stream: u64, side: Side, offset: u64) -> u8 {
    let seed = stream.wrapping_mul(31).wrapping_add(u64::from(side == Side::Dialler)).wrapping_add(offset.wrapping_mul(0x9e37_79b9));
    (seed ^ (seed >> 13) ^ (seed >> 21)) as u8
}

/// Bytes on their way one way.
#[derive(Default)]
pub(crate) struct Wire {
    bytes: VecDeque<u8>,
}

impl Wire {
    /// What `session` has to send, as long as the wire holds less than `capacity`.
    pub(crate) fn load(&mut self, session: &mut Session, capacity: usize, random: &mut Random) {
        while self.bytes.len() < capacity {
            let max = 1 + random.size(1 << 18);
            if random.one_in(2) {
                let Some(bytes) = session.transmit(max) else { return };
                self.bytes.extend(bytes);
            } else {
                let chunks = session.transmit_chunks(max);
                if chunks.is_empty() {
                    return;
                }
                chunks.iter().for_each(|chunk| self.bytes.extend(chunk));
            }
        }
    }

    /// Gives up to `most` bytes to `session`.
    pub(crate) fn unload(&mut self, session: &mut Session, most: usize, random: &mut Random) -> Result<(), Violation> {
        let piece: Vec<u8> = self.bytes.drain(..most.min(self.bytes.len())).collect();
        if random.one_in(2) { session.receive(&piece) } else { session.receive_bytes(&piece.into()) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Small limits, so that every one of them is reached.
pub(crate) fn tight() -> Config {
    Config {
        stream_window: 64 * 1024,
        connection_window: 256 * 1024,
        streams: 64,
        frame_payload: 16 * 1024,
        stream_buffer: 32 * 1024,
        send_buffer: 128 * 1024,
    }
}

/// Moves everything both ways until neither has anything to say.
pub(crate) fn exchange(one: &mut Session, other: &mut Session) -> Result<(), Violation> {
    loop {
        let (there, back) = (one.transmit(1 << 16), other.transmit(1 << 16));
        if there.is_none() && back.is_none() {
            return Ok(());
        }
        if let Some(bytes) = there {
            other.receive_bytes(&bytes)?;
        }
        if let Some(bytes) = back {
            one.receive_bytes(&bytes)?;
        }
    }
}

/// Two sessions that have greeted each other.
pub(crate) fn pair(config: Config) -> (Session, Session) {
    let (mut one, mut other) = (Session::new(Side::Dialler, config), Session::new(Side::Listener, config));
    exchange(&mut one, &mut other).expect("two honest sessions");
    while one.poll_event().is_some() || other.poll_event().is_some() {}
    (one, other)
}

/// Runs a simulation with its seeds, on every processor, and adds up what the runs return: the variable `<NAME>_SEED` names one seed,
/// `<NAME>_SEEDS` says how many, else a few. A run that fails prints its seed.
pub(crate) fn simulate(name: &str, few: u64, run: impl Fn(u64) -> u64 + Sync) -> u64 {
    struct Seed<'a>(&'a str, u64);
    impl Drop for Seed<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                println!("{}_SEED={}", self.0, self.1);
            }
        }
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number(&format!("{name}_SEED")) {
        return run(seed);
    }
    let seeds = number(&format!("{name}_SEEDS")).unwrap_or(few);
    let next = AtomicU64::new(0);
    let work = || {
        let mut total = 0;
        loop {
            let seed = Seed(name, next.fetch_add(1, Ordering::Relaxed));
            if seed.1 >= seeds {
                return total;
            }
            total += run(seed.1);
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        all.into_iter().map(|thread| thread.join().expect("the seed above fails")).sum()
    })
}

/// A number in its shortest form.
pub(crate) fn number(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A frame or record of this kind whose fields are these numbers, and then these bytes.
pub(crate) fn frame(kind: u8, fields: &[u64], rest: &[u8]) -> Vec<u8> {
    let mut body = vec![kind];
    fields.iter().for_each(|field| body.extend(number(*field)));
    body.extend_from_slice(rest);
    let mut out = number(body.len() as u64);
    out.extend(body);
    out
}

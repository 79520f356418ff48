//! How much may be under way on a path: what the path delivers while a byte goes there and its acknowledgement comes back, and little more.
//!
//! Whatever is sent beyond that stands in line, in the buffers of the sender's browser and of the slowest router. There it makes everything urgent
//! wait, it is what a break makes us send again, and where the line overflows it costs far more: SCTP as browsers have it loses hundreds of packets
//! at once and needs many seconds to recover, at 10 Mbit/s with the 256 KiB that a home router keeps.
//!
//! ```text
//!   window = rate × (round trip + slack)      rate: the highest of the last seconds
//!                                             round trip: the shortest of the last half minute
//!                                             slack: 100 ms, or half a round trip if that is more
//! ```
//!
//! The two are measured as BBR does (Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016, section "Characterizing the Bottleneck"), and
//! the carrier's own congestion control stays in charge: the window only keeps us from feeding it more than it delivers. It grows at most by what is
//! acknowledged, so doubles each round trip.

use std::{collections::VecDeque, time::Duration};

use crate::{
    limits::{PIPE_FIRST_WINDOW, PIPE_SLACK, PIPE_UNACKNOWLEDGED},
    time::Time,
};

/// For how long the highest rate counts: a receiver's pause for its disk, or a burst of others on the link, is shorter. Twice at most.
const RATE_COUNTS: Duration = Duration::from_secs(2);
/// For how long the shortest round trip counts. After it a way that became longer is believed. Twice at most.
const ROUND_TRIP_COUNTS: Duration = Duration::from_secs(15);
/// Into how many parts a window is divided by the moments that are remembered of it.
const PARTS: u64 = 16;
/// Moments that are remembered: a window that shrinks may hold more than its parts.
const MARKS: usize = 64;

/// What was so when the bytes up to `end` had been sent.
#[derive(Clone, Copy, Debug)]
struct Mark {
    end: u64,
    at: Time,
    acknowledged: u64,
    acknowledged_at: Time,
}

/// The window of one path. Offsets are those of the pipe's stream.
#[derive(Debug)]
pub struct Window {
    bytes: u64,
    marks: VecDeque<Mark>,
    sent: u64,
    acknowledged: u64,
    acknowledged_at: Time,
    /// Bytes in a second.
    rate: Best<f64>,
    /// Seconds, negative: the least is the best.
    round_trip: Best<f64>,
}

impl Window {
    /// Of a path on which everything before `offset` has been acknowledged and nothing is under way.
    #[must_use]
    pub fn new(offset: u64, now: Time) -> Self {
        Self {
            bytes: PIPE_FIRST_WINDOW,
            marks: VecDeque::new(),
            sent: offset,
            acknowledged: offset,
            acknowledged_at: now,
            rate: Best::new(now, RATE_COUNTS),
            round_trip: Best::new(now, ROUND_TRIP_COUNTS),
        }
    }

    /// Bytes that may be under way.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Everything before `end` has been sent.
    pub fn sent(&mut self, end: u64, now: Time) {
        if end <= self.sent {
            return;
        }
        if self.sent == self.acknowledged {
            // Nothing was under way: how long that lasted says nothing of the path.
            self.acknowledged_at = now;
        }
        self.sent = end;
        let last = self.marks.back().map_or(self.acknowledged, |mark| mark.end);
        if end - last < self.bytes / PARTS || self.marks.len() == MARKS {
            return;
        }
        self.marks.push_back(Mark { end, at: now, acknowledged: self.acknowledged, acknowledged_at: self.acknowledged_at });
    }

    /// The other side has everything before `received`.
    pub fn acknowledged(&mut self, received: u64, now: Time) {
        if received <= self.acknowledged {
            return;
        }
        let news = received - self.acknowledged;
        (self.acknowledged, self.acknowledged_at) = (received, now);
        self.sent = self.sent.max(received);
        let mut arrived = None;
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.end <= received) {
            arrived = Some(mark);
        }
        let Some(mark) = arrived else { return };
        self.round_trip.note(-now.since(mark.at).as_secs_f64(), now);
        let took = now.since(mark.acknowledged_at).as_secs_f64();
        if took > 0.0 {
            self.rate.note((received - mark.acknowledged) as f64 / took, now);
        }
        let (Some(rate), Some(round_trip)) = (self.rate.best(), self.round_trip.best()) else { return };
        // On a long way half a round trip more, or it would never be found out what the way can do.
        let wanted = rate * (PIPE_SLACK.as_secs_f64().max(-round_trip / 2.0) - round_trip);
        // Converts with saturation; a rate is never negative.
        self.bytes = (wanted as u64).min(self.bytes + news).clamp(PIPE_FIRST_WINDOW, PIPE_UNACKNOWLEDGED);
    }
}

/// The highest of what was noted lately: of this span of time and of the one before.
#[derive(Debug)]
struct Best<Value> {
    span: Duration,
    since: Time,
    before: Option<Value>,
    now: Option<Value>,
}

impl<Value: PartialOrd + Copy> Best<Value> {
    const fn new(now: Time, span: Duration) -> Self {
        Self { span, since: now, before: None, now: None }
    }

    fn note(&mut self, value: Value, now: Time) {
        if now.since(self.since) >= self.span {
            (self.before, self.now, self.since) = (self.now, None, now);
        }
        if self.now.is_none_or(|best| value > best) {
            self.now = Some(value);
        }
    }

    fn best(&self) -> Option<Value> {
        match (self.before, self.now) {
            (Some(before), Some(now)) if before > now => Some(before),
            (before, now) => now.or(before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link with one line in front of it.
    struct Link {
        /// Bytes in a second.
        rate: f64,
        round_trip: f64,
    }

    /// What a transfer over a link saw.
    struct Seen {
        /// Bytes that arrived in the second half of the time.
        delivered: f64,
        /// The longest line in bytes, and in the second half of the time.
        longest: f64,
        longest_later: f64,
    }

    /// Sends as much as the window lets it, for so many seconds; an acknowledgement is asked for each quarter of the window.
    fn transfer(link: &Link, seconds: f64) -> Seen {
        const STEP: f64 = 0.0005;
        let time = |seconds: f64| Time::from_origin(Duration::from_secs_f64(seconds));
        let mut window = Window::new(0, time(0.0));
        let (mut sent, mut arrived, mut acknowledged, mut asked) = (0u64, 0.0f64, 0u64, 0u64);
        let mut questions: VecDeque<u64> = VecDeque::new();
        let mut answers: VecDeque<(f64, u64)> = VecDeque::new();
        let mut seen = Seen { delivered: 0.0, longest: 0.0, longest_later: 0.0 };
        for step in 0..(seconds / STEP) as usize {
            let now = step as f64 * STEP;
            while answers.front().is_some_and(|(at, _)| *at <= now) {
                if let Some((_, received)) = answers.pop_front() {
                    acknowledged = received;
                    window.acknowledged(received, time(now));
                }
            }
            while sent - acknowledged < window.bytes() {
                sent += (window.bytes() - (sent - acknowledged)).min(16 * 1024);
                window.sent(sent, time(now));
                if sent - asked >= window.bytes() / 4 {
                    asked = sent;
                    questions.push_back(sent);
                }
            }
            let line = sent as f64 - arrived;
            seen.longest = seen.longest.max(line);
            let came = (link.rate * STEP).min(line);
            arrived += came;
            if now > seconds / 2.0 {
                seen.delivered += came;
                seen.longest_later = seen.longest_later.max(line);
            }
            while questions.front().is_some_and(|question| *question as f64 <= arrived + 0.5) {
                answers.extend(questions.pop_front().map(|question| (now + link.round_trip, question)));
            }
        }
        seen
    }

    #[test]
    fn every_link_is_used_whole_and_its_line_stays_short() {
        for (rate, round_trip) in [(1.25e6, 0.02), (1.25e6, 0.2), (125e3, 0.05), (6e6, 0.03), (6e6, 0.15), (12e6, 0.001), (2.5e6, 0.6)] {
            let seen = transfer(&Link { rate, round_trip }, 20.0);
            let most = (PIPE_UNACKNOWLEDGED as f64 / round_trip).min(rate);
            let share = seen.delivered / (10.0 * most);
            assert!(share > 0.95, "{rate} B/s, {round_trip} s: {share} of what is possible");
            let slack = PIPE_SLACK.as_secs_f64().max(round_trip / 2.0);
            let allowed = (rate * (round_trip + 1.5 * slack)).max(PIPE_FIRST_WINDOW as f64);
            assert!(seen.longest_later <= allowed, "{rate} B/s, {round_trip} s: {} bytes in line", seen.longest_later);
        }
    }

    #[test]
    fn the_beginning_does_not_overflow_the_line_of_a_home_router() {
        for rate in [125e3, 625e3, 1.25e6] {
            let seen = transfer(&Link { rate, round_trip: 0.02 }, 5.0);
            assert!(seen.longest < 256.0 * 1024.0, "{rate} B/s: {} bytes in line", seen.longest);
        }
    }

    #[test]
    fn a_way_that_became_longer_is_believed_in_time() {
        let at = |milliseconds| Time::from_origin(Duration::from_millis(milliseconds));
        let mut window = Window::new(0, at(0));
        let (mut offset, mut now) = (0, 0);
        let mut round = |round_trip, until| {
            while now < until {
                let start = offset;
                while offset < start + window.bytes() {
                    offset += 16 * 1024;
                    window.sent(offset, at(now));
                }
                now += round_trip;
                window.acknowledged(offset, at(now));
            }
            window.bytes()
        };
        assert_eq!(round(10, 5_000), PIPE_UNACKNOWLEDGED);
        assert_eq!(round(400, 60_000), PIPE_UNACKNOWLEDGED, "a full window each round trip, however long that is");
    }

    #[test]
    fn a_pause_says_nothing_of_the_path() {
        let at = |milliseconds| Time::from_origin(Duration::from_millis(milliseconds));
        let mut window = Window::new(0, at(0));
        let mut offset = 0;
        for second in 0..60 {
            for _ in 0..10 {
                offset += 16 * 1024;
                window.sent(offset, at(second * 1_000));
            }
            window.acknowledged(offset, at(second * 1_000 + 20));
        }
        // 160 KiB in 20 ms are 8 MB in a second, though it was asked for only once in each.
        assert!(window.bytes() > 800_000, "{}", window.bytes());
    }
}

//! How much may be under way on a path: what the path delivers while a byte goes there and its acknowledgement comes back, and little more.
//!
//! Whatever is sent beyond that stands in line, in the buffers of the sender's browser and of the slowest router. There it makes everything urgent
//! wait, it is what a break makes us send again, and where the line overflows it costs far more: SCTP as browsers have it loses hundreds of packets
//! at once and needs many seconds to recover, at 10 Mbit/s with the 256 KiB that a home router keeps.
//!
//! ```text
//!   window = rate × (round trip + slack)      rate: the highest of the last seconds, and of the last round trips while the carrier is beginning
//!                                             round trip: the shortest of the last ten seconds
//!                                             slack: 10 ms, 30 while nothing urgent is sent, or half a round trip if that is more
//! ```
//!
//! So what is urgent takes at most half as long again where there is a round trip to speak of. Where there is none, as between two browsers on one
//! machine, threads that take turns make the way longer than its shortest round trip says: what is delivered in 50 ms may be under way there, up to
//! 256 KiB.
//!
//! The two are measured as BBR does (Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016, section "Characterizing the Bottleneck"), and
//! the carrier's own congestion control stays in charge: the window only keeps us from feeding it more than it delivers. It grows at most by what is
//! acknowledged, so doubles each round trip.
//!
//! What stands in line makes every round trip longer. So when none as short as the shortest came for ten seconds (thirty round trips, where these are
//! longer), the line is left to run empty for a moment, and what is the shortest then is believed. Otherwise the slack would be taken for the way, and the
//! line would grow for as long as there is something to send.

use std::{collections::VecDeque, time::Duration};

use super::{
    Patience,
    measured::{Best, RoundTrip},
    rounds::Rounds,
};
use crate::{
    limits::{
        PIPE_BATCH, PIPE_CALM_SLACK, PIPE_FAST, PIPE_FIRST_WINDOW, PIPE_FIRST_WINDOW_NEARBY, PIPE_LANE_HOLDS, PIPE_LANE_WAY,
        PIPE_LANES_REST, PIPE_LANES_REST_ROUND_TRIPS, PIPE_LEAST_BATCH, PIPE_LEAST_WINDOW, PIPE_MOST_BATCH, PIPE_MOST_PATIENCE, PIPE_SLACK,
        PIPE_TURNS, PIPE_TURNS_WINDOW, PIPE_UNACKNOWLEDGED,
    },
    time::Time,
};

/// For how long the highest rate counts: a receiver's pause for its disk, or a burst of others on the link, is shorter. Twice at most.
const RATE_COUNTS: Duration = Duration::from_secs(2);
/// Over what time a rate is measured at least: browser threads take turns, and what one of them delivers in its turn is no rate.
const RATE_OVER: Duration = Duration::from_millis(100);
/// As a share of what the way itself holds, what may be under way meanwhile.
const DRAINING: f64 = 0.75;
/// Into how many parts a window is divided by the moments that are remembered of it.
const PARTS: u64 = 16;
/// Moments that are remembered: a window that shrinks may hold more than its parts.
const MARKS: usize = 64;

/// The window of one path. Offsets are those of the pipe's stream.
#[derive(Debug)]
pub struct Window {
    bytes: u64,
    /// When everything up to an offset had been sent.
    marks: VecDeque<(u64, Time)>,
    sent: u64,
    acknowledged: u64,
    /// From when on, and from which byte on, the next rate is measured.
    since: (Time, u64),
    /// Bytes in a second.
    rate: Best,
    round_trip: Option<RoundTrip>,
    /// The round trip of something else on the path, before anything was sent on it: seconds.
    guessed: Option<f64>,
    patience: Patience,
    /// By how many paths bytes go at once.
    lanes: u64,
    rounds: Rounds,
    /// Bytes that wait to be sent, and whether there were none at a moment since the last rate.
    waiting: u64,
    dry: bool,
    /// Something urgent was sent lately.
    urgent: bool,
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
            since: (now, offset),
            rate: Best::new(now, RATE_COUNTS),
            round_trip: None,
            guessed: None,
            patience: Patience::default(),
            lanes: 1,
            rounds: Rounds::new(offset, now),
            waiting: u64::MAX,
            dry: false,
            urgent: true,
        }
    }

    /// A round trip of something else took so long on the path. To be told before anything is sent on it.
    pub fn guess(&mut self, took: Duration) {
        self.guessed = Some(took.as_secs_f64());
        if took < PIPE_LANE_WAY {
            self.bytes = PIPE_FIRST_WINDOW_NEARBY;
        }
        self.patience.guess(took);
    }

    /// How long the path may be silent.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.patience.silence()
    }

    /// Bytes that may be under way.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes + (self.lanes - 1) * PIPE_LANE_HOLDS
    }

    /// By so many paths bytes go at once; the others have bytes waiting with their carriers as well.
    pub fn lanes(&mut self, lanes: usize) {
        let lanes = lanes.max(1) as u64;
        if std::mem::replace(&mut self.lanes, lanes) != lanes {
            self.rounds.forget();
        }
    }

    /// Whether somebody waits for what is urgent, or did a moment ago.
    pub const fn urgent(&mut self, urgent: bool) {
        self.urgent = urgent;
    }

    /// For how long all goes by one path when something urgent was sent.
    #[must_use]
    pub fn rest(&self) -> Duration {
        let measured = self.round_trip.map(|measured| measured.seconds);
        let way = [measured, self.guessed].into_iter().flatten().reduce(f64::min).unwrap_or_default();
        // Converts with saturation; no round trip is negative.
        let way = Duration::from_millis((way * 1_000.0) as u64);
        way.saturating_mul(PIPE_LANES_REST_ROUND_TRIPS).clamp(PIPE_LANES_REST, PIPE_MOST_PATIENCE)
    }

    /// So many bytes wait to be sent.
    pub fn waits(&mut self, bytes: u64) {
        self.waiting = bytes;
        self.dry |= bytes == 0;
        self.rounds.waits(bytes);
    }

    /// By how many paths the bytes should go, this one included; one where others would bring nothing: see [`Rounds`].
    #[must_use]
    pub fn lanes_wanted(&self) -> usize {
        self.round_trip.map_or(1, |measured| self.rounds.wanted(measured.seconds, self.guessed, self.rate.best().unwrap_or(0.0)))
    }

    /// Bytes to put together at once for the path. Whatever is urgent and comes a moment later has to wait for them.
    #[must_use]
    pub fn batch(&self) -> usize {
        match self.rate.best() {
            // Converts with saturation; a rate is never negative.
            Some(rate) if rate < PIPE_FAST => ((rate / self.lanes as f64 * PIPE_BATCH.as_secs_f64()) as usize).max(PIPE_LEAST_BATCH),
            // A large message over a long way is there when the last packet of it is, which may take seconds.
            None if self.guessed.is_some_and(|way| way >= PIPE_LANE_WAY.as_secs_f64()) => PIPE_LEAST_BATCH,
            _ => PIPE_MOST_BATCH,
        }
    }

    /// Everything before `end` has been sent.
    pub fn sent(&mut self, end: u64, now: Time) {
        if end <= self.sent {
            return;
        }
        if self.sent == self.acknowledged {
            // Nothing was under way: how long that lasted says nothing of the path.
            (self.since, self.dry) = ((now, self.acknowledged), self.waiting == 0);
            self.rounds.begin(self.acknowledged, now);
            // The line is empty as it is: what comes first shows how long the way is.
            self.round_trip = self.round_trip.filter(|round_trip| round_trip.is_fresh(now));
        }
        self.sent = end;
        self.rounds.filled(self.sent - self.acknowledged + PIPE_LEAST_BATCH as u64 > self.bytes(), now);
        let last = self.marks.back().map_or(self.acknowledged, |(end, _)| *end);
        if end - last >= self.bytes / PARTS && self.marks.len() < MARKS {
            self.marks.push_back((end, now));
        }
    }

    /// The other side has everything before `received`.
    pub fn acknowledged(&mut self, received: u64, now: Time) {
        if received <= self.acknowledged {
            return;
        }
        let news = received - self.acknowledged;
        self.acknowledged = received;
        self.sent = self.sent.max(received);
        self.rounds.acknowledged(received, self.sent, now);
        self.rounds.filled(false, now);
        let mut arrived = None;
        while let Some(mark) = self.marks.pop_front_if(|(end, _)| *end <= received) {
            arrived = Some(mark);
        }
        let Some((_, at)) = arrived else { return };
        self.patience.note(now.since(at));
        let round_trip = self.round_trip.get_or_insert(RoundTrip::new(now));
        round_trip.note(now.since(at), now);
        let RoundTrip { seconds, draining, .. } = *round_trip;
        self.note_rate(seconds, now);
        // What is measured over a longer time lags behind a carrier that is beginning, and would hold it back.
        let known = self.rate.best();
        let Some(rate) = [known, self.rounds.beginning()].into_iter().flatten().reduce(f64::max) else { return };
        let wanted = match draining {
            Some(_) => rate * seconds * DRAINING,
            // On a long way half a round trip more, or it would never be found out what the way can do.
            None => {
                let turns = (rate * PIPE_TURNS.as_secs_f64()).min(PIPE_TURNS_WINDOW as f64);
                // Where there are several paths, it is not processors that are waited for.
                let turns = if self.lanes > 1 { 0.0 } else { turns };
                let slack = if self.urgent || seconds < PIPE_LANE_WAY.as_secs_f64() { PIPE_SLACK } else { PIPE_CALM_SLACK };
                turns.max(rate * (seconds + slack.as_secs_f64().max(seconds / 2.0)))
            }
        };
        // Converts with saturation; a rate is never negative.
        let least = if known.is_some() { PIPE_LEAST_WINDOW } else { self.bytes };
        self.bytes = (wanted as u64).min(self.bytes + news).clamp(least, PIPE_UNACKNOWLEDGED);
    }

    /// Of a while in which something was under way all the time: long enough for what comes in turns, or until all had arrived.
    fn note_rate(&mut self, round_trip: f64, now: Time) {
        let (since, before) = self.since;
        let took = now.since(since).as_secs_f64();
        if took >= RATE_OVER.as_secs_f64().max(round_trip) || (took > 0.0 && self.acknowledged == self.sent) {
            let rate = (self.acknowledged - before) as f64 / took;
            // Where nothing more waited, it is what there was to send.
            if !self.dry || self.rate.best().is_some_and(|best| rate > best) {
                self.rate.note(rate, now);
            }
            (self.since, self.dry) = ((now, self.acknowledged), self.waiting == 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{PIPE_LANES, PIPE_LANES_LONG};

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

    /// Sends as much as the window lets it, for so many seconds; an acknowledgement is asked for each eighth of the window.
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
                if sent - asked >= (window.bytes() / 8).max(PIPE_LEAST_WINDOW / 4) {
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
            // Long enough for the shortest round trip to be measured anew several times.
            let seen = transfer(&Link { rate, round_trip }, 60.0);
            let most = (PIPE_UNACKNOWLEDGED as f64 / round_trip).min(rate);
            let share = seen.delivered / (30.0 * most);
            assert!(share > 0.95, "{rate} B/s, {round_trip} s: {share} of what is possible");
            let slack = PIPE_SLACK.as_secs_f64().max(round_trip / 2.0);
            let turns = (rate * PIPE_TURNS.as_secs_f64()).min(PIPE_TURNS_WINDOW as f64);
            let allowed = (rate * (round_trip + 1.5 * slack)).max(1.5 * PIPE_LEAST_WINDOW as f64).max(1.1 * turns);
            assert!(seen.longest_later <= allowed, "{rate} B/s, {round_trip} s: {} bytes in line", seen.longest_later);
            if turns < rate * round_trip {
                let loaded = round_trip + seen.longest_later / rate;
                assert!(loaded <= 2.0 * round_trip, "{rate} B/s, {round_trip} s: what is urgent takes {loaded} s there and back");
            }
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

    /// After how many milliseconds of two seconds other paths are wanted, where this much arrived at each of these moments, of as much as the window lets
    /// be sent at most; in milliseconds and bytes.
    fn wants_lanes(most: u64, waiting: u64, arrivals: impl Fn(u64) -> bool) -> Option<u64> {
        let at = |milliseconds| Time::from_origin(Duration::from_millis(milliseconds));
        let mut window = Window::new(0, at(0));
        let (mut sent, mut last) = (0, 0);
        for now in 0..2_000 {
            window.waits(waiting);
            if arrivals(now) {
                last = sent;
                window.acknowledged(sent, at(now));
            }
            if sent - last < window.bytes().min(most) {
                sent = last + window.bytes().min(most);
                window.sent(sent, at(now));
            }
            if window.lanes_wanted() > 1 {
                assert_eq!(window.lanes_wanted(), PIPE_LANES, "the way is short");
                return Some(now);
            }
        }
        None
    }

    #[test]
    fn others_are_wanted_where_losses_hold_back_the_carrier_and_not_where_the_link_does() {
        const MUCH: u64 = 4 << 20;
        assert_eq!(wants_lanes(u64::MAX, MUCH, |now| now % 40 == 0), None, "the link takes all that it is given");
        let after = wants_lanes(30_000, MUCH, |now| now % 40 == 0);
        assert!(after.is_some_and(|after| after <= 280), "the carrier takes less: {after:?}");
        assert_eq!(wants_lanes(30_000, MUCH, |now| now % 4 == 0), None, "there is no way to speak of");
        assert_eq!(wants_lanes(30_000, 100_000, |now| now % 40 == 0), None, "it is there before they were");
        assert_eq!(wants_lanes(30_000, 0, |now| now % 40 == 0), None, "there is no more to send");
        let mut window = Window::new(0, Time::default());
        window.waits(MUCH);
        assert_eq!(window.lanes_wanted(), 1);
        window.guess(Duration::from_millis(600));
        assert_eq!(window.batch(), PIPE_LEAST_BATCH, "the last packet of a large piece would come after seconds");
        window.sent(12_000, Time::default());
        window.acknowledged(12_000, Time::from_origin(Duration::from_millis(1_200)));
        assert_eq!(window.lanes_wanted(), PIPE_LANES_LONG, "beginning slowly costs seconds by satellite");
    }

    /// A browser's connection over a link, for so many seconds: it begins with ten packets, and half as many more each round trip, and after each loss, of
    /// a packet of so many, with half as many as before. After how many seconds others are wanted beside it, if at all, and how many bytes have arrived.
    fn carried(link: &Link, loses_one_of: u64, seconds: f64) -> (Option<f64>, f64) {
        const STEP: f64 = 0.001;
        const PACKET: u64 = 1_200;
        let time = |seconds: f64| Time::from_origin(Duration::from_secs_f64(seconds));
        let mut window = Window::new(0, time(0.0));
        let (mut sent, mut acknowledged, mut asked, mut arrived) = (0u64, 0u64, 0u64, 0.0f64);
        let (mut may, mut begins, mut stands_until) = (10.0 * PACKET as f64, true, 0.0);
        let mut lost = loses_one_of * PACKET;
        let (mut questions, mut answers, mut confirmed) = (VecDeque::new(), VecDeque::<(f64, u64)>::new(), VecDeque::<(f64, u64)>::new());
        let mut known = 0u64;
        let mut wanted = None;
        for step in 0..(seconds / STEP) as usize {
            let now = step as f64 * STEP;
            while let Some((_, received)) = answers.pop_front_if(|(at, _)| *at <= now) {
                acknowledged = received;
                window.acknowledged(received, time(now));
            }
            while let Some((_, received)) = confirmed.pop_front_if(|(at, _)| *at <= now) {
                let news = (received - known) as f64;
                may += if begins { news / 2.0 } else { PACKET as f64 * news / may };
                known = received;
            }
            window.waits(8 << 20);
            // What the browser has under way, and holds beyond that.
            while sent - acknowledged < window.bytes() && ((sent - known) as f64) < may + 8_192.0 {
                sent += 2_048;
                window.sent(sent, time(now));
                if sent - asked >= (window.bytes() / 8).max(PIPE_LEAST_WINDOW / 4) {
                    asked = sent;
                    questions.push_back(sent);
                }
            }
            if now < stands_until {
                continue;
            }
            let leaves = (known as f64 + may).min(sent as f64);
            arrived = (arrived + link.rate * STEP).min(leaves).max(arrived);
            if arrived as u64 > lost {
                lost += loses_one_of * PACKET;
                (may, begins, stands_until) = ((may / 2.0).max(4.0 * PACKET as f64), false, now + link.round_trip);
            }
            confirmed.push_back((now + link.round_trip, arrived as u64));
            while let Some(question) = questions.pop_front_if(|question| *question as f64 <= arrived + 0.5) {
                answers.push_back((now + link.round_trip, question));
            }
            if window.lanes_wanted() > 1 {
                wanted = wanted.or(Some(now));
            }
        }
        (wanted, arrived)
    }

    #[test]
    fn others_are_wanted_soon_after_the_first_loss_and_never_without_one() {
        for (rate, round_trip) in
            [(12.5e6, 0.016), (2.5e6, 0.03), (3.1e6, 0.04), (6e6, 0.08), (1e6, 0.09), (375e3, 0.2), (6e6, 0.2), (12e6, 0.001)]
        {
            let (never, _) = carried(&Link { rate, round_trip }, u64::MAX / 10_000, 10.0);
            assert_eq!(never, None, "{rate} B/s, {round_trip} s, without loss");
        }
        for (rate, round_trip, one_of) in [(12.5e6, 0.016, 1_000), (3.1e6, 0.04, 300), (1e6, 0.09, 200), (375e3, 0.2, 200)] {
            let (wanted, _) = carried(&Link { rate, round_trip }, one_of, 10.0);
            let first = one_of as f64 * 1_200.0 / rate + 10.0 * round_trip;
            assert!(
                wanted.is_some_and(|after| after < first + 12.0 * round_trip),
                "{rate} B/s, {round_trip} s, one of {one_of}: {wanted:?}"
            );
        }
    }

    #[test]
    fn the_window_does_not_hold_back_a_carrier_that_is_beginning() {
        for (rate, round_trip) in [(12.5e6, 0.016), (3.1e6, 0.04), (6e6, 0.08)] {
            // As long as ten packets take to become what the link holds, by half more each round trip, and as long again.
            let beginning = f64::ln(rate * round_trip / 12_000.0) / f64::ln(1.5) * round_trip;
            let (_, arrived) = carried(&Link { rate, round_trip }, u64::MAX / 10_000, 2.0 * beginning);
            let share = arrived / (rate * beginning);
            assert!(share > 0.9, "{share:.2} of what {rate} B/s and {round_trip} s allow");
        }
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
        assert!(window.bytes() > 200_000, "{}", window.bytes());
    }

    #[test]
    fn what_there_was_to_send_is_no_rate() {
        let at = |milliseconds| Time::from_origin(Duration::from_millis(milliseconds));
        let mut window = Window::new(0, at(0));
        for second in 1..20 {
            window.waits(0);
            window.sent(second * 16_000, at(second * 1_000));
            window.acknowledged(second * 16_000, at(second * 1_000 + 200));
        }
        assert_eq!(window.bytes(), PIPE_FIRST_WINDOW, "what is large and comes next begins as if it were the first");
    }

    #[test]
    fn more_is_under_way_while_nobody_waits_for_anything_urgent() {
        let at = |milliseconds| Time::from_origin(Duration::from_millis(milliseconds));
        let under_way = |urgent, round_trip| {
            let mut window = Window::new(0, at(0));
            window.urgent(urgent);
            // 6 MB in a second.
            for now in (0..3_000).step_by(10) {
                window.sent((now + round_trip) * 6_000, at(now));
                window.acknowledged(now * 6_000, at(now));
            }
            window.bytes()
        };
        assert!(under_way(true, 20) < 330_000 && under_way(false, 20) > 290_000, "{} and {}", under_way(true, 20), under_way(false, 20));
        assert_eq!(under_way(true, 100), under_way(false, 100), "half a round trip is more");
        assert_eq!(under_way(true, 2), under_way(false, 2), "there is no way to speak of");
    }

    #[test]
    fn what_is_urgent_has_one_path_for_itself_until_the_next_may_come() {
        let rest = |guess| {
            let mut window = Window::new(0, Time::default());
            window.guess(Duration::from_millis(guess));
            window.rest().as_millis()
        };
        assert_eq!([0, 16, 160, 300, 600].map(rest), [1_000, 1_000, 1_000, 1_800, 3_600]);
        assert_eq!(Window::new(0, Time::default()).rest(), PIPE_LANES_REST);
    }

    #[test]
    fn what_comes_in_turns_is_no_rate() {
        let at = |milliseconds| Time::from_origin(Duration::from_millis(milliseconds));
        let mut window = Window::new(0, at(0));
        let (mut sent, mut arrived) = (0, 0);
        // 2 MB in a second: 100 KB every 50 ms, as fast as they are looked at.
        for turn in 0..200 {
            while sent - arrived < window.bytes() {
                sent += 16 * 1024;
                window.sent(sent, at(turn * 50));
            }
            for part in 1..=10 {
                let end = (turn * 100_000 + part * 10_000).min(sent);
                window.acknowledged(end, at(turn * 50 + 40 + part));
                arrived = arrived.max(end);
            }
        }
        assert!(window.bytes() < 300_000, "{}", window.bytes());
    }
}

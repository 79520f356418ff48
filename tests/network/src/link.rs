//! What one direction of a link does to packets, as a value: it is given the time and takes its chance from a seed.
//!
//! ```text
//!   offer ─► queue, full? ─► sent at the link's rate ─► lost? ─► under way: delay ± jitter ─► take
//! ```
//!
//! The queue is a number, not a list: what leaves a queue in order, at a known rate, has its time of leaving when it enters.

use std::{collections::BTreeMap, time::Duration};

use crate::{loss::Loss, random::Random};

/// Time since the link was made.
pub type Time = Duration;

/// How long the jitter stays what it is: radio links hand out the air in turns, and all packets of one turn wait alike. Jitter of its own for each
/// packet would, where order is kept, make every packet wait for the unluckiest before it.
pub const TURN: Duration = Duration::from_millis(10);

/// What one direction is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Bits in a second; `None`: no limit.
    pub rate: Option<u64>,
    /// How long a packet is under way.
    pub delay: Duration,
    /// By how much more or less, at most; each amount between as likely.
    pub jitter: Duration,
    /// Whether a packet may overtake another one by having less of it.
    pub overtaking: bool,
    /// Share of packets that are lost.
    pub loss: f64,
    /// How many are lost in a row, on average.
    pub burst: f64,
    /// Bytes that may wait to be sent. What comes beyond is dropped.
    pub queue: u64,
}

impl Default for Shape {
    /// A cable without limits.
    fn default() -> Self {
        Self { rate: None, delay: Duration::ZERO, jitter: Duration::ZERO, overtaking: false, loss: 0.0, burst: 1.0, queue: u64::MAX }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It will arrive.
    Carried,
    /// The queue was full.
    Full,
    /// It was lost on its way.
    Lost,
    /// The link was down.
    Down,
}

/// One direction of a link, with the packets that are under way.
#[derive(Debug)]
pub struct Link<P> {
    shape: Shape,
    loss: Loss,
    random: Random,
    down: bool,
    /// When everything that waits will have been sent.
    sent: Time,
    /// The delay of this turn, and when the next one begins.
    delay: Duration,
    turn_ends: Time,
    /// When the last one arrives.
    last: Time,
    /// By arrival, then in order.
    under_way: BTreeMap<(Time, u64), P>,
    count: u64,
}

impl<P> Link<P> {
    /// A link on which nothing was sent yet.
    pub fn new(shape: Shape, seed: u64) -> Self {
        let loss = Loss::new(shape.loss, shape.burst);
        let delay = shape.delay;
        let (sent, turn_ends, last) = (Time::ZERO, Time::ZERO, Time::ZERO);
        Self { shape, loss, random: Random::new(seed), down: false, sent, delay, turn_ends, last, under_way: BTreeMap::new(), count: 0 }
    }

    /// From now on it is like this. What is under way arrives as it would have.
    pub fn reshape(&mut self, shape: Shape) {
        self.loss = Loss::new(shape.loss, shape.burst);
        (self.delay, self.turn_ends) = (shape.delay, Time::ZERO);
        self.shape = shape;
    }

    /// Cuts it (`true`), or mends it. Nobody is told; what is under way still arrives.
    pub const fn cut(&mut self, down: bool) {
        self.down = down;
    }

    /// A packet of so many bytes comes to be carried.
    pub fn offer(&mut self, now: Time, bytes: usize, packet: P) -> Fate {
        if self.down {
            return Fate::Down;
        }
        if let Some(rate) = self.shape.rate {
            let begins = self.sent.max(now);
            let waiting = bytes_in(rate, begins - now);
            if waiting.saturating_add(bytes as u64) > self.shape.queue {
                return Fate::Full;
            }
            self.sent = begins + time_of(rate, bytes);
        } else {
            self.sent = now;
        }
        if self.loss.takes(&mut self.random) {
            return Fate::Lost;
        }
        let mut arrives = self.sent + self.delay_at(now);
        if !self.shape.overtaking {
            arrives = arrives.max(self.last);
        }
        self.last = self.last.max(arrives);
        self.count += 1;
        self.under_way.insert((arrives, self.count), packet);
        Fate::Carried
    }

    /// When the next packet arrives, if one is under way.
    pub fn due(&self) -> Option<Time> {
        self.under_way.first_key_value().map(|((time, _), _)| *time)
    }

    /// A packet that has arrived.
    pub fn take(&mut self, now: Time) -> Option<P> {
        if self.due()? > now {
            return None;
        }
        self.under_way.pop_first().map(|(_, packet)| packet)
    }

    /// How long a packet that is sent now is under way.
    fn delay_at(&mut self, now: Time) -> Duration {
        if self.shape.jitter.is_zero() {
            return self.shape.delay;
        }
        if self.shape.overtaking || now >= self.turn_ends {
            self.turn_ends = now + TURN;
            let least = self.shape.delay.saturating_sub(self.shape.jitter);
            let most = self.shape.delay + self.shape.jitter;
            self.delay = least + (most - least).mul_f64(self.random.share());
        }
        self.delay
    }
}

/// How long so many bytes take.
fn time_of(rate: u64, bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 * 8.0 / rate.max(1) as f64)
}

/// How many bytes are sent in a time.
fn bytes_in(rate: u64, time: Duration) -> u64 {
    (time.as_secs_f64() * rate as f64 / 8.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1_250;
    const MS: Duration = Duration::from_millis(1);

    /// Offers a packet every `every` for `time`, takes all as they arrive. When each was offered and arrived, in the order of arrival, and all fates.
    fn run(shape: Shape, every: Duration, time: Duration) -> (Vec<(Time, Time)>, Vec<Fate>) {
        let mut link = Link::new(shape, 3);
        let (mut arrived, mut fates) = (Vec::new(), Vec::new());
        let mut now = Time::ZERO;
        while now < time {
            while let Some(due) = link.due().filter(|due| *due <= now) {
                arrived.push((link.take(due).expect("it is due"), due));
            }
            fates.push(link.offer(now, PACKET, now));
            now += every;
        }
        while let Some(due) = link.due() {
            arrived.push((link.take(due).expect("it is due"), due));
        }
        (arrived, fates)
    }

    #[test]
    fn a_cable_carries_everything_at_once() {
        let (arrived, fates) = run(Shape::default(), MS, 100 * MS);
        assert!(fates.iter().all(|fate| *fate == Fate::Carried));
        assert!(arrived.iter().all(|(offered, arrived)| offered == arrived));
    }

    #[test]
    fn no_more_arrives_than_the_rate_and_no_less() {
        // 20 Mbit/s are offered to a link of 10.
        let shape = Shape { rate: Some(10_000_000), queue: 50_000, ..Shape::default() };
        let (arrived, fates) = run(shape, MS / 2, 10_000 * MS);
        let rate = (arrived.len() * PACKET * 8) as f64 / arrived.last().expect("some arrive").1.as_secs_f64();
        assert!((rate / 10_000_000.0 - 1.0).abs() < 0.01, "{rate} bits in a second");
        assert!(fates.contains(&Fate::Full));
    }

    #[test]
    fn what_waits_is_never_more_than_the_queue() {
        let shape = Shape { rate: Some(10_000_000), queue: 50_000, ..Shape::default() };
        let (arrived, _) = run(shape, MS / 2, 1_000 * MS);
        // 50,000 bytes are 40 ms of 10 Mbit/s.
        let longest = arrived.iter().map(|(offered, arrived)| *arrived - *offered).max().expect("some arrive");
        assert!(longest <= 40 * MS && longest > 38 * MS, "{longest:?}");
    }

    #[test]
    fn a_link_that_was_idle_does_not_make_up_for_it() {
        let mut link = Link::new(Shape { rate: Some(10_000_000), ..Shape::default() }, 1);
        for _ in 0..10 {
            assert_eq!(link.offer(5_000 * MS, PACKET, ()), Fate::Carried);
        }
        assert_eq!(link.due(), Some(5_001 * MS));
        while link.take(5_009 * MS).is_some() {}
        assert_eq!(link.due(), Some(5_010 * MS), "the tenth");
    }

    #[test]
    fn delays_lie_evenly_within_the_jitter() {
        let shape = Shape { delay: 40 * MS, jitter: 12 * MS, ..Shape::default() };
        // One packet in each turn: nobody waits for another one.
        let (arrived, _) = run(shape, 30 * MS, 300_000 * MS);
        let delays: Vec<f64> = arrived.iter().map(|(offered, arrived)| (*arrived - *offered).as_secs_f64() * 1_000.0).collect();
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        assert!((mean - 40.0).abs() < 0.3, "{mean} ms");
        assert!(delays.iter().all(|delay| (28.0..=52.0).contains(delay)));
        let far = delays.iter().filter(|delay| (**delay - 40.0).abs() > 6.0).count() as f64 / delays.len() as f64;
        assert!((far - 0.5).abs() < 0.03, "{far} lie in the outer half");
    }

    #[test]
    fn order_is_kept_unless_overtaking_is_allowed() {
        let kept = Shape { delay: 40 * MS, jitter: 12 * MS, ..Shape::default() };
        let ordered = |shape: &Shape| run(shape.clone(), MS, 5_000 * MS).0.is_sorted_by_key(|(offered, _)| *offered);
        assert!(ordered(&kept));
        assert!(!ordered(&Shape { overtaking: true, ..kept }));
    }

    #[test]
    fn the_lost_are_as_many_as_asked() {
        let shape = Shape { loss: 0.02, burst: 8.0, ..Shape::default() };
        let (arrived, fates) = run(shape, MS, 1_000_000 * MS);
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
        assert_eq!(lost + arrived.len(), fates.len());
        assert!((18_000..22_000).contains(&lost), "{lost} of a million");
    }

    #[test]
    fn a_cut_link_carries_nothing_until_it_is_mended() {
        let mut link = Link::new(Shape { delay: 10 * MS, ..Shape::default() }, 1);
        assert_eq!(link.offer(MS, PACKET, 1), Fate::Carried);
        link.cut(true);
        assert_eq!(link.offer(2 * MS, PACKET, 2), Fate::Down);
        link.cut(false);
        assert_eq!(link.offer(3 * MS, PACKET, 3), Fate::Carried);
        assert_eq!((link.take(20 * MS), link.take(20 * MS), link.take(20 * MS)), (Some(1), Some(3), None));
    }

    #[test]
    fn the_same_seed_loses_the_same_packets() {
        let shape = Shape { loss: 0.1, burst: 3.0, jitter: 5 * MS, delay: 20 * MS, ..Shape::default() };
        assert_eq!(run(shape.clone(), MS, 2_000 * MS), run(shape, MS, 2_000 * MS));
    }
}

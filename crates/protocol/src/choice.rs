//! Whom to ask next: peers for content, relays for circuits. Whoever delivered more lately is asked more, whoever failed rests.
//!
//! Every candidate has a rate (what it delivered for the time it was asked for something, the last seconds counting most) and a breaker:
//! a failure rests it for a while, doubled by each further one, and then one request may try whether it is back. The choice is random,
//! weighted by rate over requests under way: work spreads by capacity, and who is slow now is still asked now and then, so that it is
//! noticed when that changes. Nobody is known to be slow before it was tried: an unknown candidate counts as the best known one, or more where its
//! first answers were faster.

use std::time::Duration;

use litemap::LiteMap;

use crate::{limits, time::Time};

/// What is known of each candidate.
#[derive(Debug)]
pub struct Choice<Peer> {
    records: LiteMap<Peer, Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// Units of work delivered, those of long ago having faded.
    delivered: f64,
    /// Seconds during which it was asked, faded alike.
    asked: f64,
    under_way: u32,
    failures: u32,
    rests_until: Time,
    updated: Time,
}

impl Record {
    const fn new(now: Time) -> Self {
        Self { delivered: 0.0, asked: 0.0, under_way: 0, failures: 0, rests_until: now, updated: now }
    }

    /// Brings it to `now`. Time in which nothing was asked tells nothing, and fades nothing.
    fn advance(&mut self, now: Time) {
        let seconds = now.since(self.updated).as_secs_f64();
        self.updated = now;
        if self.under_way > 0 {
            let left = left_of(seconds / limits::CHOICE_HALF_LIFE.as_secs_f64());
            self.delivered *= left;
            self.asked = self.asked * left + seconds;
        }
    }

    /// Units a second, once it was asked long enough to tell.
    fn rate(&self) -> Option<f64> {
        (self.asked >= limits::CHOICE_LEAST_SECONDS).then(|| self.delivered / self.asked)
    }

    /// What it promises where `best` is the highest rate that is known of anybody.
    fn promises(&self, best: f64) -> f64 {
        self.rate().unwrap_or_else(|| best.max(self.delivered / self.asked.max(limits::CHOICE_LEAST_TIME)))
    }

    fn may_be_asked(&self, now: Time) -> bool {
        // After a rest one request finds out whether it is back.
        self.rests_until <= now && (self.failures == 0 || self.under_way == 0)
    }
}

impl<Peer: Copy + Ord> Default for Choice<Peer> {
    fn default() -> Self {
        Self { records: LiteMap::new() }
    }
}

impl<Peer: Copy + Ord> Choice<Peer> {
    /// A request to `peer` begins; each ends with one of [`done`](Self::done) or [`failed`](Self::failed).
    pub fn asked(&mut self, peer: Peer, now: Time) {
        self.record(peer, now).under_way += 1;
    }

    /// `peer` delivered: bytes, or whatever unit all candidates are measured in.
    pub fn delivered(&mut self, peer: Peer, units: u64, now: Time) {
        let record = self.record(peer, now);
        record.delivered += units as f64;
        if units > 0 {
            record.failures = 0;
        }
    }

    /// A request ended as it should, or was given up for no fault of `peer`'s.
    pub fn done(&mut self, peer: Peer, now: Time) {
        let record = self.record(peer, now);
        record.under_way = record.under_way.saturating_sub(1);
    }

    /// A request failed by `peer`'s fault.
    pub fn failed(&mut self, peer: Peer, now: Time) {
        let record = self.record(peer, now);
        record.under_way = record.under_way.saturating_sub(1);
        let rest = limits::CHOICE_FIRST_REST.saturating_mul(1 << record.failures.min(16)).min(limits::CHOICE_LONGEST_REST);
        record.failures = record.failures.saturating_add(1);
        record.rests_until = now + rest;
    }

    /// One of the candidates, by weight; none where all rest. `random` is in 0..1.
    pub fn pick(&self, candidates: &[Peer], now: Time, random: f64) -> Option<Peer> {
        draw(&self.weights(candidates, now), random)
    }

    /// Who should go on with a long request in place of `current`, which has it now: the best of those who promise
    /// [`CHOICE_GAIN`](limits::CHOICE_GAIN) times as much, each shared by what it has under way. Of whom nothing is known yet promises as
    /// much as the best.
    pub fn faster(&self, current: &Peer, others: &[Peer], now: Time) -> Option<Peer> {
        let held = self.known(current, now);
        let share = held.rate()? / f64::from(held.under_way.max(1));
        let others: Vec<Peer> = others.iter().copied().filter(|peer| peer != current).collect();
        let promises = self.weights(&others, now).into_iter().filter(|(peer, promised)| match self.known(peer, now).rate() {
            Some(_) => *promised >= share * limits::CHOICE_GAIN,
            None => true,
        });
        promises.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(peer, _)| peer)
    }

    /// All candidates, the best first; those that rest last.
    pub fn ranked(&self, candidates: &[Peer], now: Time) -> Vec<Peer> {
        let mut ranked: Vec<(Peer, f64)> = self.weights(candidates, now);
        let resting = candidates.iter().filter(|peer| !ranked.iter().any(|(other, _)| other == *peer));
        let resting: Vec<(Peer, f64)> = resting.map(|peer| (*peer, 0.0)).collect();
        ranked.extend(resting);
        ranked.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        ranked.into_iter().map(|(peer, _)| peer).collect()
    }

    /// How long until one of the candidates may be asked; nothing where one may be now, or where there is none.
    pub fn rest(&self, candidates: &[Peer], now: Time) -> Duration {
        candidates.iter().map(|peer| self.known(peer, now).rests_until.since(now)).min().unwrap_or_default()
    }

    /// The weight of each candidate that may be asked.
    fn weights(&self, candidates: &[Peer], now: Time) -> Vec<(Peer, f64)> {
        let known = candidates.iter().map(|peer| (*peer, self.known(peer, now)));
        let known: Vec<(Peer, Record)> = known.filter(|(_, record)| record.may_be_asked(now)).collect();
        let best = known.iter().filter_map(|(_, record)| record.rate()).fold(0.0, f64::max);
        // Where nobody delivered anything yet, all weigh the same.
        let best = if best > 0.0 { best } else { 1.0 };
        let least = known.iter().map(|(_, record)| record.promises(best)).fold(best, f64::max) * limits::CHOICE_LEAST_SHARE;
        let weight = |record: &Record| record.promises(best).max(least) / f64::from(record.under_way + 1);
        known.iter().map(|(peer, record)| (*peer, weight(record))).collect()
    }

    /// What is known of one by now.
    fn known(&self, peer: &Peer, now: Time) -> Record {
        let mut record = self.records.get(peer).copied().unwrap_or(Record::new(now));
        record.advance(now);
        record
    }

    fn record(&mut self, peer: Peer, now: Time) -> &mut Record {
        if !self.records.contains_key(&peer) && self.records.len() >= limits::CHOICE_PEERS {
            let oldest = self.records.iter().min_by_key(|(_, record)| (record.under_way > 0, record.updated)).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest {
                self.records.remove(&oldest);
            }
        }
        let record = self.records.entry(peer).or_insert(Record::new(now));
        record.advance(now);
        record
    }
}

/// Draws one by weight; `random` is in 0..1.
pub(crate) fn draw<Item: Copy>(weighted: &[(Item, f64)], random: f64) -> Option<Item> {
    let mut point = random.clamp(0.0, 1.0) * weighted.iter().map(|(_, weight)| weight).sum::<f64>();
    for (item, weight) in weighted {
        point -= weight;
        if point < 0.0 {
            return Some(*item);
        }
    }
    weighted.last().map(|(item, _)| *item)
}

/// What is left of 1 after so many half-lives, to a thousandth: enough here, and free of the tables by which `exp2` is exact.
fn left_of(half_lives: f64) -> f64 {
    let whole = half_lives.clamp(0.0, 64.0).floor();
    let rest = (half_lives - whole).clamp(0.0, 1.0) * std::f64::consts::LN_2;
    let series = 1.0 - rest * (1.0 - rest / 2.0 * (1.0 - rest / 3.0 * (1.0 - rest / 4.0 * (1.0 - rest / 5.0))));
    series / (1_u64 << whole.min(63.0) as u32) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_is_right_to_a_thousandth_and_never_stops() {
        for tenths in 0..700 {
            let half_lives = f64::from(tenths) / 10.0;
            let (exact, left) = ((-half_lives).exp2(), left_of(half_lives));
            assert!((left - exact).abs() <= exact / 1_000.0 || half_lives > 63.0 && left < 1e-18, "{half_lives}: {left}, not {exact}");
        }
        assert!([1e9, f64::MAX, f64::INFINITY].into_iter().all(|long| left_of(long) < 1e-18));
    }
}

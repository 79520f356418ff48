//! Whom to ask next: peers for content, relays for circuits. Whoever delivered more lately is asked more, whoever failed rests.
//!
//! Every candidate has a rate (what it delivered for the time it was asked for something, the last seconds counting most) and a breaker:
//! a failure rests it for a while, doubled by each further one, and then one request may try whether it is back. The choice is random,
//! weighted by rate over requests under way: work spreads by capacity, and who is slow now is still asked now and then, so that it is
//! noticed when that changes. Nobody is known to be slow before it was tried: an unknown candidate counts as the best known one.

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
            let fading = (-seconds / limits::CHOICE_HALF_LIFE.as_secs_f64()).exp2();
            self.delivered *= fading;
            self.asked = self.asked * fading + seconds;
        }
    }

    /// Units a second, once it was asked long enough to tell.
    fn rate(&self) -> Option<f64> {
        (self.asked >= limits::CHOICE_LEAST_SECONDS).then(|| self.delivered / self.asked)
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
    pub fn pick(&self, candidates: impl IntoIterator<Item = Peer>, now: Time, random: f64) -> Option<Peer> {
        let weights = self.weights(candidates, now);
        let mut point = random.clamp(0.0, 1.0) * weights.iter().map(|(_, weight)| weight).sum::<f64>();
        for (peer, weight) in &weights {
            point -= weight;
            if point < 0.0 {
                return Some(*peer);
            }
        }
        weights.last().map(|(peer, _)| *peer)
    }

    /// All candidates, the best first; those that rest last.
    pub fn ranked(&self, candidates: impl IntoIterator<Item = Peer>, now: Time) -> Vec<Peer> {
        let candidates: Vec<Peer> = candidates.into_iter().collect();
        let mut weights = self.weights(candidates.iter().copied(), now);
        weights.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let mut ranked: Vec<Peer> = weights.into_iter().map(|(peer, _)| peer).collect();
        let resting: Vec<Peer> = candidates.into_iter().filter(|peer| !ranked.contains(peer)).collect();
        ranked.extend(resting);
        ranked
    }

    /// How long until one of the candidates may be asked; nothing where one may be now, or where there is none.
    pub fn rest(&self, candidates: impl IntoIterator<Item = Peer>, now: Time) -> Duration {
        let rest = |peer| self.records.get(&peer).map_or(Duration::ZERO, |record| record.rests_until.since(now));
        candidates.into_iter().map(rest).min().unwrap_or_default()
    }

    /// The weight of each candidate that may be asked.
    fn weights(&self, candidates: impl IntoIterator<Item = Peer>, now: Time) -> Vec<(Peer, f64)> {
        let known: Vec<(Peer, Record)> = candidates
            .into_iter()
            .map(|peer| {
                let mut record = self.records.get(&peer).copied().unwrap_or(Record::new(now));
                record.advance(now);
                (peer, record)
            })
            .filter(|(_, record)| record.may_be_asked(now))
            .collect();
        let best = known.iter().filter_map(|(_, record)| record.rate()).fold(0.0, f64::max);
        // Where nobody delivered anything yet, all weigh the same.
        let best = if best > 0.0 { best } else { 1.0 };
        let weight =
            |record: &Record| record.rate().unwrap_or(best).max(best * limits::CHOICE_LEAST_SHARE) / f64::from(record.under_way + 1);
        known.iter().map(|(peer, record)| (*peer, weight(record))).collect()
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

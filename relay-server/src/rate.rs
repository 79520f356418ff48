//! How often one peer or network may ask: token buckets for libp2p's relay, which has its own only for single IPv6
//! addresses and without a bound on how many it remembers.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// One bucket for every key, each holding a minute's worth of tokens.
pub(crate) struct TokenBuckets<Key> {
    per_minute: f64,
    capacity: usize,
    buckets: HashMap<Key, Bucket>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<Key: Eq + Hash> TokenBuckets<Key> {
    /// Grants `per_minute` tokens a minute to each of at most `capacity` keys.
    pub(crate) fn new(per_minute: u32, capacity: usize) -> Self {
        Self { per_minute: per_minute.into(), capacity, buckets: HashMap::new() }
    }

    /// Takes one token of `key`, if there is one.
    pub(crate) fn take(&mut self, key: Key, now: Instant) -> bool {
        if self.buckets.len() >= self.capacity && !self.buckets.contains_key(&key) {
            self.forget_full(now);
            if self.buckets.len() >= self.capacity {
                return false;
            }
        }
        let per_minute = self.per_minute;
        let bucket = self.buckets.entry(key).or_insert(Bucket { tokens: per_minute, at: now });
        bucket.refill(per_minute, now);
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// A full bucket says nothing that a new one would not.
    fn forget_full(&mut self, now: Instant) {
        let per_minute = self.per_minute;
        self.buckets.retain(|_, bucket| {
            bucket.refill(per_minute, now);
            bucket.tokens < per_minute
        });
    }
}

impl Bucket {
    fn refill(&mut self, per_minute: f64, now: Instant) {
        let minutes = now.saturating_duration_since(self.at).as_secs_f64() / MINUTE.as_secs_f64();
        self.tokens = (self.tokens + minutes * per_minute).min(per_minute);
        self.at = now;
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_at_once_then_the_steady_rate() {
        let start = Instant::now();
        let mut buckets = TokenBuckets::new(60, 10);
        assert_eq!((0..100).filter(|_| buckets.take("a", start)).count(), 60);
        assert!(buckets.take("b", start), "others are not concerned");
        let later = start + Duration::from_millis(2_500);
        assert_eq!((0..100).filter(|_| buckets.take("a", later)).count(), 2);
    }

    #[test]
    fn a_flood_of_names_is_refused_until_old_ones_have_recovered() {
        let start = Instant::now();
        let mut buckets = TokenBuckets::new(60, 2);
        assert!(buckets.take(1, start) && buckets.take(2, start));
        assert!(!buckets.take(3, start));
        assert!(buckets.take(1, start), "the known ones go on");
        assert!(buckets.take(3, start + MINUTE));
        assert_eq!(buckets.buckets.len(), 1);
    }
}

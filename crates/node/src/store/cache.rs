//! Recently written and read blocks, bounded in bytes, least recently used out first.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::Key;

#[derive(Debug)]
pub(super) struct Cache {
    capacity: usize,
    bytes: usize,
    /// Counts uses; the smallest one in `order` is the block that nobody used for longest.
    clock: u64,
    blocks: HashMap<Key, (Bytes, u64)>,
    order: BTreeMap<u64, Key>,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Cache {
        Cache { capacity, bytes: 0, clock: 0, blocks: HashMap::new(), order: BTreeMap::new() }
    }

    pub(super) fn get(&mut self, key: &Key) -> Option<Bytes> {
        let (data, used) = self.blocks.get_mut(key)?;
        self.order.remove(used);
        self.clock += 1;
        *used = self.clock;
        self.order.insert(self.clock, *key);
        Some(data.clone())
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.blocks.contains_key(key)
    }

    /// Keeps `data`, which should own its buffer alone: a slice holds, uncounted, the whole buffer that it was cut from.
    pub(super) fn insert(&mut self, key: Key, data: Bytes) {
        let size = cost(&data);
        if size > self.capacity {
            return;
        }
        self.remove(&key);
        while self.bytes + size > self.capacity {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            if let Some((data, _)) = self.blocks.remove(&oldest) {
                self.bytes -= cost(&data);
            }
        }
        self.bytes += size;
        self.clock += 1;
        self.order.insert(self.clock, key);
        self.blocks.insert(key, (data, self.clock));
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some((data, used)) = self.blocks.remove(key) {
            self.order.remove(&used);
            self.bytes -= cost(&data);
        }
    }
}

/// Bytes that one block takes here: its own, and about what the two maps add.
fn cost(data: &Bytes) -> usize {
    const BOOKKEEPING: usize = 256;
    data.len() + BOOKKEEPING
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: u8) -> Key {
        Key([name; 32])
    }

    #[test]
    fn stays_within_its_bytes_and_drops_what_nobody_used() {
        let block = Bytes::from(vec![0; 1000]);
        let mut cache = Cache::new(3 * cost(&block));
        for name in 0..3 {
            cache.insert(key(name), block.clone());
        }
        assert!(cache.get(&key(0)).is_some());
        cache.insert(key(3), block);
        let held: Vec<bool> = (0..4).map(|name| cache.contains(&key(name))).collect();
        assert_eq!(held, [true, false, true, true]);
        assert_eq!(cache.bytes, cache.capacity);
    }

    #[test]
    fn replacing_and_removing_keep_the_count() {
        let mut cache = Cache::new(10_000);
        cache.insert(key(1), Bytes::from(vec![0; 2000]));
        cache.insert(key(1), Bytes::from(vec![1; 1000]));
        assert_eq!(cache.get(&key(1)), Some(Bytes::from(vec![1; 1000])));
        cache.remove(&key(1));
        cache.remove(&key(1));
        assert_eq!((cache.bytes, cache.order.len(), cache.blocks.len()), (0, 0, 0));
    }

    #[test]
    fn a_block_larger_than_the_cache_is_not_kept() {
        let mut cache = Cache::new(1000);
        cache.insert(key(1), Bytes::from(vec![0; 2000]));
        assert!(!cache.contains(&key(1)));
    }
}

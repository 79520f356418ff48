//! Recently written and read blocks, bounded in bytes, least recently used out first.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::Key;

#[derive(Debug)]
pub(super) struct Cache {
    capacity: usize,
    bytes: usize,
    /// Counts uses.
    clock: u64,
    /// Each block with its last use.
    blocks: HashMap<Key, (Bytes, u64)>,
    /// Uses, the oldest first. Those that were not a block's last stay until they come to the front, or are too many.
    uses: VecDeque<(u64, Key)>,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Cache {
        Cache { capacity, bytes: 0, clock: 0, blocks: HashMap::new(), uses: VecDeque::new() }
    }

    pub(super) fn get(&mut self, key: &Key) -> Option<Bytes> {
        let (data, _) = self.blocks.get(key)?;
        let data = data.clone();
        self.hold(*key, data.clone());
        Some(data)
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
            let Some((used, oldest)) = self.uses.pop_front() else { break };
            if is_last_use(&self.blocks, used, &oldest) {
                self.remove(&oldest);
            }
        }
        self.bytes += size;
        self.hold(key, data);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some((data, _)) = self.blocks.remove(key) {
            self.bytes -= cost(&data);
        }
    }

    /// Puts a block into the table, as the one used last.
    fn hold(&mut self, key: Key, data: Bytes) {
        self.clock += 1;
        self.blocks.insert(key, (data, self.clock));
        self.uses.push_back((self.clock, key));
        if self.uses.len() > 2 * self.blocks.len() {
            self.uses.retain(|(used, key)| is_last_use(&self.blocks, *used, key));
        }
    }
}

fn is_last_use(blocks: &HashMap<Key, (Bytes, u64)>, used: u64, key: &Key) -> bool {
    blocks.get(key).is_some_and(|(_, last)| *last == used)
}

/// Bytes that one block takes here: its own, and about what the two tables add.
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
        assert_eq!((cache.bytes, cache.blocks.len()), (0, 0));
    }

    #[test]
    fn a_block_that_is_used_often_is_not_remembered_more_for_it() {
        let mut cache = Cache::new(10_000);
        cache.insert(key(1), Bytes::from(vec![0; 1000]));
        cache.insert(key(2), Bytes::from(vec![0; 1000]));
        for _ in 0..100 {
            assert!(cache.get(&key(2)).is_some());
            assert!(cache.get(&key(3)).is_none());
        }
        assert!(cache.uses.len() <= 4);
    }

    #[test]
    fn a_block_larger_than_the_cache_is_not_kept() {
        let mut cache = Cache::new(1000);
        cache.insert(key(1), Bytes::from(vec![0; 2000]));
        assert!(!cache.contains(&key(1)));
    }
}

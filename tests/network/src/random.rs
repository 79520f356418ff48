//! Numbers that look random and follow from a seed, so that a run can be repeated: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
//! number generators", 2014). Nothing secret depends on them.

/// A generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed, the same numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1, each as likely.
    pub fn share(&mut self) -> f64 {
        // The 53 bits that fit into an f64.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.share() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_spread_evenly() {
        let mut random = Random::new(7);
        let mut tenths = [0_u32; 10];
        for _ in 0..100_000 {
            tenths[(random.share() * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (9_500..10_500).contains(count)), "{tenths:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let [mut one, mut other, mut third] = [Random::new(1), Random::new(1), Random::new(2)];
        let numbers = |random: &mut Random| (0..10).map(|_| random.next()).collect::<Vec<_>>();
        assert_eq!(numbers(&mut one), numbers(&mut other));
        assert_ne!(numbers(&mut other), numbers(&mut third));
    }
}

//! Files get the CIDs that other implementations give them: IPIP-499's own, and those of Helia's importer.
#![allow(clippy::unwrap_used)] // helpers of tests panic like tests

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use shoal_protocol::content::import::{Importer, Profile};
use shoal_protocol::content::{Codec, cid};

/// Written by `tests/fixtures/cids.mjs`, which says where they come from.
const FIXTURES: &str = include_str!("../../../tests/fixtures/cids.json");

#[test]
fn cids_are_those_of_other_implementations() {
    let fixtures: Vec<Value> = serde_json::from_str(FIXTURES).unwrap();
    // Each seed is one long stream of bytes, and a fixture a beginning of it: leaves that fixtures share are hashed once.
    let mut groups: BTreeMap<(&str, &str), Vec<(u64, &str)>> = BTreeMap::new();
    for fixture in &fixtures {
        let text = |field: &str| fixture[field].as_str().unwrap();
        let size = fixture["size"].as_u64().unwrap();
        if cfg!(debug_assertions) && size > 2_000_000 {
            println!("{size} bytes take minutes without optimisation: tested with --release only");
            continue;
        }
        groups.entry((text("profile"), text("seed"))).or_default().push((size, text("cid")));
    }
    assert_eq!(groups.len(), if cfg!(debug_assertions) { 3 } else { 4 });
    std::thread::scope(|scope| {
        for ((profile, seed), files) in &groups {
            scope.spawn(|| check(profile.parse().unwrap(), seed, files));
        }
    });
}

fn check(profile: Profile, seed: &str, files: &[(u64, &str)]) {
    let mut stream = KeyStream::new(seed);
    let mut leaf = vec![0; profile.leaf_size()];
    let mut importers: Vec<_> = files.iter().map(|file| (Importer::new(profile), file)).collect();
    let mut start = 0;
    while files.iter().any(|(size, _)| *size > start) {
        stream.fill(&mut leaf);
        let whole = cid::of(Codec::Raw, &leaf);
        for (importer, (size, _)) in &mut importers {
            match size.saturating_sub(start) {
                0 => {}
                left if left >= leaf.len() as u64 => drop(importer.push_leaf(whole.clone(), leaf.len() as u64)),
                left => drop(importer.push_leaf(cid::of(Codec::Raw, &leaf[..left as usize]), left)),
            }
        }
        start += leaf.len() as u64;
    }
    for (importer, (size, expected)) in importers {
        let finished = importer.finish();
        assert_eq!(finished.size, *size);
        assert_eq!(finished.root.to_string(), *expected, "{} {seed} {size}", profile.name());
    }
}

#[test]
fn profiles_have_names() {
    for profile in [Profile::UnixfsV1_2025, Profile::KuboCidV1] {
        assert_eq!(profile.name().parse(), Ok(profile));
    }
    assert!("unixfs-v0-2015".parse::<Profile>().unwrap_err().to_string().contains("unixfs-v1-2025"));
}

/// The ChaCha20 key stream of RFC 8439, nonce and counter zero: what the fixtures' seeds stand for. Eight blocks at a time,
/// in a form that compilers turn into vector instructions: the largest fixture has a gibibyte.
struct KeyStream {
    start: [u32; 16],
}

const LANES: usize = 8;

type Words = [[u32; LANES]; 16];

impl KeyStream {
    fn new(seed: &str) -> Self {
        let key = Sha256::digest(seed);
        let mut start = [0; 16];
        start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
        for (word, bytes) in start[4..12].iter_mut().zip(key.chunks_exact(4)) {
            *word = u32::from_le_bytes(bytes.try_into().unwrap());
        }
        Self { start }
    }

    /// Whole steps only, which all leaf sizes are.
    fn fill(&mut self, out: &mut [u8]) {
        for step in out.chunks_exact_mut(64 * LANES) {
            self.next_blocks(step);
        }
    }

    fn next_blocks(&mut self, out: &mut [u8]) {
        let mut start = self.start.map(|word| [word; LANES]);
        for (lane, counter) in start[12].iter_mut().enumerate() {
            *counter += lane as u32;
        }
        let mut words = start;
        for _ in 0..10 {
            for column in 0..4 {
                quarter_round(&mut words, [column, 4 + column, 8 + column, 12 + column]);
            }
            for diagonal in 0..4 {
                quarter_round(&mut words, [diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4]);
            }
        }
        for (at, bytes) in out.chunks_exact_mut(4).enumerate() {
            let (lane, word) = (at / 16, at % 16);
            bytes.copy_from_slice(&words[word][lane].wrapping_add(start[word][lane]).to_le_bytes());
        }
        self.start[12] += LANES as u32;
    }
}

fn quarter_round(words: &mut Words, [a, b, c, d]: [usize; 4]) {
    for (left, right) in [(16, 12), (8, 7)] {
        add(words, a, b);
        xor_rotate(words, d, a, left);
        add(words, c, d);
        xor_rotate(words, b, c, right);
    }
}

fn add(words: &mut Words, to: usize, from: usize) {
    let from = words[from];
    for (to, from) in words[to].iter_mut().zip(from) {
        *to = to.wrapping_add(from);
    }
}

fn xor_rotate(words: &mut Words, to: usize, from: usize, bits: u32) {
    let from = words[from];
    for (to, from) in words[to].iter_mut().zip(from) {
        *to = (*to ^ from).rotate_left(bits);
    }
}

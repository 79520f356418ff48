//! A requester and a provider over two sessions: whole files, ranges, resumption after breaks, gaps, and the cost on the wire.

#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

mod exchange_support;
mod session_support;

use bytes::Bytes;
use exchange_support::{Blocks, answer, file, pattern, transfer};
use session_support::{Random, pair};
use shoal_protocol::{
    content::{Cid, Codec, cid, import::Profile, walk::Scope},
    exchange::{Download, Outcome, Probe, Request, RequestReader, Upload},
    session::{Config, Event, Read, Session, StreamId},
};
use std::collections::BTreeMap;

/// Takes what arrived into `store`; every block must be new there.
fn keep(download: &mut Download, store: &mut Blocks) {
    while let Some(block) = download.next() {
        assert!(block.verified || cid::verify(&block.cid, &block.data));
        assert!(store.insert(block.cid, block.data).is_none(), "a block came twice");
    }
}

/// One request over a pair of sessions, broken after `most` bytes of the wire towards the requester.
fn over_sessions(download: &mut Download, provider: &Blocks, store: &mut Blocks, most: usize, random: &mut Random) -> bool {
    let (mut near, mut far) = pair(Config::default());
    let stream = near.open().expect("the first stream");
    let request = download.request().expect("something is missing").encode();
    assert_eq!(near.write(stream, request.clone()), Ok(request.len()));
    near.finish(stream).expect("open");
    let mut serving = Serving::default();
    let mut budget = most;
    for _ in 0..1_000_000 {
        while let Some(bytes) = near.transmit(1 << 16) {
            far.receive_bytes(&bytes).expect("honest");
        }
        serving.run(&mut far, provider);
        let Some(bytes) = far.transmit(1 + random.size(1 << 17)) else { continue };
        let piece = bytes.slice(..bytes.len().min(budget));
        budget -= piece.len();
        near.receive_bytes(&piece).expect("honest");
        loop {
            match near.read(stream) {
                Read::Data(bytes) => {
                    near.consumed(stream, bytes.len() as u64);
                    download.receive(bytes).expect("honest");
                    keep(download, store);
                }
                Read::Blocked => break,
                Read::Finished => {
                    assert_eq!(download.finish(), Ok(Outcome::Delivered));
                    return true;
                }
                end => panic!("{end:?}"),
            }
        }
        if budget == 0 {
            download.broke();
            return false;
        }
    }
    panic!("the transfer stands still");
}

/// A provider that serves every stream of a session.
#[derive(Default)]
struct Serving {
    reading: BTreeMap<StreamId, RequestReader>,
    sending: BTreeMap<StreamId, (Option<Upload>, Vec<Bytes>)>,
}

impl Serving {
    fn run(&mut self, session: &mut Session, store: &Blocks) {
        while let Some(event) = session.poll_event() {
            if let Event::Opened(stream) | Event::Readable(stream) = event {
                self.read(session, stream);
            }
        }
        let streams: Vec<StreamId> = self.sending.keys().copied().collect();
        for stream in streams {
            self.send(session, stream, store);
        }
    }

    fn read(&mut self, session: &mut Session, stream: StreamId) {
        loop {
            match session.read(stream) {
                Read::Data(bytes) => self.reading.entry(stream).or_default().receive(&bytes).expect("short"),
                Read::Finished => {
                    let request = self.reading.remove(&stream).expect("a request").finish().expect("honest");
                    self.sending.insert(stream, (Some(Upload::new(request)), Vec::new()));
                    return;
                }
                _ => return,
            }
        }
    }

    fn send(&mut self, session: &mut Session, stream: StreamId, store: &Blocks) {
        let Some((upload, queue)) = self.sending.get_mut(&stream) else { return };
        loop {
            while !queue.is_empty() {
                let accepted = session.write(stream, queue[0].clone()).expect("open");
                if accepted < queue[0].len() {
                    queue[0] = queue[0].slice(accepted..);
                    return;
                }
                queue.remove(0);
            }
            let Some(serving) = upload else { break };
            queue.extend(serving.records());
            match serving.wants() {
                Some(cid) => serving.supply(store.get(&cid).cloned()),
                None if queue.is_empty() => *upload = None,
                None => {}
            }
        }
        session.finish(stream).expect("open");
        self.sending.remove(&stream);
    }
}

#[test]
fn a_file_of_any_size_arrives_whole() {
    for profile in [Profile::UnixfsV1_2025, Profile::KuboCidV1] {
        let leaf = profile.leaf_size();
        for size in [1, 100, leaf, leaf + 1, 9 * leaf + 17] {
            let (root, provider) = file(profile, &pattern(size));
            let mut store = Blocks::new();
            let mut download = Download::new(root, Scope::Dag);
            assert!(over_sessions(&mut download, &provider, &mut store, usize::MAX, &mut Random(size as u64)));
            assert!(download.is_complete());
            assert_eq!(store, provider);
            assert_eq!((download.progress().bytes, download.progress().size), (size as u64, Some(size as u64)));
        }
    }
}

#[test]
fn the_empty_file_needs_no_peer() {
    let mut download = Download::new(cid::of(Codec::Raw, b""), Scope::Dag);
    assert!(download.is_complete());
    assert_eq!(download.request(), None);
}

#[test]
fn breaks_at_random_instants_send_no_whole_block_twice() {
    let (root, provider) = file(Profile::KuboCidV1, &pattern(200 * 256 * 1024 + 5));
    let total: usize = provider.values().map(Bytes::len).sum();
    for seed in 0..12 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let mut store = Blocks::new();
        let mut download = Download::new(root.clone(), Scope::Dag);
        let mut received = 0;
        let mut breaks = 0;
        loop {
            let most = 1 + random.size(40_000_000);
            let before: usize = store.values().map(Bytes::len).sum();
            // `keep` asserts that every block is new.
            let done = over_sessions(&mut download, &provider, &mut store, most, &mut random);
            let after: usize = store.values().map(Bytes::len).sum();
            received += after - before;
            if done {
                break;
            }
            breaks += 1;
            if random.one_in(3) {
                // The tab was closed: a new download first passes what is stored.
                download = Download::new(root.clone(), Scope::Dag);
                while let Some(data) = download.current().and_then(|cid| store.get(cid)) {
                    let data = download.needs_data().then_some(data.as_ref());
                    download.pass_local(data).expect("good blocks");
                }
            }
        }
        assert_eq!((received, &store), (total, &provider), "after {breaks} breaks");
    }
}

#[test]
fn ranges_bring_only_what_overlaps() {
    let content = pattern(40 * 256 * 1024);
    let (root, provider) = file(Profile::KuboCidV1, &content);
    let scope = Scope::Range { offset: 10 * 256 * 1024 + 5, length: 256 * 1024 };
    let mut store = Blocks::new();
    let mut download = Download::new(root, scope);
    assert!(over_sessions(&mut download, &provider, &mut store, usize::MAX, &mut Random(1)));
    assert_eq!(store.len(), 3, "the root and two leaves");
}

#[test]
fn a_gap_is_named_and_another_provider_fills_it() {
    let (root, whole) = file(Profile::KuboCidV1, &pattern(20 * 256 * 1024));
    let mut order = Vec::new();
    let mut download = Download::new(root.clone(), Scope::Dag);
    transfer(&mut download, &whole, |arrived| order.push(arrived.cid)).expect("honest");
    let mut gapped = whole.clone();
    gapped.remove(&order[7]);

    let mut store = Blocks::new();
    let mut download = Download::new(root, Scope::Dag);
    assert_eq!(transfer(&mut download, &gapped, |block| drop(store.insert(block.cid, block.data))), Ok(Outcome::Missing));
    assert_eq!((store.len(), download.current()), (7, Some(&order[7])));
    // Only the gap from the second provider, the rest from the first.
    let gap = download.request_some(Some(1)).expect("missing");
    download.receive(answer(gap, &whole)).expect("honest");
    keep(&mut download, &mut store);
    assert_eq!(download.finish(), Ok(Outcome::Delivered));
    assert_eq!(transfer(&mut download, &gapped, |block| drop(store.insert(block.cid, block.data))), Ok(Outcome::Delivered));
    assert_eq!(store, whole);
}

#[test]
fn a_provider_without_an_interior_block_cannot_skip_past_it() {
    let (root, mut provider) = file(Profile::KuboCidV1, &pattern(200 * 256 * 1024));
    let mut order = Vec::new();
    transfer(&mut Download::new(root.clone(), Scope::Dag), &provider, |arrived| order.push(arrived)).expect("honest");
    let mut download = Download::new(root.clone(), Scope::Dag);
    for block in &order[..5] {
        download.pass_local(Some(&block.data)).expect("good blocks");
    }
    provider.remove(&root);
    assert_eq!(transfer(&mut download, &provider, |_| panic!("nothing can come")), Ok(Outcome::Missing));
}

#[test]
fn skipped_leaves_are_not_loaded() {
    let (root, provider) = file(Profile::KuboCidV1, &pattern(170 * 256 * 1024));
    let mut upload = Upload::new(Request::Dag { root, scope: Scope::Dag, skip: 150, count: Some(2) });
    let mut loads = 0;
    let mut blocks = 0;
    loop {
        blocks += upload.records().iter().filter(|part| part.len() > 1000).count();
        let Some(cid) = upload.wants() else { break };
        loads += 1;
        upload.supply(provider.get(&cid).cloned());
    }
    assert_eq!((loads, blocks), (3, 2), "the root to walk by, and two leaves");
}

#[test]
fn a_probe_answers_yes_or_no() {
    let (root, provider) = file(Profile::KuboCidV1, &pattern(600_000));
    let absent = cid::of(Codec::Raw, b"absent");
    for (cid, expected) in [(root, true), (absent, false), (cid::of(Codec::Raw, b""), true)] {
        let mut probe = Probe::new(Request::Has { root: cid });
        assert_eq!(probe.answer(), None);
        let request = Request::decode(&probe.request()).expect("a request");
        probe.receive(answer(request, &provider)).expect("honest");
        assert_eq!(probe.answer(), Some(expected));
        assert!(probe.receive(Bytes::from_static(b"more")).is_err());
    }
}

/// A thousand small blocks asked for at once, each by its own request.
#[test]
fn small_blocks_cost_under_a_hundred_bytes_each() {
    let content = pattern(1000 * 2048);
    let store: Blocks = content.chunks(2048).map(|data| (cid::of(Codec::Raw, data), content.slice_ref(data))).collect();
    let (mut near, mut far) = pair(Config::default());
    let mut downloads: BTreeMap<StreamId, Download> = BTreeMap::new();
    let mut wanted: Vec<Cid> = store.keys().cloned().collect();
    let count = wanted.len();
    let (mut payload, mut wire, mut done) = (0, 0, 0);
    let mut serving = Serving::default();
    while done < count {
        while let Some(cid) = wanted.pop() {
            let Ok(stream) = near.open() else {
                wanted.push(cid);
                break;
            };
            let mut download = Download::new(cid, Scope::Block);
            near.write(stream, download.request().expect("missing").encode()).expect("open");
            near.finish(stream).expect("open");
            downloads.insert(stream, download);
        }
        while let Some(bytes) = near.transmit(1 << 16) {
            wire += bytes.len();
            far.receive_bytes(&bytes).expect("honest");
        }
        serving.run(&mut far, &store);
        while let Some(bytes) = far.transmit(1 << 16) {
            wire += bytes.len();
            near.receive_bytes(&bytes).expect("honest");
        }
        while let Some(event) = near.poll_event() {
            let Event::Readable(stream) = event else { continue };
            let Some(download) = downloads.get_mut(&stream) else { continue };
            while let Read::Data(bytes) = near.read(stream) {
                near.consumed(stream, bytes.len() as u64);
                download.receive(bytes).expect("honest");
            }
            while let Some(block) = download.next() {
                assert!(block.verified);
                payload += block.data.len();
                done += 1;
            }
        }
    }
    let overhead = (wire - payload) as f64 / count as f64;
    println!("{overhead:.1} bytes beside each of {count} blocks");
    assert!(overhead < 100.0);
}

//! Providers and requesters that lie, cut off, overdo it or send noise.

#![allow(clippy::expect_used, reason = "a test")]

mod exchange_support;
mod session_support;

use bytes::Bytes;
use exchange_support::{Blocks, answer, file, pattern, transfer};
use proptest::prelude::*;
use session_support::Random;
use shoal_protocol::{
    content::{Cid, Codec, cid, import::Profile, walk::Scope},
    exchange::{Download, DownloadError, Outcome, Probe, Refusal, Request, RequestError, RequestReader, Upload, Violation},
    limits,
};

const BLOCK: u8 = 1;
const MISSING: u8 = 2;
const END: u8 = 3;
const REFUSED: u8 = 4;
const HAVE: u8 = 5;

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    let mut length = payload.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(payload);
    out
}

/// A file of a root and three leaves.
fn small_file() -> (Cid, Blocks, Vec<Bytes>) {
    let (root, blocks) = file(Profile::KuboCidV1, &pattern(3 * 256 * 1024));
    let mut order = Vec::new();
    transfer(&mut Download::new(root.clone(), Scope::Dag), &blocks, |arrived| order.push(arrived.data)).expect("honest");
    assert_eq!(order.len(), 4);
    (root, blocks, order)
}

/// Feeds a download with this response; it must fail so, keep what was good, and be completed by an honest peer.
#[track_caller]
fn refused(response: &[Vec<u8>], expected: Violation, good: usize) {
    let (root, honest, _) = small_file();
    let response = response.concat();
    for step in [1, 1000, response.len()] {
        let mut download = Download::new(root.clone(), Scope::Dag);
        download.request().expect("missing");
        let mut pieces = response.chunks(step);
        let received = pieces.try_for_each(|piece| download.receive(Bytes::copy_from_slice(piece)));
        let failed = received.and_then(|()| Ok(download.finish().map(drop)?));
        assert_eq!(failed, Err(DownloadError::Violation(expected.clone())));
        let mut kept = 0;
        while let Some(block) = download.next() {
            assert!(cid::verify(&block.cid, &block.data));
            kept += 1;
        }
        assert_eq!(kept, good);
        assert_eq!(transfer(&mut download, &honest, |_| kept += 1), Ok(Outcome::Delivered));
        assert_eq!(kept, honest.len());
    }
}

#[test]
fn a_wrong_interior_block_ends_it_before_anything_is_decoded() {
    let (_, _, order) = small_file();
    let mut forged = order[0].to_vec();
    forged[10] ^= 1;
    refused(&[record(BLOCK, &forged)], Violation::WrongBlock, 0);
    refused(&[record(BLOCK, b"")], Violation::WrongBlock, 0);
    refused(&[record(BLOCK, &order[0]), record(BLOCK, b"short and wrong")], Violation::WrongBlock, 1);
}

#[test]
fn a_wrong_large_leaf_is_handed_out_as_unverified() {
    let (root, _, order) = small_file();
    let mut download = Download::new(root, Scope::Dag);
    download.request().expect("missing");
    download.receive([record(BLOCK, &order[0]), record(BLOCK, &order[2])].concat().into()).expect("not known to be wrong");
    assert!(download.next().expect("the root").verified);
    let wrong = download.next().expect("the leaf");
    assert!(!wrong.verified && !cid::verify(&wrong.cid, &wrong.data));
}

#[test]
fn what_was_not_asked_for_is_refused() {
    let (root, _, order) = small_file();
    let all: Vec<u8> = order.iter().flat_map(|data| record(BLOCK, data)).collect();
    let mut download = Download::new(root.clone(), Scope::Dag);
    assert_eq!(download.receive(record(BLOCK, &order[0]).into()), Err(Violation::Unrequested.into()), "before any request");
    download.request().expect("missing");
    assert_eq!(download.receive([all, record(BLOCK, &order[1])].concat().into()), Err(Violation::Unrequested.into()));
    let mut download = Download::new(root, Scope::Dag);
    download.request_some(Some(1)).expect("missing");
    assert_eq!(download.receive([record(BLOCK, &order[0]), record(BLOCK, &order[1])].concat().into()), Err(Violation::Unrequested.into()));
    refused(&[record(HAVE, b"")], Violation::Unrequested, 0);
    refused(&[record(MISSING, &[1])], Violation::Unrequested, 0);
}

#[test]
fn oversized_and_malformed_records() {
    let head = |kind: u8, length: [u8; 4]| [&[kind], &length[..]].concat();
    // 2 MiB and one byte: refused at the head, before any of it is kept.
    refused(&[head(BLOCK, [0x81, 0x80, 0x80, 0x01])], Violation::RecordTooLong { length: limits::BLOCK_BYTES as u64 + 1 }, 0);
    refused(&[record(END, b"x")], Violation::RecordTooLong { length: 1 }, 0);
    refused(&[record(MISSING, b"")], Violation::MalformedRecord, 0);
    refused(&[record(MISSING, &[0, 0])], Violation::MalformedRecord, 0);
    refused(&[record(REFUSED, &[0x80, 0x00])], Violation::MalformedRecord, 0);
    refused(&[record(0, b"")], Violation::MalformedRecord, 0);
    refused(&[record(6, b"")], Violation::MalformedRecord, 0);
    refused(&[head(BLOCK, [0xff, 0xff, 0xff, 0xff]), vec![0xff; 8]], Violation::MalformedRecord, 0);
}

#[test]
fn cut_off_early_or_carried_on_too_long() {
    let (_, _, order) = small_file();
    let whole = record(BLOCK, &order[1]);
    refused(&[record(BLOCK, &order[0])], Violation::Truncated, 1);
    refused(&[record(BLOCK, &order[0]), whole[..100_000].to_vec()], Violation::Truncated, 1);
    refused(&[record(BLOCK, &order[0]), record(END, b"")], Violation::EndedEarly, 1);
    refused(&[record(REFUSED, &[4]), vec![END]], Violation::AfterEnd, 0);
    refused(&[record(MISSING, &[0]), record(BLOCK, &order[0])], Violation::AfterEnd, 0);
}

#[test]
fn the_largest_block_may_come_in_single_bytes() {
    let data = pattern(limits::BLOCK_BYTES);
    let mut download = Download::new(cid::of(Codec::Raw, &data), Scope::Block);
    download.request().expect("missing");
    for byte in [record(BLOCK, &data), record(END, b"")].concat() {
        download.receive(Bytes::copy_from_slice(&[byte])).expect("slow but honest");
    }
    assert_eq!(download.next().expect("the block").data, data);
    assert_eq!(download.finish(), Ok(Outcome::Delivered));
}

#[test]
fn broken_content_is_not_the_peers_fault_and_never_looks_complete() {
    // A dag-pb block of noise, with its right name.
    let noise = Bytes::from_static(&[0xff; 40]);
    let root = cid::of(Codec::DagPb, &noise);
    let store = Blocks::from([(root.clone(), noise.clone())]);
    let mut download = Download::new(root.clone(), Scope::Dag);
    download.request().expect("missing");
    assert!(matches!(download.receive(record(BLOCK, &noise).into()), Err(DownloadError::Content(_))));
    assert!(!download.is_complete());
    assert_eq!(download.request(), None);
    assert!(matches!(download.pass_local(Some(&noise)), Err(DownloadError::Content(_))));
    let response = answer(Request::Dag { root, scope: Scope::Dag, skip: 0, count: None }, &store);
    assert_eq!(response, Refusal::Broken.record());
}

#[test]
fn local_blocks_do_not_mix_with_a_response() {
    let (root, _, order) = small_file();
    let mut download = Download::new(root, Scope::Dag);
    download.request().expect("missing");
    assert_eq!(download.pass_local(Some(&order[0])), Err(DownloadError::UnderWay));
    download.broke();
    assert_eq!(download.pass_local(Some(&order[0])), Ok(()));
}

#[test]
fn absurd_requests_are_refused() {
    let root = cid::of(Codec::Raw, b"x");
    let request = |skip, count| Request::Dag { root: root.clone(), scope: Scope::Dag, skip, count }.encode();
    let most = limits::WALK_BLOCKS as u64;
    assert!(Request::decode(&request(most, Some(most))).is_ok());
    assert_eq!(Request::decode(&request(most + 1, None)), Err(RequestError::TooMuch));
    assert_eq!(Request::decode(&request(0, Some(most + 1))), Err(RequestError::TooMuch));
    assert_eq!(Request::decode(&[]), Err(RequestError::Malformed));
    assert_eq!(Request::decode(&[9]), Err(RequestError::Unknown(9)));
    assert_eq!(Request::decode(&[2, 3, 1, 1, 1]), Err(RequestError::Cid));
    assert_eq!(Request::decode(&[&request(0, None)[..], &[0]].concat()), Err(RequestError::Malformed));
    // Version 0 of a name is another spelling of the same block.
    let v0 = [&[2, 34, 0x12, 0x20][..], &[7; 32]].concat();
    assert_eq!(Request::decode(&v0), Err(RequestError::Cid));
    let mut reader = RequestReader::default();
    assert_eq!(reader.receive(&[1; limits::EXCHANGE_REQUEST]), Ok(()));
    assert_eq!(reader.receive(&[1]), Err(RequestError::Malformed));
}

#[test]
fn the_wire_is_as_specified() {
    let root = cid::of(Codec::Raw, b"shoal");
    let name = [&[36, 0x01, 0x55, 0x12, 0x20][..], root.digest().expect("sha2-256")].concat();
    let dag = |scope, skip, count| Request::Dag { root: root.clone(), scope, skip, count }.encode();
    assert_eq!(dag(Scope::Block, 0, None), [&[1], &name[..], &[0, 0, 0]].concat());
    assert_eq!(dag(Scope::Dag, 300, Some(5)), [&[1], &name[..], &[1, 0xac, 0x02, 5]].concat());
    assert_eq!(dag(Scope::Range { offset: 1, length: 128 }, 0, None), [&[1], &name[..], &[2, 1, 0x80, 0x01, 0, 0]].concat());
    assert_eq!(Request::Has { root: root.clone() }.encode(), [&[2], &name[..]].concat());
    let offer = |name: &str| Request::Offer { root: root.clone(), size: 300, name: name.to_owned() }.encode();
    assert_eq!(offer("\u{1f41f}"), [&[3], &name[..], &[0xac, 0x02, 0xf0, 0x9f, 0x90, 0x9f]].concat());
    assert_eq!(Request::decode(&offer(&"x".repeat(limits::EXCHANGE_NAME + 1))), Err(RequestError::Malformed));
    assert_eq!(Request::decode(&[&offer("")[..], &[0xff]].concat()), Err(RequestError::Malformed));
    let store = Blocks::from([(root.clone(), Bytes::from_static(b"shoal"))]);
    let request = Request::Dag { root: root.clone(), scope: Scope::Block, skip: 0, count: None };
    assert_eq!(&answer(request.clone(), &store)[..], b"\x01\x05shoal\x03\x00");
    assert_eq!(&answer(request, &Blocks::new())[..], [2, 1, 0]);
    assert_eq!(&answer(Request::Has { root: root.clone() }, &store)[..], [5, 0]);
    // Of itself nobody takes anything.
    assert_eq!(&answer(Request::Offer { root, size: 5, name: String::new() }, &store)[..], [4, 1, 6]);
    assert_eq!(Upload::taken().records().concat(), [5, 0]);
    assert_eq!(&Refusal::Busy.record()[..], [4, 1, 4]);
}

#[test]
fn a_provider_can_stop_at_any_time() {
    let (root, store, _) = small_file();
    let mut upload = Upload::new(Request::Dag { root: root.clone(), scope: Scope::Dag, skip: 0, count: None });
    upload.supply(store.get(&root).cloned());
    upload.refuse(Refusal::Busy);
    upload.refuse(Refusal::Busy);
    assert_eq!(upload.wants(), None);
    let mut download = Download::new(root, Scope::Dag);
    download.request().expect("missing");
    upload.records().into_iter().for_each(|part| download.receive(part).expect("honest"));
    assert_eq!(download.finish(), Ok(Outcome::Refused(Refusal::Busy)));
    assert_eq!(download.progress().blocks, 1);
}

fn any_request() -> impl Strategy<Value = Request> {
    let root =
        (any::<[u8; 32]>(), any::<bool>()).prop_map(|(digest, raw)| cid::from_digest(if raw { Codec::Raw } else { Codec::DagPb }, digest));
    let scope = prop_oneof![
        Just(Scope::Block),
        Just(Scope::Dag),
        (0..u64::MAX >> 1, 0..u64::MAX >> 1).prop_map(|(offset, length)| Scope::Range { offset, length }),
    ];
    let most = limits::WALK_BLOCKS as u64;
    (root, scope, 0..=most, proptest::option::of(1..=most), 0..3, "[^x]{0,32}").prop_map(
        |(root, scope, skip, count, kind, name)| match kind {
            0 => Request::Has { root },
            1 => Request::Offer { root, size: skip, name },
            _ => Request::Dag { root, scope, skip, count },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn requests_read_back_and_have_one_encoding(request in any_request(), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let bytes = request.encode();
        prop_assert!(bytes.len() <= limits::EXCHANGE_REQUEST);
        prop_assert_eq!(Request::decode(&bytes), Ok(request));
        let mut changed = bytes.to_vec();
        changed[at.index(bytes.len())] = value;
        if let Ok(other) = Request::decode(&changed) {
            prop_assert_eq!(&other.encode()[..], &changed[..]);
        }
    }

    #[test]
    fn noise_is_no_request(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert_eq!(&request.encode()[..], &bytes[..]);
        }
    }

    #[test]
    fn noise_and_damaged_responses_never_panic(
        seed in any::<u64>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
    ) {
        let mut random = Random(seed);
        let (root, store) = file(Profile::KuboCidV1, &pattern(1 + random.size(600_000)));
        let mut download = Download::new(root.clone(), Scope::Dag);
        let request = download.request().expect("missing");
        let mut response = answer(request, &store).to_vec();
        if let Some(noise) = noise {
            response.truncate(random.size(200));
            response.extend(noise);
        }
        for (at, value) in changes {
            let at = at.index(response.len() + 1).min(response.len().saturating_sub(1));
            if let Some(byte) = response.get_mut(at) { *byte = value; }
        }
        let mut probe = Probe::new(Request::Has { root });
        let _ = probe.receive(response.clone().into());
        let mut rest = Bytes::from(response);
        while !rest.is_empty() {
            let piece = rest.split_to((1 + random.size(70_000)).min(rest.len()));
            if download.receive(piece).is_err() { break; }
        }
        while let Some(block) = download.next() {
            prop_assert!(!block.verified || cid::verify(&block.cid, &block.data));
        }
    }
}

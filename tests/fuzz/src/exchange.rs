//! The exchange of content: what a stranger asks, and what a provider answers.

use std::{collections::BTreeMap, sync::LazyLock};

use bytes::Bytes;
use shoal_protocol::{
    content::{
        Cid, Codec, cid,
        import::{Importer, Profile},
        walk::Scope,
    },
    exchange::{Download, Outcome, Probe, Request, RequestReader, Upload},
    limits,
};

use crate::input::{Input, contents, varint};

type Blocks = BTreeMap<Cid, Bytes>;
/// Blocks in the order of a walk.
type Order = Vec<(Cid, Bytes)>;

/// A file of three leaves and a node, and its blocks in the order of the walk.
static FILE: LazyLock<(Cid, Order)> = LazyLock::new(|| {
    let profile = Profile::KuboCidV1;
    let content = contents(0, 0, 0, 2 * profile.leaf_size() + 100);
    let mut importer = Importer::new(profile);
    let mut leaves = Vec::new();
    let mut nodes = Vec::new();
    for leaf in content.chunks(profile.leaf_size()) {
        let cid = cid::of(Codec::Raw, leaf);
        leaves.push((cid.clone(), content.slice_ref(leaf)));
        nodes.extend(importer.push_leaf(cid, leaf.len() as u64));
    }
    let finished = importer.finish();
    nodes.extend(finished.nodes);
    let mut order: Order = nodes.into_iter().map(|block| (block.cid, block.data)).collect();
    order.extend(leaves);
    (finished.root, order)
});

/// Any bytes as a request, in any pieces: it reads back, has one spelling, and its answer ends and holds no more than was asked for.
pub(crate) fn request(data: &[u8]) {
    let mut input = Input::new(data);
    let cut = 1 + input.below(40);
    let mut bytes = Vec::new();
    let (root, order) = &*FILE;
    if input.flag() {
        // About content that is here, so that the answer is looked at, too.
        bytes.push(1 + input.byte() % 2);
        let name = if input.flag() { root } else { &order[input.below(order.len())].0 }.to_bytes();
        varint(name.len() as u64, &mut bytes);
        bytes.extend(name);
    }
    bytes.extend_from_slice(input.rest());
    let mut reader = RequestReader::default();
    for piece in bytes.chunks(cut) {
        if reader.receive(piece).is_err() {
            assert!(bytes.len() > limits::EXCHANGE_REQUEST);
            return;
        }
    }
    let decoded = reader.finish();
    assert_eq!(decoded, Request::decode(&bytes));
    let Ok(request) = decoded else { return };
    assert_eq!(&request.encode()[..], &bytes[..]);
    let store: Blocks = order.iter().cloned().collect();
    let most = match &request {
        Request::Dag { count, .. } => count.unwrap_or(u64::MAX).min(order.len() as u64),
        Request::Has { .. } | Request::Offer { .. } => 0,
    };
    let mut upload = Upload::new(request);
    let mut blocks = 0;
    for _ in 0..=order.len() {
        blocks += upload.records().iter().filter(|part| store.values().any(|block| block == *part)).count() as u64;
        let Some(cid) = upload.wants() else { break };
        upload.supply(store.get(&cid).cloned());
    }
    assert!(upload.wants().is_none(), "the answer does not end");
    assert!(blocks <= most);
}

/// Any response: only blocks that belong to the file are taken, in its order, and only a whole one counts as whole.
pub(crate) fn response(data: &[u8]) {
    let mut input = Input::new(data);
    let (root, order) = &*FILE;
    let scope = match input.below(3) {
        0 => Scope::Dag,
        1 => Scope::Block,
        _ => Scope::Range { offset: input.number(), length: input.number() },
    };
    let mut download = Download::new(root.clone(), scope);
    let mut probe = Probe::new(Request::Has { root: root.clone() });
    let mut arrived = 0;
    while !input.is_empty() && !download.is_complete() {
        let count = input.flag().then(|| input.number());
        if download.request_some(count).is_none() {
            break;
        }
        let refused = (0..1 + input.below(8)).any(|_| !receive(&mut download, &mut probe, &mut input, order));
        // What cannot be hashed here is hashed by the caller, who gives up at a wrong block; so does this one.
        let Some(taken) = take(&mut download, order) else { return };
        arrived += taken;
        assert!(download.progress().blocks >= arrived);
        if refused {
            return;
        }
        if let Ok(outcome) = download.finish() {
            assert!(outcome != Outcome::Delivered || download.is_complete() || count.is_some());
        }
    }
}

/// Gives some records to the download, in pieces, and to a probe; tells whether the download took them.
fn receive(download: &mut Download, probe: &mut Probe, input: &mut Input<'_>, order: &[(Cid, Bytes)]) -> bool {
    let bytes = records(input, order);
    let answered = probe.answer();
    let _ = probe.receive(bytes.clone());
    assert!(answered.is_none() || probe.answer() == answered);
    let cut = 1 + input.length(300_000);
    bytes.chunks(cut).all(|piece| download.receive(bytes.slice_ref(piece)).is_ok())
}

/// Takes what arrived; tells how many blocks, or nothing where one of them is wrong.
fn take(download: &mut Download, order: &[(Cid, Bytes)]) -> Option<u64> {
    let mut taken = 0;
    while let Some(block) = download.next() {
        let known = order.iter().find(|(cid, _)| *cid == block.cid).expect("a block of another file");
        if block.verified {
            assert_eq!(known.1, block.data, "a wrong block passed for verified");
        } else if !cid::verify(&block.cid, &block.data) {
            return None;
        }
        taken += 1;
    }
    Some(taken)
}

fn records(input: &mut Input<'_>, order: &[(Cid, Bytes)]) -> Bytes {
    let mut out = Vec::new();
    let (kind, payload) = match input.below(8) {
        0 => return input.bytes(usize::MAX),
        1..=3 => (1, order[input.below(order.len())].1.clone()),
        4 => (1, input.bytes(usize::MAX)),
        5 => (2 + 2 * (input.byte() % 2), Bytes::from(vec![input.byte() & 127])),
        6 => (3, Bytes::new()),
        _ => (5, Bytes::new()),
    };
    out.push(kind);
    varint(payload.len() as u64, &mut out);
    out.extend_from_slice(&payload);
    out.into()
}

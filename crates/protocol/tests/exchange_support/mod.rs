//! Files as blocks, and an exchange without a network.
#![allow(dead_code, clippy::expect_used, reason = "each test file uses a part of it")]

use bytes::Bytes;
use shoal_protocol::{
    content::{
        Cid, Codec, cid,
        import::{Importer, Profile},
    },
    exchange::{Arrived, Download, DownloadError, Outcome, Request, Upload},
};
use std::collections::BTreeMap;

/// What a peer has.
pub(crate) type Blocks = BTreeMap<Cid, Bytes>;

/// Content in which no two leaves are the same.
pub(crate) fn pattern(size: usize) -> Bytes {
    let word = |at: usize| (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(|at| word(at).to_be_bytes()).collect();
    bytes.truncate(size);
    bytes.into()
}

/// A file's root and blocks.
pub(crate) fn file(profile: Profile, content: &Bytes) -> (Cid, Blocks) {
    let mut importer = Importer::new(profile);
    let mut blocks = Blocks::new();
    let mut nodes = Vec::new();
    for leaf in content.chunks(profile.leaf_size()) {
        let cid = cid::of(Codec::Raw, leaf);
        blocks.insert(cid.clone(), content.slice_ref(leaf));
        nodes.extend(importer.push_leaf(cid, leaf.len() as u64));
    }
    let finished = importer.finish();
    nodes.extend(finished.nodes);
    blocks.extend(nodes.into_iter().map(|block| (block.cid, block.data)));
    (finished.root, blocks)
}

/// The whole response of a provider with these blocks.
pub(crate) fn answer(request: Request, store: &Blocks) -> Bytes {
    let mut upload = Upload::new(request);
    let mut response = Vec::new();
    loop {
        upload.records().iter().for_each(|part| response.extend_from_slice(part));
        let Some(cid) = upload.wants() else { return response.into() };
        upload.supply(store.get(&cid).cloned());
    }
}

/// One request and its response, without sessions.
pub(crate) fn transfer(download: &mut Download, store: &Blocks, mut take: impl FnMut(Arrived)) -> Result<Outcome, DownloadError> {
    let request = download.request().expect("something is missing");
    let request = Request::decode(&request.encode()).expect("reads back");
    let received = download.receive(answer(request, store));
    while let Some(block) = download.next() {
        take(block);
    }
    received?;
    Ok(download.finish()?)
}

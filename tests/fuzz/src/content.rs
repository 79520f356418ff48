//! Blocks and what they are made of: each kind alone, and whole DAGs that contradict themselves.

use std::collections::BTreeMap;

use bytes::Bytes;
use shoal_protocol::content::{
    Cid, Codec, cid, dag_pb,
    read::Read,
    unixfs,
    walk::{Scope, Walk},
};

use crate::input::Input;

/// Any bytes as a block, a message of UnixFS, a CID: what is read has one spelling, which reads back.
pub(crate) fn blocks(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(node) = dag_pb::decode(&bytes) {
        assert_eq!(dag_pb::encode(&node), bytes);
        if let Some(data) = &node.data
            && let Ok(message) = unixfs::decode(data)
        {
            assert_eq!(unixfs::decode(&unixfs::encode(&message)), Ok(message));
        }
    }
    if let Ok(message) = unixfs::decode(&bytes) {
        assert_eq!(unixfs::decode(&unixfs::encode(&message)), Ok(message));
    }
    if let Ok(cid) = cid::decode_bytes(data) {
        assert_eq!(cid::decode_bytes(&cid.to_bytes()), Ok(cid.clone()));
        assert_eq!(cid::parse(&cid.to_string()), Ok(cid));
    }
}

/// The most blocks of one DAG: enough for depth and for sharing, little enough to walk each in no time.
const BLOCKS: usize = 40;
/// Steps after which a walk through so few blocks does not end any more.
const STEPS: usize = 20_000;

/// Any DAG: the walk comes by each block at most once and ends; what is read of a file is as long as the file says, and a range of it is the
/// same bytes.
pub(crate) fn walk(data: &[u8]) {
    let mut input = Input::new(data);
    let mut store: BTreeMap<Cid, Bytes> = BTreeMap::new();
    let mut made: Vec<(Cid, u64)> = Vec::new();
    for _ in 0..1 + input.below(BLOCKS) {
        let (codec, block, size) = block(&mut input, &made);
        let cid = cid::of(codec, &block);
        store.insert(cid.clone(), block);
        made.push((cid, size));
    }
    let Some((root, _)) = made.last().cloned() else { return };
    for scope in [Scope::Dag, Scope::Block, Scope::Range { offset: input.number() >> 32, length: input.number() >> 32 }] {
        let mut walk = Walk::new(root.clone(), scope);
        let mut steps = 0;
        while let Some(cid) = walk.current().cloned() {
            let passed = walk.pass(store.get(&cid).map(|data| &data[..]));
            steps += 1;
            assert!(steps <= store.len(), "a block came twice");
            if passed.is_err() {
                break;
            }
            assert_eq!(walk.position(), steps as u64);
        }
    }
    let Some(whole) = read(&store, &root, 0, None) else { return };
    let (offset, length) = (input.length(usize::MAX), input.length(usize::MAX));
    let (start, end) = (offset.min(whole.len()), offset.saturating_add(length).min(whole.len()));
    if let Some(part) = read(&store, &root, offset as u64, Some(length as u64)) {
        assert_eq!(part, whole[start..end]);
    }
}

/// A leaf, or a node over blocks that were made before, with sizes that mostly are true.
fn block(input: &mut Input<'_>, made: &[(Cid, u64)]) -> (Codec, Bytes, u64) {
    if made.is_empty() || input.below(3) == 0 {
        let data = input.bytes(300);
        return (Codec::Raw, data.clone(), data.len() as u64);
    }
    let (mut links, mut sizes) = (Vec::new(), Vec::new());
    for _ in 0..input.below(12) {
        let (cid, size) = made[input.below(256) % made.len()].clone();
        links.push(dag_pb::Link { cid, name: input.flag().then(Bytes::new), size: None });
        sizes.push(if input.below(16) == 0 { input.number() } else { size });
    }
    let own = (input.below(4) == 0).then(|| input.bytes(20));
    let size = sizes.iter().fold(own.as_ref().map_or(0, |own| own.len() as u64), |sum, size| sum.saturating_add(*size));
    let declared = if input.below(16) == 0 { Some(input.number()) } else { Some(size) };
    let kind = if input.below(16) == 0 { unixfs::Kind::Directory } else { unixfs::Kind::File };
    let message = unixfs::Data { kind, data: own, file_size: declared, block_sizes: sizes };
    let node = dag_pb::Node { links, data: Some(unixfs::encode(&message)) };
    (Codec::DagPb, dag_pb::encode(&node), size)
}

/// The bytes of a file, or nothing where it is none, is broken, or repeats itself for too long.
fn read(store: &BTreeMap<Cid, Bytes>, root: &Cid, offset: u64, length: Option<u64>) -> Option<Vec<u8>> {
    let mut read = Read::new(root.clone(), offset, length);
    let mut out = Vec::new();
    for _ in 0..STEPS {
        let Some(cid) = read.current().cloned() else {
            let size = read.file_size()?;
            let expected = size.saturating_sub(offset).min(length.unwrap_or(u64::MAX));
            assert_eq!(out.len() as u64, expected, "of {size} bytes from {offset}");
            return Some(out);
        };
        let data = cid.known().or_else(|| store.get(&cid).cloned())?;
        out.extend(read.supply(&data).ok()?.unwrap_or_default());
    }
    None
}

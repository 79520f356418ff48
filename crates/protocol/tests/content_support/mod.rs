//! Files and other DAGs for the content tests: described as trees, stored as blocks.
#![allow(clippy::unwrap_used)] // helpers of tests panic like tests
#![allow(dead_code)] // every test file uses its own part

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use shoal_protocol::content::dag_pb::{self, Link, Node};
use shoal_protocol::content::unixfs::{self, Data, Kind};
use shoal_protocol::content::{Cid, Codec, cid};

/// Blocks by name. Those that a CID tells by itself are never in it.
pub(crate) type Blocks = BTreeMap<Cid, Bytes>;

/// A file as a tree of blocks, in any of the forms in which implementations write them.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    /// A raw block.
    Leaf(Vec<u8>),
    /// A raw leaf inside its CID.
    Inline(Vec<u8>),
    /// A node with bytes of its own (also the old style of leaf), and parts.
    Node(Vec<u8>, Vec<Tree>),
    /// The same inside its CID, where it is small enough.
    InlineNode(Vec<u8>, Vec<Tree>),
}

impl Tree {
    /// The file's bytes.
    pub(crate) fn content(&self) -> Vec<u8> {
        match self {
            Tree::Leaf(data) | Tree::Inline(data) => data.clone(),
            Tree::Node(own, parts) | Tree::InlineNode(own, parts) => {
                own.iter().copied().chain(parts.iter().flat_map(Tree::content)).collect()
            }
        }
    }

    /// Stores the blocks and names the root.
    pub(crate) fn store(&self, blocks: &mut Blocks) -> Cid {
        match self {
            Tree::Leaf(data) => put(blocks, Codec::Raw, data.clone()),
            Tree::Inline(data) => inline(Codec::Raw, data),
            Tree::Node(own, parts) | Tree::InlineNode(own, parts) => {
                let parts: Vec<_> = parts.iter().map(|part| (part.store(blocks), part.content().len() as u64)).collect();
                let node = file_node(own, &parts);
                match self {
                    Tree::InlineNode(..) if node.len() <= 128 => inline(Codec::DagPb, &node),
                    _ => put(blocks, Codec::DagPb, node),
                }
            }
        }
    }
}

/// Any file: few distinct leaves, so that blocks and whole branches repeat.
pub(crate) fn any_tree() -> impl Strategy<Value = Tree> {
    let data = || prop_oneof![Just(vec![]), Just(vec![1]), Just(vec![2, 3]), Just(vec![4, 5, 6, 7, 8]), Just(vec![9; 40])];
    let leaf = prop_oneof![4 => data().prop_map(Tree::Leaf), 1 => data().prop_map(Tree::Inline)];
    leaf.prop_recursive(4, 40, 5, move |tree| {
        let parts = || {
            let same = (tree.clone(), 0..4_usize).prop_map(|(tree, count)| vec![tree; count]);
            prop_oneof![3 => prop::collection::vec(tree.clone(), 0..5), 1 => same]
        };
        let own = || prop_oneof![3 => Just(vec![]), 1 => data()];
        prop_oneof![
            4 => (own(), parts()).prop_map(|(own, parts)| Tree::Node(own, parts)),
            1 => (own(), parts()).prop_map(|(own, parts)| Tree::InlineNode(own, parts)),
        ]
    })
}

/// A file's node with these bytes of its own and these parts.
pub(crate) fn file_node(own: &[u8], parts: &[(Cid, u64)]) -> Vec<u8> {
    let sizes: Vec<u64> = parts.iter().map(|(_, size)| *size).collect();
    let total = sizes.iter().fold(own.len() as u64, |sum, size| sum.wrapping_add(*size));
    let links: Vec<Cid> = parts.iter().map(|(cid, _)| cid.clone()).collect();
    node_of(&links, Some(Data { kind: Kind::File, data: own_data(own), file_size: Some(total), block_sizes: sizes }))
}

/// A node with these links and this UnixFS message.
pub(crate) fn node_of(links: &[Cid], message: Option<Data>) -> Vec<u8> {
    let links = links.iter().map(|cid| Link { cid: cid.clone(), name: Some(Bytes::new()), size: Some(7) }).collect();
    dag_pb::encode(&Node { links, data: message.map(|message| unixfs::encode(&message)) }).to_vec()
}

/// A directory of these entries.
pub(crate) fn directory(entries: &[Cid]) -> Vec<u8> {
    node_of(entries, Some(Data { kind: Kind::Directory, data: None, file_size: None, block_sizes: Vec::new() }))
}

/// Stores a block, unless its name tells it.
pub(crate) fn put(blocks: &mut Blocks, codec: Codec, data: Vec<u8>) -> Cid {
    let cid = cid::of(codec, &data);
    if cid.known().is_none() {
        blocks.insert(cid.clone(), data.into());
    }
    cid
}

/// A CID that holds its block.
pub(crate) fn inline(codec: Codec, data: &[u8]) -> Cid {
    let length = u8::try_from(data.len()).unwrap();
    let length = if length < 128 { vec![length] } else { vec![length, 1] };
    cid::decode_bytes(&[&[1, u8::try_from(codec.code()).unwrap(), 0], length.as_slice(), data].concat()).unwrap()
}

/// A raw block that nobody has, told apart by its number.
pub(crate) fn numbered(number: u64) -> Cid {
    let mut digest = [0x5a; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    cid::from_digest(Codec::Raw, digest)
}

fn own_data(own: &[u8]) -> Option<Bytes> {
    (!own.is_empty()).then(|| Bytes::copy_from_slice(own))
}

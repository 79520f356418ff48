//! How a file becomes a DAG: the caller cuts and hashes leaves, this builds the nodes above them.
//!
//! The layout is "balanced" (<https://specs.ipfs.tech/ipips/ipip-0499/>): nodes fill from left to right, and all leaves
//! are equally deep. Ten leaves at a width of three:
//!
//! ```text
//!   level 3                      root
//!                        ╱                  ╲
//!   level 2            ■                      ■            a node with a single link stays: it keeps
//!                 ╱    │    ╲                 │            the leaves below it as deep as the others
//!   level 1     ■      ■      ■               ■
//!             ╱ │ ╲  ╱ │ ╲  ╱ │ ╲             │
//!   leaves   0  1  2 3  4  5 6  7  8          9
//! ```
//!
//! A node is finished as soon as its last link is known, so only one unfinished node a level is ever held.
//!
//! ```
//! use shoal_protocol::content::{Codec, cid, import::{Importer, Profile}};
//!
//! let mut importer = Importer::new(Profile::UnixfsV1_2025);
//! let leaf = b"hello world"; // in a real file every leaf but the last has `Profile::leaf_size` bytes
//! let nodes = importer.push_leaf(cid::of(Codec::Raw, leaf), leaf.len() as u64);
//! assert!(nodes.is_empty());
//! let finished = importer.finish();
//! assert_eq!(finished.root.to_string(), "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e");
//! ```

use std::str::FromStr;

use bytes::Bytes;

use super::Block;
use super::cid::{self, Cid, Codec};
use super::dag_pb::{self, Link, Node};
use super::unixfs::{self, Data, Kind};

/// How files are cut and linked: it decides their CIDs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// IPIP-499's `unixfs-v1-2025`: leaves of 1 MiB, 1,024 links a node.
    #[default]
    UnixfsV1_2025,
    /// What `ipfs add --cid-version=1` does: leaves of 256 KiB, 174 links a node.
    KuboCidV1,
}

impl Profile {
    /// Bytes of every leaf but the last.
    pub fn leaf_size(self) -> usize {
        match self {
            Profile::UnixfsV1_2025 => 1024 * 1024,
            Profile::KuboCidV1 => 256 * 1024,
        }
    }

    /// Most links of a node.
    pub fn width(self) -> usize {
        match self {
            Profile::UnixfsV1_2025 => 1024,
            Profile::KuboCidV1 => 174,
        }
    }

    /// The name by which configurations call it; [`FromStr`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Profile::UnixfsV1_2025 => "unixfs-v1-2025",
            Profile::KuboCidV1 => "kubo-cid-v1",
        }
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        [Profile::UnixfsV1_2025, Profile::KuboCidV1].into_iter().find(|profile| profile.name() == name).ok_or(UnknownProfile)
    }
}

/// No profile has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such import profile: use \"unixfs-v1-2025\" or \"kubo-cid-v1\"")]
pub struct UnknownProfile;

/// Builds the nodes above a file's leaves, in constant memory.
#[derive(Debug)]
pub struct Importer {
    width: usize,
    /// Of each level, leaves first, what has no node above it yet: always fewer than `width`.
    levels: Vec<Vec<Child>>,
    size: u64,
}

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The file's name.
    pub root: Cid,
    /// Bytes of the file.
    pub size: u64,
    /// The nodes that were still unfinished, the root last; none where the file is a single leaf.
    pub nodes: Vec<Block>,
}

/// What a node says of a block below it.
#[derive(Debug)]
struct Child {
    cid: Cid,
    /// Bytes of the file.
    size: u64,
    /// Bytes of all blocks ("Tsize").
    total: u64,
}

impl Importer {
    /// An importer of one file.
    pub fn new(profile: Profile) -> Self {
        Self::with_width(profile.width())
    }

    fn with_width(width: usize) -> Self {
        Self { width, levels: Vec::new(), size: 0 }
    }

    /// Takes the file's next leaf, a raw block of `size` bytes, and gives back the nodes that it completed, lowest first.
    pub fn push_leaf(&mut self, cid: Cid, size: u64) -> Vec<Block> {
        self.size += size;
        let mut nodes = Vec::new();
        self.push(0, Child { cid, size, total: size }, &mut nodes);
        nodes
    }

    /// Ends the file. A file of one leaf is that leaf; one of none is the empty raw block.
    pub fn finish(mut self) -> Finished {
        let mut nodes = Vec::new();
        let mut level = 0;
        while level < self.levels.len() {
            let top = level + 1 == self.levels.len();
            match self.levels[level].len() {
                0 => {}
                1 if top => break,
                _ => self.close(level, &mut nodes),
            }
            level += 1;
        }
        let top = self.levels.pop().and_then(|mut children| children.pop());
        let root = top.map_or_else(|| cid::of(Codec::Raw, &[]), |root| root.cid);
        Finished { root, size: self.size, nodes }
    }

    fn push(&mut self, mut level: usize, child: Child, nodes: &mut Vec<Block>) {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(child);
        while self.levels[level].len() == self.width {
            self.close(level, nodes);
            level += 1;
        }
    }

    /// Links what this level has gathered from a new node, one level up.
    fn close(&mut self, level: usize, nodes: &mut Vec<Block>) {
        let children = std::mem::take(&mut self.levels[level]);
        let (parent, block) = node_above(children);
        nodes.push(block);
        if self.levels.len() == level + 1 {
            self.levels.push(Vec::new());
        }
        self.levels[level + 1].push(parent);
    }
}

fn node_above(children: Vec<Child>) -> (Child, Block) {
    let size = children.iter().map(|child| child.size).sum();
    let below: u64 = children.iter().map(|child| child.total).sum();
    let message =
        Data { kind: Kind::File, data: None, file_size: Some(size), block_sizes: children.iter().map(|child| child.size).collect() };
    let links = children
        .into_iter()
        // Kubo and Helia write the empty name out, and so its two bytes are part of every CID.
        .map(|child| Link { cid: child.cid, name: Some(Bytes::new()), size: Some(child.total) })
        .collect();
    let data = dag_pb::encode(&Node { links, data: Some(unixfs::encode(&message)) });
    let cid = cid::of(Codec::DagPb, &data);
    (Child { cid: cid.clone(), size, total: below + data.len() as u64 }, Block { cid, data })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The layout as boxo's builder describes it, top down: the least depth that has room, filled from the left, all
    /// leaves at that depth.
    fn reference(leaves: &[Child], width: usize) -> Child {
        let mut depth = 0;
        while width.pow(depth) < leaves.len() {
            depth += 1;
        }
        fill(leaves, width, depth)
    }

    fn fill(leaves: &[Child], width: usize, depth: u32) -> Child {
        if depth == 0 {
            let Child { cid, size, total } = &leaves[0];
            return Child { cid: cid.clone(), size: *size, total: *total };
        }
        node_above(leaves.chunks(width.pow(depth - 1)).map(|below| fill(below, width, depth - 1)).collect()).0
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nodes_are_balanced(width in 2..6_usize, count in 1..200_usize) {
            let leaves: Vec<_> = (0..count as u64)
                .map(|leaf| Child { cid: cid::of(Codec::Raw, &leaf.to_be_bytes()), size: leaf % 3, total: leaf % 3 })
                .collect();
            let mut importer = Importer::with_width(width);
            let mut nodes = Vec::new();
            for leaf in &leaves {
                nodes.extend(importer.push_leaf(leaf.cid.clone(), leaf.size));
                prop_assert!(importer.levels.iter().all(|level| level.len() < width));
            }
            let finished = importer.finish();
            nodes.extend(finished.nodes);

            let expected = reference(&leaves, width);
            prop_assert_eq!(&finished.root, &expected.cid);
            prop_assert_eq!(finished.size, expected.size);
            prop_assert!(count == 1 || nodes.last().is_some_and(|node| node.cid == finished.root));
        }
    }

    #[test]
    fn a_file_without_leaves_is_the_empty_block() {
        let finished = Importer::new(Profile::default()).finish();
        assert_eq!(finished.root.to_string(), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
        assert_eq!((finished.size, finished.nodes.len()), (0, 0));
    }
}

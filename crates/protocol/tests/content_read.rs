//! Reading gives a file's bytes back, whole or any range of them, whoever wrote it and however often blocks repeat.
#![allow(clippy::unwrap_used)] // helpers of tests panic like tests

mod content_support;

use bytes::Bytes;
use content_support::{Blocks, any_tree, directory, file_node, inline, put};
use proptest::prelude::*;
use shoal_protocol::content::import::{Importer, Profile};
use shoal_protocol::content::read::{Read, ReadError};
use shoal_protocol::content::{Cid, Codec, cid};
use shoal_protocol::limits::{BLOCK_BYTES, DAG_DEPTH};

/// Reads to the end; gives the output and how many blocks it took.
fn read(root: &Cid, offset: u64, length: Option<u64>, blocks: &Blocks) -> Result<(Vec<u8>, u64, Option<u64>), ReadError> {
    let mut read = Read::new(root.clone(), offset, length);
    let (mut output, mut loaded) = (Vec::new(), 0);
    while let Some(cid) = read.current() {
        let data = cid.known().unwrap_or_else(|| blocks[cid].clone());
        loaded += 1;
        if let Some(part) = read.supply(&data)? {
            assert!(!part.is_empty());
            output.extend_from_slice(&part);
        }
    }
    Ok((output, loaded, read.file_size()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_reads_back(tree in any_tree(), offset in 0..80_u64, length in prop::option::of(0..80_u64)) {
        let mut blocks = Blocks::new();
        let root = tree.store(&mut blocks);
        let content = tree.content();
        let end = length.map_or(content.len(), |length| content.len().min((offset + length) as usize));
        let expected = content.get(offset as usize..end).unwrap_or_default();

        let (output, _, size) = read(&root, offset, length, &blocks).unwrap();
        prop_assert_eq!(output, expected);
        prop_assert_eq!(size, Some(content.len() as u64));
        prop_assert_eq!(read(&root, 0, None, &blocks).unwrap().0, content);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_imported_file_reads_back(size in 0..2_000_000_usize, offset in 0..2_000_000_u64) {
        let content: Vec<u8> = (0..size).map(|at| (at / 70_000) as u8).collect();
        let mut blocks = Blocks::new();
        let mut importer = Importer::new(Profile::KuboCidV1);
        for leaf in content.chunks(Profile::KuboCidV1.leaf_size()) {
            let cid = put(&mut blocks, Codec::Raw, leaf.to_vec());
            let nodes = importer.push_leaf(cid, leaf.len() as u64);
            blocks.extend(nodes.into_iter().map(|node| (node.cid, node.data)));
        }
        let finished = importer.finish();
        blocks.extend(finished.nodes.into_iter().map(|node| (node.cid, node.data)));
        prop_assert!(blocks.iter().all(|(cid, data)| cid::verify(cid, data)));

        let (output, _, found) = read(&finished.root, offset, None, &blocks).unwrap();
        prop_assert_eq!(found, Some(finished.size));
        prop_assert!(output == content.get(offset as usize..).unwrap_or_default());
    }
}

#[test]
fn a_range_loads_only_what_it_needs() {
    let mut blocks = Blocks::new();
    let leaves: Vec<_> = (0..10_u8).map(|byte| (put(&mut blocks, Codec::Raw, vec![byte; 100]), 100)).collect();
    let halves: Vec<_> = leaves.chunks(5).map(|half| (put(&mut blocks, Codec::DagPb, file_node(b"", half)), 500)).collect();
    let root = put(&mut blocks, Codec::DagPb, file_node(b"", &halves));

    for (offset, length, loaded) in [(0, None, 13), (710, Some(80), 3), (499, Some(2), 5), (500, Some(0), 1), (1_000, None, 1)] {
        let (output, blocks_loaded, _) = read(&root, offset, length, &blocks).unwrap();
        assert_eq!(output.len() as u64, length.unwrap_or(1_000 - offset));
        assert_eq!(blocks_loaded, loaded, "{offset} {length:?}");
    }
}

/// 2^60 ways down to nothing would be read for years, were they read at all.
#[test]
fn empty_parts_are_not_looked_into() {
    let mut blocks = Blocks::new();
    let mut root = put(&mut blocks, Codec::Raw, vec![]);
    for _ in 0..60 {
        let node = file_node(b"", &[(root.clone(), 0), (root, 0)]);
        root = put(&mut blocks, Codec::DagPb, node);
    }
    assert_eq!(read(&root, 0, None, &blocks), Ok((vec![], 1, Some(0))));
}

#[test]
fn what_is_no_file_is_refused() {
    let mut blocks = Blocks::new();
    let note = put(&mut blocks, Codec::Raw, b"note".to_vec());
    let folder = put(&mut blocks, Codec::DagPb, directory(std::slice::from_ref(&note)));
    let album = put(&mut blocks, Codec::DagPb, file_node(b"", &[(folder.clone(), 4)]));
    let lie = put(&mut blocks, Codec::DagPb, file_node(b"", &[(note.clone(), 5)]));
    let mut deep = inline(Codec::Raw, b"x");
    for _ in 0..=DAG_DEPTH {
        let node = file_node(b"", &[(deep, 1)]);
        deep = put(&mut blocks, Codec::DagPb, node);
    }

    let cases = [
        (folder, ReadError::NotAFile),
        (album, ReadError::NotAFile),
        (lie, ReadError::Size { declared: 5, found: 4 }),
        (deep, ReadError::TooDeep),
    ];
    for (root, expected) in cases {
        assert_eq!(read(&root, 0, None, &blocks).unwrap_err(), expected);
    }
    let mut over = Read::new(note.clone(), 0, None);
    over.supply(&blocks[&note]).unwrap();
    assert_eq!(over.supply(&blocks[&note]), Err(ReadError::Over));
    let long = Bytes::from(vec![0; BLOCK_BYTES + 1]);
    assert_eq!(Read::new(note, 0, None).supply(&long), Err(ReadError::BlockTooLong { length: long.len() }));
}

//! Both sides of an exchange pass the same blocks, in the same order, each once; and no DAG makes a walk go wild.
#![allow(clippy::unwrap_used)] // helpers of tests panic like tests

mod content_support;

use std::ops::Range;

use bytes::Bytes;
use content_support::{Blocks, any_tree, directory, file_node, inline, node_of, numbered, put};
use proptest::prelude::*;
use shoal_protocol::content::unixfs::{self, Data, Kind};
use shoal_protocol::content::walk::{Scope, Walk, WalkError};
use shoal_protocol::content::{Cid, Codec, ShapeError, cid, dag_pb};
use shoal_protocol::limits::{BLOCK_BYTES, DAG_DEPTH, LINKS_PER_NODE, WALK_BLOCKS};

/// Walks to the end with all bytes, as one who stores does, and names what passed.
fn walk(root: &Cid, scope: Scope, blocks: &Blocks) -> Result<(Walk, Vec<Cid>), WalkError> {
    let mut walk = Walk::new(root.clone(), scope);
    let mut passed = Vec::new();
    while let Some(cid) = walk.current().cloned() {
        walk.pass(blocks.get(&cid).map(|data| data.as_ref()))?;
        passed.push(cid);
    }
    Ok((walk, passed))
}

fn order(root: &Cid, scope: Scope, blocks: &Blocks) -> Vec<Cid> {
    walk(root, scope, blocks).unwrap().1
}

/// The specification of the order, without any of the walk's economy: every occurrence is looked into.
fn reference(cid: &Cid, at: Option<Range<u64>>, range: &Range<u64>, blocks: &Blocks, passed: &mut Vec<Cid>) {
    let root = at.is_none();
    let at = at.unwrap_or(0..u64::MAX);
    if !root && (at.is_empty() || at.start >= range.end || at.end <= range.start) {
        return;
    }
    if cid.known().is_none() && !passed.contains(cid) {
        passed.push(cid.clone());
    }
    let Some(block) = cid.known().or_else(|| blocks.get(cid).cloned()).filter(|_| cid.codec() == Codec::DagPb) else {
        return;
    };
    let node = dag_pb::decode(&block).unwrap();
    let message = unixfs::decode(&node.data.unwrap()).unwrap();
    let mut start = at.start + message.data.unwrap_or_default().len() as u64;
    for (link, size) in node.links.iter().zip(message.block_sizes) {
        reference(&link.cid, Some(start..start + size), range, blocks, passed);
        start += size;
    }
}

/// Sizes of which some contradict, some agree and some overflow.
fn declared_size() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..4_u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1), 1 => Just(1 << 63)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_range_passes_what_overlaps_it_and_no_more(tree in any_tree(), offset in 0..60_u64, length in 0..60_u64) {
        let mut blocks = Blocks::new();
        let root = tree.store(&mut blocks);
        let size = tree.content().len() as u64;
        let (walk, passed) = walk(&root, Scope::Range { offset, length }, &blocks).unwrap();

        let mut expected = Vec::new();
        reference(&root, None, &(offset..offset + length), &blocks, &mut expected);
        prop_assert_eq!(passed, expected);
        prop_assert_eq!(walk.file_size(), Some(size));
        prop_assert_eq!(walk.bytes_passed(), size.min(offset + length).saturating_sub(offset));
    }

    #[test]
    fn a_dag_passes_every_block_once_and_before_its_links(tree in any_tree()) {
        let mut blocks = Blocks::new();
        let root = tree.store(&mut blocks);
        let size = tree.content().len() as u64;
        let (walk, mut passed) = walk(&root, Scope::Dag, &blocks).unwrap();

        if !passed.is_empty() && root.known().is_none() {
            prop_assert_eq!(&passed[0], &root);
        }
        prop_assert_eq!(walk.position(), passed.len() as u64);
        prop_assert_eq!(walk.file_size(), Some(size));
        prop_assert_eq!(walk.bytes_passed(), size);
        passed.sort();
        prop_assert_eq!(passed, blocks.into_keys().collect::<Vec<_>>());
    }

    /// The provider skips raw blocks unread, the requester has them: they agree at every position, and so a position is
    /// all that it takes to go on later.
    #[test]
    fn the_order_does_not_depend_on_leaves(tree in any_tree(), scope in prop_oneof![
        Just(Scope::Dag),
        (0..60_u64, 0..60_u64).prop_map(|(offset, length)| Scope::Range { offset, length }),
    ]) {
        let mut blocks = Blocks::new();
        let root = tree.store(&mut blocks);
        let (mut one, mut other) = (Walk::new(root.clone(), scope), Walk::new(root, scope));
        while let Some(cid) = one.current().cloned() {
            prop_assert_eq!(Some(&cid), other.current());
            prop_assert_eq!(one.position(), other.position());
            let data = blocks.get(&cid).map(|data| data.as_ref());
            one.pass(data).unwrap();
            other.pass(if other.needs_data() { data } else { None }).unwrap();
        }
        prop_assert_eq!(other.current(), None);
    }

    /// Blocks that link to each other at will, in circles too, and declare any sizes. No hash allows most of it.
    #[test]
    fn any_links_end_in_an_error_or_an_end(
        nodes in prop::collection::vec((prop::collection::vec((0..6_usize, declared_size()), 0..4), any::<bool>()), 6),
        offset in declared_size(),
        length in declared_size(),
    ) {
        let names: Vec<_> = (0..6_u8).map(|number| cid::from_digest(Codec::DagPb, [number; 32])).collect();
        let blocks: Blocks = names.iter().cloned().zip(nodes.iter().map(|(links, file)| {
            let parts: Vec<_> = links.iter().map(|(to, size)| (names[*to].clone(), *size)).collect();
            let entries: Vec<_> = parts.iter().map(|(to, _)| to.clone()).collect();
            Bytes::from(if *file { file_node(&[7], &parts) } else { directory(&entries) })
        })).collect();
        for scope in [Scope::Block, Scope::Dag, Scope::Range { offset, length }] {
            if let Ok((walk, passed)) = walk(&names[0], scope, &blocks) {
                prop_assert!(passed.len() <= names.len());
                prop_assert!(walk.file_size().is_none_or(|size| walk.bytes_passed() <= size || scope == Scope::Dag));
            }
        }
    }

    /// Bytes that do not belong to their names, as no hash ever lets through: errors, but no panic and no endless walk.
    #[test]
    fn any_bytes_end_in_an_error_or_an_end(tree in any_tree(), garbage in prop::collection::vec(any::<u8>(), 0..64), flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut blocks = Blocks::new();
        let root = tree.store(&mut blocks);
        for scope in [Scope::Block, Scope::Dag, Scope::Range { offset: 3, length: u64::MAX }] {
            let mut walk = Walk::new(root.clone(), scope);
            while let Some(cid) = walk.current() {
                let mut data = blocks.get(cid).map_or_else(|| garbage.clone(), |data| data.to_vec());
                for (at, flip) in &flips {
                    let at = at % data.len().max(1);
                    if let Some(byte) = data.get_mut(at) { *byte ^= flip }
                }
                if walk.pass(Some(&data)).is_err() { break }
                prop_assert!(walk.position() < 1_000);
            }
        }
    }
}

#[test]
fn directories_pass_their_entries_in_order() {
    let mut blocks = Blocks::new();
    let note = put(&mut blocks, Codec::Raw, b"note".to_vec());
    let picture = put(&mut blocks, Codec::Raw, b"picture".to_vec());
    let album_node = file_node(b"", &[(picture.clone(), 7), (note.clone(), 4)]);
    let album = put(&mut blocks, Codec::DagPb, album_node);
    let symlink = node_of(
        &[],
        Some(Data { kind: Kind::Symlink, data: Some(Bytes::from_static(b"../note")), file_size: None, block_sizes: Vec::new() }),
    );
    let symlink = put(&mut blocks, Codec::DagPb, symlink);
    let inner = put(&mut blocks, Codec::DagPb, directory(&[note.clone(), symlink.clone()]));
    let root = put(&mut blocks, Codec::DagPb, directory(&[album.clone(), inner.clone(), note.clone(), album.clone()]));

    assert_eq!(order(&root, Scope::Dag, &blocks), [root.clone(), album, picture, note, inner, symlink]);
    assert_eq!(order(&root, Scope::Block, &blocks), [root]);
}

#[test]
fn nodes_without_unixfs_pass_their_links() {
    let mut blocks = Blocks::new();
    let below = put(&mut blocks, Codec::Raw, b"below".to_vec());
    let bare_node = node_of(std::slice::from_ref(&below), None);
    let bare = put(&mut blocks, Codec::DagPb, bare_node);
    let odd_node = dag_pb::encode(&dag_pb::Node {
        links: vec![dag_pb::Link { cid: bare.clone(), name: None, size: None }],
        data: Some(Bytes::from_static(b"not a UnixFS message")),
    });
    let odd = put(&mut blocks, Codec::DagPb, odd_node.to_vec());

    let (walk, passed) = walk(&odd, Scope::Dag, &blocks).unwrap();
    assert_eq!(passed, [odd, bare, below]);
    assert_eq!(walk.file_size(), None);
}

#[test]
fn what_names_tell_never_travels() {
    let mut blocks = Blocks::new();
    let leaf = put(&mut blocks, Codec::Raw, b"leaf".to_vec());
    let empty = put(&mut blocks, Codec::Raw, vec![]);
    let inline_leaf = inline(Codec::Raw, b"tiny");
    let inline_node = inline(Codec::DagPb, &file_node(b"own", &[(leaf.clone(), 4)]));
    let root_node = file_node(b"", &[(empty.clone(), 0), (inline_leaf.clone(), 4), (inline_node.clone(), 7)]);
    let root = put(&mut blocks, Codec::DagPb, root_node);

    let (walk_of_root, passed) = walk(&root, Scope::Dag, &blocks).unwrap();
    assert_eq!(passed, [root, leaf.clone()]);
    assert_eq!((walk_of_root.file_size(), walk_of_root.bytes_passed()), (Some(11), 11));

    for (known, size, below) in [(empty, 0, vec![]), (inline_leaf, 4, vec![]), (inline_node, 7, vec![leaf])] {
        let (walk, passed) = walk(&known, Scope::Dag, &blocks).unwrap();
        assert_eq!(passed, below);
        assert_eq!((walk.file_size(), walk.bytes_passed()), (Some(size), size));
    }
}

#[test]
fn a_raw_root_has_every_scope() {
    let mut blocks = Blocks::new();
    let root = put(&mut blocks, Codec::Raw, b"0123456789".to_vec());
    let range = |offset, length| Scope::Range { offset, length };
    for (scope, bytes) in [(Scope::Block, 10), (Scope::Dag, 10), (range(2, 3), 3), (range(8, 9), 2), (range(10, 1), 0), (range(0, 0), 0)] {
        let (walk, passed) = walk(&root, scope, &blocks).unwrap();
        assert_eq!(passed, std::slice::from_ref(&root));
        assert_eq!((walk.file_size(), walk.bytes_passed(), walk.position()), (Some(10), bytes, 1));
    }
}

#[test]
fn a_range_needs_a_file() {
    let mut blocks = Blocks::new();
    let note = put(&mut blocks, Codec::Raw, b"note".to_vec());
    let root = put(&mut blocks, Codec::DagPb, directory(&[note]));
    assert_eq!(walk(&root, Scope::Range { offset: 0, length: 1 }, &blocks).unwrap_err(), WalkError::NotAFile);
}

/// 40 nodes, each linking twice to the next: 2^40 ways down, 41 blocks.
#[test]
fn a_fan_out_bomb_is_41_blocks() {
    let mut blocks = Blocks::new();
    let (mut root, mut size) = (put(&mut blocks, Codec::Raw, vec![1]), 1_u64);
    for _ in 0..40 {
        let node = file_node(b"", &[(root.clone(), size), (root, size)]);
        (root, size) = (put(&mut blocks, Codec::DagPb, node), size * 2);
    }
    for (offset, length) in [(0, u64::MAX), (1, size - 2), (size / 3, size / 3), (size - 1, 1)] {
        let (walk, passed) = walk(&root, Scope::Range { offset, length }, &blocks).unwrap();
        assert_eq!((passed.len(), walk.file_size(), walk.bytes_passed()), (41, Some(size), length.min(size)));
    }
    let (walk_of_dag, passed) = walk(&root, Scope::Dag, &blocks).unwrap();
    assert_eq!((passed.len(), walk_of_dag.bytes_passed()), (41, size));

    // And as directories, whose links have no sizes.
    let mut root = put(&mut blocks, Codec::Raw, vec![1]);
    for _ in 0..40 {
        root = put(&mut blocks, Codec::DagPb, directory(&[root.clone(), root]));
    }
    assert_eq!(order(&root, Scope::Dag, &blocks).len(), 41);
}

#[test]
fn depth_is_bounded() {
    let mut blocks = Blocks::new();
    let mut chain = vec![put(&mut blocks, Codec::Raw, vec![1])];
    for depth in 0..10_000 {
        let node = file_node(b"", &[(chain[depth].clone(), 1)]);
        chain.push(put(&mut blocks, Codec::DagPb, node));
    }
    assert_eq!(order(&chain[DAG_DEPTH], Scope::Dag, &blocks).len(), DAG_DEPTH + 1);

    let mut walk = Walk::new(chain[10_000].clone(), Scope::Dag);
    let error = loop {
        let data = blocks.get(walk.current().unwrap()).unwrap().clone();
        if let Err(error) = walk.pass(Some(&data)) {
            break error;
        }
    };
    assert_eq!((error, walk.position()), (WalkError::TooDeep, DAG_DEPTH as u64));
}

#[test]
fn blocks_are_bounded() {
    let mut blocks = Blocks::new();
    let mut nodes = Vec::new();
    for first in (0..=WALK_BLOCKS as u64).step_by(LINKS_PER_NODE) {
        let leaves: Vec<_> = (first..first + LINKS_PER_NODE as u64).map(numbered).collect();
        nodes.push(put(&mut blocks, Codec::DagPb, directory(&leaves)));
    }
    let root = put(&mut blocks, Codec::DagPb, directory(&nodes));
    let mut walk = Walk::new(root, Scope::Dag);
    let error = loop {
        let data = blocks.get(walk.current().unwrap()).cloned();
        if let Err(error) = walk.pass(data.as_deref()) {
            break error;
        }
    };
    assert_eq!((error, walk.position()), (WalkError::TooManyBlocks, WALK_BLOCKS as u64));
}

#[test]
fn contradictions_are_refused() {
    let leaf = |data: &[u8]| (Codec::Raw, data.to_vec());
    let node = |own: &[u8], parts: &[(Cid, u64)]| (Codec::DagPb, file_node(own, parts));
    let message = |block_sizes: &[u64], file_size| {
        Some(Data { kind: Kind::File, data: None, file_size: Some(file_size), block_sizes: block_sizes.to_vec() })
    };
    let cid = |(codec, data): &(Codec, Vec<u8>)| cid::of(*codec, data);
    let note = leaf(b"note");
    let album = node(b"", &[(cid(&note), 4)]);
    let folder = (Codec::DagPb, directory(&[cid(&note)]));
    let size = |declared, found| WalkError::Size { declared, found };

    let cases = [
        (
            "fewer sizes than links",
            (Codec::DagPb, node_of(&[cid(&note)], message(&[], 0))),
            ShapeError::PartCount { links: 1, sizes: 0 }.into(),
        ),
        ("more sizes than links", (Codec::DagPb, node_of(&[], message(&[4], 4))), ShapeError::PartCount { links: 0, sizes: 1 }.into()),
        (
            "10 GB out of nothing",
            (Codec::DagPb, node_of(&[cid(&note)], message(&[4], 10_000_000_000))),
            ShapeError::Sum { declared: 10_000_000_000, sum: 4 }.into(),
        ),
        ("sizes past 64 bits", (Codec::DagPb, node_of(&[cid(&note), cid(&note)], message(&[u64::MAX, 5], 4))), ShapeError::TooLarge.into()),
        ("own bytes past 64 bits", node(b"own", &[(cid(&note), u64::MAX - 2)]), ShapeError::TooLarge.into()),
        ("a leaf of another size", node(b"", &[(cid(&note), 5)]), size(5, 4)),
        ("a node of another size", node(b"", &[(cid(&album), 5)]), size(5, 4)),
        ("a repeat of another size", node(b"", &[(cid(&album), 4), (cid(&album), 5)]), size(4, 5)),
        ("a repeated leaf of another size", node(b"", &[(cid(&album), 4), (cid(&note), 5)]), size(4, 5)),
        ("an inline leaf of another size", node(b"", &[(inline(Codec::Raw, b"x"), 2)]), size(2, 1)),
        ("a directory in a file", node(b"", &[(cid(&folder), 4)]), WalkError::NotAFile),
    ];
    for (case, root, expected) in cases {
        let blocks: Blocks = [&note, &album, &folder, &root].into_iter().map(|block| (cid(block), Bytes::from(block.1.clone()))).collect();
        assert_eq!(walk(&cid(&root), Scope::Dag, &blocks).unwrap_err(), expected, "{case}");
    }
}

#[test]
fn misuse_is_told() {
    let mut blocks = Blocks::new();
    let note = put(&mut blocks, Codec::Raw, b"note".to_vec());
    let folder = put(&mut blocks, Codec::DagPb, directory(std::slice::from_ref(&note)));

    let mut over = Walk::new(note.clone(), Scope::Dag);
    over.pass(None).unwrap();
    assert_eq!((over.file_size(), over.current()), (None, None));
    assert_eq!(over.pass(None), Err(WalkError::Over));
    assert_eq!(Walk::new(folder, Scope::Dag).pass(None), Err(WalkError::DataNeeded));
    let long = vec![0; BLOCK_BYTES + 1];
    assert_eq!(Walk::new(note, Scope::Dag).pass(Some(&long)), Err(WalkError::BlockTooLong { length: long.len() }));
}

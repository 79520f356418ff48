//! CIDs, dag-pb nodes and UnixFS messages: one thing, one encoding; any other bytes are refused, and none makes us panic.

#![allow(clippy::unwrap_used)] // helpers of tests panic like tests

mod content_support;

use bytes::Bytes;
use content_support::{inline, node_of, numbered};
use proptest::prelude::*;
use shoal_protocol::content::cid::{self, CidError};
use shoal_protocol::content::dag_pb::{self, DagPbError, Link, Node};
use shoal_protocol::content::unixfs::{self, Data, Kind, UnixFsError};
use shoal_protocol::content::{Cid, Codec};
use shoal_protocol::limits::{BLOCK_BYTES, CID_TEXT, IDENTITY_BYTES, LINKS_PER_NODE};

fn any_codec() -> impl Strategy<Value = Codec> {
    prop_oneof![Just(Codec::Raw), Just(Codec::DagPb)]
}

fn any_cid() -> impl Strategy<Value = Cid> {
    prop_oneof![
        (any_codec(), any::<[u8; 32]>()).prop_map(|(codec, digest)| cid::from_digest(codec, digest)),
        (any_codec(), prop::collection::vec(any::<u8>(), 0..=IDENTITY_BYTES)).prop_map(|(codec, data)| inline(codec, &data)),
    ]
}

fn any_bytes(most: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}

fn any_node() -> impl Strategy<Value = Node> {
    let link =
        (any_cid(), prop::option::of(any_bytes(9)), prop::option::of(any::<u64>())).prop_map(|(cid, name, size)| Link { cid, name, size });
    (prop::collection::vec(link, 0..5), prop::option::of(any_bytes(20))).prop_map(|(links, data)| Node { links, data })
}

fn any_message() -> impl Strategy<Value = Data> {
    let kinds = [Kind::Raw, Kind::Directory, Kind::File, Kind::Metadata, Kind::Symlink, Kind::HamtShard];
    let kind = prop::sample::select(kinds.to_vec());
    (kind, prop::option::of(any_bytes(9)), prop::option::of(any::<u64>()), prop::collection::vec(any::<u64>(), 0..5))
        .prop_map(|(kind, data, file_size, block_sizes)| Data { kind, data, file_size, block_sizes })
}

/// Bytes that are almost right: one is changed, left out or added.
fn mutated(bytes: &[u8], at: usize, change: u8) -> [Vec<u8>; 3] {
    let at = at % bytes.len().max(1);
    let (before, rest) = bytes.split_at(at.min(bytes.len()));
    let after = rest.get(1..).unwrap_or_default();
    let changed = rest.first().map(|byte| byte ^ change);
    [
        before.iter().copied().chain(changed).chain(after.iter().copied()).collect(),
        [before, after].concat(),
        [before, &[change], rest].concat(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cids_read_back(cid in any_cid(), base in prop::sample::select(vec!['b', 'B', 'k', 'z', 'f', 'u', 'm'])) {
        let bytes = cid.to_bytes();
        prop_assert_eq!(cid::decode_bytes(&bytes), Ok(cid.clone()));
        prop_assert_eq!(cid.to_string().parse(), Ok(cid.clone()));
        let base = multibase::Base::from_code(base).unwrap();
        prop_assert_eq!(cid::parse(&multibase::encode(base, &bytes)), Ok(cid));
    }

    #[test]
    fn nodes_read_back(node in any_node()) {
        prop_assert_eq!(dag_pb::decode(&dag_pb::encode(&node)), Ok(node));
    }

    #[test]
    fn messages_read_back(message in any_message()) {
        prop_assert_eq!(unixfs::decode(&unixfs::encode(&message)), Ok(message));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any_bytes(200), text in ".{0,300}") {
        let _ = (cid::parse(&text), cid::decode_bytes(&bytes), dag_pb::decode(&bytes), unixfs::decode(&bytes));
        let _ = cid::parse(&multibase::encode(multibase::Base::Base32Lower, &bytes));
    }

    /// Whatever is accepted is the one encoding of what it says: nobody can store the same thing under two names.
    #[test]
    fn almost_right_bytes_are_canonical_or_refused(cid in any_cid(), node in any_node(), message in any_message(), at: usize, change in 1..=255_u8) {
        for bytes in mutated(&cid.to_bytes(), at, change) {
            if let Ok(found) = cid::decode_bytes(&bytes) {
                prop_assert_eq!(found.to_bytes(), bytes);
            }
        }
        for bytes in mutated(&dag_pb::encode(&node), at, change) {
            let bytes = Bytes::from(bytes);
            if let Ok(found) = dag_pb::decode(&bytes) {
                prop_assert_eq!(dag_pb::encode(&found), bytes);
            }
        }
        for bytes in mutated(&unixfs::encode(&message), at, change) {
            let _ = unixfs::decode(&Bytes::from(bytes)); // has optional fields, so need not be canonical
        }
    }

    #[test]
    fn blocks_fit_their_name_only(codec in any_codec(), data in any_bytes(300), at: usize, change in 1..=255_u8) {
        let named = cid::of(codec, &data);
        prop_assert!(cid::verify(&named, &data));
        let [changed, shorter, longer] = mutated(&data, at, change);
        prop_assert!(data.is_empty() || !cid::verify(&named, &changed));
        prop_assert!(data.is_empty() || !cid::verify(&named, &shorter));
        prop_assert!(!cid::verify(&named, &longer));
    }
}

#[test]
fn cids_of_other_kinds_are_refused() {
    let digest = [7; 32];
    let cid = |header: &[u8], digest: &[u8]| cid::decode_bytes(&[header, digest].concat());
    let long_identity = [&[1, 0x55, 0, 0x81, 1], [0; IDENTITY_BYTES + 1].as_slice()].concat();

    assert_eq!(cid(&[1, 0x71, 0x12, 32], &digest), Err(CidError::Codec { code: 0x71 }), "dag-cbor");
    assert_eq!(cid(&[1, 0x55, 0x13, 32], &digest), Err(CidError::Hash { code: 0x13 }), "sha2-512 cut short");
    assert_eq!(cid(&[2, 0x55, 0x12, 32], &digest), Err(CidError::Version { version: 2 }));
    assert_eq!(cid(&[0, 0x55, 0x12, 32], &digest), Err(CidError::Version { version: 0 }));
    assert_eq!(cid(&[0x81, 0, 0x55, 0x12, 32], &digest), Err(CidError::Truncated), "a number in two bytes for one");
    assert_eq!(cid(&[1, 0x55, 0x12, 32], &[7; 33]), Err(CidError::Digest { length: 33 }), "trailing byte");
    assert_eq!(cid::decode_bytes(&long_identity), Err(CidError::TooLong { length: 134 }));
    for length in 0..32_u8 {
        let digest = &digest[..length.into()];
        assert_eq!(cid(&[1, 0x55, 0x12, length], digest), Err(CidError::Digest { length: length.into() }), "a digest cut short");
        assert!(cid(&[1, 0x55, 0x12, 32], digest).is_err());
        assert!(cid(&[0x12, 32], digest).is_err());
    }
}

#[test]
fn cids_as_people_write_them() {
    let same = ["bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354", "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"];
    let empty_directory = cid::of(Codec::DagPb, &[0x0a, 0x02, 0x08, 0x01]);
    for text in same {
        assert_eq!(cid::parse(text).unwrap(), empty_directory);
    }
    assert_eq!(empty_directory.to_string(), same[0]);

    let prefixed_v0 = format!("z{}", same[1]);
    for text in ["", "b", "bafy", "Qm", "shoal", " bafkrei", &same[0][..50], &same[1][..45], &prefixed_v0, "båfy", "\u{0}\u{1}"] {
        assert!(cid::parse(text).is_err(), "{text:?}");
    }
    let long = "b".repeat(CID_TEXT + 1);
    assert_eq!(cid::parse(&long), Err(CidError::TooLong { length: CID_TEXT + 1 }));
}

#[test]
fn what_a_name_tells_needs_no_asking() {
    assert_eq!(cid::of(Codec::Raw, b"").known(), Some(Bytes::new()));
    assert_eq!(cid::of(Codec::DagPb, b"").known(), Some(Bytes::new()));
    assert_eq!(inline(Codec::Raw, b"tiny").known(), Some(Bytes::from_static(b"tiny")));
    assert_eq!(cid::of(Codec::Raw, b"tiny").known(), None);
    assert!(cid::verify(&inline(Codec::Raw, b"tiny"), b"tiny"));
    assert!(!cid::verify(&inline(Codec::Raw, b"tiny"), b"tinY"));
}

#[test]
fn nodes_are_strict() {
    let link = |fields: &[&[u8]]| {
        let message = fields.concat();
        [&[0x12, u8::try_from(message.len()).unwrap()], message.as_slice()].concat()
    };
    let hash = [&[0x0a, 36], numbered(1).to_bytes().as_slice()].concat();
    let (name, size, data) = ([0x12, 1, b'n'], [0x18, 9], [0x0a, 1, 7]);
    let whole = link(&[&hash, &name, &size]);
    let decode = |parts: &[&[u8]]| dag_pb::decode(&Bytes::from(parts.concat()));
    assert!(decode(&[&whole, &whole, &data]).is_ok());
    assert!(decode(&[]).is_ok());

    let past_64_bits = [0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 3];
    let refused: [(&str, &[&[u8]]); 12] = [
        ("a size past 64 bits", &[&link(&[&hash, &past_64_bits])]),
        ("data before links", &[&data, &whole]),
        ("data twice", &[&data, &data]),
        ("name before hash", &[&link(&[&name, &hash])]),
        ("size before name", &[&link(&[&hash, &size, &name])]),
        ("hash twice", &[&link(&[&hash, &hash])]),
        ("no hash", &[&link(&[&name])]),
        ("a field that does not exist", &[&whole, &[0x1a, 0]]),
        ("a link's field that does not exist", &[&link(&[&hash, &[0x20, 1]])]),
        ("data as a number", &[&[0x08, 1]]),
        ("a group", &[&[0x0b, 0x0c]]),
        ("a length in two bytes for one", &[&[0x0a, 0x81, 0, 7]]),
    ];
    for (case, parts) in refused {
        assert_eq!(decode(parts), Err(DagPbError::Malformed), "{case}");
    }
    assert_eq!(decode(&[&link(&[&[0x0a, 1, 1]])]), Err(DagPbError::Link(CidError::Truncated)));
}

#[test]
fn nodes_are_bounded() {
    let links = vec![numbered(1); LINKS_PER_NODE + 1];
    assert!(dag_pb::decode(&node_of(&links[1..], None).into()).is_ok());
    assert_eq!(dag_pb::decode(&node_of(&links, None).into()), Err(DagPbError::TooManyLinks));
    let long = Bytes::from(vec![0; BLOCK_BYTES + 1]);
    assert_eq!(dag_pb::decode(&long), Err(DagPbError::TooLong { length: long.len() }));
}

#[test]
fn messages_of_other_writers_are_understood() {
    let decode = |bytes: &[u8]| unixfs::decode(&Bytes::copy_from_slice(bytes));
    let file = |block_sizes: &[u64]| Data { kind: Kind::File, data: None, file_size: Some(5), block_sizes: block_sizes.to_vec() };
    assert_eq!(decode(&[0x08, 2, 0x18, 5, 0x20, 2, 0x20, 3]), Ok(file(&[2, 3])));
    assert_eq!(decode(&[0x22, 2, 2, 3, 0x18, 5, 0x08, 2]), Ok(file(&[2, 3])), "packed, in another order");
    assert_eq!(decode(&[0x08, 2, 0x18, 5, 0x38, 0xa4, 3, 0x42, 2, 8, 1, 0x4d, 0, 0, 0, 0]), Ok(file(&[])), "with mode and mtime");

    for bytes in [&[][..], &[0x18, 5], &[0x08, 2, 0x08, 2], &[0x08, 2, 0x18, 5, 0x18, 5], &[0x0a, 1, 2], &[0x08, 2, 0x22, 1, 0x80]] {
        assert_eq!(decode(bytes), Err(UnixFsError::Malformed), "{bytes:?}");
    }
    assert_eq!(decode(&[0x08, 6]), Err(UnixFsError::Kind(6)));
    let many = [&[0x08, 2, 0x22, 0x81, 0x40][..], [1; LINKS_PER_NODE + 1].as_slice()].concat();
    assert_eq!(decode(&many), Err(UnixFsError::TooManyBlockSizes));
}

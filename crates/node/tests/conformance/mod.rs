//! What every store must do, whatever it is made of. Each function states one fact and gets an empty store.

use bytes::Bytes;
use futures::future::try_join_all;
use shoal_node::store::{Store, StoreError, Usage, limits};
use shoal_protocol::content::{Block, Cid, Codec, cid};
use shoal_protocol::limits::BLOCK_BYTES;

use crate::blocks::{block_of, numbered};

/// Hands every fact by name to the macro `test!` of the file that runs them, which makes one test of each.
macro_rules! for_each_fact {
    ($test:ident) => {
        $test!(keeps_what_was_put);
        $test!(unknown_blocks_are_absent);
        $test!(answers_in_the_order_asked);
        $test!(a_block_is_stored_once);
        $test!(concurrent_puts_of_one_block_store_it_once);
        $test!(the_codec_of_a_cid_does_not_matter);
        $test!(what_a_cid_tells_by_itself_is_always_there);
        $test!(the_empty_list_is_no_work);
        $test!(every_byte_value_survives);
        $test!(the_largest_block_fits_and_no_larger_one);
        $test!(a_slice_of_a_larger_buffer_is_stored_alone);
        $test!(deleted_blocks_are_gone);
        $test!(deleting_twice_counts_once);
        $test!(what_was_deleted_can_come_back);
        $test!(ten_thousand_small_blocks_in_one_call);
        $test!(a_thousand_calls_at_once);
        $test!(more_than_one_transaction_of_large_blocks);
        $test!(reads_go_on_while_writes_run);
        $test!(records_are_kept_replaced_and_removed);
        $test!(oversized_records_are_refused);
        $test!(the_identity_stays_the_same);
    };
}
pub(crate) use for_each_fact;

type Outcome = Result<(), StoreError>;

pub(crate) async fn keeps_what_was_put(store: Store) -> Outcome {
    let block = block_of(b"hello");
    store.put(vec![block.clone()]).await?;
    assert_eq!(store.get(&block.cid).await?, Some(block.data));
    assert!(store.has(&block.cid).await?);
    assert_eq!(store.usage().await?, Usage { blocks: 1, bytes: 5 });
    Ok(())
}

pub(crate) async fn unknown_blocks_are_absent(store: Store) -> Outcome {
    let cid = block_of(b"nobody put this").cid;
    assert_eq!(store.get(&cid).await?, None);
    assert!(!store.has(&cid).await?);
    assert_eq!(store.usage().await?, Usage::default());
    store.delete(&[cid]).await?;
    assert_eq!(store.usage().await?, Usage::default());
    Ok(())
}

pub(crate) async fn answers_in_the_order_asked(store: Store) -> Outcome {
    let blocks = numbered(5, 100);
    store.put(vec![blocks[3].clone(), blocks[1].clone()]).await?;
    let cids: Vec<Cid> = blocks.iter().map(|block| block.cid.clone()).collect();
    let expected: Vec<Option<Bytes>> = (0..5).map(|index| [1, 3].contains(&index).then(|| blocks[index].data.clone())).collect();
    assert_eq!(store.get_many(&cids).await?, expected);
    assert_eq!(store.has_many(&cids).await?, [false, true, false, true, false]);
    Ok(())
}

pub(crate) async fn a_block_is_stored_once(store: Store) -> Outcome {
    for data in [vec![7; 2000], vec![8; 200_000]] {
        let before = store.usage().await?;
        let block = block_of(&data);
        store.put(vec![block.clone(), block.clone()]).await?;
        store.put(vec![block.clone()]).await?;
        let after = store.usage().await?;
        assert_eq!(after, Usage { blocks: before.blocks + 1, bytes: before.bytes + data.len() as u64 });
        assert_eq!(store.get(&block.cid).await?, Some(block.data));
    }
    Ok(())
}

pub(crate) async fn concurrent_puts_of_one_block_store_it_once(store: Store) -> Outcome {
    let block = block_of(&[9; 3000]);
    try_join_all((0..50).map(|_| store.put(vec![block.clone()]))).await?;
    assert_eq!(store.usage().await?, Usage { blocks: 1, bytes: 3000 });
    Ok(())
}

pub(crate) async fn the_codec_of_a_cid_does_not_matter(store: Store) -> Outcome {
    let block = block_of(b"one digest");
    store.put(vec![block.clone()]).await?;
    let cid = cid::from_digest(Codec::DagPb, *block.cid.digest().unwrap());
    assert_eq!(store.get(&cid).await?, Some(block.data));
    Ok(())
}

pub(crate) async fn what_a_cid_tells_by_itself_is_always_there(store: Store) -> Outcome {
    let inline = [&[1, 0x55, 0, 6][..], b"inline"].concat();
    let inline = Block { cid: cid::decode_bytes(&inline).unwrap(), data: Bytes::from_static(b"inline") };
    for block in [inline, block_of(b"")] {
        assert!(store.has(&block.cid).await?);
        store.put(vec![block.clone()]).await?;
        store.delete(std::slice::from_ref(&block.cid)).await?;
        assert_eq!(store.get(&block.cid).await?, Some(block.data));
    }
    assert_eq!(store.usage().await?, Usage::default());
    Ok(())
}

pub(crate) async fn the_empty_list_is_no_work(store: Store) -> Outcome {
    store.put(vec![]).await?;
    store.delete(&[]).await?;
    assert_eq!(store.get_many(&[]).await?, Vec::<Option<Bytes>>::new());
    assert_eq!(store.usage().await?, Usage::default());
    Ok(())
}

pub(crate) async fn every_byte_value_survives(store: Store) -> Outcome {
    let data: Vec<u8> = (0..=255).cycle().take(256 * 300).collect();
    let block = block_of(&data);
    store.put(vec![block.clone()]).await?;
    assert_eq!(store.get(&block.cid).await?, Some(Bytes::from(data)));
    Ok(())
}

pub(crate) async fn the_largest_block_fits_and_no_larger_one(store: Store) -> Outcome {
    let largest = block_of(&vec![1; BLOCK_BYTES]);
    let larger = block_of(&vec![1; BLOCK_BYTES + 1]);
    let limit = BLOCK_BYTES as u64;
    assert_eq!(store.put(vec![largest.clone(), larger]).await, Err(StoreError::TooLarge { size: limit + 1, limit }));
    assert_eq!(store.usage().await?, Usage::default());
    store.put(vec![largest.clone()]).await?;
    assert_eq!(store.get(&largest.cid).await?, Some(largest.data));
    Ok(())
}

pub(crate) async fn a_slice_of_a_larger_buffer_is_stored_alone(store: Store) -> Outcome {
    let buffer = Bytes::from((0..100_000u32).flat_map(u32::to_be_bytes).collect::<Vec<u8>>());
    let data = buffer.slice(1001..3001);
    let block = Block { cid: cid::of(Codec::Raw, &data), data: data.clone() };
    store.put(vec![block.clone()]).await?;
    assert_eq!(store.get(&block.cid).await?, Some(data));
    assert_eq!(store.usage().await?.bytes, 2000);
    Ok(())
}

pub(crate) async fn deleted_blocks_are_gone(store: Store) -> Outcome {
    let blocks = numbered(100, 500);
    store.put(blocks.clone()).await?;
    let (gone, kept): (Vec<_>, Vec<_>) = blocks.iter().map(|block| block.cid.clone()).enumerate().partition(|(index, _)| index % 3 == 0);
    let cids = |list: &[(usize, Cid)]| list.iter().map(|(_, cid)| cid.clone()).collect::<Vec<_>>();
    store.delete(&cids(&gone)).await?;
    assert!(store.has_many(&cids(&gone)).await?.iter().all(|here| !here));
    assert!(store.get_many(&cids(&gone)).await?.iter().all(Option::is_none));
    assert!(store.has_many(&cids(&kept)).await?.iter().all(|here| *here));
    assert_eq!(store.usage().await?, Usage { blocks: 66, bytes: 33_000 });
    Ok(())
}

pub(crate) async fn deleting_twice_counts_once(store: Store) -> Outcome {
    let blocks = numbered(3, 700);
    store.put(blocks.clone()).await?;
    store.delete(&[blocks[0].cid.clone(), blocks[0].cid.clone()]).await?;
    store.delete(&[blocks[0].cid.clone()]).await?;
    assert_eq!(store.usage().await?, Usage { blocks: 2, bytes: 1400 });
    Ok(())
}

pub(crate) async fn what_was_deleted_can_come_back(store: Store) -> Outcome {
    for data in [vec![3; 900], vec![4; 100_000]] {
        let block = block_of(&data);
        store.put(vec![block.clone()]).await?;
        store.delete(std::slice::from_ref(&block.cid)).await?;
        assert!(!store.has(&block.cid).await?);
        store.put(vec![block.clone()]).await?;
        assert_eq!(store.get(&block.cid).await?, Some(block.data));
        store.delete(std::slice::from_ref(&block.cid)).await?;
    }
    assert_eq!(store.usage().await?, Usage::default());
    Ok(())
}

pub(crate) async fn ten_thousand_small_blocks_in_one_call(store: Store) -> Outcome {
    let blocks = numbered(10_000, 64);
    store.put(blocks.clone()).await?;
    assert_eq!(store.usage().await?, Usage { blocks: 10_000, bytes: 640_000 });
    assert_all_there(&store, &blocks).await
}

pub(crate) async fn a_thousand_calls_at_once(store: Store) -> Outcome {
    let blocks = numbered(1000, 2048);
    try_join_all(blocks.iter().map(|block| store.put(vec![block.clone()]))).await?;
    assert_eq!(store.usage().await?.blocks, 1000);
    assert_all_there(&store, &blocks).await
}

pub(crate) async fn more_than_one_transaction_of_large_blocks(store: Store) -> Outcome {
    let blocks = numbered(40, 1024 * 1024);
    // Two callers, each with more than a transaction takes, together more than the queue takes.
    let (first, second) = blocks.split_at(20);
    try_join_all([store.put(first.to_vec()), store.put(second.to_vec())]).await?;
    assert_eq!(store.usage().await?, Usage { blocks: 40, bytes: 40 << 20 });
    assert_all_there(&store, &blocks).await
}

pub(crate) async fn reads_go_on_while_writes_run(store: Store) -> Outcome {
    let (old, new) = (numbered(200, 300), numbered(400, 301));
    store.put(old.clone()).await?;
    let writes = try_join_all(new.chunks(10).map(|blocks| store.put(blocks.to_vec())));
    let reads = try_join_all(old.iter().map(|block| store.get(&block.cid)));
    let (written, read) = futures::join!(writes, reads);
    written?;
    assert!(read?.iter().zip(&old).all(|(found, block)| found.as_ref() == Some(&block.data)));
    assert_all_there(&store, &new).await
}

pub(crate) async fn records_are_kept_replaced_and_removed(store: Store) -> Outcome {
    assert_eq!(store.record("relays").await?, None);
    store.set_record("relays", b"first").await?;
    store.set_record("relays", &[0, 255, 1]).await?;
    store.set_record("empty", b"").await?;
    assert_eq!(store.record("relays").await?, Some(Bytes::from_static(&[0, 255, 1])));
    assert_eq!(store.record("empty").await?, Some(Bytes::new()));
    store.delete_record("relays").await?;
    store.delete_record("relays").await?;
    assert_eq!(store.record("relays").await?, None);
    assert_eq!(store.usage().await?, Usage::default());
    Ok(())
}

pub(crate) async fn oversized_records_are_refused(store: Store) -> Outcome {
    let large = vec![0; limits::MAX_RECORD_BYTES + 1];
    assert!(matches!(store.set_record("large", &large).await, Err(StoreError::TooLarge { .. })));
    assert!(matches!(store.set_record(&"n".repeat(limits::MAX_RECORD_NAME_BYTES + 1), b"").await, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.record("large").await?, None);
    Ok(())
}

pub(crate) async fn the_identity_stays_the_same(store: Store) -> Outcome {
    let asked_at_once = try_join_all((0..5).map(|_| store.identity())).await?;
    let first = &asked_at_once[0];
    assert!(asked_at_once.iter().all(|identity| identity.seed == first.seed));
    assert_eq!(store.identity().await?.seed, first.seed);
    assert_ne!(first.seed.expose(), &[0; 32]);
    Ok(())
}

async fn assert_all_there(store: &Store, blocks: &[Block]) -> Outcome {
    let cids: Vec<Cid> = blocks.iter().map(|block| block.cid.clone()).collect();
    let found = store.get_many(&cids).await?;
    assert!(found.iter().zip(blocks).all(|(found, block)| found.as_ref() == Some(&block.data)));
    Ok(())
}

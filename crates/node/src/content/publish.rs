//! Puts content into the store and gives its CID: leaves are hashed and stored while the next are read, interior nodes follow as they fill.

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future::LocalBoxFuture, stream, stream::FuturesUnordered};
use shoal_protocol::content::{
    Block,
    cid::{Cid, Codec, from_digest},
    import::{Importer, Profile},
};

use crate::{content::source::Source, error::Error, hash, shared::Shared, store::StoreError, throttle::Throttle};

/// Leaves hashed ahead of the one that is stored.
const HASH_AHEAD: usize = 4;
/// Bytes that may wait for the store: enough for one group commit while the next gathers.
const UNSTORED: usize = 16 * 1024 * 1024;

/// Publishes; `progress` is told of durable bytes, at most 20 times a second.
///
/// # Errors
/// Where the source cannot be read or the store cannot keep it. Dropping the future cancels.
pub async fn publish(shared: &Shared, source: Source, profile: Profile, progress: impl Fn(u64, Option<u64>)) -> Result<Cid, Error> {
    let total = source.size();
    let leaf_size = profile.leaf_size();
    let leaves = match total {
        Some(0) => stream::once(async { Ok(Bytes::new()) }).boxed_local(),
        _ => source.leaves(leaf_size),
    };
    let mut hashed = leaves.map_ok(|data| async move { Ok((hash::sha256(&data).await, data)) }).try_buffered(HASH_AHEAD).boxed_local();

    let mut importer = Importer::new(profile);
    let mut storing: FuturesUnordered<LocalBoxFuture<'_, Result<(usize, u64), StoreError>>> = FuturesUnordered::new();
    let (mut waiting, mut durable, mut any) = (0usize, 0u64, false);
    let mut throttle = Throttle::default();
    let put = |blocks: Vec<Block>, content: u64| {
        let size = blocks.iter().map(|block| block.data.len()).sum::<usize>();
        let store = shared.store.clone();
        (size, async move { store.put(blocks).await.map(|()| (size, content)) }.boxed_local())
    };
    loop {
        let (digest, data) = match hashed.next().await {
            Some(leaf) => leaf?,
            // A stream that turned out to be empty is the empty file.
            None if !any => (hash::sha256(&Bytes::new()).await, Bytes::new()),
            None => break,
        };
        any = true;
        let cid = from_digest(Codec::Raw, digest);
        let length = data.len() as u64;
        let mut blocks = importer.push_leaf(cid.clone(), length);
        blocks.push(Block { cid, data });
        let (size, future) = put(blocks, length);
        waiting += size;
        storing.push(future);
        while waiting > UNSTORED {
            let Some(stored) = storing.next().await else { break };
            let (size, content) = stored?;
            waiting -= size;
            durable += content;
            if throttle.due() {
                progress(durable, total);
            }
        }
        if total == Some(0) {
            break;
        }
    }
    let finished = importer.finish();
    let (_, future) = put(finished.nodes, 0);
    storing.push(future);
    while let Some(stored) = storing.next().await {
        durable += stored?.1;
        if throttle.due() {
            progress(durable, total);
        }
    }
    progress(durable, Some(durable));
    Ok(finished.root)
}

//! How much is stored: one row in `meta`, changed by the same transaction that changes blocks, and so exact after any crash.
//!
//! The exception is a full disk, where nothing may be written, not even this row: blocks are then deleted together with it (see `delete`). Until
//! it is written again the connection remembers what it would say; if the tab ends before, opening counts anew.

use js_sys::{Object, Reflect};
use rexie::KeyRange;
use wasm_bindgen::JsValue;

use super::super::{StoreError, Usage};
use super::bytes_of;
use super::connection::{BLOCKS, Connection, META, read_error};
use super::transaction::Durability;

/// Name of the row.
pub(super) const USAGE: &str = "usage";

/// Blocks read at once when counting anew: at most 64 MiB.
const COUNT_BATCH: u32 = 32;

pub(super) async fn read(connection: &Connection) -> Result<Usage, StoreError> {
    let row = connection.read_one(META, USAGE.into()).await?;
    Ok(of_row(connection, &row.unwrap_or_default()))
}

/// What the row says, or would say.
pub(super) fn of_row(connection: &Connection, row: &JsValue) -> Usage {
    if !row.is_object() {
        return connection.usage_without_row.get();
    }
    let count = |name: &str| Reflect::get(row, &name.into()).ok().and_then(|count| count.as_f64()).unwrap_or(0.0) as u64;
    Usage { blocks: count("blocks"), bytes: count("bytes") }
}

pub(super) fn row_of(usage: Usage) -> JsValue {
    let row = Object::new();
    // Setting a property of a plain object that we have just made does not fail.
    let _ = Reflect::set(&row, &"blocks".into(), &(usage.blocks as f64).into());
    let _ = Reflect::set(&row, &"bytes".into(), &(usage.bytes as f64).into());
    row.into()
}

pub(super) async fn write(connection: &Connection, usage: Usage) -> Result<(), StoreError> {
    let write = connection.write(&[META], Durability::Relaxed)?;
    write.request(write.store(META)?.put_with_key(&row_of(usage), &USAGE.into()))?;
    write.commit(0).await
}

/// Counts all blocks if the row is missing although there are some. Slow, as it has to read them.
pub(super) async fn recount_if_lost(connection: &Connection) -> Result<(), StoreError> {
    if connection.read_one(META, USAGE.into()).await?.is_some() {
        return Ok(());
    }
    let mut usage = Usage::default();
    let mut after: Option<JsValue> = None;
    loop {
        let range = after.as_ref().map(|last| KeyRange::lower_bound(last, Some(true))).transpose();
        let range = range.map_err(|error| StoreError::Failed(error.to_string()))?;
        let keys = connection.read(BLOCKS)?.get_all_keys(range.clone(), Some(COUNT_BATCH)).await.map_err(|error| read_error(&error))?;
        let Some(last) = keys.into_iter().next_back() else { break };
        for value in connection.read(BLOCKS)?.get_all(range, Some(COUNT_BATCH)).await.map_err(|error| read_error(&error))? {
            usage.blocks += 1;
            usage.bytes += bytes_of(&value).map_or(0, |data| u64::from(data.length()));
        }
        after = Some(last);
    }
    connection.usage_without_row.set(usage);
    if usage != Usage::default() {
        // On a disk that is still full the row stays missing, and the count in memory serves.
        if let Err(error) = write(connection, usage).await {
            tracing::warn!(%error, "the count of blocks could not be written");
        }
    }
    Ok(())
}

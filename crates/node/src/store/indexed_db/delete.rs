//! Deleting blocks: also, and above all, when the disk is so full that nothing can be written.

use web_sys::IdbRequest;

use super::super::{Key, StoreError, Usage};
use super::connection::{BLOCKS, Connection, META};
use super::transaction::{Durability, Write, settled};
use super::usage::{self, USAGE};
use super::{bytes_of, key_value};

/// Deletes a few blocks in one transaction, with the new count of what is left.
pub(super) async fn delete(connection: &Connection, keys: &[Key]) -> Result<(), StoreError> {
    match counted(connection, keys).await {
        Err(StoreError::Full { .. }) => uncounted(connection, keys).await,
        result => result,
    }
}

async fn counted(connection: &Connection, keys: &[Key]) -> Result<(), StoreError> {
    let write = connection.write(&[BLOCKS, META], Durability::Relaxed)?;
    let Some(left) = remove(connection, &write, keys).await? else { return write.commit(0).await };
    write.request(write.store(META)?.put_with_key(&usage::row_of(left), &USAGE.into()))?;
    write.commit(0).await
}

/// On a full disk the row that counts cannot be written either, so it is deleted as well, and written again when there is room.
async fn uncounted(connection: &Connection, keys: &[Key]) -> Result<(), StoreError> {
    let write = connection.write_deletions(&[BLOCKS, META])?;
    let Some(left) = remove(connection, &write, keys).await? else { return write.commit(0).await };
    write.request(write.store(META)?.delete(&USAGE.into()))?;
    write.commit(0).await?;
    connection.usage_without_row.set(left);
    match usage::write(connection, left).await {
        // The count in memory serves until the next block is written.
        Err(StoreError::Full { .. }) => Ok(()),
        result => result,
    }
}

/// Asks for the deletions and tells what is left after them; `None` if the transaction has failed.
async fn remove(connection: &Connection, write: &Write, keys: &[Key]) -> Result<Option<Usage>, StoreError> {
    let blocks = write.store(BLOCKS)?;
    let mut found: Vec<IdbRequest> = Vec::with_capacity(keys.len());
    for key in keys {
        found.push(write.request(blocks.get(&key_value(key)))?);
        // Queued behind the read of the same key, so a key that is twice in the list is counted once.
        write.request(blocks.delete(&key_value(key)))?;
    }
    let row = write.request(write.store(META)?.get(&USAGE.into()))?;
    let Some(row) = settled(&row).await else { return Ok(None) };
    let mut left = usage::of_row(connection, &row);
    for request in found {
        if let Some(data) = bytes_of(&request.result().unwrap_or_default()) {
            left.blocks = left.blocks.saturating_sub(1);
            left.bytes = left.bytes.saturating_sub(u64::from(data.length()));
        }
    }
    Ok(Some(left))
}

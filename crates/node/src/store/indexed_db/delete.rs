//! Deleting blocks: also, and above all, when the disk is so full that nothing can be written.

use web_sys::IdbRequest;

use super::super::{Key, StoreError};
use super::connection::{BLOCKS, Connection, META};
use super::key_value;
use super::ledger::{self, LEDGER, Ledger};
use super::row::Row;
use super::segments::Segments;
use super::transaction::{Durability, Write, settled};

/// Deletes a few blocks in one transaction, with the new count of what is left, and then the segments in which nothing is left.
pub(super) async fn delete(connection: &Connection, segments: &Segments, keys: &[Key]) -> Result<(), StoreError> {
    let _turn = segments.appending.lock().await;
    let dead = match counted(connection, keys).await {
        Err(StoreError::Full { .. }) => uncounted(connection, keys).await?,
        result => result?,
    };
    for number in dead {
        segments.remove(number).await;
    }
    Ok(())
}

async fn counted(connection: &Connection, keys: &[Key]) -> Result<Vec<u32>, StoreError> {
    let write = connection.write(&[BLOCKS, META], Durability::Relaxed)?;
    let Some(mut left) = remove(connection, &write, keys).await? else { return write.commit(0).await.map(|()| Vec::new()) };
    let dead = left.bury();
    write.request(write.store(META)?.put_with_key(&left.to_row(), &LEDGER.into()))?;
    write.commit(0).await?;
    Ok(dead)
}

/// On a full disk the row that counts cannot be written either, so it is deleted as well, and written again when there is room.
async fn uncounted(connection: &Connection, keys: &[Key]) -> Result<Vec<u32>, StoreError> {
    let write = connection.write_deletions(&[BLOCKS, META])?;
    let Some(mut left) = remove(connection, &write, keys).await? else { return write.commit(0).await.map(|()| Vec::new()) };
    let dead = left.bury();
    write.request(write.store(META)?.delete(&LEDGER.into()))?;
    write.commit(0).await?;
    connection.ledger_without_row.replace(left.clone());
    match ledger::write(connection, &left).await {
        // The count in memory serves until the next block is written.
        Ok(()) | Err(StoreError::Full { .. }) => Ok(dead),
        Err(error) => Err(error),
    }
}

/// Asks for the deletions and tells what is left after them; `None` if the transaction has failed.
async fn remove(connection: &Connection, write: &Write, keys: &[Key]) -> Result<Option<Ledger>, StoreError> {
    let blocks = write.store(BLOCKS)?;
    let mut found: Vec<IdbRequest> = Vec::with_capacity(keys.len());
    for key in keys {
        found.push(write.request(blocks.get(&key_value(key)))?);
        // Queued behind the read of the same key, so a key that is twice in the list is counted once.
        write.request(blocks.delete(&key_value(key)))?;
    }
    let row = write.request(write.store(META)?.get(&LEDGER.into()))?;
    let Some(row) = settled(&row).await else { return Ok(None) };
    let mut left = Ledger::of_row(connection, &row);
    for request in found {
        if let Some(row) = Row::of(&request.result().unwrap_or_default()) {
            left.remove(&row);
        }
    }
    Ok(Some(left))
}

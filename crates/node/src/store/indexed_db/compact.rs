//! Gives back the space of deleted blocks: what still lives in a segment that is mostly dead moves to another one, and the file goes.

use bytes::Bytes;

use crate::hash;

use super::super::limits::MOVE_BYTES;
use super::super::{Key, StoreError};
use super::connection::{BLOCKS, Connection, META};
use super::key_value;
use super::ledger::{self, LEDGER, Ledger};
use super::row::{Place, Row};
use super::segments::Segments;
use super::transaction::{Durability, settled};

/// Empties segments until none is mostly dead. On a full disk nothing is moved.
pub(super) async fn compact(connection: &Connection, segments: &Segments) -> Result<(), StoreError> {
    while let Some(number) = ledger::read(connection).await?.wasteful() {
        match empty(connection, segments, number).await {
            Ok(true) => {}
            // What cannot be moved now stays where it is; the next deletion tries again.
            Ok(false) | Err(StoreError::Full { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Moves all that lives in a segment. `false`: something could not be moved.
async fn empty(connection: &Connection, segments: &Segments, number: u32) -> Result<bool, StoreError> {
    let _turn = segments.appending.lock().await;
    segments.retire(number);
    let end = ledger::read(connection).await?.end(number);
    let mut offset = 0;
    while offset < end {
        let mut living = Vec::new();
        let mut bytes = 0;
        while offset < end && bytes < MOVE_BYTES {
            let Some((key, place)) = segments.record(number, offset).await else { return Ok(false) };
            offset = place.end();
            let row = connection.read_one(BLOCKS, key_value(&key)).await?;
            if !matches!(row.and_then(|row| Row::of(&row)), Some(Row::Placed(current)) if current == place) {
                continue;
            }
            let Some(data) = segments.read(&place).await else { return Ok(false) };
            if hash::sha256(&data).await != key.0 {
                return Ok(false);
            }
            bytes += place.occupied();
            living.push((key, place, data));
        }
        if !living.is_empty() && !relocate(connection, segments, &living, bytes).await? {
            return Ok(false);
        }
    }
    Ok(bury(connection, segments).await?.contains(&number))
}

/// Appends blocks to another segment and turns their rows there, unless they were deleted meanwhile.
async fn relocate(connection: &Connection, segments: &Segments, living: &[(Key, Place, Bytes)], bytes: u64) -> Result<bool, StoreError> {
    let Some(target) = segments.writable(bytes).await? else { return Ok(false) };
    let write = connection.write(&[BLOCKS, META], Durability::Relaxed)?;
    let blocks = write.store(BLOCKS)?;
    let mut requests = Vec::with_capacity(living.len());
    for (key, _, _) in living {
        requests.push(write.request(blocks.get(&key_value(key)))?);
    }
    let row = write.request(write.store(META)?.get(&LEDGER.into()))?;
    let Some(row) = settled(&row).await else { return write.commit(bytes).await.map(|()| false) };
    let mut ledger = Ledger::of_row(connection, &row);
    let begin = ledger.end(target);
    let mut turned = Vec::new();
    for ((key, place, data), request) in living.iter().zip(requests) {
        if !matches!(Row::of(&request.result().unwrap_or_default()), Some(Row::Placed(current)) if current == *place) {
            continue;
        }
        let moved = match segments.append(target, ledger.end(target), key, data) {
            Ok(moved) => moved,
            Err(error) => {
                write.abort();
                segments.withdraw(target, begin);
                return Err(error);
            }
        };
        ledger.vacate(place);
        ledger.occupy(&moved);
        turned.push((*key, moved));
        write.request(blocks.put_with_key(&moved.to_row(), &key_value(key)))?;
    }
    write.request(write.store(META)?.put_with_key(&ledger.to_row(), &LEDGER.into()))?;
    let result = write.commit(bytes).await;
    match result {
        Ok(()) => segments.remember(turned),
        Err(_) => segments.withdraw(target, begin),
    }
    result.map(|()| true)
}

/// Removes the segments in which nothing lives.
async fn bury(connection: &Connection, segments: &Segments) -> Result<Vec<u32>, StoreError> {
    let write = connection.write(&[META], Durability::Relaxed)?;
    let row = write.request(write.store(META)?.get(&LEDGER.into()))?;
    let Some(row) = settled(&row).await else { return write.commit(0).await.map(|()| Vec::new()) };
    let mut ledger = Ledger::of_row(connection, &row);
    let dead = ledger.bury();
    write.request(write.store(META)?.put_with_key(&ledger.to_row(), &LEDGER.into()))?;
    write.commit(0).await?;
    for number in &dead {
        segments.remove(*number).await;
    }
    Ok(dead)
}

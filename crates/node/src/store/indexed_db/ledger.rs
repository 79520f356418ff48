//! How much is stored, and where: one row in `meta`, changed by the same transaction that changes blocks, and so exact after any crash.
//!
//! The exception is a full disk, where nothing may be written, not even this row: blocks are then deleted together with it (see `delete`). Until
//! it is written again the connection remembers what it would say; if the tab ends before, opening counts anew.

use js_sys::{Array, Object, Reflect};
use litemap::LiteMap;
use rexie::KeyRange;
use wasm_bindgen::{JsCast as _, JsValue};

use super::super::{StoreError, Usage};
use super::connection::{BLOCKS, Connection, META, read_error};
use super::row::{Place, Row};
use super::transaction::Durability;

/// Name of the row.
pub(super) const LEDGER: &str = "usage";

/// Blocks read at once when counting anew: at most 2 MiB, as larger ones are in segments.
const COUNT_BATCH: u32 = 32;

/// What the row says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    /// All blocks, wherever their bytes are.
    pub(super) usage: Usage,
    /// The segments by number.
    pub(super) segments: LiteMap<u32, Extent>,
}

/// How far a segment is filled, in bytes of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// What is behind it was never acknowledged and is written over.
    pub(super) end: u64,
    /// How much of it belongs to blocks that are still there.
    pub(super) live: u64,
}

impl Ledger {
    /// What the row says, or would say.
    pub(super) fn of_row(connection: &Connection, row: &JsValue) -> Ledger {
        if !row.is_object() {
            return connection.ledger_without_row.borrow().clone();
        }
        let mut segments = LiteMap::new();
        for entry in Reflect::get(row, &"segments".into()).ok().and_then(|list| list.dyn_into::<Array>().ok()).into_iter().flatten() {
            let entry: Array = entry.unchecked_into();
            let number = |index: u32| entry.get(index).as_f64().unwrap_or(0.0);
            segments.insert(number(0) as u32, Extent { end: number(1) as u64, live: number(2) as u64 });
        }
        let count = |name: &str| Reflect::get(row, &name.into()).ok().and_then(|count| count.as_f64()).unwrap_or(0.0) as u64;
        Ledger { usage: Usage { blocks: count("blocks"), bytes: count("bytes") }, segments }
    }

    /// The row for it.
    pub(super) fn to_row(&self) -> JsValue {
        let segments: Array = self
            .segments
            .iter()
            .map(|(number, extent)| Array::of3(&(*number).into(), &(extent.end as f64).into(), &(extent.live as f64).into()))
            .collect();
        let row = Object::new();
        // Setting a property of a plain object that we have just made does not fail.
        let _ = Reflect::set(&row, &"blocks".into(), &(self.usage.blocks as f64).into());
        let _ = Reflect::set(&row, &"bytes".into(), &(self.usage.bytes as f64).into());
        let _ = Reflect::set(&row, &"segments".into(), &segments);
        row.into()
    }

    /// Where a segment is appended to.
    pub(super) fn end(&self, segment: u32) -> u64 {
        self.segments.get(&segment).map_or(0, |extent| extent.end)
    }

    /// Strikes out the segments in which nothing lives any more, and names them.
    pub(super) fn bury(&mut self) -> Vec<u32> {
        let dead = self.segments.iter().filter(|(_, extent)| extent.live == 0).map(|(number, _)| *number).collect();
        self.segments.retain(|_, extent| extent.live > 0);
        dead
    }

    /// The segment of which most is dead, if that is more than half of it.
    pub(super) fn wasteful(&self) -> Option<u32> {
        let dead = |extent: &Extent| extent.end.saturating_sub(extent.live);
        let (number, extent) = self.segments.iter().max_by_key(|(_, extent)| dead(extent))?;
        (dead(extent) > extent.end / 2).then_some(*number)
    }

    /// A block was added whose bytes are in its row.
    pub(super) fn add_inline(&mut self, bytes: usize) {
        self.usage.blocks += 1;
        self.usage.bytes += bytes as u64;
    }

    /// A block was added whose bytes are in a segment.
    pub(super) fn add_placed(&mut self, place: &Place) {
        self.add_inline(place.length as usize);
        self.occupy(place);
    }

    /// A block that is counted already moved here.
    pub(super) fn occupy(&mut self, place: &Place) {
        let extent = self.segments.entry(place.segment).or_default();
        extent.end = extent.end.max(place.end());
        extent.live += place.occupied();
    }

    /// A block was removed.
    pub(super) fn remove(&mut self, row: &Row) {
        let length = match row {
            Row::Inline(array) => u64::from(array.length()),
            Row::Placed(place) => {
                self.vacate(place);
                u64::from(place.length)
            }
        };
        self.usage.blocks = self.usage.blocks.saturating_sub(1);
        self.usage.bytes = self.usage.bytes.saturating_sub(length);
    }

    /// A block that stays counted is no longer here.
    pub(super) fn vacate(&mut self, place: &Place) {
        if let Some(extent) = self.segments.get_mut(&place.segment) {
            extent.live = extent.live.saturating_sub(place.occupied());
        }
    }
}

pub(super) async fn read(connection: &Connection) -> Result<Ledger, StoreError> {
    let row = connection.read_one(META, LEDGER.into()).await?;
    Ok(Ledger::of_row(connection, &row.unwrap_or_default()))
}

pub(super) async fn write(connection: &Connection, ledger: &Ledger) -> Result<(), StoreError> {
    let write = connection.write(&[META], Durability::Relaxed)?;
    write.request(write.store(META)?.put_with_key(&ledger.to_row(), &LEDGER.into()))?;
    write.commit(0).await
}

/// Counts all blocks if the row is missing although there are some. Slow, as it has to read every row.
pub(super) async fn recount_if_lost(connection: &Connection) -> Result<(), StoreError> {
    if connection.read_one(META, LEDGER.into()).await?.is_some() {
        return Ok(());
    }
    let mut ledger = Ledger::default();
    let mut after: Option<JsValue> = None;
    loop {
        let range = after.as_ref().map(|last| KeyRange::lower_bound(last, Some(true))).transpose();
        let range = range.map_err(|error| StoreError::Failed(error.to_string()))?;
        let keys = connection.read(BLOCKS)?.get_all_keys(range.clone(), Some(COUNT_BATCH)).await.map_err(|error| read_error(&error))?;
        let Some(last) = keys.into_iter().next_back() else { break };
        for value in connection.read(BLOCKS)?.get_all(range, Some(COUNT_BATCH)).await.map_err(|error| read_error(&error))? {
            match Row::of(&value) {
                Some(Row::Inline(array)) => ledger.add_inline(array.length() as usize),
                Some(Row::Placed(place)) => ledger.add_placed(&place),
                None => ledger.add_inline(0),
            }
        }
        after = Some(last);
    }
    connection.ledger_without_row.replace(ledger.clone());
    if ledger != Ledger::default() {
        // On a disk that is still full the row stays missing, and the count in memory serves.
        if let Err(error) = write(connection, &ledger).await {
            tracing::warn!(%error, "the count of blocks could not be written");
        }
    }
    Ok(())
}

//! Reads content in file order from the store, right behind the fetch that fills it.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use futures::future::AbortHandle;
use shoal_protocol::content::{cid::Cid, read::Read};

use crate::{error::Error, notify::Notify, shared::Shared};

/// How the fetch behind a reader stands.
#[derive(Debug, Default)]
pub struct Behind {
    /// Its end, once it ended.
    pub result: RefCell<Option<Result<(), Error>>>,
    /// Fires when a block was verified, and when the fetch ended.
    pub stored: Notify,
}

/// Reads one content. Dropping it cancels the fetch behind it; what arrived stays.
#[derive(Debug)]
pub struct Reader {
    shared: Shared,
    read: Read,
    behind: Rc<Behind>,
    fetch: AbortHandle,
    /// What the root itself held of the output, if its size was asked for first.
    first: Option<Bytes>,
}

impl Reader {
    /// A reader behind a running fetch.
    pub fn new(shared: Shared, root: Cid, offset: u64, length: Option<u64>, behind: Rc<Behind>, fetch: AbortHandle) -> Self {
        Self { shared, read: Read::new(root, offset, length), behind, fetch, first: None }
    }

    /// Waits until the root is here; then the size of the whole content in bytes is known.
    ///
    /// # Errors
    /// As the fetch, or [`Error::Unsupported`] where it is not a file.
    pub async fn file_size(&mut self) -> Result<u64, Error> {
        while self.read.file_size().is_none() {
            let piece = self.supply().await?;
            self.first = self.first.take().or(piece);
        }
        Ok(self.read.file_size().unwrap_or(0))
    }

    /// The next piece in file order, or nothing at the end: then all of it is durable.
    ///
    /// # Errors
    /// As the fetch.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        while self.read.current().is_some() {
            if let Some(piece) = self.supply().await? {
                return Ok(Some(piece));
            }
        }
        self.durable().await?;
        Ok(None)
    }

    /// Waits until all that was read is durable: pieces are given out as soon as they are verified, the end once they are stored.
    async fn durable(&self) -> Result<(), Error> {
        loop {
            let stored = self.behind.stored.changed();
            if let Some(result) = self.behind.result.borrow().clone() {
                return result;
            }
            stored.await;
        }
    }

    async fn supply(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(cid) = self.read.current().cloned() else { return Ok(None) };
        let data = self.block(&cid).await?;
        let piece = self.read.supply(&data).map_err(|error| Error::Unsupported(error.to_string()))?;
        Ok(piece.filter(|piece| !piece.is_empty()))
    }

    async fn block(&self, cid: &Cid) -> Result<Bytes, Error> {
        if let Some(data) = cid.known() {
            return Ok(data);
        }
        loop {
            let stored = self.behind.stored.changed();
            let result = self.behind.result.borrow().clone();
            if let Some(data) = self.shared.store.get(cid).await? {
                return Ok(data);
            }
            match result {
                None => stored.await,
                Some(Err(error)) => return Err(error),
                Some(Ok(())) => {
                    return Err(Error::StorageFailed("the browser removed stored data while it was being read; fetch it again".to_owned()));
                }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.fetch.abort();
        // The task may never be polled again: whoever else waits learns it here.
        self.behind.stored.notify();
    }
}

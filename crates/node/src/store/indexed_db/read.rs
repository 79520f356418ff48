//! Reading: all reads of one tick share a transaction, and recent blocks come from memory.
//!
//! Reads that were asked together are answered together: who reads then asks the network, or the page, together too, and a message for a
//! hundred costs hardly more than one for one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::join_all;
use wasm_bindgen_futures::spawn_local;

use crate::hash;

use super::super::cache::Cache;
use super::super::limits::READ_BATCH;
use super::super::{Key, StoreError};
use super::commit::Committer;
use super::connection::{BLOCKS, Connection, read_error};
use super::delete::delete;
use super::key_value;
use super::row::{Place, Row};
use super::segments::Segments;

#[derive(Debug)]
pub(super) struct Reader {
    connection: Rc<Connection>,
    segments: Rc<Segments>,
    committer: Rc<Committer>,
    cache: Rc<RefCell<Cache>>,
    asked: RefCell<Vec<Question>>,
    /// Counts calls of [`Reader::forget`], so that an answer that was under way meanwhile is not cached.
    forgotten: Cell<u64>,
}

type Answer<T> = Result<T, StoreError>;

#[derive(Debug)]
enum Question {
    Row(Key, oneshot::Sender<Answer<Option<Row>>>),
    Presence(Key, oneshot::Sender<Answer<bool>>),
}

/// A question's answer, and who asked.
enum Found {
    Row(Answer<Option<Row>>, oneshot::Sender<Answer<Option<Row>>>),
    Presence(Answer<bool>, oneshot::Sender<Answer<bool>>),
}

impl Reader {
    pub(super) fn new(
        connection: Rc<Connection>,
        segments: Rc<Segments>,
        committer: Rc<Committer>,
        cache: Rc<RefCell<Cache>>,
    ) -> Rc<Reader> {
        Rc::new(Reader { connection, segments, committer, cache, asked: RefCell::default(), forgotten: Cell::new(0) })
    }

    pub(super) async fn get(self: &Rc<Reader>, key: Key) -> Result<Option<Bytes>, StoreError> {
        if let Some(data) = self.cache.borrow_mut().get(&key) {
            return Ok(Some(data));
        }
        if let Some(data) = self.committer.unwritten(&key).or_else(|| self.segments.read_written(&key)) {
            return Ok(Some(data));
        }
        let forgotten = self.forgotten.get();
        let data = match self.row(key).await? {
            None => None,
            Some(Row::Inline(array)) => Some(Bytes::from(array.to_vec())),
            Some(Row::Placed(place)) => self.placed(&key, place).await?,
        };
        if let (Some(data), true) = (&data, forgotten == self.forgotten.get()) {
            self.cache.borrow_mut().insert(key, data.clone());
        }
        Ok(data)
    }

    /// The bytes of a block in a segment. It may have moved since the row was read; if its bytes are wrong, or gone, it is deleted.
    async fn placed(self: &Rc<Reader>, key: &Key, mut place: Place) -> Result<Option<Bytes>, StoreError> {
        loop {
            if let Some(data) = self.segments.read(&place).await
                && hash::sha256(&data).await == key.0
            {
                return Ok(Some(data));
            }
            match self.row(*key).await? {
                None => return Ok(None),
                Some(Row::Inline(array)) => return Ok(Some(Bytes::from(array.to_vec()))),
                Some(Row::Placed(same)) if same == place => break,
                Some(Row::Placed(moved)) => place = moved,
            }
        }
        tracing::warn!(segment = place.segment, offset = place.offset, "a stored block is damaged and is deleted");
        self.forget(&[*key]);
        delete(&self.connection, &self.segments, &[*key]).await?;
        Ok(None)
    }

    async fn row(self: &Rc<Reader>, key: Key) -> Result<Option<Row>, StoreError> {
        let (sender, answer) = oneshot::channel();
        self.ask(Question::Row(key, sender));
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) async fn has(self: &Rc<Reader>, key: Key) -> Result<bool, StoreError> {
        if self.cache.borrow().contains(&key) {
            return Ok(true);
        }
        let (sender, answer) = oneshot::channel();
        self.ask(Question::Presence(key, sender));
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Drops deleted blocks from memory.
    pub(super) fn forget(&self, keys: &[Key]) {
        self.forgotten.set(self.forgotten.get() + 1);
        let mut cache = self.cache.borrow_mut();
        for key in keys {
            cache.remove(key);
            self.segments.forget(key);
        }
    }

    fn ask(self: &Rc<Reader>, question: Question) {
        let mut asked = self.asked.borrow_mut();
        asked.push(question);
        if asked.len() == 1 {
            // Runs when the current task yields: what is asked until then goes along.
            let reader = self.clone();
            spawn_local(async move { reader.answer().await });
        }
    }

    async fn answer(&self) {
        let mut questions = self.asked.take();
        while !questions.is_empty() {
            let rest = questions.split_off(questions.len().min(READ_BATCH));
            match self.connection.read(BLOCKS) {
                Ok(store) => {
                    join_all(questions.into_iter().map(|question| question.look_up(&store))).await.into_iter().for_each(Found::give)
                }
                Err(error) => questions.into_iter().for_each(|question| question.fail(error.clone())),
            }
            questions = rest;
        }
    }
}

impl Question {
    async fn look_up(self, store: &rexie::Store) -> Found {
        match self {
            Question::Presence(key, reply) => {
                let answer = store.key_exists(key_value(&key)).await.map_err(|error| read_error(&error));
                Found::Presence(answer, reply)
            }
            Question::Row(key, reply) => {
                let answer = store.get(key_value(&key)).await.map_err(|error| read_error(&error));
                Found::Row(answer.map(|value| value.and_then(|value| Row::of(&value))), reply)
            }
        }
    }

    fn fail(self, error: StoreError) {
        match self {
            Question::Row(_, reply) => drop(reply.send(Err(error))),
            Question::Presence(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

impl Found {
    /// Whoever asked may have stopped waiting: then the answer is dropped.
    fn give(self) {
        match self {
            Found::Presence(answer, reply) => drop(reply.send(answer)),
            Found::Row(answer, reply) => drop(reply.send(answer)),
        }
    }
}

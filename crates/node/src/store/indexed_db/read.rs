//! Reading: all reads of one tick share a transaction, and recent blocks come from memory.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::join_all;
use wasm_bindgen_futures::spawn_local;

use super::super::cache::Cache;
use super::super::limits::READ_BATCH;
use super::super::{Key, StoreError};
use super::connection::{BLOCKS, Connection, read_error};
use super::{bytes_of, key_value};

#[derive(Debug)]
pub(super) struct Reader {
    connection: Rc<Connection>,
    cache: Rc<RefCell<Cache>>,
    asked: RefCell<Vec<Question>>,
    /// Counts calls of [`Reader::forget`], so that an answer that was under way meanwhile is not cached.
    forgotten: Cell<u64>,
}

#[derive(Debug)]
enum Question {
    Data(Key, oneshot::Sender<Result<Option<Bytes>, StoreError>>),
    Presence(Key, oneshot::Sender<Result<bool, StoreError>>),
}

impl Reader {
    pub(super) fn new(connection: Rc<Connection>, cache: Rc<RefCell<Cache>>) -> Rc<Reader> {
        Rc::new(Reader { connection, cache, asked: RefCell::default(), forgotten: Cell::new(0) })
    }

    pub(super) async fn get(self: &Rc<Reader>, key: Key) -> Result<Option<Bytes>, StoreError> {
        if let Some(data) = self.cache.borrow_mut().get(&key) {
            return Ok(Some(data));
        }
        let (sender, answer) = oneshot::channel();
        self.ask(Question::Data(key, sender));
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
        keys.iter().for_each(|key| cache.remove(key));
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
                    join_all(questions.into_iter().map(|question| self.answer_one(&store, question))).await;
                }
                Err(error) => questions.into_iter().for_each(|question| question.fail(error.clone())),
            }
            questions = rest;
        }
    }

    /// Whoever asked may have stopped waiting: then the answer is dropped.
    async fn answer_one(&self, store: &rexie::Store, question: Question) {
        match question {
            Question::Presence(key, reply) => {
                let answer = store.key_exists(key_value(&key)).await.map_err(|error| read_error(&error));
                let _ = reply.send(answer);
            }
            Question::Data(key, reply) => {
                let forgotten = self.forgotten.get();
                let answer = store.get(key_value(&key)).await.map_err(|error| read_error(&error));
                let answer = answer.map(|value| value.and_then(|value| bytes_of(&value)).map(|array| Bytes::from(array.to_vec())));
                if let (Ok(Some(data)), true) = (&answer, forgotten == self.forgotten.get()) {
                    self.cache.borrow_mut().insert(key, data.clone());
                }
                let _ = reply.send(answer);
            }
        }
    }
}

impl Question {
    fn fail(self, error: StoreError) {
        match self {
            Question::Data(_, reply) => drop(reply.send(Err(error))),
            Question::Presence(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

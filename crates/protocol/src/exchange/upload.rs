//! The provider's side: which block to load next, and what to send.

use super::{Refusal, Request, records::Record};
use crate::content::{Cid, walk::Walk};
use bytes::Bytes;

/// The answering of one request.
///
/// ```
/// # use shoal_protocol::{content::{Codec, cid, walk::Scope}, exchange::{Request, Upload}};
/// # use bytes::Bytes;
/// # let note = Bytes::from_static(b"meet me at the shoal");
/// # let request = Request::Dag { root: cid::of(Codec::Raw, &note), scope: Scope::Dag, skip: 0, count: None };
/// # let (mut sent, load) = (Vec::new(), |_cid| Some(note.clone()));
/// let mut upload = Upload::new(request);
/// loop {
///     sent.extend(upload.records());
///     let Some(cid) = upload.wants() else { break };
///     upload.supply(load(cid));
/// }
/// # assert_eq!(sent.iter().map(Bytes::len).sum::<usize>(), 2 + note.len() + 2);
/// ```
#[derive(Debug)]
pub struct Upload {
    work: Work,
    records: Vec<Bytes>,
}

#[derive(Debug)]
enum Work {
    Dag {
        walk: Walk,
        skip: u64,
        /// Blocks still to send at most.
        left: u64,
    },
    Has(Cid),
    Done,
}

impl Upload {
    /// Begins to answer.
    #[must_use]
    pub fn new(request: Request) -> Self {
        let mut upload = match request {
            Request::Has { root } if root.known().is_some() => {
                let mut upload = Self { work: Work::Done, records: Vec::new() };
                upload.close(Record::Have);
                upload
            }
            Request::Has { root } => Self { work: Work::Has(root), records: Vec::new() },
            // Whether an offer is taken is for whoever drives this to say.
            Request::Offer { .. } => Self::refused(Refusal::Denied),
            Request::Dag { root, scope, skip, count } => {
                Self { work: Work::Dag { walk: Walk::new(root, scope), skip, left: count.unwrap_or(u64::MAX) }, records: Vec::new() }
            }
        };
        upload.go_on();
        upload
    }

    /// The whole answer to a request that could not be read.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        let mut upload = Self { work: Work::Done, records: Vec::new() };
        upload.close(Record::Refused(refusal));
        upload
    }

    /// The whole answer to an offer that is shown to the user.
    #[must_use]
    pub fn taken() -> Self {
        let mut upload = Self { work: Work::Done, records: Vec::new() };
        upload.close(Record::Have);
        upload
    }

    /// What to send now: heads and blocks, to be written one after the other.
    pub fn records(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.records)
    }

    /// The block to load next. `None`: the answer is complete, finish the stream once [`Upload::records`] are written.
    #[must_use]
    pub fn wants(&self) -> Option<Cid> {
        match &self.work {
            Work::Dag { walk, .. } => walk.current().cloned(),
            Work::Has(root) => Some(root.clone()),
            Work::Done => None,
        }
    }

    /// The block that [`Upload::wants`] named, or `None` where the store lacks it. For [`Request::Has`] any bytes do.
    pub fn supply(&mut self, data: Option<Bytes>) {
        match &mut self.work {
            Work::Has(_) => self.close(if data.is_some() { Record::Have } else { Record::Missing { position: 0 } }),
            Work::Dag { walk, skip, left } => {
                let Some(data) = data else {
                    let position = walk.position();
                    return self.close(Record::Missing { position });
                };
                let is_sent = walk.position() >= *skip;
                if walk.pass(Some(&data)).is_err() {
                    return self.close(Record::Refused(Refusal::Broken));
                }
                if is_sent {
                    *left -= 1;
                    self.records.extend(Record::Block(data).encode());
                }
                self.go_on();
            }
            Work::Done => {}
        }
    }

    /// Stops answering, for this reason.
    pub fn refuse(&mut self, refusal: Refusal) {
        if !matches!(self.work, Work::Done) {
            self.close(Record::Refused(refusal));
        }
    }

    /// Whether only a yes or no is wanted, for which a store need not load the block.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        matches!(self.work, Work::Has(_))
    }

    /// Passes what need not be loaded, at most one node's leaves, and notices the end.
    fn go_on(&mut self) {
        let Work::Dag { walk, skip, left } = &mut self.work else { return };
        while walk.position() < *skip && walk.current().is_some() && !walk.needs_data() {
            if walk.pass(None).is_err() {
                return self.close(Record::Refused(Refusal::Broken));
            }
        }
        if walk.current().is_none() || *left == 0 {
            self.close(Record::End);
        }
    }

    fn close(&mut self, record: Record) {
        self.work = Work::Done;
        self.records.extend(record.encode());
    }
}

//! Brings a DAG from peers into the store, and goes on by itself after every break.
//!
//! ```text
//!        ┌───────────────────────────── any break ─────────────────────────────┐
//!        ▼                                                                     │
//!   walk what is here ──all──► done        missing ──► choose a session ──► transfer
//!                                                       │      ▲
//!                                                       └─wait─┘  (dial, relay back, sender's tab opened again)
//! ```
//!
//! A peer that is slow is left for one that is faster, as for a break.
//!
//! Each round starts from the store, so a break costs what was in flight and nothing else: what arrived is durable and is not asked for
//! again. Blocks are verified before they are stored; a block that does not verify costs its sender the connection.

use std::time::Duration;

use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    future::{LocalBoxFuture, join},
    select_biased,
    stream::FuturesUnordered,
};
use libp2p::{Multiaddr, PeerId};
use shoal_protocol::{
    content::{
        Block,
        cid::{Cid, Codec},
        walk::Scope,
    },
    exchange::{self, Download, DownloadError, Refusal},
    limits::CHOICE_STAY,
    session::Priority,
};
use web_time::Instant;

use crate::{
    content::senders::Asked,
    error::Error,
    event::{FetchProgress, Phase, Report},
    hash,
    notify::Notify,
    peers::Path,
    platform,
    session::{PeerSession, SessionStream},
    shared::Shared,
    store::Store,
    throttle::Throttle,
};

mod whom;

/// How long after a failed attempt a peer is dialled again: soon enough for a person who reopens a tab, seldom enough for a relay.
const RETRY: Duration = Duration::from_secs(2);
/// How often to look whether another peer would be faster.
const LOOK: Duration = Duration::from_secs(1);
/// Blocks asked for over a relay while the direct connection is being made: the root, so that size and name can be shown at once.
const SMALL: u64 = 1;

/// What is fetched, from whom, and who is told.
pub struct Fetch {
    /// The node.
    pub shared: Shared,
    /// The root.
    pub root: Cid,
    /// How much of it.
    pub scope: Scope,
    /// Who is believed to have it.
    pub from: Vec<PeerId>,
    /// Further relays by which they may be reached.
    pub via: Vec<Multiaddr>,
    /// Told of progress, if anybody wants to hear of it.
    pub report: Option<Report>,
    /// Fires whenever a block can be read: it is verified, and stored or about to be.
    pub stored: Notify,
}

/// How a transfer over one session ended.
enum Outcome {
    /// All that was asked for is durable.
    Done,
    /// The session or its peer went away.
    Broken,
    /// The peer does not have it (any more).
    Missing,
    /// The peer has too much to do.
    Busy,
    /// Another one is to go on with it.
    Left(PeerId),
    /// No more of it may come through the relay between, which is not ours.
    Spent,
    /// No more of it may, as the peer says, as it is not the peer's either.
    Relayed,
    /// The peer broke the rules.
    Violation(String),
    /// Our own store failed, or the content itself is broken.
    Failed(Error),
}

/// Why one arrived block could not be kept.
enum Rejected {
    Mismatch,
    Store(Error),
}

/// A block that is durable.
struct Kept {
    /// Its length and that of its record's head.
    on_the_wire: u64,
    /// How much of the file it is: nothing, for a node that only links.
    content: u64,
}

struct Round {
    tried: Vec<PeerId>,
    /// Who is to go on with what another one was slow at, and how many times somebody was left.
    next: Option<PeerId>,
    left: u32,
    /// Those that send nothing more by the relay between.
    relayed: Vec<PeerId>,
    throttle: Throttle,
    total: Option<u64>,
}

impl Fetch {
    /// Runs until everything is durable. Dropping the future cancels.
    ///
    /// # Errors
    /// Where no peer is known at all, the store fails, or the DAG is malformed; absence of peers is waited out.
    pub async fn run(self) -> Result<(), Error> {
        let mut round = Round { tried: Vec::new(), relayed: Vec::new(), next: None, left: 0, throttle: Throttle::default(), total: None };
        self.tell(&round, Phase::Local, 0, None);
        loop {
            let mut download = Download::new(self.root.clone(), self.scope);
            let complete = pass_local(&self.shared.store, &mut download).await?;
            round.total = download.progress().size.or(round.total);
            let present = download.progress().bytes;
            if complete {
                self.tell(&round, Phase::Done, present, None);
                return Ok(());
            }
            let (peer, session, path, whole) = self.choose(&mut round, present).await?;
            round.next = None;
            let count = (!whole).then_some(SMALL);
            self.tell(&round, Phase::Fetching, present, Some((peer, path)));
            let asked = Asked::new(&self.shared, peer);
            let outcome = self.transfer(&mut download, &mut round, &asked, peer, &session, count).await;
            match &outcome {
                Outcome::Broken | Outcome::Busy | Outcome::Violation(_) => asked.fail(),
                Outcome::Done | Outcome::Missing | Outcome::Spent | Outcome::Relayed | Outcome::Left(_) | Outcome::Failed(_) => drop(asked),
            }
            match outcome {
                Outcome::Done => {}
                Outcome::Broken | Outcome::Spent => platform::sleep(Duration::from_millis(50)).await,
                Outcome::Relayed => round.relayed.push(peer),
                Outcome::Missing => {
                    round.tried.push(peer);
                }
                Outcome::Busy => platform::sleep(RETRY).await,
                Outcome::Left(next) => {
                    round.next = Some(next);
                    round.left += 1;
                }
                Outcome::Violation(reason) => {
                    round.tried.push(peer);
                    self.shared.drop_peer(peer, &reason);
                }
                Outcome::Failed(error) => return Err(error),
            }
        }
    }

    fn tell(&self, round: &Round, phase: Phase, bytes: u64, peer: Option<(PeerId, Path)>) {
        let Some(report) = &self.report else { return };
        let (peer, path) = peer.map_or((None, None), |(peer, path)| (Some(peer.to_string()), Some(path)));
        report(FetchProgress { phase, bytes, total: round.total, peer, path });
    }

    async fn transfer(
        &self,
        download: &mut Download,
        round: &mut Round,
        asked: &Asked,
        peer: PeerId,
        session: &PeerSession,
        count: Option<u64>,
    ) -> Outcome {
        // A single block is what somebody waits for who wants to know what it is: it does not stand in line behind whole files.
        let priority = if self.scope == Scope::Block { Priority::Urgent } else { Priority::Bulk };
        let Ok(stream) = session.open(priority).await else { return Outcome::Broken };
        let Some(request) = download.request_some(count) else { return Outcome::Done };
        if stream.write(request.encode()).await.is_err() {
            return Outcome::Broken;
        }
        stream.finish();

        let mut keeping: FuturesUnordered<LocalBoxFuture<'_, Result<Kept, Rejected>>> = FuturesUnordered::new();
        let mut durable = download.progress().bytes;
        let mut ended = None;
        let mut lost = None::<Instant>;
        let mut look = platform::sleep(CHOICE_STAY.saturating_mul(1 << round.left.min(16))).boxed_local().fuse();
        loop {
            if keeping.is_empty()
                && let Some(outcome) = ended.take()
            {
                return outcome;
            }
            let changed = self.shared.peers.borrow().changed.changed();
            select_biased! {
                kept = keeping.select_next_some() => match kept {
                    Ok(kept) => {
                        // Credit only for what is durable: a slow disk slows the sender, and what waits here is bounded by the window.
                        stream.consumed(kept.on_the_wire);
                        asked.delivered(kept.on_the_wire);
                        durable += kept.content;
                        self.stored.notify();
                        if round.throttle.due() {
                            self.tell_path(round, durable, peer, session);
                        }
                    }
                    Err(Rejected::Mismatch) => return Outcome::Violation("it sent a block that does not match its CID".to_owned()),
                    Err(Rejected::Store(error)) => return Outcome::Failed(error),
                },
                part = read_unless(&stream, ended.is_some()).fuse() => match part {
                    Ok(Some(bytes)) => {
                        let received = download.receive(bytes);
                        while let Some(arrived) = download.next() {
                            keeping.push(self.keep(arrived.cid, arrived.data, arrived.verified));
                        }
                        let size = download.progress().size;
                        if size.is_some() && round.total != size {
                            round.total = size;
                            self.tell_path(round, durable, peer, session);
                        }
                        ended = match received {
                            Ok(()) => download.outcome().map(Outcome::from),
                            Err(DownloadError::Content(problem)) => Some(Outcome::Failed(malformed(&problem))),
                            Err(problem) => Some(Outcome::Violation(problem.to_string())),
                        };
                        if ended.is_none() && session.may_not_take() {
                            ended = Some(Outcome::Spent);
                        }
                    }
                    Ok(None) => ended = Some(download.finish().map_or_else(|violation| Outcome::Violation(violation.to_string()), Outcome::from)),
                    Err(_) => ended = Some(Outcome::Broken),
                },
                // The session finds new paths by itself, and what was under way goes on. Meanwhile another peer may have it.
                () = changed.fuse() => self.note_path(round, durable, peer, session, &mut lost),
                () = look => {
                    look = platform::sleep(LOOK).boxed_local().fuse();
                    if ended.is_none()
                        && let Some(path) = session.path()
                        && let Some(next) = self.faster(round, peer, path)
                    {
                        ended = Some(Outcome::Left(next));
                    }
                }
                () = patience(lost).fuse() => {
                    lost = Some(Instant::now());
                    if ended.is_none() && self.best(round, Instant::now()).is_some() {
                        ended = Some(Outcome::Broken);
                    }
                }
            }
        }
    }

    /// Tells when the last path to the peer is gone, and when there is one again.
    fn note_path(&self, round: &Round, durable: u64, peer: PeerId, session: &PeerSession, lost: &mut Option<Instant>) {
        let gone = session.path().is_none();
        if gone != lost.is_some() {
            *lost = gone.then(Instant::now);
            self.tell_path(round, durable, peer, session);
        }
    }

    fn tell_path(&self, round: &Round, durable: u64, peer: PeerId, session: &PeerSession) {
        match session.path() {
            Some(path) => self.tell(round, Phase::Fetching, durable, Some((peer, session.comes_by().unwrap_or(path)))),
            None => self.tell(round, Phase::Waiting, durable, None),
        }
    }

    /// Verifies one block and makes it durable.
    fn keep(&self, cid: Cid, data: Bytes, verified: bool) -> LocalBoxFuture<'_, Result<Kept, Rejected>> {
        let store = self.shared.store.clone();
        async move {
            if !verified && cid.digest() != Some(&hash::sha256(&data).await) {
                return Err(Rejected::Mismatch);
            }
            let content = if cid.codec() == Codec::Raw { data.len() as u64 } else { 0 };
            let on_the_wire = exchange::block_record_bytes(data.len());
            // Whoever reads behind may have it from now on: it is verified, and in the store's queue once `put` was polled.
            let (stored, ()) = join(store.put(vec![Block { cid, data }]), async { self.stored.notify() }).await;
            stored.map_err(|error| Rejected::Store(error.into()))?;
            Ok(Kept { on_the_wire, content })
        }
        .boxed_local()
    }
}

impl From<exchange::Outcome> for Outcome {
    fn from(outcome: exchange::Outcome) -> Self {
        match outcome {
            exchange::Outcome::Delivered => Self::Done,
            exchange::Outcome::Refused(Refusal::Busy) => Self::Busy,
            exchange::Outcome::Refused(Refusal::Relayed) => Self::Relayed,
            exchange::Outcome::Missing | exchange::Outcome::Refused(_) => Self::Missing,
        }
    }
}

fn malformed(problem: &impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("the content is malformed: {problem}"))
}

/// Passes the blocks that are here; tells whether that was all.
///
/// # Errors
/// Where the store fails or the DAG is malformed.
pub async fn pass_local(store: &Store, download: &mut Download) -> Result<bool, Error> {
    loop {
        let Some(cid) = download.current().cloned() else { return Ok(true) };
        // Of a leaf, having it is enough; but of a file that is a single leaf, its length is the file's.
        let passed = if download.needs_data() || download.progress().blocks == 0 {
            let Some(data) = store.get(&cid).await? else { return Ok(false) };
            download.pass_local(Some(&data))
        } else if store.has(&cid).await? {
            download.pass_local(None)
        } else {
            return Ok(false);
        };
        passed.map_err(|problem| malformed(&problem))?;
    }
}

async fn read_unless(stream: &SessionStream, ended: bool) -> Result<Option<Bytes>, crate::session::Ended> {
    if ended { std::future::pending().await } else { stream.read().await }
}

/// Waits while a path is missing, until it is time to look for another peer.
async fn patience(lost: Option<Instant>) {
    match lost {
        Some(since) => platform::sleep(RETRY.saturating_sub(since.elapsed())).await,
        None => std::future::pending().await,
    }
}

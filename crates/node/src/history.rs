//! What happened lately on the way to each peer: for whoever asks why it cannot be reached, or not directly.

use std::collections::VecDeque;

use libp2p::PeerId;
use litemap::LiteMap;
use serde::Serialize;

use crate::peers::{Path, Transport};

/// Peers remembered: those dealt with last.
const PEERS: usize = 64;
/// Happenings remembered of one peer: some attempts with all their steps.
const HAPPENINGS: usize = 32;
/// Longest detail, in bytes: some of libp2p's errors repeat every address. Their end is kept, where the cause stands.
const DETAIL: usize = 600;

/// One thing that happened. The shape is that of `Happening` in `crates/web/ts/diagnosis.ts`.
#[derive(Debug, Clone, Serialize)]
pub struct Happening {
    /// Unix milliseconds.
    pub at: f64,
    /// `dialling`, `waiting` (for a relay), `opened`, `reserved`, `failed` or `closed`.
    pub what: &'static str,
    /// Of the connection that opened or closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Of the connection that opened or closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// Addresses, or the reason.
    pub detail: String,
}

/// The happenings of all peers.
#[derive(Debug, Default)]
pub struct History {
    peers: LiteMap<PeerId, VecDeque<Happening>>,
}

impl History {
    /// Notes something.
    pub fn note(&mut self, peer: PeerId, at: f64, what: &'static str, connection: Option<(Path, Transport)>, detail: &str) {
        if !self.peers.contains_key(&peer) && self.peers.len() >= PEERS {
            let last = |happenings: &VecDeque<Happening>| happenings.back().map_or(0.0, |happening| happening.at);
            let oldest = self.peers.iter().min_by(|(_, one), (_, other)| last(one).total_cmp(&last(other))).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest {
                self.peers.remove(&oldest);
            }
        }
        let happenings = self.peers.entry(peer).or_default();
        if happenings.len() == HAPPENINGS {
            happenings.pop_front();
        }
        let (path, transport) = connection.unzip();
        happenings.push_back(Happening { at, what, transport, path, detail: end_of(detail).to_owned() });
    }

    /// What happened with a peer, the oldest first.
    pub fn of(&self, peer: &PeerId) -> Vec<Happening> {
        self.peers.get(peer).into_iter().flatten().cloned().collect()
    }
}

fn end_of(text: &str) -> &str {
    let start = (text.len().saturating_sub(DETAIL)..=text.len()).find(|start| text.is_char_boundary(*start));
    start.map_or("", |start| &text[start..])
}

//! What each peer does when it is asked for content, in bytes: told to `Shared::senders`, by which the next one is chosen.

use libp2p::PeerId;

use crate::shared::Shared;

/// A request to a peer; it ends when this is dropped.
#[derive(Debug)]
pub struct Asked {
    shared: Shared,
    peer: PeerId,
    failed: bool,
}

impl Asked {
    /// A request begins.
    pub fn new(shared: &Shared, peer: PeerId) -> Self {
        shared.senders.asked(peer);
        Self { shared: shared.clone(), peer, failed: false }
    }

    /// So many bytes came.
    pub fn delivered(&self, bytes: u64) {
        self.shared.senders.delivered(self.peer, bytes);
    }

    /// It ends by the peer's fault.
    pub fn fail(mut self) {
        self.failed = true;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let senders = &self.shared.senders;
        if self.failed { senders.failed(self.peer) } else { senders.done(self.peer) }
    }
}

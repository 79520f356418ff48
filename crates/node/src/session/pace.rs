//! Lets no more be under way than the path in use delivers: see [`Window`].

use shoal_protocol::{
    pipe::{PathId, Window},
    time::Time,
};

use super::Inner;
use crate::clock::Clock;

/// The window of the path in use.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Clock,
    path: Option<PathId>,
    window: Window,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { clock: Clock::default(), path: None, window: Window::new(0, Time::default()) }
    }
}

impl Inner {
    /// Bytes to put together at once for the path in use.
    pub(super) fn batch(&self) -> usize {
        self.pace.window.batch()
    }

    /// To be called when something was sent or came.
    pub(super) fn pace(&mut self) {
        let Pace { clock, path, window } = &mut self.pace;
        let now = clock.now();
        let (acknowledged, sent) = self.pipe.under_way();
        let current = self.pipe.sent_on();
        if *path != current {
            // What is sent again on a new path begins where the other side stands.
            (*path, *window) = (current, Window::new(acknowledged, now));
        }
        window.acknowledged(acknowledged, now);
        window.sent(sent, now);
        self.pipe.limit(window.bytes());
    }
}

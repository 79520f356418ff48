//! Lets no more be under way than the path in use delivers: see [`Window`].

use shoal_protocol::{
    pipe::{PathId, Window},
    time::Time,
};
use web_time::Instant;

use super::Inner;

/// The window of the path in use.
#[derive(Debug)]
pub(super) struct Pace {
    origin: Instant,
    path: Option<PathId>,
    window: Window,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { origin: now, path: None, window: Window::new(0, Time::default()) }
    }
}

impl Inner {
    /// To be called when something was sent or came.
    pub(super) fn pace(&mut self, now: Instant) {
        let Pace { origin, path, window } = &mut self.pace;
        let now = Time::from_origin(now.duration_since(*origin));
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

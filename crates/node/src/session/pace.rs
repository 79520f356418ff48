//! Lets no more be under way than the path in use delivers, and says how long it may be silent: see [`Window`].

use std::time::Duration;

use litemap::LiteMap;
use shoal_protocol::{
    pipe::{PathId, Window},
    time::Time,
};

use super::{Inner, pump::Carrying};
use crate::clock::Clock;

/// The window of the path in use.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Clock,
    path: Option<PathId>,
    window: Window,
    /// How often something urgent was sent, and until when all goes by one path for its sake.
    urgent: (u64, Time),
    /// Whether more paths were wanted when that was last looked at.
    narrow: bool,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { clock: Clock::default(), path: None, window: Window::new(0, Time::default()), urgent: (0, Time::default()), narrow: false }
    }

    /// By how many paths more would come, and would be used.
    pub(super) fn lanes_wanted(&self) -> usize {
        if self.clock.now() >= self.urgent.1 { self.window.lanes_wanted() } else { 1 }
    }
}

impl Inner {
    /// Bytes to put together at once for the path in use.
    pub(super) fn batch(&self) -> usize {
        self.pace.window.batch()
    }

    /// How long the path in use may be silent, and what time it is.
    pub(super) fn patience(&mut self) -> (Duration, Time) {
        let wanted = self.pipe.sends_on();
        let Pace { clock, path, window, .. } = &mut self.pace;
        let silence = if *path == wanted { window.silence() } else { begun(&self.paths, wanted, 0, Time::default()).silence() };
        (silence, clock.now())
    }

    /// To be called when something was sent or came.
    pub(super) fn pace(&mut self) {
        let Pace { clock, path, window, urgent, narrow } = &mut self.pace;
        let now = clock.now();
        let (acknowledged, sent) = self.pipe.under_way();
        let current = self.pipe.sent_on();
        if *path != current {
            // What is sent again on a new path begins where the other side stands.
            (*path, *window) = (current, begun(&self.paths, current, acknowledged, now));
        }
        if urgent.0 != self.session.urgents() {
            *urgent = (self.session.urgents(), now + window.rest());
        }
        let alone = now < urgent.1;
        self.pipe.alone(alone);
        window.lanes(if alone { 1 } else { self.pipe.lanes() });
        window.urgent(alone);
        window.waits(self.session.held().unsent);
        window.acknowledged(acknowledged, now);
        window.sent(sent, now);
        self.pipe.limit(window.bytes());
        let wants = !alone && window.lanes_wanted() > 1;
        if !std::mem::replace(narrow, wants) && wants {
            self.narrow.notify();
        }
    }
}

/// What is known of a path before anything was sent on it: the round trip of its connection.
fn begun(paths: &LiteMap<PathId, Carrying>, path: Option<PathId>, offset: u64, now: Time) -> Window {
    let mut window = Window::new(offset, now);
    let took = path.and_then(|id| paths.get(&id)).and_then(|carrying| carrying.route.round_trip.get().last);
    took.into_iter().for_each(|took| window.guess(took));
    window
}

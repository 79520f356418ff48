//! Notices a path that delivers nothing although something is under way: long before the browser, which takes up to half a minute to
//! declare a peer connection dead.

use std::time::Duration;

use shoal_protocol::pipe::PathId;
use web_time::Instant;

use super::Inner;

/// Silence after which the other side is asked for an acknowledgement: it sends none by itself for the last few bytes.
const PROBE: Duration = Duration::from_millis(500);
/// Silence after which a path is suspect and another is used: several round trips of any network in use.
const SUSPECT: Duration = Duration::from_secs(2);
/// How often a suspect path is asked for a sign of life.
const ASK_SUSPECTS: Duration = Duration::from_secs(1);
/// Bytes that a path must have taken to count as moving: more than a probe.
const MOVING: u64 = 1024;
/// How long a session waits for a path: a relay restarts, and both sides are back at it, within ten seconds; whoever comes later goes on from
/// what was stored.
pub const ALONE: Duration = Duration::from_secs(30);

/// How a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing to complain of.
    Fine,
    /// The path in use seems dead, and there is no other.
    Stuck,
    /// There has been no path for this long.
    Alone(Duration),
}

/// What was seen when something last moved.
#[derive(Debug)]
pub(super) struct Watch {
    moved: Instant,
    path: Option<PathId>,
    acknowledged: u64,
    traffic: (u64, u64),
    probed: bool,
    alone: Option<Instant>,
    asked: Instant,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self { moved: now, path: None, acknowledged: 0, traffic: (0, 0), probed: false, alone: None, asked: now }
    }
}

impl Inner {
    pub(super) fn watch(&mut self, now: Instant) -> Health {
        if self.paths.is_empty() {
            return Health::Alone(now.duration_since(*self.watch.alone.get_or_insert(now)));
        }
        self.watch.alone = None;
        if now.duration_since(self.watch.asked) >= ASK_SUSPECTS {
            self.watch.asked = now;
            self.pipe.probe_suspects();
            self.wake_pumps();
        }
        let counts = self.pipe.counts();
        let path = self.pipe.sends_on();
        let traffic = path.and_then(|id| self.paths.get(&id)).map_or((0, 0), |carrying| carrying.route.traffic.get());
        let Watch { moved, path: before, acknowledged, traffic: seen, probed, .. } = &mut self.watch;
        let idle = counts.sent == counts.acknowledged;
        let moving = counts.acknowledged != *acknowledged || traffic.0 != seen.0 || traffic.1.abs_diff(seen.1) > MOVING;
        if idle || moving || path != *before {
            (*moved, *before, *acknowledged, *seen, *probed) = (now, path, counts.acknowledged, traffic, false);
            // Back on a path that was left because it did not deliver, as the other one broke: that is known already.
            return if !idle && self.pipe.sends_on_suspect() { Health::Stuck } else { Health::Fine };
        }
        let silent = now.duration_since(*moved);
        if silent >= PROBE && !*probed {
            *probed = true;
            self.pipe.probe();
            self.wake_pumps();
        } else if silent >= SUSPECT
            && let Some(path) = path
        {
            self.pipe.suspect(path);
            self.wake_pumps();
            if self.pipe.sends_on() == Some(path) {
                return Health::Stuck;
            }
        }
        Health::Fine
    }
}

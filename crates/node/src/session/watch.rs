//! Looks whether the path in use delivers: see [`Watch`]. And how long there has been none.

use std::time::Duration;

use shoal_protocol::pipe::{Ready, Sight, Verdict};
use web_time::Instant;

use super::Inner;
use crate::peers::Path;

/// How often a suspect path is asked for a sign of life.
const ASK_SUSPECTS: Duration = Duration::from_secs(1);
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
    /// More would go by so many direct paths.
    Narrow(usize),
    /// Nothing goes on; what comes next would go faster by so many direct paths.
    Calm(usize),
    /// There has been no path for this long.
    Alone(Duration),
}

/// What is remembered between two looks.
#[derive(Debug)]
pub(super) struct Watch {
    paths: shoal_protocol::pipe::Watch,
    ready: Ready,
    alone: Option<Instant>,
    asked: Instant,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self { paths: Default::default(), ready: Ready::default(), alone: None, asked: now }
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
        let lanes = self.pipe.lanes();
        // Of several, one may be alive while another is not.
        let alone = path.filter(|_| lanes <= 1);
        let traffic = alone.and_then(|id| self.paths.get(&id)).map_or((0, 0), |carrying| carrying.route.traffic.get());
        let idle = counts.sent == counts.acknowledged;
        let (patience, time) = self.patience();
        let sight = Sight { path, acknowledged: self.pipe.under_way().0, idle, traffic, left: self.pipe.is_left() };
        match self.watch.paths.look(sight, patience, time) {
            Verdict::Fine | Verdict::Waits => {}
            Verdict::Ask => {
                self.pipe.probe();
                self.wake_pumps();
            }
            Verdict::Silent => {
                self.pipe.silent();
                self.wake_pumps();
            }
        }
        // There is no better one, or it is one that was left before, as the other one broke: what is known already is not waited for once more.
        if !idle && self.pipe.sends_on_suspect() {
            return Health::Stuck;
        }
        let Some((id, carrying)) = path.and_then(|id| self.paths.get(&id).map(|carrying| (id, carrying))) else { return Health::Fine };
        if carrying.route.path == Path::Relayed {
            return Health::Fine;
        }
        let shortest = carrying.route.round_trip.get().shortest;
        let ready = shortest.map_or(1, |way| self.watch.ready.look(id, counts, way, time));
        match (self.pace.lanes_wanted(), ready) {
            (wanted @ 2.., _) => Health::Narrow(wanted),
            (_, ready @ 2..) => Health::Calm(ready),
            _ => Health::Fine,
        }
    }

    /// Others are made beside the path in use, or stand.
    pub(super) fn readied(&mut self) {
        self.pipe.sends_on().into_iter().for_each(|path| self.watch.ready.readied(path));
    }
}

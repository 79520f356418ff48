//! Which relays should hold a reservation for this page, and what to do next to get there.
//!
//! A page cannot be dialled: it is reached through relays that hold a reservation for it. What should hold is stated once (*so many relays, with
//! room to choose from*); everything else is repair.
//!
//! ```text
//!   sources ──resolve──► candidates ──choose──► Dialling ──connected──► Reserving ──reserved──► Reserved ─┐ renewed, probed
//!   (servers, names)     (configured,              │                        │                      ▲      │
//!                         remembered)              ▼                        ▼                      └──────┘
//!                              ▲               Waiting ◄──── lost, refused, silent: with jitter ──────────┘
//!                              └───────────────────┘
//! ```
//!
//! Whoever drives it reports what happened (*connected*, *reserved*, *lost*, …) and then carries out what [`Reservations::due`] orders. Time is what
//! a clock says that never goes back; it may stand still while the device sleeps, so nothing is concluded from it that a probe can find out:
//! after [`Reservations::woke`] every relay is asked whether it is still there, and asked for the reservation again.
//!
//! Ten thousand pages lose the same relay in the same instant. See [`backoff`] for how they come back.

mod backoff;
mod candidate;
pub mod dnsaddr;
mod health;
pub mod remembered;
mod source;
pub mod ways;

use std::fmt::Debug;

pub use self::candidate::{Problem, Standing, Tier};
use self::{
    candidate::{Candidate, State},
    source::Source,
};
use crate::choice::draw;
use crate::limits::{
    RESERVATION_ADDRESSES, RESERVATION_AWAKE, RESERVATION_CANDIDATES, RESERVATION_FRESH, RESERVATION_HASTE, RESERVATION_NEEDED,
    RESERVATION_PATIENCE, RESERVATION_RENEWAL, RESERVATION_SPREAD, RESERVATION_SURPLUS, RESERVATION_WATCH,
};
use crate::time::Time;

/// Gives numbers in `0.0..1.0`, uniformly.
pub type Random<'a> = &'a mut dyn FnMut() -> f64;

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order<Id, Address> {
    /// Ask this source for relays; answer with [`Reservations::resolved`].
    Resolve(usize),
    /// Connect to a relay; leads to [`Reservations::connected`] or [`Reservations::lost`].
    Dial(Id, Vec<Address>),
    /// Ask the connected relay for a reservation, or to renew it; leads to [`Reservations::reserved`] or [`Reservations::refused`].
    Reserve(Id),
    /// Find out whether the relay still answers; leads to [`Reservations::probed`]. Silence is understood too.
    Probe(Id),
    /// Close every connection to it: it is dead, and nobody has noticed.
    Disconnect(Id),
}

/// How one relay stands, for people.
#[derive(Debug)]
pub struct Row<'a, Id, Address> {
    /// Which.
    pub id: &'a Id,
    /// Where, best address first.
    pub addresses: &'a [Address],
    /// How it stands.
    pub standing: Standing,
    /// What went wrong last.
    pub problem: Option<&'a Problem>,
}

/// All relays that this page knows, and what should hold.
#[derive(Debug)]
pub struct Reservations<Id, Address> {
    wanted: usize,
    sources: Vec<Source>,
    /// In the order in which they became known. A map of so few would only cost code.
    candidates: Vec<Candidate<Id, Address>>,
    /// No new relay is tried before: a whole crowd has just lost one.
    hold_until: Time,
    /// Losses told before this moment are old news from before a sleep.
    awake_until: Time,
    /// Whether relays are asked every few seconds.
    watches: bool,
}

impl<Id: Eq + Clone + Debug, Address: Clone + PartialEq + Debug> Reservations<Id, Address> {
    /// Wants this many relays to hold a reservation, and has this many sources to ask for relays.
    pub fn new(wanted: usize, sources: usize) -> Self {
        Self {
            wanted,
            sources: (0..sources).map(|_| Source::default()).collect(),
            candidates: Vec::new(),
            hold_until: Time::default(),
            awake_until: Time::default(),
            watches: false,
        }
    }

    /// Asks every relay in use each [`RESERVATION_WATCH`] whether it is there: for a page that nobody tells when its network changes.
    pub fn watch(&mut self) {
        self.watches = true;
    }

    /// Makes a relay known, or its addresses fresh. Whether there was room for it.
    pub fn add(&mut self, id: Id, addresses: Vec<Address>, tier: Tier) -> bool {
        self.learn(id, addresses, tier, None)
    }

    fn learn(&mut self, id: Id, mut addresses: Vec<Address>, tier: Tier, source: Option<usize>) -> bool {
        addresses.truncate(RESERVATION_ADDRESSES);
        if addresses.is_empty() {
            return false;
        }
        if let Some(known) = self.candidate(&id) {
            let moved = known.addresses != addresses;
            known.addresses = addresses;
            if moved && source.is_some() && known.problem == Some(Problem::Unreachable) && matches!(known.state, State::Waiting { .. }) {
                known.hurry();
            }
            known.tier = known.tier.min(tier);
            known.source = source.or(known.source);
            return true;
        }
        if self.candidates.len() >= RESERVATION_CANDIDATES && !self.forget_one() {
            return false;
        }
        self.candidates.push(Candidate::new(id, addresses, tier, source));
        true
    }

    /// Makes room: whoever is not in use and failed most.
    fn forget_one(&mut self) -> bool {
        let idle = self.candidates.iter().enumerate().filter(|(_, candidate)| !candidate.is_engaged());
        let worst = idle.max_by_key(|(_, candidate)| (candidate.tier, candidate.health.failures())).map(|(index, _)| index);
        worst.map(|index| self.candidates.remove(index)).is_some()
    }

    fn candidate(&mut self, id: &Id) -> Option<&mut Candidate<Id, Address>> {
        self.candidates.iter_mut().find(|candidate| candidate.id == *id)
    }

    // ---- what happened ----------------------------------------------------------------------------------------------

    /// A source answered, or not. An answer without relays is a failure too.
    pub fn resolved(&mut self, source: usize, answer: Result<Vec<(Id, Vec<Address>)>, Problem>, now: Time, random: Random<'_>) {
        let Some(asked) = self.sources.get_mut(source) else { return };
        match answer {
            Ok(relays) if !relays.is_empty() => {
                asked.answered(now);
                // What it does not name any more has moved, or lost its key.
                let named = |id: &Id| relays.iter().any(|(other, _)| other == id);
                self.candidates.retain(|candidate| candidate.source != Some(source) || candidate.is_engaged() || named(&candidate.id));
                for (id, addresses) in relays {
                    self.learn(id, addresses, Tier::Configured, Some(source));
                }
            }
            Ok(_) => asked.fail(Problem::Empty, now, random),
            Err(problem) => asked.fail(problem, now, random),
        }
    }

    /// A connection to this peer stands, whoever made it.
    pub fn connected(&mut self, id: &Id) {
        if let Some(candidate) = self.candidate(id) {
            candidate.connected = true;
        }
    }

    /// The relay granted the reservation, or renewed it.
    pub fn reserved(&mut self, id: &Id, now: Time, random: Random<'_>) {
        let Some(candidate) = self.candidate(id) else { return };
        let started = match candidate.state {
            State::Reserving { since, .. } => Some(since),
            // Also where it is granted when nobody waited for it any more: it can be used all the same.
            _ => None,
        };
        candidate.health.worked(started.map(|since| now.since(since)));
        candidate.problem = None;
        candidate.connected = true;
        candidate.state = State::Reserved { since: now, renew_at: now + RESERVATION_RENEWAL.mul_f64(0.75 + random() / 4.0) };
    }

    /// The relay did not grant the reservation, or ended it.
    pub fn refused(&mut self, id: &Id, problem: Problem, now: Time, random: Random<'_>) {
        let Some(candidate) = self.candidate(id) else { return };
        if matches!(candidate.state, State::Reserving { .. } | State::Reserved { .. } | State::Renewing { .. } | State::Probing { .. }) {
            candidate.fail(problem, now, random);
        }
    }

    /// A relay could not be reached, or the last connection to it closed.
    pub fn lost(&mut self, id: &Id, problem: Problem, now: Time, random: Random<'_>) {
        let awake = now < self.awake_until;
        let Some(candidate) = self.candidate(id) else { return };
        candidate.connected = false;
        match candidate.state {
            State::Idle | State::Waiting { .. } => {}
            State::Dialling { .. } | State::Reserving { .. } => candidate.fail(problem, now, random),
            State::Reserved { .. } | State::Renewing { .. } | State::Probing { .. } => {
                // Told late, after a sleep: the crowd that lost it at the same time has dispersed.
                let pause = RESERVATION_SPREAD.mul_f64(random()) / if awake { 16 } else { 1 };
                candidate.rest(problem, now + pause);
                self.hold_until = self.hold_until.max(now + pause);
            }
        }
    }

    /// Whether a probed relay answered.
    pub fn probed(&mut self, id: &Id, alive: bool, now: Time) {
        let Some(candidate) = self.candidate(id) else { return };
        let State::Probing { until, renew_at } = candidate.state else { return };
        // Its answer shows that the connection lives, not that the reservation does: that is asked for when it is time.
        candidate.state = if alive { State::Reserved { since: now, renew_at } } else { State::Probing { until: now.min(until), renew_at } };
    }

    /// An address of this relay is not right any more: the source that told it is asked again.
    pub fn outdated(&mut self, id: &Id, now: Time) {
        let Some(source) = self.candidate(id).and_then(|candidate| candidate.source) else { return };
        if let Some(source) = self.sources.get_mut(source) {
            source.outdated(now);
        }
    }

    /// Something speaks against this relay being there (an unanswered ping, say): it is asked.
    pub fn doubted(&mut self, id: &Id, now: Time) {
        if let Some(candidate) = self.candidate(id) {
            candidate.suspect(false, now);
        }
    }

    /// The page, the network or the device came back: timers and connections may have slept. What waits is tried at once, what seems to hold is asked.
    pub fn woke(&mut self, now: Time) {
        self.awake_until = now + RESERVATION_AWAKE;
        self.hold_until = now;
        for source in &mut self.sources {
            source.hurry();
        }
        for candidate in &mut self.candidates {
            match candidate.state {
                State::Waiting { .. } => candidate.hurry(),
                // Not twice in half a minute: people switch tabs more often than networks break.
                State::Reserved { since, .. } => candidate.suspect(now.since(since) > RESERVATION_FRESH, now),
                _ => candidate.hasten(now),
            }
        }
    }

    /// Something under way stands still for want of a relay. Those that wait are tried within [`RESERVATION_NEEDED`]; few pages of a crowd say this,
    /// as a relay carries only so many circuits.
    pub fn needed(&mut self, now: Time, random: Random<'_>) {
        let soon = now + RESERVATION_NEEDED.mul_f64(random());
        self.hold_until = self.hold_until.min(soon);
        for candidate in &mut self.candidates {
            // Who said no is not asked more often for that.
            let refused = candidate.problem.as_ref().is_some_and(Problem::is_refusal);
            if let State::Waiting { until } = &mut candidate.state
                && !refused
            {
                *until = (*until).min(soon);
            }
        }
    }

    // ---- what holds -------------------------------------------------------------------------------------------------

    /// Whether any relay holds a reservation, as far as is known.
    pub fn reachable(&self) -> bool {
        self.holding() > 0
    }

    /// Whether this peer is a relay that is known here.
    pub fn contains(&self, id: &Id) -> bool {
        self.candidates.iter().any(|candidate| candidate.id == *id)
    }

    /// The relays that the settings lead to.
    pub fn configured(&self) -> impl Iterator<Item = &Id> {
        self.candidates.iter().filter(|candidate| candidate.tier == Tier::Configured).map(|candidate| &candidate.id)
    }

    /// Where a relay is, the best address first.
    pub fn addresses(&self, id: &Id) -> &[Address] {
        self.candidates.iter().find(|candidate| candidate.id == *id).map_or(&[], |candidate| &candidate.addresses)
    }

    /// Every relay in use or with a problem to tell, for the status.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_, Id, Address>> {
        let told = |candidate: &&Candidate<Id, Address>| candidate.is_engaged() || candidate.problem.is_some();
        self.candidates.iter().filter(told).map(|candidate| Row {
            id: &candidate.id,
            addresses: &candidate.addresses,
            standing: candidate.standing(),
            problem: candidate.problem.as_ref(),
        })
    }

    /// How a source stands: whether it is being asked, and what is wrong with it.
    pub fn source(&self, source: usize) -> Option<(Standing, Option<&Problem>)> {
        let source = self.sources.get(source)?;
        Some((source.standing(), source.problem.as_ref()))
    }

    fn holding(&self) -> usize {
        self.candidates.iter().filter(|candidate| candidate.standing() == Standing::Reserved).count()
    }

    // ---- what to do -------------------------------------------------------------------------------------------------

    /// What is to be done now. To be asked after every report, and when time has passed.
    pub fn due(&mut self, now: Time, random: Random<'_>) -> Vec<Order<Id, Address>> {
        let mut orders = Vec::new();
        self.expire(now, random, &mut orders);
        self.keep(now, &mut orders);
        if now >= self.hold_until {
            self.acquire(now, random, &mut orders);
        }
        orders
    }

    /// What should have answered by now, and did not.
    fn expire(&mut self, now: Time, random: Random<'_>, orders: &mut Vec<Order<Id, Address>>) {
        for source in &mut self.sources {
            source.expire(now, random);
        }
        for candidate in &mut self.candidates {
            match candidate.state {
                State::Dialling { until, .. } if until <= now => candidate.fail(Problem::Silent, now, random),
                State::Reserving { until, .. } | State::Renewing { until } if until <= now => {
                    candidate.connected = false;
                    candidate.fail(Problem::Silent, now, random);
                    orders.push(Order::Disconnect(candidate.id.clone()));
                }
                State::Probing { until, .. } if until <= now => {
                    // Dead for who knows how long: nobody else notices it now, so there is no crowd to wait for.
                    candidate.connected = false;
                    candidate.rest(Problem::Silent, now);
                    orders.push(Order::Disconnect(candidate.id.clone()));
                }
                _ => {}
            }
        }
    }

    /// Keeps what holds: probes and renewals.
    fn keep(&mut self, now: Time, orders: &mut Vec<Order<Id, Address>>) {
        for candidate in &mut self.candidates {
            if let State::Reserved { since, .. } = candidate.state
                && self.watches
                && since + RESERVATION_WATCH <= now
            {
                candidate.suspect(false, now);
            }
            match candidate.state {
                State::Probing { until, .. } if !candidate.asked => {
                    candidate.asked = true;
                    debug_assert!(until > now);
                    orders.push(Order::Probe(candidate.id.clone()));
                }
                State::Reserved { renew_at, .. } if renew_at <= now => {
                    candidate.state = State::Renewing { until: now + RESERVATION_PATIENCE };
                    orders.push(Order::Reserve(candidate.id.clone()));
                }
                State::Dialling { since, until } if candidate.connected => {
                    candidate.state = State::Reserving { since, until };
                    orders.push(Order::Reserve(candidate.id.clone()));
                }
                _ => {}
            }
        }
    }

    /// Gets what is missing.
    fn acquire(&mut self, now: Time, random: Random<'_>, orders: &mut Vec<Order<Id, Address>>) {
        let missing = self.holding() < self.wanted;
        for (index, source) in self.sources.iter_mut().enumerate().filter(|(_, source)| source.is_due(missing, now)) {
            source.ask(now);
            orders.push(Order::Resolve(index));
        }
        loop {
            let holding = self.holding();
            let under_way = self.candidates.iter().filter_map(Candidate::started);
            let fresh = under_way.clone().filter(|since| *since + RESERVATION_HASTE > now).count();
            if holding + fresh >= self.wanted || under_way.count() >= self.wanted + RESERVATION_SURPLUS {
                return;
            }
            if let Some(source) = self.stale_source(now) {
                self.sources[source].ask(now);
                orders.push(Order::Resolve(source));
                continue;
            }
            let Some(id) = self.choose(now, random) else { return };
            let Some(candidate) = self.candidate(&id) else { return };
            let until = now + RESERVATION_PATIENCE;
            if candidate.connected {
                candidate.state = State::Reserving { since: now, until };
                orders.push(Order::Reserve(id));
            } else {
                candidate.state = State::Dialling { since: now, until };
                orders.push(Order::Dial(id, candidate.addresses.clone()));
            }
        }
    }

    /// A source whose relay failed more than once since it was asked: the relay may have moved.
    fn stale_source(&self, now: Time) -> Option<usize> {
        let failed = self.candidates.iter().filter(|candidate| candidate.is_ready(now) && candidate.health.failures() > 1);
        failed
            .filter_map(|candidate| Some((candidate.source?, candidate.health.failed_at())))
            .find_map(|(source, failed_at)| self.sources.get(source).filter(|known| known.may_be_stale(failed_at)).map(|_| source))
    }

    /// One of the relays that may be tried now, by their health.
    fn choose(&self, now: Time, random: Random<'_>) -> Option<Id> {
        let ready = |tier: Tier| {
            let waits_for_answer = |candidate: &Candidate<Id, Address>| {
                candidate.health.failures() > 1
                    && candidate.source.and_then(|source| self.sources.get(source)).is_some_and(Source::is_asked)
            };
            self.candidates
                .iter()
                .filter(move |candidate| candidate.tier == tier && candidate.is_ready(now) && !waits_for_answer(candidate))
                .map(|candidate| (&candidate.id, candidate.health.weight(now)))
                .collect::<Vec<_>>()
        };
        let configured = ready(Tier::Configured);
        if !configured.is_empty() {
            return draw(&configured, random()).cloned();
        }
        // What worked in an earlier visit is the last resort: whoever runs the page may have chosen other relays since.
        let hope = self.reachable()
            || self.sources.iter().any(Source::is_asked)
            || self.candidates.iter().any(|candidate| candidate.tier == Tier::Configured && candidate.started().is_some());
        if hope { None } else { draw(&ready(Tier::Remembered), random()).cloned() }
    }
}

#[cfg(test)]
mod tests;

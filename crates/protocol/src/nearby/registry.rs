//! A relay's half: who is here, in which group, until when, and who has to be told.
//!
//! Nothing waits in a queue. A group has one list, a member is told the newest one when its turn comes, and how often that is follows from
//! the size of the group: whoever comes, goes or renames itself all the time makes the relay say no more than one list in that time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;

use super::{Group, Name, Refusal, message};
use crate::{
    identity::PublicKey,
    limits::{
        NEARBY_ANNOUNCEMENT, NEARBY_ANNOUNCEMENTS, NEARBY_DEVICES, NEARBY_DEVICES_PER_GROUP, NEARBY_JOIN, NEARBY_JOINS, NEARBY_LIFETIME,
        NEARBY_UPDATE, NEARBY_UPDATE_EACH,
    },
    time::Time,
};

type Key = [u8; 32];

/// Bounds of a [`Registry`]; the defaults' reasons are in [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Devices in all.
    pub total: usize,
    /// Devices of one group; at most [`NEARBY_DEVICES_PER_GROUP`], which is what devices accept.
    pub per_group: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { total: NEARBY_DEVICES, per_group: NEARBY_DEVICES_PER_GROUP }
    }
}

/// What the relay must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order<Member> {
    /// Send this. What waits to be sent to the same member, and has not begun, need not be sent any more.
    Tell(Member, Bytes),
    /// Say why and close the stream. The member is no longer known here.
    Drop(Member, Refusal),
}

/// Everybody that wants to be found. A `Member` stands for one stream.
#[derive(Debug)]
pub struct Registry<Member> {
    bounds: Bounds,
    members: BTreeMap<Member, (Group, Key)>,
    groups: BTreeMap<Group, Gathering<Member>>,
    /// When members have to have announced themselves again.
    expiries: BTreeSet<(Time, Member)>,
    /// When groups with news are told them.
    updates: BTreeSet<(Time, Group)>,
}

#[derive(Debug)]
struct Gathering<Member> {
    entries: BTreeMap<Key, Entry<Member>>,
    joins: Allowance,
    /// Not before this time is it told news.
    quiet_until: Time,
    news: bool,
}

#[derive(Debug)]
struct Entry<Member> {
    member: Member,
    name: Option<Name>,
    expires: Time,
    announcements: Allowance,
}

impl<Member: Copy + Ord> Registry<Member> {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        let per_group = bounds.per_group.clamp(1, NEARBY_DEVICES_PER_GROUP);
        Self {
            bounds: Bounds { per_group, ..bounds },
            members: BTreeMap::new(),
            groups: BTreeMap::new(),
            expiries: BTreeSet::new(),
            updates: BTreeSet::new(),
        }
    }

    /// How many devices are listed.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member says that it is here: the device with this key, which comes from this group. Its group and key must not change.
    pub fn announce(&mut self, member: Member, group: Group, key: &PublicKey, name: Option<Name>, now: Time) -> Vec<Order<Member>> {
        let result = match self.members.get(&member) {
            Some(_) => self.renew(member, name, now).map(|()| Vec::new()),
            None => self.join(member, group, *key.as_bytes(), name, now),
        };
        result.unwrap_or_else(|refusal| {
            self.leave(member, now);
            vec![Order::Drop(member, refusal)]
        })
    }

    fn renew(&mut self, member: Member, name: Option<Name>, now: Time) -> Result<(), Refusal> {
        let Some((group, entry)) = self.entry(member) else { return Ok(()) };
        if !entry.announcements.take(now) {
            return Err(Refusal::TooOften);
        }
        let before = std::mem::replace(&mut entry.expires, now + NEARBY_LIFETIME);
        let renamed = entry.name != name;
        entry.name = name;
        self.expiries.remove(&(before, member));
        self.expiries.insert((now + NEARBY_LIFETIME, member));
        if renamed {
            self.changed(group, now);
        }
        Ok(())
    }

    fn join(&mut self, member: Member, group: Group, key: Key, name: Option<Name>, now: Time) -> Result<Vec<Order<Member>>, Refusal> {
        let (total, per_group) = (self.bounds.total, self.bounds.per_group);
        let all = self.members.len();
        let gathering = match self.groups.get_mut(&group) {
            Some(gathering) => gathering,
            // Only now, so that nobody fills the map with groups that have no member.
            None if all >= total => return Err(Refusal::Full),
            None => self.groups.entry(group).or_insert_with(|| Gathering::new(now)),
        };
        if !gathering.joins.take(now) {
            return Err(Refusal::TooOften);
        }
        let replaced = gathering.entries.get(&key).map(|entry| (entry.member, entry.expires, entry.name != name));
        if replaced.is_none() && (all >= total || gathering.entries.len() >= per_group) {
            return Err(Refusal::Full);
        }
        let expires = now + NEARBY_LIFETIME;
        let announcements = Allowance::new(NEARBY_ANNOUNCEMENTS, NEARBY_ANNOUNCEMENT, now);
        gathering.entries.insert(key, Entry { member, name, expires, announcements });
        let list = gathering.list();
        // Whoever is alone has just been told all there is.
        let news = gathering.entries.len() > 1 && replaced.is_none_or(|(_, _, renamed)| renamed);
        self.members.insert(member, (group, key));
        self.expiries.insert((expires, member));
        let mut orders = Vec::new();
        if let Some((old, expired, _)) = replaced {
            self.members.remove(&old);
            self.expiries.remove(&(expired, old));
            orders.push(Order::Drop(old, Refusal::Replaced));
        }
        if news {
            self.changed(group, now);
        }
        orders.push(Order::Tell(member, list));
        Ok(orders)
    }

    /// A member's stream has ended.
    pub fn leave(&mut self, member: Member, now: Time) {
        let Some((group, key)) = self.members.remove(&member) else { return };
        let Some(gathering) = self.groups.get_mut(&group) else { return };
        if let Some(entry) = gathering.entries.remove(&key) {
            self.expiries.remove(&(entry.expires, member));
        }
        if gathering.entries.is_empty() {
            self.updates.remove(&(gathering.quiet_until, group));
            self.groups.remove(&group);
        } else {
            self.changed(group, now);
        }
    }

    /// When [`poll`](Self::poll) has something to do, unless something happens before.
    pub fn deadline(&self) -> Option<Time> {
        let expiry = self.expiries.first().map(|(at, _)| *at);
        let update = self.updates.first().map(|(at, _)| *at);
        expiry.into_iter().chain(update).min()
    }

    /// What is to be done now.
    pub fn poll(&mut self, now: Time) -> Vec<Order<Member>> {
        let mut orders = Vec::new();
        while let Some((_, member)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            self.leave(member, now);
            orders.push(Order::Drop(member, Refusal::Expired));
        }
        while let Some((_, group)) = self.updates.first().copied().filter(|(at, _)| *at <= now) {
            self.updates.pop_first();
            let Some(gathering) = self.groups.get_mut(&group) else { continue };
            gathering.news = false;
            gathering.quiet_until = now + gathering.pause();
            let list = gathering.list();
            orders.extend(gathering.entries.values().map(|entry| Order::Tell(entry.member, list.clone())));
        }
        orders
    }

    fn entry(&mut self, member: Member) -> Option<(Group, &mut Entry<Member>)> {
        let (group, key) = *self.members.get(&member)?;
        Some((group, self.groups.get_mut(&group)?.entries.get_mut(&key)?))
    }

    /// A group has news.
    fn changed(&mut self, group: Group, now: Time) {
        if let Some(gathering) = self.groups.get_mut(&group)
            && !std::mem::replace(&mut gathering.news, true)
        {
            gathering.quiet_until = gathering.quiet_until.max(now);
            self.updates.insert((gathering.quiet_until, group));
        }
    }
}

impl<Member> Gathering<Member> {
    fn new(now: Time) -> Self {
        Self { entries: BTreeMap::new(), joins: Allowance::new(NEARBY_JOINS, NEARBY_JOIN, now), quiet_until: now, news: false }
    }

    fn list(&self) -> Bytes {
        message::devices(self.entries.iter().map(|(key, entry)| (key, entry.name.as_ref())))
    }

    /// The time until the next list: both the number of those who are told and the length of what they are told grow with the group.
    fn pause(&self) -> Duration {
        let devices = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        NEARBY_UPDATE + NEARBY_UPDATE_EACH.saturating_mul(devices)
    }
}

/// A number of times at once, and then one each `every`.
#[derive(Debug)]
struct Allowance {
    most: u32,
    every: Duration,
    left: u32,
    /// Since when the next one grows back.
    since: Time,
}

impl Allowance {
    const fn new(most: u32, every: Duration, now: Time) -> Self {
        Self { most, every, left: most, since: now }
    }

    fn take(&mut self, now: Time) -> bool {
        let grown = now.since(self.since).as_nanos() / self.every.as_nanos();
        match u32::try_from(grown) {
            Ok(grown) if self.left.saturating_add(grown) < self.most => {
                self.left += grown;
                self.since = self.since + self.every.saturating_mul(grown);
            }
            _ => (self.left, self.since) = (self.most, now),
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}

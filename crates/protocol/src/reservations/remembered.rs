//! Relays that held a reservation in earlier visits: the last resort when no source of the settings answers, and by which transport to reach those
//! that do.
//!
//! Kept as text, one relay a line: when it worked last in seconds since the Unix epoch, then its addresses, which end in its PeerId, the best first,
//! then what is known of the ways there ([`Verdict::word`]). The clock may be wrong, and the record comes from a disk: what cannot be read is left
//! out, and a time in the future counts as now.

use super::ways::Verdict;
use crate::limits::{REMEMBERED_ADDRESS_TEXT, REMEMBERED_ADDRESSES, REMEMBERED_RELAYS, REMEMBERED_SECONDS};

/// The list, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    entries: Vec<Entry>,
}

/// One relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    seconds: u64,
    /// At least one, all of the same relay.
    addresses: Vec<String>,
    verdict: Option<Verdict>,
}

impl Entry {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let seconds = words.next()?.parse().ok()?;
        let (mut addresses, mut verdict) = (Vec::new(), None);
        for word in words {
            match Verdict::read(word) {
                Some(known) if verdict.is_none() && !addresses.is_empty() => verdict = Some(known),
                _ if verdict.is_none() && is_kept(word) => addresses.push(word.to_owned()),
                _ => return None,
            }
        }
        let relay = peer_of(addresses.first()?);
        let same = addresses.iter().all(|address| peer_of(address) == relay) && addresses.len() <= REMEMBERED_ADDRESSES;
        same.then_some(Self { seconds, addresses, verdict })
    }

    fn write(&self) -> String {
        let word = self.verdict.and_then(|verdict| verdict.word()).map_or_else(String::new, |word| format!(" {word}"));
        format!("{} {}{word}\n", self.seconds, self.addresses.join(" "))
    }

    /// Where it is, the best address first.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What is known of the ways there.
    pub const fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }
}

impl Remembered {
    /// Reads a record.
    pub fn read(record: &str) -> Self {
        Self { entries: record.lines().take(REMEMBERED_RELAYS).filter_map(Entry::read).collect() }
    }

    /// The record to keep.
    pub fn write(&self) -> String {
        self.entries.iter().map(Entry::write).collect()
    }

    /// A relay works now at the first of these addresses. Whether the record changed by more than the time of one visit, and should be kept anew.
    pub fn worked(&mut self, addresses: impl IntoIterator<Item = String>, verdict: Option<Verdict>, now: u64) -> bool {
        let addresses: Vec<String> = addresses.into_iter().filter(|address| is_kept(address)).take(REMEMBERED_ADDRESSES).collect();
        let Some(relay) = addresses.first().map(|address| peer_of(address)) else { return false };
        let known = self.entries.iter().position(|entry| entry.addresses.first().is_some_and(|other| peer_of(other) == relay));
        let before = known.map(|index| self.entries.remove(index));
        let told = |verdict: Option<Verdict>| verdict.and_then(|verdict| verdict.word());
        let is_news = |before: Entry| {
            before.addresses != addresses || told(before.verdict) != told(verdict) || now.abs_diff(before.seconds) > REMEMBERED_SECONDS / 30
        };
        let news = before.is_none_or(is_news);
        self.entries.insert(0, Entry { seconds: now, addresses, verdict });
        // A clock that was wrong once must not empty the list: only what is far older than the rest goes.
        self.entries.retain(|entry| now.saturating_sub(entry.seconds) <= REMEMBERED_SECONDS);
        self.entries.truncate(REMEMBERED_RELAYS);
        news
    }

    /// The relays, who worked last first.
    pub fn relays(&self) -> &[Entry] {
        &self.entries
    }
}

/// Whether it can stand in a line of the record.
fn is_kept(address: &str) -> bool {
    address.starts_with('/') && address.len() <= REMEMBERED_ADDRESS_TEXT && !address.contains(char::is_whitespace)
}

fn peer_of(address: &str) -> &str {
    address.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn addresses(list: &Remembered) -> Vec<&str> {
        list.relays().iter().flat_map(Entry::addresses).map(String::as_str).collect()
    }

    fn worked(list: &mut Remembered, addresses: &[&str], now: u64) -> bool {
        list.worked(addresses.iter().map(ToString::to_string), None, now)
    }

    #[test]
    fn what_worked_last_is_first_and_one_relay_stands_once() {
        let mut list = Remembered::default();
        assert!(worked(&mut list, &["/dns4/a/tcp/443/tls/ws/p2p/A"], 10));
        assert!(worked(&mut list, &["/dns4/b/tcp/443/tls/ws/p2p/B"], 20));
        assert!(worked(&mut list, &["/dns4/moved/tcp/443/tls/ws/p2p/A", "/dns4/a/udp/1/quic-v1/webtransport/p2p/A"], 30));
        assert!(
            !worked(&mut list, &["/dns4/moved/tcp/443/tls/ws/p2p/A", "/dns4/a/udp/1/quic-v1/webtransport/p2p/A"], 31),
            "nothing that is worth a write"
        );
        assert_eq!(
            addresses(&list),
            ["/dns4/moved/tcp/443/tls/ws/p2p/A", "/dns4/a/udp/1/quic-v1/webtransport/p2p/A", "/dns4/b/tcp/443/tls/ws/p2p/B"]
        );
        assert_eq!(Remembered::read(&list.write()), list);
    }

    #[test]
    fn what_is_known_of_a_way_is_kept_with_it() {
        let mut list = Remembered::default();
        let address = || ["/dns4/a/tcp/1/ws/p2p/A".to_owned()];
        let verdict = Verdict::read("!10");
        assert!(list.worked(address(), None, 10));
        assert!(list.worked(address(), verdict, 10), "that is worth a write");
        let read = Remembered::read(&list.write());
        assert_eq!(read, list);
        assert_eq!(read.relays()[0].verdict(), verdict);
        assert_eq!(addresses(&Remembered::read("1 /dns4/a/tcp/1/ws/p2p/A\n")).len(), 1, "as earlier versions wrote it");
    }

    #[test]
    fn it_is_bounded_and_ages() {
        let mut list = Remembered::default();
        for number in 0..100 {
            worked(&mut list, &[&format!("/dns4/r/tcp/1/ws/p2p/{number}")], number);
        }
        assert_eq!(list.relays().len(), REMEMBERED_RELAYS);
        worked(&mut list, &["/1/p2p/new", "/2/p2p/new", "/3/p2p/new"], 31 * DAY);
        assert_eq!(addresses(&list), ["/1/p2p/new", "/2/p2p/new"]);
    }

    #[test]
    fn a_wrong_clock_or_record_does_no_harm() {
        let mut list = Remembered::default();
        worked(&mut list, &["/dns4/a/tcp/1/ws/p2p/A"], 100 * DAY);
        worked(&mut list, &["/dns4/b/tcp/1/ws/p2p/B"], DAY);
        assert_eq!(list.relays().len(), 2, "one of the future is as good as new");
        for record in [
            "",
            "\n\n",
            "x /a",
            "1",
            "1 ",
            "1 /a\r\r",
            "1 /a /b",
            "1 +",
            "1 + /a",
            "1 /a + +",
            "1 /a + /a",
            "1 /a /a /a",
            "1 a",
            &format!("1 /{}", "a".repeat(REMEMBERED_ADDRESS_TEXT)),
            "99999999999999999999999 /a",
        ] {
            assert_eq!(Remembered::read(record).relays().len(), 0, "{record}");
        }
        assert!(!worked(&mut list, &["/two lines\n1 /x"], DAY));
    }
}

//! Relays that held a reservation in earlier visits: the last resort when no source of the settings answers.
//!
//! Kept as text, one relay a line: when it worked last in seconds since the Unix epoch, then one of its addresses, which ends in its PeerId.
//! The clock may be wrong, and the record comes from a disk: what cannot be read is left out, and a time in the future counts as now.

use crate::limits::{ADDRESS_TEXT, REMEMBERED_RELAYS, REMEMBERED_SECONDS};

/// The list, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    entries: Vec<(u64, String)>,
}

impl Remembered {
    /// Reads a record.
    pub fn read(record: &str) -> Self {
        let mut remembered = Self::default();
        for line in record.lines().take(REMEMBERED_RELAYS) {
            if let Some((time, address)) = line.split_once(' ')
                && let Ok(time) = time.parse()
                && is_kept(address)
            {
                remembered.entries.push((time, address.to_owned()));
            }
        }
        remembered
    }

    /// The record to keep.
    pub fn write(&self) -> String {
        self.entries.iter().map(|(time, address)| format!("{time} {address}\n")).collect()
    }

    /// This relay works now. Whether the record changed by more than the time of one visit, and should be kept anew.
    pub fn worked(&mut self, address: &str, now: u64) -> bool {
        if !is_kept(address) {
            return false;
        }
        let relay = peer_of(address);
        let known = self.entries.iter().position(|(_, other)| peer_of(other) == relay);
        let before = known.map(|index| self.entries.remove(index));
        self.entries.insert(0, (now, address.to_owned()));
        // A clock that was wrong once must not empty the list: only what is far older than the rest goes.
        self.entries.retain(|(time, _)| now.saturating_sub(*time) <= REMEMBERED_SECONDS);
        self.entries.truncate(REMEMBERED_RELAYS);
        before.is_none_or(|(time, other)| other != address || now.abs_diff(time) > REMEMBERED_SECONDS / 30)
    }

    /// Addresses, of the relay that worked last first.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(_, address)| address.as_str())
    }
}

/// Whether it can stand in a line of the record.
fn is_kept(address: &str) -> bool {
    (1..=ADDRESS_TEXT).contains(&address.len()) && !address.contains(char::is_whitespace)
}

fn peer_of(address: &str) -> &str {
    address.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn what_worked_last_is_first_and_one_relay_stands_once() {
        let mut list = Remembered::default();
        assert!(list.worked("/dns4/a/tcp/443/tls/ws/p2p/A", 10));
        assert!(list.worked("/dns4/b/tcp/443/tls/ws/p2p/B", 20));
        assert!(list.worked("/dns4/moved/tcp/443/tls/ws/p2p/A", 30));
        assert!(!list.worked("/dns4/moved/tcp/443/tls/ws/p2p/A", 31), "nothing that is worth a write");
        let addresses: Vec<&str> = list.addresses().collect();
        assert_eq!(addresses, ["/dns4/moved/tcp/443/tls/ws/p2p/A", "/dns4/b/tcp/443/tls/ws/p2p/B"]);
        assert_eq!(Remembered::read(&list.write()), list);
    }

    #[test]
    fn it_is_bounded_and_ages() {
        let mut list = Remembered::default();
        for number in 0..100 {
            list.worked(&format!("/dns4/r/tcp/1/ws/p2p/{number}"), number);
        }
        assert_eq!(list.addresses().count(), REMEMBERED_RELAYS);
        list.worked("/dns4/r/tcp/1/ws/p2p/new", 31 * DAY);
        assert_eq!(list.addresses().count(), 1);
    }

    #[test]
    fn a_wrong_clock_or_record_does_no_harm() {
        let mut list = Remembered::default();
        list.worked("/dns4/a/tcp/1/ws/p2p/A", 100 * DAY);
        list.worked("/dns4/b/tcp/1/ws/p2p/B", DAY);
        assert_eq!(list.addresses().count(), 2, "one of the future is as good as new");
        for record in [
            "",
            "\n\n",
            "x /a",
            "1",
            "1 ",
            "1 /a\r\r",
            "1 /a /b",
            &format!("1 {}", "a".repeat(ADDRESS_TEXT + 1)),
            "99999999999999999999999 /a",
        ] {
            assert_eq!(Remembered::read(record).addresses().count(), 0, "{record}");
        }
        assert!(!list.worked("two lines\n1 /x", DAY));
    }
}

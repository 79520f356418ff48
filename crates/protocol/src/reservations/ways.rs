//! By which transport a relay is dialled, where it offers two: Happy Eyeballs ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305)) between
//! WebTransport and WebSocket.
//!
//! WebTransport takes fewer round trips to begin and no stream waits for another one's lost packets, but firewalls that let no UDP through answer
//! nothing, so that a browser gives up after seconds. Whoever was there before knows better than to guess:
//!
//! | WebTransport to this relay | is dialled | and the WebSocket |
//! |---|---|---|
//! | is unknown, or failed and has rested | at once | at once: the first one is taken, and what becomes of the other one is learnt |
//! | worked | at once | [`WAYS_HEAD_START`] later, or as soon as it fails |
//! | failed, and rests | not | at once |
//!
//! WebRTC-direct costs a server more than any of them, a handshake more and its processor for every packet, so it is what is left: alone where a relay
//! offers neither of the others, and the turn after a dial by those led nowhere; after it, theirs again.
//!
//! So nobody ever waits because WebTransport was tried, except for the head start, once, where it worked before and does not any more.

use std::time::Duration;

use crate::limits::{RESERVATION_CANDIDATES, WAYS_FIRST_REST, WAYS_HEAD_START, WAYS_LONGEST_REST};

/// What carries a connection to a relay. A later one can be dialled by more pages, from more networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// UDP.
    WebRtcDirect,
    /// QUIC, so UDP.
    WebTransport,
    /// TCP.
    WebSocket,
}

/// Why a way led nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was refused: nobody listens, or the certificate is not the one of the address any more.
    Refused,
    /// Nothing came back.
    Silent,
}

/// What to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<Address> {
    /// All of these.
    pub addresses: Vec<Address>,
    /// WebSockets so much later than WebTransport, or as soon as that failed.
    pub head_start: Duration,
}

/// What is known of one relay: of WebTransport there, and of WebRTC-direct: whether it has its turn, and by which version. Seconds are those since the Unix epoch, by a clock that may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Verdict {
    works: bool,
    /// It let the WebSocket connect and was silent itself.
    blocked: bool,
    /// In a row.
    failures: u32,
    /// The last one.
    failure: Option<(u64, Failure)>,
    /// The last dial, by the other ways, led nowhere.
    stranded: bool,
    /// It knows the first version of WebRTC-direct alone.
    older: bool,
}

impl Verdict {
    /// Reads what [`word`](Self::word) wrote; nothing where it is something else.
    pub fn read(word: &str) -> Option<Self> {
        let (older, word) = word.strip_prefix(OLDER).map_or((false, word), |word| (true, word));
        let mut verdict = Self { older, ..Self::default() };
        if word == "+" {
            verdict.works = true;
        } else if let Some((sign, seconds)) = word.split_at_checked(1) {
            verdict.blocked = sign == "!";
            let failure = match sign {
                "!" => Failure::Silent,
                "-" => Failure::Refused,
                _ => return None,
            };
            verdict.failure = Some((seconds.parse().ok()?, failure));
            verdict.failures = 1;
        } else if !older {
            return None;
        }
        Some(verdict)
    }

    /// One word to keep, where there is something worth to be kept.
    pub fn word(&self) -> Option<String> {
        let mut word = String::from(if self.older { OLDER } else { "" });
        match self.failure {
            _ if self.works => word.push('+'),
            Some((seconds, failure)) => {
                word.push(if self.blocked && failure == Failure::Silent { '!' } else { '-' });
                word.push_str(&seconds.to_string());
            }
            None => {}
        }
        (!word.is_empty()).then_some(word)
    }

    /// Whether it knows the first version of WebRTC-direct alone, as far as it is known.
    pub const fn is_older(&self) -> bool {
        self.older
    }

    fn rests(&self, now: u64) -> bool {
        let longest = WAYS_LONGEST_REST.as_secs();
        let rest = WAYS_FIRST_REST.as_secs().saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(longest);
        // One of the future is from a clock that was wrong.
        self.failure.is_some_and(|(at, _)| at <= now && now - at < rest)
    }
}

/// How the word begins where only the first version of WebRTC-direct is known there.
const OLDER: &str = "1";

/// What is known of each relay.
#[derive(Debug)]
pub struct Ways<Id>(Vec<(Id, Verdict)>);

impl<Id> Default for Ways<Id> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Id: PartialEq> Ways<Id> {
    /// Takes over what an earlier visit knew.
    pub fn learn(&mut self, id: Id, verdict: Verdict) {
        *self.verdict(id) = verdict;
    }

    /// What is known of one.
    pub fn known(&self, id: &Id) -> Option<&Verdict> {
        self.0.iter().find(|(other, _)| other == id).map(|(_, verdict)| verdict)
    }

    /// What to dial now, of these.
    pub fn plan<Address>(&self, id: &Id, addresses: Vec<(Way, Address)>, now: u64) -> Plan<Address> {
        let verdict = self.known(id).copied().unwrap_or_default();
        let (direct, usual): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|(way, _)| *way == Way::WebRtcDirect);
        let addresses = if usual.is_empty() || (verdict.stranded && !direct.is_empty()) { direct } else { usual };
        let has = |way| addresses.iter().any(|(other, _)| *other == way);
        let both = has(Way::WebTransport) && has(Way::WebSocket);
        let dialled = |way: &Way| *way == Way::WebSocket || !both || !verdict.rests(now);
        Plan {
            head_start: if both && verdict.works { WAYS_HEAD_START } else { Duration::ZERO },
            addresses: addresses.into_iter().filter(|(way, _)| dialled(way)).map(|(_, address)| address).collect(),
        }
    }

    /// WebTransport works there, whether it was the faster one or not.
    pub fn works(&mut self, id: Id) {
        let verdict = self.verdict(id);
        *verdict = Verdict { works: true, older: verdict.older, ..Verdict::default() };
    }

    /// By WebRTC-direct it is connected, and by which version.
    pub fn older(&mut self, id: Id, older: bool) {
        self.verdict(id).older = older;
    }

    /// It led nowhere. Where the WebSocket does neither, that is the relay's affair: the next dial is like this one, but for a rest, as browsers count
    /// what failed.
    pub fn failed(&mut self, id: Id, failure: Failure, now: u64) {
        let verdict = self.verdict(id);
        verdict.failures = verdict.failures.saturating_add(1);
        verdict.failure = Some((now, failure));
    }

    /// A WebSocket stands instead of it.
    pub fn instead(&mut self, id: Id) {
        let verdict = self.verdict(id);
        if let Some((_, failure)) = verdict.failure {
            verdict.works = false;
            verdict.blocked = failure == Failure::Silent;
        }
    }

    /// A dial led nowhere, by whatever it went: the next one goes by the others.
    pub fn stranded(&mut self, id: Id) {
        let verdict = self.verdict(id);
        verdict.stranded = !verdict.stranded;
    }

    /// The network is another one: whatever rests may be tried again.
    pub fn forgive(&mut self) {
        for (_, verdict) in &mut self.0 {
            verdict.stranded = false;
            if let Some((at, _)) = &mut verdict.failure {
                *at = 0;
            }
        }
    }

    /// Whether there is nothing between here and this relay but UDP that does not get through.
    pub fn is_blocked(&self, id: &Id) -> bool {
        self.known(id).is_some_and(|verdict| verdict.blocked)
    }

    fn verdict(&mut self, id: Id) -> &mut Verdict {
        let index = self.0.iter().position(|(other, _)| *other == id).unwrap_or_else(|| {
            if self.0.len() >= RESERVATION_CANDIDATES {
                self.0.remove(0);
            }
            self.0.push((id, Verdict::default()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn plan(ways: &Ways<u8>, now: u64) -> (Vec<&'static str>, u128) {
        let plan = ways.plan(&1, vec![(Way::WebSocket, "ws"), (Way::WebTransport, "wt")], now);
        (plan.addresses, plan.head_start.as_millis())
    }

    #[test]
    fn what_is_unknown_races_what_worked_leads_what_failed_rests() {
        let mut ways = Ways::default();
        assert_eq!(plan(&ways, NOW), (vec!["ws", "wt"], 0));
        ways.works(1);
        assert_eq!(plan(&ways, NOW), (vec!["ws", "wt"], WAYS_HEAD_START.as_millis()));
        ways.failed(1, Failure::Silent, NOW);
        ways.instead(1);
        assert!(ways.is_blocked(&1) && !ways.is_blocked(&2));
        assert_eq!(plan(&ways, NOW), (vec!["ws"], 0));
        let rested = NOW + WAYS_FIRST_REST.as_secs();
        assert_eq!(plan(&ways, rested), (vec!["ws", "wt"], 0), "nobody waits for it again");
        ways.works(1);
        assert!(!ways.is_blocked(&1));
    }

    #[test]
    fn rests_double_up_to_the_longest_and_end_with_the_network() {
        let mut ways = Ways::default();
        let mut now = NOW;
        let mut rests = Vec::new();
        for _ in 0..12 {
            ways.failed(1, Failure::Refused, now);
            ways.instead(1);
            let since = now;
            while plan(&ways, now).0.len() < 2 {
                now += 1;
            }
            rests.push(now - since);
        }
        assert_eq!(rests[..3], [4, 8, 16]);
        assert_eq!(rests.last(), Some(&WAYS_LONGEST_REST.as_secs()));
        // After 64 that failed Chromium opens none any more.
        assert!(rests.len() as u64 + 86_400 / WAYS_LONGEST_REST.as_secs() < 64);
        ways.failed(1, Failure::Refused, now);
        ways.forgive();
        assert_eq!(plan(&ways, now).0.len(), 2);
    }

    #[test]
    fn a_relay_that_is_down_says_nothing_of_the_way() {
        let mut ways = Ways::default();
        ways.works(1);
        ways.failed(1, Failure::Refused, NOW);
        assert_eq!(plan(&ways, NOW).0, ["ws"], "it rests");
        assert_eq!(plan(&ways, NOW + WAYS_FIRST_REST.as_secs()), (vec!["ws", "wt"], WAYS_HEAD_START.as_millis()), "and leads again");
        assert!(!ways.is_blocked(&1));
    }

    #[test]
    fn the_only_way_is_always_tried() {
        let mut ways = Ways::default();
        ways.failed(1, Failure::Silent, NOW);
        ways.works(2);
        for (id, way) in [(1, Way::WebTransport), (2, Way::WebTransport), (2, Way::WebSocket)] {
            assert_eq!(ways.plan(&id, vec![(way, "a")], NOW), Plan { addresses: vec!["a"], head_start: Duration::ZERO });
        }
    }

    #[test]
    fn webrtc_direct_is_what_is_left() {
        let ways = Ways::default();
        assert_eq!(ways.plan(&1, vec![(Way::WebRtcDirect, "d")], NOW).addresses, ["d"], "nothing else is offered");
        for usual in
            [vec![(Way::WebSocket, "ws")], vec![(Way::WebTransport, "wt")], vec![(Way::WebSocket, "ws"), (Way::WebTransport, "wt")]]
        {
            let mut ways = Ways::default();
            let expected: Vec<_> = usual.iter().map(|(_, address)| *address).collect();
            let offered: Vec<_> = [(Way::WebRtcDirect, "d")].into_iter().chain(usual).collect();
            let dialled = |ways: &Ways<u8>| ways.plan(&1, offered.clone(), NOW).addresses;
            assert_eq!(dialled(&ways), expected);
            ways.stranded(1);
            assert_eq!(dialled(&ways), ["d"], "the others led nowhere");
            assert_eq!(dialled(&ways), ["d"], "what connected is dialled again when that connection ends");
            ways.stranded(1);
            assert_eq!(dialled(&ways), expected, "nor did it");
            ways.stranded(1);
            ways.forgive();
            assert_eq!(dialled(&ways), expected, "the network is another one");
        }
        let mut without = Ways::default();
        without.stranded(1);
        assert_eq!(without.plan(&1, vec![(Way::WebSocket, "ws")], NOW).addresses, ["ws"], "where it is not offered there is no turn");
    }

    #[test]
    fn what_is_kept_says_the_same_in_the_next_visit() {
        let mut ways = Ways::default();
        assert_eq!(Verdict::default().word(), None);
        ways.works(1);
        ways.failed(2, Failure::Silent, NOW);
        ways.instead(2);
        ways.failed(3, Failure::Refused, NOW);
        ways.instead(3);
        ways.older(4, true);
        ways.older(5, true);
        ways.works(5);
        ways.older(6, true);
        ways.failed(6, Failure::Silent, NOW);
        ways.instead(6);
        for id in [1, 2, 3, 4, 5, 6] {
            let verdict = *ways.known(&id).unwrap();
            assert_eq!(Verdict::read(&verdict.word().unwrap()), Some(verdict));
        }
        assert!(ways.known(&5).unwrap().is_older() && !ways.known(&1).unwrap().is_older());
        ways.older(5, false);
        assert!(!ways.known(&5).unwrap().is_older(), "it has learnt the other one");
        for word in ["", "11", "2", "+1", "-", "!x", "?", "é", "-99999999999999999999999"] {
            assert_eq!(Verdict::read(word), None, "{word}");
        }
        let mut wrong_clock = Ways::default();
        wrong_clock.learn(1, Verdict::read(&format!("-{}", NOW + 1)).unwrap());
        assert_eq!(plan(&wrong_clock, NOW).0.len(), 2, "one of the future does not rest until then");
    }

    #[test]
    fn it_is_bounded() {
        let mut ways = Ways::default();
        (0..1_000).for_each(|id| ways.works(id));
        assert_eq!(ways.0.len(), RESERVATION_CANDIDATES);
        assert!(ways.known(&999).is_some());
    }
}

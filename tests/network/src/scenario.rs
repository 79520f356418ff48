//! A scenario: one small file that says who lives where and what must come of it.
//!
//! ```toml
//! about = "Two homes talk directly"
//! sites.left = { kind = "cone" }
//! sites.right = { kind = "cone", link = "weak-4g" }
//! peers.ann = { site = "left", runs = "chromium" }
//! peers.bob = { site = "right", runs = "chromium" }
//!
//! [[meetings]]
//! who = ["ann", "bob"]
//! path = "direct"
//! ```
//!
//! `[matrix]` stands for a meeting of every kind of site with every other one, `[ladder]` for a transfer over each link of a list.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::{
    profile,
    site::{Kind, MOST},
    theory::{Means, Path, best},
};

/// What a file says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in one sentence.
    pub about: String,
    /// The relay on the internet.
    #[serde(default)]
    pub relay: Relay,
    /// By name.
    #[serde(default)]
    pub sites: BTreeMap<String, Site>,
    /// By name; each in a site of its own.
    #[serde(default)]
    pub peers: BTreeMap<String, Peer>,
    /// One after the other.
    #[serde(default)]
    pub meetings: Vec<Meeting>,
    /// Every kind of site with every other one.
    pub matrix: Option<Matrix>,
    /// A transfer over each of some links.
    pub ladder: Option<Ladder>,
    /// How many packets the shaper carries.
    pub flood: Option<Flood>,
}

/// The relay's settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relay {
    /// Whether it answers STUN.
    pub stun: bool,
    /// Whether it offers TURN.
    pub turn: bool,
}

/// Where somebody is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// What is between them and the internet.
    pub kind: Kind,
    /// The link to the internet, by its name in `profiles.toml`; nothing: a cable.
    pub link: Option<String>,
}

/// What a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// A page in it.
    Chromium,
    /// A page in it.
    Firefox,
    /// A program of rust-libp2p (`peer/`).
    Native,
}

impl Runs {
    /// As scenarios and tests call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::Native => "native",
        }
    }

    const fn means(self) -> Means {
        match self {
            Self::Chromium | Self::Firefox => Means::Udp,
            Self::Native => Means::UdpAndTcp,
        }
    }
}

/// Somebody.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Where.
    pub site: String,
    /// What.
    pub runs: Runs,
}

/// One gets a file from the other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meeting {
    /// Who has the file, and who gets it.
    pub who: [String; 2],
    /// The best path that there will be between them.
    pub path: Path,
    /// Size of the file.
    #[serde(default = "file")]
    pub bytes: u64,
    /// Milliseconds until the first of it must be there.
    #[serde(default = "usable")]
    pub usable_within_ms: u64,
}

const fn file() -> u64 {
    200_000
}

/// Twenty seconds, after which pages give up by themselves.
const fn usable() -> u64 {
    20_000
}

/// Meetings of every kind with every other one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// Which kinds.
    pub kinds: Vec<Kind>,
    /// What the peers are.
    pub runs: Runs,
    /// Whether each two kinds meet once, or once from each side.
    pub both_ways: bool,
    /// The 95th of a hundred meetings is usable within so many milliseconds.
    pub usable_p95_ms: u64,
}

/// A transfer over each of some links, beside one over plain TCP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    /// What the peers are.
    pub runs: Runs,
    /// What each must come to.
    pub rungs: Vec<Rung>,
}

/// One transfer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// The link of the one who receives.
    pub link: String,
    /// Size of the file.
    #[serde(default = "large")]
    pub bytes: u64,
    /// For how many seconds nothing went between the two, which had a small file before, when this one is asked for.
    #[serde(default)]
    pub rest: u64,
    /// How often all this is done.
    #[serde(default = "once")]
    pub times: u32,
    /// Share of TCP's speed in percent, at least, in the middle of all; nothing: only told.
    pub percent_of_tcp: Option<u64>,
    /// So many direct connections must stand when it is asked for, at least; nothing: only told.
    pub ready: Option<u64>,
    /// So many data channels without anything of ours, each of a connection of its own, carry as much together, to be compared.
    #[serde(default)]
    pub raw: u32,
    /// What is urgent makes round trips beside a transfer, each so many times as long as one alone, at most; nothing: none is made.
    pub urgent_times: Option<f64>,
    /// What happens on the way.
    #[serde(default)]
    pub event: Event,
}

const fn once() -> u32 {
    1
}

const fn large() -> u64 {
    5_000_000
}

/// What happens during a transfer, after a fifth of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what", content = "seconds")]
pub enum Event {
    /// Nothing.
    #[default]
    Nothing,
    /// Nothing gets through for so many seconds.
    Blackout(u64),
    /// The provider gives the receiver's router another address.
    Switch,
}

/// How many packets in a second the shaper carries.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    /// At least.
    pub packets_per_second: u64,
    /// How long.
    pub seconds: u64,
}

impl Flood {
    /// How long.
    pub const fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl Scenario {
    /// Reads a file, writes out what it stands for, and checks that it can be built.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        scenario.write_out();
        scenario.check()?;
        Ok(scenario)
    }

    fn write_out(&mut self) {
        if let Some(Matrix { kinds, runs, both_ways, .. }) = self.matrix.clone() {
            for side in ["left", "right"] {
                for kind in &kinds {
                    self.add(&format!("{side}-{}", kind.name()), *kind, runs);
                }
            }
            for (index, left) in kinds.iter().enumerate() {
                for right in kinds.iter().skip(if both_ways { 0 } else { index }) {
                    let who = [format!("left-{}", left.name()), format!("right-{}", right.name())];
                    let (path, _) = best(runs.means(), *left, *right);
                    self.meetings.push(Meeting { who, path, bytes: file(), usable_within_ms: usable() });
                }
            }
        }
        if let Some(ladder) = &self.ladder {
            let runs = ladder.runs;
            // The one who receives is behind a router whose address can change; TCP, by which it is compared, goes to who sends.
            let link = ladder.rungs.first().map(|rung| rung.link.clone());
            self.add("sender", Kind::None, runs);
            self.add("receiver", Kind::Cone, runs);
            self.sites.insert("receiver".to_owned(), Site { kind: Kind::Cone, link });
        }
        if self.flood.is_some() {
            for (name, link) in [("sender", None), ("receiver", Some(profile::CABLE.to_owned()))] {
                self.sites.insert(name.to_owned(), Site { kind: Kind::None, link });
            }
        }
    }

    fn add(&mut self, name: &str, kind: Kind, runs: Runs) {
        self.sites.insert(name.to_owned(), Site { kind, link: None });
        self.peers.insert(name.to_owned(), Peer { site: name.to_owned(), runs });
    }

    fn check(&self) -> Result<(), String> {
        if self.sites.len() > MOST {
            return Err(format!("{} sites: {MOST} at most", self.sites.len()));
        }
        for link in self
            .sites
            .values()
            .filter_map(|site| site.link.as_ref())
            .chain(self.ladder.iter().flat_map(|ladder| ladder.rungs.iter().map(|rung| &rung.link)))
        {
            profile::named(link)?;
        }
        let mut taken = BTreeMap::new();
        for (name, Peer { site, .. }) in &self.peers {
            if !self.sites.contains_key(site) {
                return Err(format!("peer {name} is in {site}, which is no site"));
            }
            if let Some(other) = taken.insert(site, name) {
                return Err(format!("{other} and {name} are both in {site}: give each a site of its own"));
            }
        }
        match self.meetings.iter().flat_map(|meeting| &meeting.who).find(|name| !self.peers.contains_key(*name)) {
            Some(stranger) => Err(format!("{stranger} is to meet somebody, but is no peer")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path;

    use super::*;

    const HOMES: &str = "about = 'two homes'\nsites.a = { kind = 'cone' }\nsites.b = { kind = 'double', link = 'weak-4g' }\n\
                         peers.ann = { site = 'a', runs = 'chromium' }\npeers.bob = { site = 'b', runs = 'firefox' }\n";

    #[test]
    fn a_file_names_sites_peers_and_meetings() {
        let scenario = Scenario::parse(&format!("{HOMES}[[meetings]]\nwho = ['ann', 'bob']\npath = 'direct'\n")).expect("it is right");
        assert_eq!(scenario.sites["b"].kind, Kind::Double);
        assert_eq!(scenario.meetings[0].path, Path::Direct);
        assert_eq!(scenario.meetings[0].bytes, 200_000);
    }

    #[test]
    fn a_matrix_stands_for_each_pair_once_or_twice() {
        let matrix = |both| {
            format!(
                "about = 'all'\n[matrix]\nkinds = ['none', 'cone', 'symmetric']\nruns = 'chromium'\nboth_ways = {both}\nusable_p95_ms = 3000\n"
            )
        };
        let once = Scenario::parse(&matrix(false)).expect("it is right");
        assert_eq!((once.sites.len(), once.meetings.len()), (6, 6));
        assert_eq!(Scenario::parse(&matrix(true)).expect("it is right").meetings.len(), 9);
        let relayed: Vec<_> =
            once.meetings.iter().filter(|meeting| meeting.path == Path::Relayed).map(|meeting| meeting.who.join(" ")).collect();
        assert_eq!(relayed, ["left-cone right-symmetric", "left-symmetric right-symmetric"]);
    }

    #[test]
    fn what_cannot_be_built_is_refused_in_words() {
        let problem = |text: String| Scenario::parse(&text).expect_err("it is wrong");
        assert!(problem(format!("{HOMES}[[meetings]]\nwho = ['ann', 'eve']\npath = 'direct'")).contains("eve is to meet"));
        assert!(problem(format!("{HOMES}peers.eve = {{ site = 'a', runs = 'chromium' }}")).contains("a site of its own"));
        assert!(problem(HOMES.replace("weak-4g", "pigeons")).contains("no link is called pigeons"));
        assert!(problem(HOMES.replace("'cone'", "'wall'")).contains("wall"));
    }

    #[test]
    fn every_committed_scenario_can_be_read() {
        let mut count = 0;
        for folder in ["scenarios", "scenarios/long"] {
            for entry in std::fs::read_dir(path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("the folder is there") {
                let path = entry.expect("it can be listed").path();
                if path.extension().is_some_and(|extension| extension == "toml") {
                    let text = std::fs::read_to_string(&path).expect("it can be read");
                    Scenario::parse(&text).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
                    count += 1;
                }
            }
        }
        assert!(count >= 8, "{count} scenarios");
    }
}

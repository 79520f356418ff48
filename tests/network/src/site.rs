//! How a site is built: which network namespaces it consists of, and what is said in each to make it so.
//!
//! ```text
//!   internet (11.0.0.1, the relay)
//!      │ to3 11.1.3.1/24                              the third site; this link may be shaped
//!      │ wan 11.1.3.2/24 ── also 11.3.3.2 after a switch of the uplink
//!   home-router      masquerade, nothing new comes in
//!      │ lan 192.168.1.1/24                           the same in every home
//!      │ eth0 192.168.1.2/24
//!   home             who lives here
//! ```
//!
//! Addresses of the outside are of 11.0.0.0/8: routed like any other, and in no list of special addresses, as those for documentation and benchmarks
//! are, which our own relay and pages treat as such. No packet of the laboratory leaves it, so nobody is disturbed.

use serde::Deserialize;

/// The namespace between all sites.
pub const INTERNET: &str = "internet";
/// Where the relay is.
pub const RELAY: &str = "11.0.0.1";
/// The most sites of one laboratory: the third number of their addresses.
pub const MOST: usize = 200;

/// What is between somebody and the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing: the machine has a public address.
    None,
    /// A public address, and a router that lets in only answers.
    Firewalled,
    /// A router that gives each socket one port for all it talks to, and lets in only answers.
    Cone,
    /// A router that gives each socket another port for each it talks to.
    Symmetric,
    /// A router like `Cone` behind another one, of the provider.
    Double,
    /// A router that lets no UDP through.
    UdpBlocked,
}

impl Kind {
    /// All, in the order of tables.
    pub const ALL: [Self; 6] = [Self::None, Self::Firewalled, Self::Cone, Self::Symmetric, Self::Double, Self::UdpBlocked];

    /// As it is written in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Firewalled => "firewalled",
            Self::Cone => "cone",
            Self::Symmetric => "symmetric",
            Self::Double => "double",
            Self::UdpBlocked => "udp-blocked",
        }
    }

    /// The device that is nearest to the internet: the machine itself, or the outermost router.
    fn edge(self, site: &str) -> String {
        match self {
            Self::None => site.to_owned(),
            Self::Double => format!("{site}-carrier"),
            _ => format!("{site}-router"),
        }
    }
}

/// Commands for one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Where they are run.
    pub namespace: String,
    /// For a shell.
    pub commands: String,
}

/// How to build one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// To be made first.
    pub namespaces: Vec<String>,
    /// The namespace of whoever has the link to the internet, there called `wan`.
    pub edge: String,
    /// What the other end is called in the namespace of the internet.
    pub port: String,
    /// Cables inside: two namespaces and the name of the device in each.
    pub cables: Vec<[(String, &'static str); 2]>,
    /// To be run in this order once all cables and the link are there.
    pub scripts: Vec<Script>,
}

/// Plans the site with this number (from 1).
pub fn plan(site: &str, kind: Kind, number: usize) -> Plan {
    let edge = kind.edge(site);
    let port = format!("to{number}");
    let mut plan = Plan { namespaces: vec![edge.clone()], edge: edge.clone(), port: port.clone(), cables: Vec::new(), scripts: Vec::new() };
    plan.say(
        INTERNET,
        &format!("ip address add 11.1.{number}.1/24 dev {port}\nip address add 11.3.{number}.1/24 dev {port}\nip link set {port} up"),
    );
    plan.say(
        &edge,
        &format!("{UP}ip address add 11.1.{number}.2/24 dev wan\nip link set wan up\nip route add default via 11.1.{number}.1"),
    );
    match kind {
        Kind::None => {}
        Kind::Firewalled => {
            plan.say(INTERNET, &format!("ip route add 11.2.{number}.0/24 via 11.1.{number}.2"));
            plan.home(&edge, site, &format!("11.2.{number}"));
            plan.say(&edge, &filter(""));
        }
        Kind::Cone | Kind::Symmetric | Kind::UdpBlocked => {
            plan.home(&edge, site, "192.168.1");
            plan.say(&edge, &filter(if kind == Kind::UdpBlocked { "meta l4proto udp drop" } else { "" }));
            plan.say(&edge, &masquerade(if kind == Kind::Symmetric { "fully-random" } else { "" }));
        }
        Kind::Double => {
            let router = format!("{site}-router");
            plan.namespaces.push(router.clone());
            plan.cable(&edge, "lan", &router, "wan");
            plan.say(&edge, &format!("ip address add 100.64.{number}.1/24 dev lan\nip link set lan up"));
            plan.say(
                &router,
                &format!("{UP}ip address add 100.64.{number}.2/24 dev wan\nip link set wan up\nip route add default via 100.64.{number}.1"),
            );
            plan.home(&router, site, "192.168.1");
            for each in [&edge, &router] {
                plan.say(each, &filter(""));
                plan.say(each, &masquerade(""));
            }
        }
    }
    plan
}

/// What to say in the edge's namespace when its provider gives it another address: as at night, or when a router falls back to its mobile uplink. The
/// translations that it kept are gone with the old one.
pub fn switch_uplink(number: usize) -> String {
    format!(
        "ip address del 11.1.{number}.2/24 dev wan\nip address add 11.3.{number}.2/24 dev wan\nip route replace default via 11.3.{number}.1"
    )
}

const UP: &str = "ip link set lo up\n";
const FORWARD: &str = "echo 1 > /proc/sys/net/ipv4/ip_forward";

/// Lets in only answers. What nobody asked for is dropped before the router itself sees it, as routers at home do: an answer of its own would keep the
/// port for the stranger, and who is inside would get another one for it.
fn filter(more: &str) -> String {
    format!(
        "{FORWARD}\nnft -f - <<'RULES'\ntable ip wall {{\n  chain through {{\n    type filter hook forward priority filter;\n    {more}\n    iifname \"wan\" ct state new drop\n  }}\n  \
         chain arriving {{\n    type filter hook input priority filter;\n    iifname \"wan\" ct state new drop\n  }}\n}}\nRULES"
    )
}

/// Gives what leaves the router's own address.
fn masquerade(how: &str) -> String {
    format!(
        "nft -f - <<'RULES'\ntable ip translation {{\n  chain leaving {{\n    type nat hook postrouting priority srcnat;\n    oifname \"wan\" masquerade {how}\n  }}\n}}\nRULES"
    )
}

impl Plan {
    fn say(&mut self, namespace: &str, commands: &str) {
        self.scripts.push(Script { namespace: namespace.to_owned(), commands: commands.to_owned() });
    }

    fn cable(&mut self, one: &str, device: &'static str, other: &str, its: &'static str) {
        self.cables.push([(one.to_owned(), device), (other.to_owned(), its)]);
    }

    /// The network inside, with one machine in it.
    fn home(&mut self, router: &str, site: &str, network: &str) {
        self.namespaces.push(site.to_owned());
        self.cable(router, "lan", site, "eth0");
        self.say(router, &format!("ip address add {network}.1/24 dev lan\nip link set lan up"));
        self.say(site, &format!("{UP}ip address add {network}.2/24 dev eth0\nip link set eth0 up\nip route add default via {network}.1"));
    }
}

/// What the internet itself needs before any site.
pub fn internet() -> Script {
    Script { namespace: INTERNET.to_owned(), commands: format!("{UP}ip address add {RELAY}/32 dev lo\n{FORWARD}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: Kind) -> String {
        plan("home", kind, 3).scripts.into_iter().map(|script| format!("{}:\n{}\n", script.namespace, script.commands)).collect()
    }

    #[test]
    fn each_kind_has_the_namespaces_of_its_machines() {
        let namespaces = |kind| plan("home", kind, 1).namespaces;
        assert_eq!(namespaces(Kind::None), ["home"]);
        assert_eq!(namespaces(Kind::Cone), ["home-router", "home"]);
        assert_eq!(namespaces(Kind::Double), ["home-carrier", "home-router", "home"]);
    }

    #[test]
    fn only_translating_routers_translate() {
        for kind in Kind::ALL {
            let count = said(kind).matches("masquerade").count();
            let expected = match kind {
                Kind::None | Kind::Firewalled => 0,
                Kind::Double => 2,
                _ => 1,
            };
            assert_eq!(count, expected, "{kind:?}");
        }
        assert!(said(Kind::Symmetric).contains("masquerade fully-random"));
    }

    #[test]
    fn every_machine_but_the_open_one_lets_in_only_answers() {
        assert!(!said(Kind::None).contains("drop"));
        for kind in Kind::ALL.into_iter().skip(1) {
            assert!(said(kind).contains("iifname \"wan\" ct state new drop"), "{kind:?}");
        }
        assert!(said(Kind::UdpBlocked).contains("udp drop"));
    }

    #[test]
    fn names_of_devices_fit_into_the_kernel() {
        // IFNAMSIZ, with its final zero.
        assert!(plan("home", Kind::Double, MOST).port.len() < 16);
    }
}

//! From a name to relays: what `/dnsaddr/<name>` stands for, by the TXT records of `_dnsaddr.<name>`.
//!
//! Each record says `dnsaddr=<multiaddr>`, which may again begin with `/dnsaddr/`. Format: the "dnsaddr" section of libp2p's addressing
//! specification. Whoever drives a [`Resolution`] looks names up and gives it the texts; it knows what to look up next. Names lead where their
//! owner likes, so depth, lookups and results are bounded, and no name is looked up twice.

use crate::limits::{ADDRESS_TEXT, DNSADDR_ADDRESSES, DNSADDR_DEPTH, DNSADDR_LOOKUPS};

/// Resolves one `/dnsaddr/…` address.
#[derive(Debug)]
pub struct Resolution {
    /// Names still to be looked up: how deep, the name, and what the addresses found there must end in.
    pending: Vec<(usize, String, Option<String>)>,
    asked: Vec<String>,
    found: Vec<String>,
}

impl Resolution {
    /// For `/dnsaddr/<name>`, perhaps followed by `/p2p/<PeerId>`; none where it is something else.
    pub fn new(address: &str) -> Option<Self> {
        let mut resolution = Self { pending: Vec::new(), asked: Vec::new(), found: Vec::new() };
        resolution.follow(0, address, None).then_some(resolution)
    }

    /// The next DNS name whose TXT records are needed. Answer with [`Resolution::answer`] before asking again.
    pub fn next_name(&mut self) -> Option<String> {
        loop {
            let (_, name, _) = self.pending.last()?;
            if self.asked.len() < DNSADDR_LOOKUPS && self.found.len() < DNSADDR_ADDRESSES && !self.asked.contains(name) {
                self.asked.push(name.clone());
                return Some(format!("_dnsaddr.{name}"));
            }
            self.pending.pop();
        }
    }

    /// The texts found at the name that was asked for; none if it has none.
    pub fn answer<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        let Some((depth, _, suffix)) = self.pending.pop() else { return };
        for address in texts.into_iter().filter_map(|text| text.strip_prefix("dnsaddr=")) {
            if self.found.len() >= DNSADDR_ADDRESSES {
                return;
            }
            if address.len() > ADDRESS_TEXT || !address.starts_with('/') || suffix.as_ref().is_some_and(|suffix| !address.ends_with(suffix))
            {
                continue;
            }
            if !self.follow(depth + 1, address, suffix.clone()) && !self.found.iter().any(|found| found == address) {
                self.found.push(address.to_owned());
            }
        }
    }

    /// The multiaddrs found, none of which begins with `/dnsaddr/`.
    pub fn into_addresses(self) -> Vec<String> {
        self.found
    }

    /// Whether the address is a `/dnsaddr/` one (which is then followed, unless it leads too deep).
    fn follow(&mut self, depth: usize, address: &str, suffix: Option<String>) -> bool {
        let Some(rest) = address.strip_prefix("/dnsaddr/") else { return false };
        let (name, own) = rest.split_once('/').map_or((rest, None), |(name, rest)| (name, Some(format!("/{rest}"))));
        if !is_name(name) {
            return depth > 0;
        }
        if depth < DNSADDR_DEPTH {
            self.pending.push((depth, name.to_ascii_lowercase(), own.or(suffix)));
        }
        true
    }
}

/// Letters, digits, hyphens and dots: what else a name may hold has no place in a URL.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 240 && name.split('.').all(label)
}

/// The text of a TXT record as resolvers spell it in JSON (`application/dns-json`): some put each character string in quotes, some do not.
pub fn text_of_record(data: &str) -> String {
    if !data.starts_with('"') {
        return data.to_owned();
    }
    let mut text = String::new();
    let (mut inside, mut escaped) = (false, false);
    for character in data.chars() {
        match character {
            _ if escaped => {
                text.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => inside = !inside,
            _ if inside => text.push(character),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resolves against a list of records; also the names that were looked up.
    fn resolve(address: &str, records: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let mut resolution = Resolution::new(address).unwrap();
        let mut names = Vec::new();
        while let Some(name) = resolution.next_name() {
            resolution.answer(records.iter().filter(|(at, _)| *at == name).map(|(_, text)| *text));
            names.push(name);
        }
        (resolution.into_addresses(), names)
    }

    #[test]
    fn names_lead_to_names_and_in_the_end_to_addresses() {
        let records = [
            ("_dnsaddr.shoal.example", "dnsaddr=/dnsaddr/a.shoal.example/p2p/A"),
            ("_dnsaddr.shoal.example", "dnsaddr=/dns4/c.shoal.example/tcp/443/tls/ws/p2p/C"),
            ("_dnsaddr.shoal.example", "v=spf1 -all"),
            ("_dnsaddr.a.shoal.example", "dnsaddr=/dns4/a.shoal.example/tcp/443/tls/ws/p2p/A"),
            ("_dnsaddr.a.shoal.example", "dnsaddr=/ip4/192.0.2.1/tcp/4001/p2p/B"),
        ];
        let (mut found, names) = resolve("/dnsaddr/Shoal.example", &records);
        found.sort();
        // The first record asks for A only, so B is left out.
        assert_eq!(found, ["/dns4/a.shoal.example/tcp/443/tls/ws/p2p/A", "/dns4/c.shoal.example/tcp/443/tls/ws/p2p/C"]);
        assert_eq!(names, ["_dnsaddr.shoal.example", "_dnsaddr.a.shoal.example"]);
        assert_eq!(resolve("/dnsaddr/shoal.example/p2p/C", &records).0, ["/dns4/c.shoal.example/tcp/443/tls/ws/p2p/C"]);
    }

    #[test]
    fn circles_depth_and_numbers_end() {
        let circle = [("_dnsaddr.a", "dnsaddr=/dnsaddr/b"), ("_dnsaddr.b", "dnsaddr=/dnsaddr/a")];
        assert_eq!(resolve("/dnsaddr/a", &circle).1, ["_dnsaddr.a", "_dnsaddr.b"]);

        let names: Vec<String> = (0..40).map(|level| format!("l{level}")).collect();
        let chain: Vec<(String, String)> =
            names.windows(2).map(|pair| (format!("_dnsaddr.{}", pair[0]), format!("dnsaddr=/dnsaddr/{}", pair[1]))).collect();
        let borrowed: Vec<(&str, &str)> = chain.iter().map(|(at, text)| (at.as_str(), text.as_str())).collect();
        assert_eq!(resolve("/dnsaddr/l0", &borrowed).1.len(), DNSADDR_DEPTH);

        let wide: Vec<String> = (0..200).map(|number| format!("dnsaddr=/dnsaddr/n{number}")).collect();
        let borrowed: Vec<(&str, &str)> = wide.iter().map(|text| ("_dnsaddr.a", text.as_str())).collect();
        assert_eq!(resolve("/dnsaddr/a", &borrowed).1.len(), DNSADDR_LOOKUPS);

        let many: Vec<String> = (0..200).map(|number| format!("dnsaddr=/ip4/192.0.2.1/tcp/{number}/ws/p2p/A")).collect();
        let borrowed: Vec<(&str, &str)> = many.iter().map(|text| ("_dnsaddr.a", text.as_str())).collect();
        assert_eq!(resolve("/dnsaddr/a", &borrowed).0.len(), DNSADDR_ADDRESSES);
    }

    #[test]
    fn what_is_no_name_is_not_looked_up() {
        for address in ["/dns4/a", "/dnsaddr/", "/dnsaddr/a b", "/dnsaddr/a&type=A", "/dnsaddr/a..b", "dnsaddr"] {
            assert!(Resolution::new(address).is_none(), "{address}");
        }
        let (found, names) = resolve("/dnsaddr/a", &[("_dnsaddr.a", "dnsaddr=/dnsaddr/x?y"), ("_dnsaddr.a", "dnsaddr=nonsense")]);
        assert!(found.is_empty() && names.len() == 1);
    }

    #[test]
    fn records_are_read_as_resolvers_spell_them() {
        assert_eq!(text_of_record("dnsaddr=/ip4/1"), "dnsaddr=/ip4/1");
        assert_eq!(text_of_record("\"dnsaddr=\" \"/ip4/1\""), "dnsaddr=/ip4/1");
        assert_eq!(text_of_record("\"a\\\"b\""), "a\"b");
        assert_eq!(text_of_record("\"open"), "open");
    }
}

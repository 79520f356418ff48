//! Whether this relay sees where its clients are. Behind something that hides it, everybody comes from the same private address, and
//! listing them together would show strangers to each other.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::http::HeaderMap;
use shoal_protocol::nearby::{Group, Scope};

use crate::{
    behaviour::is_global,
    settings::{Config, Nearby},
};

/// What a proxy adds to the requests that it passes on.
const FORWARDING: [&str; 4] = ["x-forwarded-for", "forwarded", "x-real-ip", "via"];

/// What private addresses mean here. Shared between the HTTP server, which sees requests, and the behaviour.
#[derive(Clone, Debug)]
pub(crate) struct Vantage {
    guessing: bool,
    private_is_lan: Arc<AtomicBool>,
}

impl Vantage {
    /// As the operator said, or as far as the settings tell.
    pub(crate) fn new(config: &Config) -> Self {
        let private_is_lan = match config.nearby {
            Nearby::Lan => true,
            Nearby::Public | Nearby::Off => false,
            // Who announces an address of the internet is reached through something that has it.
            Nearby::Auto => !config.external.0.iter().any(is_global),
        };
        Self { guessing: config.nearby == Nearby::Auto, private_is_lan: Arc::new(AtomicBool::new(private_is_lan)) }
    }

    /// Looks whether a request from `address` came through a proxy that hides where it began: an untrusted one that passes it on, or a
    /// trusted one that does not say for whom.
    pub(crate) fn look(&self, address: IpAddr, headers: &HeaderMap, trust_proxy: bool) {
        let private = Group::of(address, Scope::All) == Some(Group::Lan);
        let forwarded = FORWARDING.iter().any(|name| headers.contains_key(*name));
        let hidden = private && if trust_proxy { !headers.contains_key(FORWARDING[0]) } else { forwarded };
        if hidden && self.guessing && self.private_is_lan.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                remedy = "let the proxy add X-Forwarded-For and set trust_proxy; or set nearby to lan or public",
                "requests come through a proxy that hides their origin: devices with private addresses are not listed as nearby"
            );
        }
    }

    /// Which addresses tell who is near.
    pub(crate) fn scope(&self) -> Scope {
        if self.private_is_lan.load(Ordering::Relaxed) { Scope::All } else { Scope::Public }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn vantage(nearby: Nearby, external: &str) -> Vantage {
        let mut config = Settings::default().or(Settings::default());
        (config.nearby, config.external) = (nearby, external.parse().unwrap());
        Vantage::new(&config)
    }

    #[test]
    fn private_addresses_are_the_lan_unless_something_speaks_against_it() {
        let (home, world) = ("/ip4/192.168.1.5/tcp/80/ws", "/dns4/relay.example/tcp/443/tls/ws");
        for (nearby, external, scope) in [
            (Nearby::Auto, "", Scope::All),
            (Nearby::Auto, home, Scope::All),
            (Nearby::Auto, world, Scope::Public),
            (Nearby::Lan, world, Scope::All),
            (Nearby::Public, "", Scope::Public),
        ] {
            assert_eq!(vantage(nearby, external).scope(), scope, "{nearby:?} {external}");
        }
    }

    #[test]
    fn a_proxy_that_hides_its_clients_ends_the_guess_and_nothing_else() {
        let (local, world) = ("127.0.0.1".parse().unwrap(), "198.51.100.1".parse().unwrap());
        let plain = HeaderMap::new();
        for name in FORWARDING {
            let mut forwarded = HeaderMap::new();
            forwarded.insert(name, "192.0.2.1".parse().unwrap());
            let guess = vantage(Nearby::Auto, "");
            guess.look(local, &plain, false);
            guess.look(world, &forwarded, false);
            assert_eq!(guess.scope(), Scope::All, "somebody's own proxy elsewhere hides nobody here");
            guess.clone().look(local, &forwarded, false);
            assert_eq!(guess.scope(), Scope::Public, "{name}");
            let order = vantage(Nearby::Lan, "");
            order.look(local, &forwarded, false);
            assert_eq!(order.scope(), Scope::All, "the operator knows better");
        }
        let trusted = vantage(Nearby::Auto, "");
        let mut forwarded = HeaderMap::new();
        forwarded.insert(FORWARDING[0], "192.0.2.1".parse().unwrap());
        trusted.look(local, &forwarded, true);
        assert_eq!(trusted.scope(), Scope::All);
        trusted.look(local, &plain, true);
        assert_eq!(trusted.scope(), Scope::Public);
    }
}

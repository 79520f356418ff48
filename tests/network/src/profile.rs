//! The links that people have, as data (`profiles.toml`): what one is like in both directions.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::link::Shape;

/// The name of a link without limits, through the shaper all the same.
pub const CABLE: &str = "cable";

const FILE: &str = include_str!("../profiles.toml");

/// A link between a site and the internet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// From the internet to the site.
    pub down: Shape,
    /// From the site to the internet.
    pub up: Shape,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    down_megabits: f64,
    up_megabits: f64,
    /// There and back; each direction has half of it, and half of the jitter.
    round_trip_ms: u64,
    #[serde(default)]
    jitter_ms: u64,
    #[serde(default)]
    loss_percent: f64,
    #[serde(default = "one")]
    burst: f64,
    /// How long the last packet in a full queue waits.
    queue_ms: u64,
}

const fn one() -> f64 {
    1.0
}

impl From<Row> for Profile {
    fn from(row: Row) -> Self {
        let shape = |megabits: f64| Shape {
            rate: Some((megabits * 1e6) as u64),
            delay: Duration::from_micros(row.round_trip_ms * 500),
            jitter: Duration::from_micros(row.jitter_ms * 500),
            overtaking: false,
            loss: row.loss_percent / 100.0,
            burst: row.burst,
            queue: (megabits * 125.0 * row.queue_ms as f64) as u64,
        };
        Self { down: shape(row.down_megabits), up: shape(row.up_megabits) }
    }
}

/// All of them, by name.
///
/// # Errors
/// What is wrong with the file.
pub fn all() -> Result<BTreeMap<String, Profile>, String> {
    let rows: BTreeMap<String, Row> = toml::from_str(FILE).map_err(|error| format!("profiles.toml: {error}"))?;
    let mut all: BTreeMap<String, Profile> = rows.into_iter().map(|(name, row)| (name, row.into())).collect();
    match all.insert(CABLE.to_owned(), Profile::default()) {
        Some(_) => Err(format!("profiles.toml: {CABLE} is the name of the link without limits")),
        None => Ok(all),
    }
}

/// The one of this name.
///
/// # Errors
/// Where there is none: which there are.
pub fn named(name: &str) -> Result<Profile, String> {
    let mut all = all()?;
    all.remove(name).ok_or_else(|| format!("no link is called {name}: choose from {}", all.into_keys().collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_of_the_file_can_be_read() {
        let all = all().expect("the file is right");
        assert!(all.len() >= 7, "{:?}", all.keys());
        for (name, Profile { down, up }) in all {
            assert!(down.rate >= up.rate && down.rate.is_some() == (name != CABLE), "{name}");
            // Less than some packets could not even hold one burst.
            assert!(up.queue > 15_000, "{name}: {} bytes wait at most", up.queue);
        }
    }

    #[test]
    fn each_direction_has_half_of_the_round_trip() {
        let Profile { down, up } = named("congested-wifi").expect("it is in the file");
        assert_eq!((down.delay, up.delay), (Duration::from_millis(20), Duration::from_millis(20)));
        assert_eq!(down.jitter, Duration::from_millis(6));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        assert!(named("pigeons").is_err_and(|error| error.contains("slow-3g")));
    }
}

//! Which packets are lost: a radio link loses several in a row and then none for long (Gilbert 1960, Elliott 1963).
//!
//! ```text
//!              enters bad
//!        ┌───────────────────►┐
//!     (good: carried)      (bad: lost)        a run of losses lasts 1 / leaves bad packets on average
//!        └◄───────────────────┘
//!              leaves bad
//! ```

use crate::random::Random;

/// The state of one direction.
#[derive(Clone, Debug)]
pub struct Loss {
    enters_bad: f64,
    leaves_bad: f64,
    bad: bool,
}

impl Loss {
    /// Loses this share of all packets (0 to below 1), in runs of this many on average (at least 1).
    pub fn new(share: f64, burst: f64) -> Self {
        let (share, burst) = (share.clamp(0.0, 0.99), burst.max(1.0));
        let leaves_bad = 1.0 / burst;
        // In the long run the time in `bad` is enters / (enters + leaves).
        Self { enters_bad: leaves_bad * share / (1.0 - share), leaves_bad, bad: false }
    }

    /// Whether the next packet is lost.
    pub fn takes(&mut self, random: &mut Random) -> bool {
        self.bad = if self.bad { !random.happens(self.leaves_bad) } else { random.happens(self.enters_bad) };
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of lost packets and the mean length of their runs.
    fn measured(share: f64, burst: f64) -> (f64, f64) {
        let (mut loss, mut random) = (Loss::new(share, burst), Random::new(11));
        let lost: Vec<bool> = (0..1_000_000).map(|_| loss.takes(&mut random)).collect();
        let count = lost.iter().filter(|lost| **lost).count() as f64;
        let runs = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count().max(1) as f64;
        (count / lost.len() as f64, count / runs)
    }

    #[test]
    fn the_share_and_the_length_of_runs_are_as_asked() {
        for (share, burst) in [(0.001, 1.0), (0.01, 6.0), (0.02, 8.0), (0.03, 10.0), (0.2, 3.0)] {
            let (seen, run) = measured(share, burst);
            assert!((seen / share - 1.0).abs() < 0.1, "{share} in runs of {burst}: a share of {seen}");
            assert!((run / burst - 1.0).abs() < 0.1, "{share} in runs of {burst}: runs of {run}");
        }
    }

    #[test]
    fn no_loss_loses_nothing() {
        assert_eq!(measured(0.0, 5.0).0, 0.0);
    }
}

//! How long to wait before a relay is tried again.
//!
//! A relay that ends takes the connection of every page with it, all in one instant; whatever they do next, they do together unless chance parts them.
//! So the first try comes at a uniformly random moment of [`RESERVATION_SPREAD`] (the reservation was held: that is decided in
//! [`super::Reservations::lost`]), and each later one between a half and the whole of a wait that doubles. A relay that is back is then asked by N pages
//! over some seconds instead of by all at once, and whoever it has no room for comes again over the next ones.
//!
//! `tests/reservations_stampede.rs` shows it for ten thousand.

use std::time::Duration;

use super::Random;

use crate::limits::{RESERVATION_FIRST_WAIT, RESERVATION_LONGEST_WAIT, RESERVATION_REFUSED_WAIT};

/// The wait after this many failures in a row (one at least).
pub(super) fn wait(failures: u32, random: Random<'_>) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = RESERVATION_FIRST_WAIT.saturating_mul(1 << doublings).min(RESERVATION_LONGEST_WAIT);
    longest.mul_f64(0.5 + random() / 2.0)
}

/// The wait after a relay said no: it will say so again a moment later.
pub(super) fn wait_after_refusal(random: Random<'_>) -> Duration {
    RESERVATION_REFUSED_WAIT.mul_f64(0.5 + random() / 2.0)
}

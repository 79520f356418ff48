//! libFuzzer around one of the targets, which the environment names: `SHOAL_FUZZ=session`. See `run.mjs`.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("SHOAL_FUZZ").unwrap_or_default();
        let target = shoal_fuzz::TARGETS.iter().find(|(known, _)| *known == name);
        let names: Vec<&str> = shoal_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        assert!(target.is_some(), "SHOAL_FUZZ={name:?}: choose from {names:?}");
        target.map(|(_, run)| TARGET.set(*run));
    },
    |data: &[u8]| {
        if let Some(run) = TARGET.get() {
            run(data);
        }
    }
);

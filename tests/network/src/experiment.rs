//! Runs a scenario and counts what held. The last line is plain, for machines: `network: N passed, M failed`.

use std::{path::Path, process::ExitCode, time::Instant};

use shoal_network::scenario::Scenario;

use crate::{cage, flood, lab::Lab, ladder, meeting, problem::Problem};

/// What held and what did not.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    passed: u32,
    failed: u32,
}

impl Counts {
    /// Notes one claim, and says so.
    pub(crate) fn claim(&mut self, holds: bool, text: &str) {
        println!("  {} {text}", mark(holds));
        self.note(holds);
    }

    /// Notes one claim of which a table tells.
    pub(crate) const fn note(&mut self, holds: bool) {
        if holds {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }
}

/// Of what holds, and of what does not.
pub(crate) const fn mark(holds: bool) -> &'static str {
    if holds { "✓" } else { "✗" }
}

/// Runs the scenario of a file; this is the first process of the cage.
pub(crate) fn perform(file: &str) -> ExitCode {
    let mut counts = Counts::default();
    let began = Instant::now();
    if let Err(problem) = cage::furnish().and_then(|()| run(file, &mut counts)) {
        counts.claim(false, &problem.to_string());
    }
    println!("  {} s in all", began.elapsed().as_secs());
    println!("network: {} passed, {} failed", counts.passed, counts.failed);
    if counts.failed == 0 && counts.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(file: &str, counts: &mut Counts) -> Result<(), Problem> {
    let text = std::fs::read_to_string(file).map_err(Problem::system(format!("reading {file}")))?;
    let scenario = Scenario::parse(&text).map_err(|problem| Problem::Scenario(format!("{file}: {problem}")))?;
    let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
    println!("\n▸ {name}: {}", scenario.about);
    let began = Instant::now();
    let mut lab = Lab::build(&scenario)?;
    println!("  {} sites and {} peers stand after {} ms", scenario.sites.len(), scenario.peers.len(), began.elapsed().as_millis());
    meeting::all(&mut lab, &scenario, counts)?;
    if let Some(ladder) = &scenario.ladder {
        ladder::climb(&mut lab, ladder, counts)?;
    }
    if let Some(flood) = &scenario.flood {
        flood::run(flood, counts)?;
    }
    Ok(())
}

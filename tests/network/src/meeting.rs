//! Two peers who have never met: one asks the other for a file, and gets it by the best path that there is.

use std::{
    thread,
    time::{Duration, Instant},
};

use shoal_network::{
    scenario::{Meeting, Scenario},
    table::{Row, percentile, table},
    theory::Path,
};

use crate::{experiment::Counts, lab::Lab, problem::Problem};

/// How long the file may take.
const FILE: Duration = Duration::from_secs(40);
/// How long a direct connection may take, where there must be one.
const DIRECT: Duration = Duration::from_secs(15);
/// How long attempts at others may go on: those of rust-libp2p, three of ten seconds each, take longest.
const ATTEMPTS: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_millis(200);
/// Milliseconds after which a direct connection took long enough to ask why.
const SLOW: u64 = 1_500;
/// Characters of what a peer says of it.
const LONGEST: usize = 1_500;

/// All meetings, one after the other.
pub(crate) fn all(lab: &mut Lab, scenario: &Scenario, counts: &mut Counts) -> Result<(), Problem> {
    if scenario.meetings.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::new();
    for meeting in &scenario.meetings {
        match meet(lab, meeting) {
            Ok(row) => rows.push((meeting, row)),
            Err(problem) => counts.claim(false, &format!("{}: {problem}", meeting.who.join(" and "))),
        }
    }
    let began = Instant::now();
    let mut explanations = Vec::new();
    for (meeting, row) in &mut rows {
        let text = judge(lab, meeting, row, began)?;
        counts.note(row.holds);
        if !row.holds || row.direct.is_some_and(|time| time > SLOW) {
            explanations.push(text);
        }
    }
    println!("  the last attempt at a direct connection ended {} ms after the last meeting", began.elapsed().as_millis());
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    print!("{}", table(&rows));
    explanations.iter().for_each(|text| println!("  {text}"));
    let usable: Vec<u64> = rows.iter().map(|row| row.usable).collect();
    let direct: Vec<u64> = rows.iter().filter_map(|row| row.direct).collect();
    println!(
        "  usable: half within {} ms, 95 % within {} ms; direct: half within {} ms, 95 % within {} ms",
        percentile(&usable, 50),
        percentile(&usable, 95),
        percentile(&direct, 50),
        percentile(&direct, 95)
    );
    if let Some(matrix) = &scenario.matrix {
        let p95 = percentile(&usable, 95);
        counts.claim(p95 <= matrix.usable_p95_ms, &format!("95 % are usable within {p95} ms ({} at most)", matrix.usable_p95_ms));
    }
    Ok(())
}

fn meet(lab: &mut Lab, Meeting { who: [has, gets], path, bytes, .. }: &Meeting) -> Result<Row, Problem> {
    let cid = lab.peer(has)?.publish(*bytes)?;
    let peer = lab.id(has)?;
    let receiver = lab.peer(gets)?;
    let got = receiver.fetch(&cid, &peer, FILE)?;
    let direct = match path {
        Path::Direct => receiver.direct(&peer, DIRECT)?,
        Path::Relayed => got.direct,
    };
    Ok(Row {
        holds: false,
        who: [has.clone(), gets.clone()],
        expected: path.name(),
        path: got.path.unwrap_or_default(),
        usable: got.first as u64,
        direct: direct.map(|time| time as u64),
        arrived: got.all as u64,
    })
}

/// Looks at the path once more, when every attempt at a direct connection has come to its end: that one is relayed while others are still tried for shows
/// little. Whether all is as it had to be, and in words, why not.
fn judge(lab: &mut Lab, meeting: &Meeting, row: &mut Row, began: Instant) -> Result<String, Problem> {
    let [has, gets] = &meeting.who;
    let [first, second] = [lab.id(has)?, lab.id(gets)?];
    // Either side may be the one that tries.
    while lab.peer(gets)?.way(&first)?.running && lab.peer(has)?.way(&second)?.running && began.elapsed() < ATTEMPTS {
        thread::sleep(EVERY);
    }
    let way = lab.peer(gets)?.way(&first)?;
    row.path = if way.direct { Path::Direct } else { Path::Relayed }.name().to_owned();
    let in_time = row.usable <= meeting.usable_within_ms;
    row.holds = in_time && row.path == row.expected;
    let text: String = way.text.chars().take(LONGEST).collect();
    Ok(format!(
        "{has} and {gets}: {} expected, {} seen; usable after {} ms, {} allowed: {text}",
        row.expected, row.path, row.usable, meeting.usable_within_ms
    ))
}

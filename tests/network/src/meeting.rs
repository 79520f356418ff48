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
/// How long attempts at others may go on.
const ATTEMPTS: Duration = Duration::from_secs(40);
const EVERY: Duration = Duration::from_millis(200);
/// Milliseconds after which a direct connection took long enough to ask why.
const SLOW: u64 = 1_500;

/// All meetings, one after the other.
pub(crate) fn all(lab: &mut Lab, scenario: &Scenario, counts: &mut Counts) -> Result<(), Problem> {
    if scenario.meetings.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::new();
    for meeting in &scenario.meetings {
        match meet(lab, meeting) {
            Ok(row) => rows.push(row),
            Err(problem) => counts.claim(false, &format!("{}: {problem}", meeting.who.join(" and "))),
        }
    }
    look_again(lab, &mut rows)?;
    print!("{}", table(&rows));
    for (row, meeting) in rows.iter().filter_map(|row| Some((row, scenario.meetings.iter().find(|meeting| meeting.who == row.who)?))) {
        judge(lab, row, meeting, counts)?;
    }
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
        who: [has.clone(), gets.clone()],
        expected: path.name(),
        path: got.path.unwrap_or_default(),
        usable: got.first as u64,
        direct: direct.map(|time| time as u64),
        arrived: got.all as u64,
    })
}

/// The path in the end, when every attempt at a direct connection has come to its end. That a path is relayed while others are still tried shows little.
fn look_again(lab: &mut Lab, rows: &mut [Row]) -> Result<(), Problem> {
    let began = Instant::now();
    for row in rows {
        let [has, gets] = &row.who;
        let peer = lab.id(has)?;
        let mut way = lab.peer(gets)?.way(&peer)?;
        while way.running && began.elapsed() < ATTEMPTS {
            thread::sleep(EVERY);
            way = lab.peer(gets)?.way(&peer)?;
        }
        row.path = if way.direct { Path::Direct } else { Path::Relayed }.name().to_owned();
        if row.direct.is_some_and(|time| time > SLOW) {
            println!("  {gets} had no direct connection to {has} for so long: {}", way.text);
        }
    }
    println!("  the last attempt at a direct connection ended {} ms later", began.elapsed().as_millis());
    Ok(())
}

fn judge(lab: &mut Lab, row: &Row, meeting: &Meeting, counts: &mut Counts) -> Result<(), Problem> {
    let [has, gets] = &row.who;
    let in_time = row.usable <= meeting.usable_within_ms;
    let as_expected = row.path == row.expected;
    let mut text = format!("{has} and {gets}: {} bytes arrived, {} as expected", meeting.bytes, row.path);
    if !as_expected {
        let peer = lab.id(has)?;
        text = format!("{has} and {gets}: {} was expected, and it is {}: {}", row.expected, row.path, lab.peer(gets)?.way(&peer)?.text);
    } else if !in_time {
        text = format!("{has} and {gets}: usable after {} ms, {} were allowed", row.usable, meeting.usable_within_ms);
    }
    counts.claim(in_time && as_expected, &text);
    Ok(())
}

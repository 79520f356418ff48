//! A file over each of some links, by a direct connection between two pages, beside the same number of bytes over plain TCP, and where
//! it is asked for, over a data channel without anything of ours: what the browsers themselves make of the link.

use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use shoal_network::{
    profile,
    scenario::{Event, Ladder, Rung},
};

use crate::{experiment::Counts, lab::Lab, peer::Urgent, problem::Problem, pump};

const SENDER: &str = "sender";
const RECEIVER: &str = "receiver";
/// How long one transfer may take: ten times what it takes over the slowest link without loss.
const FILE: Duration = Duration::from_secs(600);
/// How long the two may take to find a direct path before.
const DIRECT: Duration = Duration::from_secs(40);
/// How long after a break bytes may take to come again.
const BACK: Duration = Duration::from_secs(15);
/// A small file that makes the two connect.
const FIRST: u64 = 1_000;
/// Small contents that may be asked for beside a transfer.
const SMALL: u64 = 600;
/// How long connections that are to stand ready may take beyond the rest: a busy machine makes them slowly.
const READY: Duration = Duration::from_secs(15);
/// How often what is urgent is measured at most: a machine that is busy with other things lets it wait as well, and can only make it slower.
const TRIES: usize = 3;
/// Round trips beside a transfer, at least: of fewer, the one in the middle says little.
const ROUND_TRIPS: u64 = 15;

/// What came of one link.
struct Climb {
    connect: Duration,
    direct: Option<Duration>,
    tcp: Option<Duration>,
    raw: Option<Duration>,
    pages: Duration,
    silence: Duration,
    path: String,
    ready: u64,
    lanes: u64,
}

/// All links, one after the other.
pub(crate) fn climb(lab: &mut Lab, ladder: &Ladder, counts: &mut Counts) -> Result<(), Problem> {
    println!(
        "  {:<20} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7}",
        "link", "usable", "direct", "TCP kB/s", "raw kB/s", "ours kB/s", "of TCP", "of raw"
    );
    for rung in &ladder.rungs {
        let mut shares = Vec::new();
        for _ in 0..rung.times {
            match measure(lab, rung) {
                Ok(result) => shares.extend(judge(rung, &result, counts)),
                Err(problem) => counts.claim(false, &format!("{}: {problem}", rung.link)),
            }
        }
        share_of_tcp(rung, shares, counts);
        if let Some(times) = rung.urgent_times {
            judge_urgent(lab, rung, times, counts);
        }
    }
    Ok(())
}

fn judge_urgent(lab: &mut Lab, rung: &Rung, times: f64, counts: &mut Counts) {
    let link = &rung.link;
    for left in (0..TRIES).rev() {
        match beside(lab, rung) {
            Ok(urgent) if left > 0 && !urgent.is_within(times) => println!("    {link}: {}, once more", urgent.told()),
            Ok(urgent) => return counts.claim(urgent.is_within(times), &format!("{link}: {}, {times} at most", urgent.told())),
            Err(problem) => return counts.claim(false, &format!("{link}, what is urgent: {problem}")),
        }
    }
}

/// Another transfer between the two, and round trips beside it.
fn beside(lab: &mut Lab, rung: &Rung) -> Result<Urgent, Problem> {
    let peer = lab.id(SENDER)?;
    let sender = lab.peer(SENDER)?;
    let (cid, small) = (sender.publish(rung.bytes)?, sender.publish_small(SMALL)?);
    lab.peer(RECEIVER)?.urgent(&cid, &small, &peer, FILE)
}

impl Urgent {
    fn is_within(&self, times: f64) -> bool {
        self.beside <= times * self.alone && self.count >= ROUND_TRIPS
    }

    fn told(&self) -> String {
        let Self { alone, beside, count, all } = self;
        format!(
            "what is urgent takes {alone:.0} ms alone and {beside:.0} ms beside a transfer of {:.1} s ({count} times asked): {:.2} times as long",
            all / 1_000.0,
            beside / alone
        )
    }
}

fn measure(lab: &mut Lab, rung: &Rung) -> Result<Climb, Problem> {
    lab.world.reshape(RECEIVER, profile::named(&rung.link).map_err(Problem::Scenario)?);
    let undisturbed = rung.event == Event::Nothing;
    let tcp = if undisturbed { Some(pump::tcp(SENDER, address(), RECEIVER, rung.bytes)?) } else { None };
    lab.renew()?;
    let time = |milliseconds: f64| Duration::from_secs_f64(milliseconds / 1_000.0);
    let raw = if rung.raw > 0 {
        let [receiver, sender] = lab.two([RECEIVER, SENDER])?;
        receiver.raw(sender, rung.raw, rung.bytes, FILE)?.map(time)
    } else {
        None
    };
    let peer = lab.id(SENDER)?;
    let small = lab.peer(SENDER)?.publish(FIRST)?;
    let connect = lab.peer(RECEIVER)?.fetch(&small, &peer, DIRECT)?.all;
    let direct = lab.peer(RECEIVER)?.direct(&peer, DIRECT)?;
    let cid = lab.peer(SENDER)?.publish(rung.bytes)?;
    thread::sleep(Duration::from_secs(rung.rest));
    let rested = Instant::now();
    while let Some(least) = rung.ready
        && lab.peer(RECEIVER)?.way(&peer)?.lanes < least
        && rested.elapsed() < READY
    {
        thread::sleep(Duration::from_millis(100));
    }
    lab.peer(RECEIVER)?.begin_fetch(&cid, &peer, FILE)?;
    happen(lab, rung)?;
    let got = lab.peer(RECEIVER)?.end_fetch(FILE)?;
    Ok(Climb {
        connect: time(connect),
        direct: direct.map(time),
        tcp,
        raw,
        pages: time(got.all),
        silence: time(got.silence),
        path: got.path.unwrap_or_default(),
        ready: got.ready,
        lanes: got.lanes,
    })
}

fn happen(lab: &Lab, rung: &Rung) -> Result<(), Problem> {
    // A fifth of the transfer at the link's rate.
    let rate = profile::named(&rung.link).map_err(Problem::Scenario)?.down.rate.unwrap_or(u64::MAX);
    let fifth = Duration::from_secs_f64(rung.bytes as f64 * 8.0 / rate as f64 / 5.0);
    match rung.event {
        Event::Nothing => {}
        Event::Blackout(seconds) => {
            thread::sleep(fifth);
            lab.world.cut(RECEIVER, true);
            thread::sleep(Duration::from_secs(seconds));
            lab.world.cut(RECEIVER, false);
        }
        Event::Switch => {
            thread::sleep(fifth);
            lab.world.switch_uplink(RECEIVER)?;
        }
    }
    Ok(())
}

/// Says how it went. Which share of TCP's speed it was, in percent, where that was measured.
fn judge(rung: &Rung, result: &Climb, counts: &mut Counts) -> Option<f64> {
    let speed = |time: Duration| rung.bytes as f64 / 1_000.0 / time.as_secs_f64();
    let pages = speed(result.pages);
    let share = result.tcp.map(|time| 100.0 * pages / speed(time));
    let what = match rung.event {
        Event::Nothing => rung.link.clone(),
        Event::Blackout(seconds) => format!("{}, {seconds} s dark", rung.link),
        Event::Switch => format!("{}, switch", rung.link),
    };
    let milliseconds = |time: Duration| format!("{} ms", time.as_millis());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let percent = |other: Option<Duration>| or_dash(other.map(|time| format!("{:.0} %", 100.0 * pages / speed(time))));
    let kilobytes = |time: Option<Duration>| or_dash(time.map(|time| format!("{:.0}", speed(time))));
    println!(
        "  {what:<20} {:>9} {:>9} {:>9} {:>9} {pages:>9.0} {:>7} {:>7}",
        milliseconds(result.connect),
        or_dash(result.direct.map(milliseconds)),
        kilobytes(result.tcp),
        kilobytes(result.raw),
        percent(result.tcp),
        percent(result.raw),
    );
    let Climb { path, ready, lanes, .. } = result;
    let seconds = result.pages.as_secs_f64();
    let asked = rung.ready.map(|least| format!(" ({least} at least)")).unwrap_or_default();
    counts.claim(
        rung.ready.is_none_or(|least| *ready >= least),
        &format!(
            "{what}: {} bytes arrived in {seconds:.1} s, {path} in the end; {ready} direct connections stood before{asked}, {lanes} in the end",
            rung.bytes
        ),
    );
    let dark = match rung.event {
        Event::Nothing => return share,
        Event::Blackout(seconds) => Duration::from_secs(seconds),
        Event::Switch => Duration::ZERO,
    };
    let again = result.silence.saturating_sub(dark);
    counts.claim(again <= BACK, &format!("{what}: bytes came again after {:.1} s, {} at most", again.as_secs_f64(), BACK.as_secs()));
    None
}

/// Losses fall well or badly, for us and for TCP: of several shares the one in the middle counts.
fn share_of_tcp(rung: &Rung, mut shares: Vec<f64>, counts: &mut Counts) {
    let Some(least) = rung.percent_of_tcp else { return };
    shares.sort_by(f64::total_cmp);
    let Some(middle) = shares.get(shares.len() / 2) else { return };
    let of = if shares.len() > 1 { format!(" in the middle of {}", shares.len()) } else { String::new() };
    counts.claim(*middle >= least as f64, &format!("{}: {middle:.0} % of TCP's speed{of}, {least} at least", rung.link));
}

/// Of the sender, which is the second site by name.
fn address() -> Ipv4Addr {
    Ipv4Addr::new(11, 1, 2, 2)
}

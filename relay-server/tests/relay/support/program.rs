//! The program under test, as a process.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde_json::Value;

use super::{PATIENCE, http, peer::Peer};

/// Certificates by whose hashes an address may be dialled.
pub(crate) fn hashes(address: &Multiaddr) -> usize {
    address.iter().filter(|part| matches!(part, Protocol::Certhash(_))).count()
}

/// A relay on a port of its own, killed when dropped.
pub(crate) struct Relay {
    process: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) listen: SocketAddr,
    /// The first line it printed.
    pub(crate) ready: String,
    data_dir: Option<tempfile::TempDir>,
}

impl Relay {
    /// Starts one with `arguments` and a fresh data directory, on loopback; returns when it says that it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), arguments)
    }

    /// The same with a data directory that another one had.
    pub(crate) fn start_with(data_dir: tempfile::TempDir, arguments: &[&str]) -> Self {
        let mut relay = Self::start_in(data_dir.path(), arguments);
        relay.data_dir = Some(data_dir);
        relay
    }

    /// The same in a data directory that lives on.
    pub(crate) fn start_in(data_dir: &Path, arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", data_dir, arguments)
    }

    /// Ends it as a power cut would, and starts it anew at the same address, with the same key. Returns when it says that it is ready.
    pub(crate) fn restart(&mut self, arguments: &[&str], down: Duration) {
        let data_dir = self.data_dir.take().unwrap();
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::thread::sleep(down);
        *self = Self::start_at(&self.listen.to_string(), data_dir.path(), arguments);
        self.data_dir = Some(data_dir);
    }

    /// Starts one on a system that knows no authority but the one with this certificate.
    pub(crate) fn start_knowing(root: &Path, arguments: &[&str]) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let mut command = command(data_dir.path());
        command.env("SSL_CERT_FILE", root).env_remove("SSL_CERT_DIR").args(["--listen", "127.0.0.1:0"]).args(arguments);
        let mut relay = Self::run(command);
        relay.data_dir = Some(data_dir);
        relay
    }

    fn start_at(listen: &str, data_dir: &Path, arguments: &[&str]) -> Self {
        let mut command = command(data_dir);
        command.args(["--listen", listen]).args(arguments);
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        let url = ready.trim_end().rsplit(' ').next().unwrap_or_default();
        let listen = url.trim_start_matches("http://").trim_end_matches('/').parse();
        let listen = listen.unwrap_or_else(|_| panic!("not ready: {ready:?}"));
        Self { process, stdout, listen, ready, data_dir: None }
    }

    /// `/healthz`, asked again when the relay has too much to do to answer: a crowd is part of some tests.
    pub(crate) fn health(&self) -> Value {
        let start = Instant::now();
        loop {
            match http::try_get(self.listen, "/healthz", &[]) {
                Ok(answer) if answer.status == 200 => return answer.json(),
                other => assert!(start.elapsed() < PATIENCE, "no answer: {:?}", other.map(|answer| answer.status)),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One number of `/healthz`.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        self.health()[name].as_u64().unwrap_or_else(|| panic!("no {name} in /healthz"))
    }

    /// `/bootstrap`, asked under the relay's own address.
    pub(crate) fn bootstrap(&self) -> Value {
        http::get(self.listen, "/bootstrap", &[]).json()
    }

    /// Of the addresses in it, those of this protocol.
    pub(crate) fn told_of(&self, protocol: &Protocol<'_>) -> Vec<Multiaddr> {
        let answer = self.bootstrap();
        let addresses = answer["addresses"].as_array().unwrap().iter();
        let all = addresses.map(|address| address.as_str().unwrap().parse::<Multiaddr>().unwrap());
        all.filter(|address| address.iter().any(|part| part == *protocol)).collect()
    }

    /// Its PeerId.
    pub(crate) fn peer(&self) -> PeerId {
        self.bootstrap()["peerId"].as_str().unwrap().parse().unwrap()
    }

    /// The address to dial, `/p2p` included.
    pub(crate) fn address(&self) -> Multiaddr {
        self.bootstrap()["addresses"][0].as_str().unwrap().parse().unwrap()
    }

    /// The address of one way in, `/p2p` included: the one that ends as `ending` does, such as `/quic-v1`.
    pub(crate) fn address_by(&self, ending: &str) -> Multiaddr {
        let answer = self.bootstrap();
        let lists = ["addresses", "nativeAddresses"].map(|name| answer[name].as_array().cloned().unwrap_or_default());
        let all: Vec<_> = lists.concat().iter().map(|address| address.as_str().unwrap().to_owned()).collect();
        let ending = format!("{ending}/p2p/{}", answer["peerId"].as_str().unwrap());
        let found = all.iter().find(|address| address.ends_with(&ending) && address.starts_with("/ip4/127."));
        found.unwrap_or_else(|| panic!("no {ending} among {all:?}")).parse().unwrap()
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// CPU time used so far, of all threads (`utime` and `stime` of /proc/<pid>/stat, in ticks of 10 ms).
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields = stat.rsplit(") ").next().unwrap().split(' ');
        fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }

    /// Sends SIGHUP.
    pub(crate) fn hang_up(&self) {
        assert!(Command::new("kill").args(["-HUP", &self.process.id().to_string()]).status().unwrap().success());
    }

    /// Sends SIGTERM and waits for the end; how it ended, after how long, and what else it had printed.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Duration, String) {
        let start = Instant::now();
        let told = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(told.success());
        let status = self.process.wait().unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (status, start.elapsed(), rest)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Fails if it has ended already, as it should have after `terminate`.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the program to its end: for starts that must fail.
pub(crate) fn run(data_dir: &Path, arguments: &[&str]) -> Output {
    command(data_dir).args(arguments).output().unwrap()
}

/// The one line of a start that failed.
pub(crate) fn refusal(arguments: &[&str]) -> String {
    let data_dir = tempfile::tempdir().unwrap();
    let output = run(data_dir.path(), arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// A UDP port that nobody has.
pub(crate) fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A TCP port that nobody has.
pub(crate) fn free_tcp_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The program with a data directory, and no settings but those that it is given.
pub(crate) fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg("--data-dir").arg(data_dir);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHOAL_") {
            command.env_remove(name);
        }
    }
    command.env("SHOAL_LOG", "warn,libp2p_kad=error");
    command
}

impl Peer {
    /// Reaches `peer` through `relay`: the connection to it, or why not.
    pub(crate) async fn dial_through(&mut self, relay: &Relay, peer: PeerId) -> Result<PeerId, String> {
        self.dial_by(&relay.address(), peer).await
    }
}

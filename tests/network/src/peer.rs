//! A peer in a site, which is asked by a line of JSON and answers by one: a page in a browser (`page.mjs`) or a program (`peer/`).

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use shoal_network::scenario::Runs;

use crate::{
    cage::FILES,
    problem::Problem,
    relay,
    world::{built, command},
};

/// How long a browser may take to start on a machine that is busy.
const START: Duration = Duration::from_secs(90);
/// How long any question may take beyond the time that it names.
const SLACK: Duration = Duration::from_secs(40);
/// Milliseconds in which a peer must be reachable.
const REACHABLE: u64 = 60_000;

/// A running one.
#[derive(Debug)]
pub(crate) struct Peer {
    name: String,
    _child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

/// A file as it was got; times in milliseconds since it asked.
#[derive(Debug, Deserialize)]
pub(crate) struct Got {
    /// When the first bytes were there.
    pub(crate) first: f64,
    /// When all was.
    pub(crate) all: f64,
    /// By which path the last came.
    pub(crate) path: Option<String>,
    /// When a direct connection stood, if within the time.
    pub(crate) direct: Option<f64>,
    /// Direct connections that stood when it was asked for.
    #[serde(default)]
    pub(crate) ready: u64,
    /// Those that stood in the end.
    #[serde(default)]
    pub(crate) lanes: u64,
    /// For how long nothing came, at most; where the peer notes it.
    #[serde(default)]
    pub(crate) silence: f64,
}

/// Round trips of what is urgent; times in milliseconds.
#[derive(Debug, Deserialize)]
pub(crate) struct Urgent {
    /// The one in the middle of those alone.
    pub(crate) alone: f64,
    /// The one in the middle of those beside a transfer.
    pub(crate) beside: f64,
    /// How many the latter are.
    pub(crate) count: u64,
    /// How long the transfer took.
    pub(crate) all: f64,
}

/// How one stands with another peer.
#[derive(Debug, Deserialize)]
pub(crate) struct Way {
    /// Whether a direct connection was ever ready.
    pub(crate) direct: bool,
    /// Whether one is still tried for.
    pub(crate) running: bool,
    /// How many stand; where the peer tells.
    #[serde(default)]
    pub(crate) lanes: u64,
    /// Why it is as it is.
    pub(crate) text: String,
}

impl Peer {
    /// Starts its program.
    pub(crate) fn start(name: &str, site: &str, runs: Runs) -> Result<Self, Problem> {
        let mut command = program(site, runs)?;
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(Problem::system(format!("starting {name}")))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Problem::Peer { who: name.to_owned(), text: "it has no pipes".to_owned() });
        };
        let (lines, answers) = sync_channel(1);
        thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).all(|line| lines.send(line).is_ok()));
        let peer = Self { name: name.to_owned(), _child: child, input, answers };
        peer.answer::<Value>(START)?;
        Ok(peer)
    }

    /// A new node, in the place of the one before. Its PeerId, once others can reach it.
    pub(crate) fn open(&mut self, relay: &str) -> Result<String, Problem> {
        self.ask(&json!({ "call": "open", "relay": relay, "within": REACHABLE }), Duration::from_millis(REACHABLE))
    }

    /// Random bytes as content. Its CID.
    pub(crate) fn publish(&mut self, bytes: u64) -> Result<String, Problem> {
        self.ask(&json!({ "call": "publish", "bytes": bytes }), Duration::ZERO)
    }

    /// So many contents of one small block. Their CIDs.
    pub(crate) fn publish_small(&mut self, count: u64) -> Result<Vec<String>, Problem> {
        self.ask(&json!({ "call": "publishSmall", "count": count }), Duration::ZERO)
    }

    /// Gets a content from a peer, and asks for its small ones meanwhile.
    pub(crate) fn urgent(&mut self, cid: &str, small: &[String], peer: &str, within: Duration) -> Result<Urgent, Problem> {
        self.ask(&json!({ "call": "urgent", "cid": cid, "small": small, "peer": peer, "within": within.as_millis() as u64 }), within)
    }

    /// Gets a content from a peer.
    pub(crate) fn fetch(&mut self, cid: &str, peer: &str, within: Duration) -> Result<Got, Problem> {
        self.begin_fetch(cid, peer, within)?;
        self.end_fetch(within)
    }

    /// Begins to.
    pub(crate) fn begin_fetch(&mut self, cid: &str, peer: &str, within: Duration) -> Result<(), Problem> {
        self.send(&json!({ "call": "fetch", "cid": cid, "peer": peer, "within": within.as_millis() as u64 }))
    }

    /// Waits for what was begun.
    pub(crate) fn end_fetch(&mut self, within: Duration) -> Result<Got, Problem> {
        self.answer(within + SLACK)
    }

    /// Waits until there is a direct connection to a peer; milliseconds since the last fetch began, if there is one in time.
    pub(crate) fn direct(&mut self, peer: &str, within: Duration) -> Result<Option<f64>, Problem> {
        self.ask(&json!({ "call": "direct", "peer": peer, "within": within.as_millis() as u64 }), within)
    }

    /// How it stands with a peer.
    pub(crate) fn way(&mut self, peer: &str) -> Result<Way, Problem> {
        self.ask(&json!({ "call": "way", "peer": peer }), Duration::ZERO)
    }

    /// Gets bytes from another page by so many data channels without anything of ours. Milliseconds from when the first was open.
    pub(crate) fn raw(&mut self, sender: &mut Self, count: u32, bytes: u64, within: Duration) -> Result<Option<f64>, Problem> {
        let stun = relay::stun();
        let offer: String = sender.ask(&json!({ "call": "offer", "stun": stun, "count": count }), Duration::ZERO)?;
        let answer: String = self.ask(&json!({ "call": "reply", "stun": stun, "description": offer, "bytes": bytes }), Duration::ZERO)?;
        let _all: u64 = sender.ask(&json!({ "call": "send", "description": answer, "bytes": bytes }), Duration::ZERO)?;
        self.ask(&json!({ "call": "received", "within": within.as_millis() as u64 }), within)
    }

    fn ask<T: DeserializeOwned>(&mut self, question: &Value, within: Duration) -> Result<T, Problem> {
        self.send(question)?;
        self.answer(within + SLACK)
    }

    fn send(&mut self, question: &Value) -> Result<(), Problem> {
        writeln!(self.input, "{question}").map_err(Problem::system(format!("asking {}", self.name)))
    }

    fn answer<T: DeserializeOwned>(&self, within: Duration) -> Result<T, Problem> {
        let problem = |text: String| Problem::Peer { who: self.name.clone(), text };
        let line = self.answers.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => problem(format!("no answer within {} s", within.as_secs())),
            RecvTimeoutError::Disconnected => problem("its program has ended".to_owned()),
        })?;
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Answer<T> {
            Ok(T),
            Error(String),
        }
        match serde_json::from_str::<Answer<T>>(&line) {
            Ok(Answer::Ok(value)) => Ok(value),
            Ok(Answer::Error(text)) => Err(problem(text)),
            Err(error) => Err(problem(format!("an answer that makes no sense ({error}): {line}"))),
        }
    }
}

/// What runs it.
fn program(site: &str, runs: Runs) -> Result<Command, Problem> {
    if runs == Runs::Native {
        return Ok(command(site, &built("shoal-network-peer")?.to_string_lossy()));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("page.mjs");
    let node = std::env::var("SHOAL_NODE").unwrap_or_else(|_| "node".to_owned());
    let mut command = command(site, &node);
    command.arg(script).arg(runs.name()).env("TMPDIR", FILES);
    Ok(command)
}

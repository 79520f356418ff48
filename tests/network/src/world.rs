//! The networks of a run, as they are built: namespaces, the cables between them, and what is said in each.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    os::fd::AsFd,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use shoal_network::{
    profile::{self, Profile},
    scenario::Site,
    site::{self, INTERNET, Plan, Script},
};

use crate::{problem::Problem, shaper::Shaper};

/// What was built.
#[derive(Debug)]
pub(crate) struct World {
    /// The number and plan of each site.
    sites: BTreeMap<String, (usize, Plan)>,
    shapers: BTreeMap<String, Shaper>,
}

impl World {
    /// Builds all sites.
    pub(crate) fn build(sites: &BTreeMap<String, Site>) -> Result<Self, Problem> {
        program("ip", &["netns", "add", INTERNET])?;
        say(&site::internet())?;
        let mut world = Self { sites: BTreeMap::new(), shapers: BTreeMap::new() };
        for (index, (name, site)) in sites.iter().enumerate() {
            world.add(name, site, index + 1)?;
        }
        Ok(world)
    }

    fn add(&mut self, name: &str, Site { kind, link }: &Site, number: usize) -> Result<(), Problem> {
        let plan = site::plan(name, *kind, number);
        for namespace in &plan.namespaces {
            program("ip", &["netns", "add", namespace])?;
        }
        for [(one, device), (other, its)] in &plan.cables {
            program("ip", &["link", "add", device, "netns", one, "type", "veth", "peer", "name", its, "netns", other])?;
        }
        match link {
            Some(link) => {
                let shaper = Shaper::start(number, profile::named(link).map_err(Problem::Scenario)?)?;
                for (device, namespace, name) in [(shaper.site(), &*plan.edge, "wan"), (shaper.internet(), INTERNET, &*plan.port)] {
                    program("ip", &["link", "set", device, "netns", namespace, "name", name])?;
                }
                self.shapers.insert(name.to_owned(), shaper);
            }
            None => {
                program("ip", &["link", "add", "wan", "netns", &plan.edge, "type", "veth", "peer", "name", &plan.port, "netns", INTERNET])?
            }
        }
        for script in &plan.scripts {
            say(script)?;
        }
        self.sites.insert(name.to_owned(), (number, plan));
        Ok(())
    }

    /// From now on a site's link, which was shaped from the beginning, is like this.
    pub(crate) fn reshape(&self, site: &str, profile: Profile) {
        if let Some(shaper) = self.shapers.get(site) {
            shaper.reshape(profile);
        }
    }

    /// Cuts a shaped link, or mends it.
    pub(crate) fn cut(&self, site: &str, down: bool) {
        if let Some(shaper) = self.shapers.get(site) {
            shaper.cut(down);
        }
    }

    /// Gives a site another address.
    pub(crate) fn switch_uplink(&self, site: &str) -> Result<(), Problem> {
        let (number, plan) = self.sites.get(site).ok_or_else(|| Problem::Scenario(format!("{site} is no site")))?;
        say(&Script { namespace: plan.edge.clone(), commands: site::switch_uplink(*number) })
    }
}

/// A command that will run in a namespace.
pub(crate) fn command(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

/// A program of this workspace, which cargo puts beside this one.
pub(crate) fn built(name: &str) -> Result<PathBuf, Problem> {
    let path = std::env::current_exe().map_err(Problem::system("finding this program"))?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(Problem::Program {
        program: path.to_string_lossy().into_owned(),
        output: format!("it is not there: cargo build --release -p {name}"),
    })
}

/// Does something on a thread that is in a namespace. What it opens stays there.
pub(crate) fn within<T: Send>(namespace: &str, act: impl FnOnce() -> Result<T, Problem> + Send) -> Result<T, Problem> {
    let doing = format!("entering {namespace}");
    let file = File::open(format!("/run/netns/{namespace}")).map_err(Problem::system(doing.clone()))?;
    let inside = || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(Problem::system(doing))?;
        act()
    };
    let ended = thread::scope(|scope| scope.spawn(inside).join());
    ended.unwrap_or_else(|_| Err(Problem::Program { program: namespace.to_owned(), output: "a thread ended early".to_owned() }))
}

/// Runs a program to its end.
pub(crate) fn program(name: &str, words: &[&str]) -> Result<(), Problem> {
    let output = Command::new(name).args(words).stdin(Stdio::null()).output().map_err(Problem::system(format!("starting {name}")))?;
    ended(format!("{name} {}", words.join(" ")), &output)
}

/// Has a script run by a shell.
fn say(script: &Script) -> Result<(), Problem> {
    let doing = format!("a shell in {}", script.namespace);
    let mut command = command(&script.namespace, "sh");
    let mut child = command
        .arg("-e")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Problem::system(doing.clone()))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(script.commands.as_bytes()).map_err(Problem::system(doing.clone()))?;
    }
    let output = child.wait_with_output().map_err(Problem::system(doing))?;
    ended(format!("in {}: {}", script.namespace, script.commands), &output)
}

fn ended(program: String, output: &std::process::Output) -> Result<(), Problem> {
    if output.status.success() {
        return Ok(());
    }
    let said = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    Err(Problem::Program { program, output: said.trim().to_owned() })
}

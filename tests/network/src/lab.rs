//! A scenario that stands: its networks, its relay, and its peers, started side by side.

use std::{
    collections::BTreeMap,
    process::Child,
    sync::{Mutex, PoisonError},
    thread,
};

use shoal_network::scenario::Scenario;

use crate::{peer::Peer, problem::Problem, relay, world::World};

/// Browsers that start at once: each takes more than a second of a processor.
const AT_ONCE: usize = 4;

/// One scenario, built.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) world: World,
    peers: BTreeMap<String, Peer>,
    /// Their PeerIds.
    ids: BTreeMap<String, String>,
    _relay: Option<Child>,
}

impl Lab {
    /// Builds it.
    pub(crate) fn build(scenario: &Scenario) -> Result<Self, Problem> {
        let world = World::build(&scenario.sites)?;
        let relay = if scenario.peers.is_empty() { None } else { Some(relay::start(scenario.relay)?) };
        let mut lab = Self { world, peers: BTreeMap::new(), ids: BTreeMap::new(), _relay: relay };
        let waiting = Mutex::new(scenario.peers.iter());
        let started = Mutex::new(Vec::new());
        let start = || {
            // The lock is given back before the browser starts.
            let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some((name, peer)) = next() {
                let peer = Peer::start(name, &peer.site, peer.runs).and_then(|mut peer| Ok((peer.open(&relay::url())?, peer)));
                started.lock().unwrap_or_else(PoisonError::into_inner).push((name.clone(), peer));
            }
        };
        thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(start))));
        for (name, peer) in started.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let (id, peer) = peer?;
            lab.ids.insert(name.clone(), id);
            lab.peers.insert(name, peer);
        }
        Ok(lab)
    }

    /// The peer of this name.
    pub(crate) fn peer(&mut self, name: &str) -> Result<&mut Peer, Problem> {
        self.peers.get_mut(name).ok_or_else(|| Problem::Scenario(format!("{name} is no peer")))
    }

    /// Two peers at once.
    pub(crate) fn two(&mut self, names: [&str; 2]) -> Result<[&mut Peer; 2], Problem> {
        let [mut first, mut second] = [None, None];
        for (name, peer) in &mut self.peers {
            if name == names[0] {
                first = Some(peer);
            } else if name == names[1] {
                second = Some(peer);
            }
        }
        let (Some(first), Some(second)) = (first, second) else { return Err(Problem::Scenario(format!("{names:?} are not two peers"))) };
        Ok([first, second])
    }

    /// The PeerId of a peer.
    pub(crate) fn id(&self, name: &str) -> Result<String, Problem> {
        self.ids.get(name).cloned().ok_or_else(|| Problem::Scenario(format!("{name} is no peer")))
    }

    /// Gives all peers new nodes, which know nothing of what was.
    pub(crate) fn renew(&mut self) -> Result<(), Problem> {
        for (name, peer) in &mut self.peers {
            self.ids.insert(name.clone(), peer.open(&relay::url())?);
        }
        Ok(())
    }
}

//! The way to the page: commands out, reports in. The protocol stands at the head of `js/peer-connections.js`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::channel::oneshot;
use js_sys::{Array, Function, Object};
use libp2p_identity::PeerId;
use litemap::LiteMap;
use wasm_bindgen::prelude::*;
use web_sys::{MessagePort, RtcDataChannel};

use super::{
    config::{Config, IceServer, set},
    error::Error,
    peer::{Peer, PeerState},
};

#[wasm_bindgen]
extern "C" {
    /// A port to a `PeerConnections`: a `MessagePort`, or one of `localPorts()` where everything runs in one page.
    ///
    /// Made from either by `into()`; anything else with `postMessage` and `onmessage` would do, too.
    #[derive(Clone, Debug)]
    pub type Port;

    #[wasm_bindgen(method, catch, js_name = postMessage)]
    fn post_message(this: &Port, message: &JsValue, transfer: &Array) -> Result<(), JsValue>;

    #[wasm_bindgen(method, setter)]
    fn set_onmessage(this: &Port, handler: Option<&Function>);

    /// What the page sends: a `MessageEvent` or its double.
    type Delivery;

    #[wasm_bindgen(method, getter)]
    fn data(this: &Delivery) -> Report;

    /// What the page tells of a peer connection.
    pub(super) type Report;

    #[wasm_bindgen(method, getter)]
    fn event(this: &Report) -> String;
    #[wasm_bindgen(method, getter)]
    fn id(this: &Report) -> u32;
    #[wasm_bindgen(method, getter)]
    pub(super) fn text(this: &Report) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    pub(super) fn channel(this: &Report) -> Option<RtcDataChannel>;
    #[wasm_bindgen(method, getter)]
    fn request(this: &Report) -> u32;
    #[wasm_bindgen(method, getter)]
    fn attempts(this: &Report) -> JsValue;
    #[wasm_bindgen(method, getter, js_name = roundTrip)]
    fn round_trip(this: &Report) -> Option<f64>;
    #[wasm_bindgen(method, getter)]
    fn sent(this: &Report) -> Option<f64>;
    #[wasm_bindgen(method, getter)]
    fn received(this: &Report) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = localCandidate)]
    fn local_candidate(this: &Report) -> Option<String>;
    #[wasm_bindgen(method, getter, js_name = remoteCandidate)]
    fn remote_candidate(this: &Report) -> Option<String>;
}

impl From<MessagePort> for Port {
    fn from(port: MessagePort) -> Self {
        port.unchecked_into()
    }
}

/// What the browser knows of the path to a peer. What a browser does not tell is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// The latest round trip.
    pub round_trip: Option<Duration>,
    /// Bytes sent on the path in use.
    pub sent: Option<u64>,
    /// Bytes received on the path in use.
    pub received: Option<u64>,
    /// What kind of address this side uses: `host`, `srflx`, `prflx`, or `relay` for a TURN server.
    pub local_candidate: Option<String>,
    /// What kind of address the peer uses.
    pub remote_candidate: Option<String>,
}

impl Statistics {
    fn of(report: &Report) -> Self {
        // JavaScript's numbers, which are never negative here; `as` saturates.
        let bytes = |value: f64| value as u64;
        Self {
            round_trip: report.round_trip().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            sent: report.sent().map(bytes),
            received: report.received().map(bytes),
            local_candidate: report.local_candidate(),
            remote_candidate: report.remote_candidate(),
        }
    }
}

/// A connection's path was interrupted, or works again.
pub(super) struct PathChange {
    pub(super) peer: PeerId,
    pub(super) interrupted: bool,
}

/// STUN and TURN servers that become known, or whose credentials change, while the transport runs. Clones are the same.
#[derive(Clone)]
pub struct IceServers(pub(super) Shim);

impl IceServers {
    /// Gives connections that begin from now on these servers besides those of the [`Config`], in the place of those that were set before.
    pub fn set(&self, servers: &[IceServer]) {
        let Inner { configuration, config, .. } = &*self.0.0;
        configuration.replace(config.to_rtc_configuration(servers));
    }
}

impl std::fmt::Debug for IceServers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("IceServers")
    }
}

/// The peer connections of this node, seen from here. Clones are the same.
#[derive(Clone)]
pub(super) struct Shim(Rc<Inner>);

struct Inner {
    port: Port,
    configuration: RefCell<Object>,
    config: Config,
    next_id: Cell<u32>,
    peers: RefCell<LiteMap<u32, Weak<PeerState>>>,
    statistics: RefCell<LiteMap<u32, oneshot::Sender<Statistics>>>,
    traces: RefCell<LiteMap<u32, oneshot::Sender<JsValue>>>,
    path_changes: RefCell<(VecDeque<PathChange>, Option<Waker>)>,
    _on_message: Closure<dyn Fn(Delivery)>,
}

impl Shim {
    pub(super) fn new(port: Port, config: &Config) -> Self {
        Self(Rc::new_cyclic(|weak: &Weak<Inner>| {
            let weak = weak.clone();
            let on_message = Closure::<dyn Fn(Delivery)>::new(move |delivery: Delivery| {
                if let Some(inner) = weak.upgrade() {
                    Shim(inner).receive(&delivery.data());
                }
            });
            port.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
            Inner {
                port,
                configuration: RefCell::new(config.to_rtc_configuration(&[])),
                config: config.clone(),
                next_id: Cell::new(1),
                peers: RefCell::default(),
                statistics: RefCell::default(),
                traces: RefCell::default(),
                path_changes: RefCell::default(),
                _on_message: on_message,
            }
        }))
    }

    /// Begins a peer connection whose offer this side makes.
    pub(super) fn initiate(&self, peer: PeerId) -> Result<Peer, Error> {
        self.begin(Some(peer), "initiate", None, &self.0.configuration.borrow())
    }

    /// Begins a peer connection to a server, whose answer this side makes, too. It needs no STUN or TURN servers, as a server has an address.
    pub(super) fn dial(&self, peer: Option<PeerId>) -> Result<Peer, Error> {
        self.begin(peer, "dial", None, &Object::new())
    }

    /// Begins a peer connection that answers an offer.
    ///
    /// Others may use half of the peer connections for negotiations, and each of them only a few, so that nobody keeps this node
    /// from connecting.
    pub(super) fn respond(&self, peer: PeerId, offer: &str) -> Result<Peer, Error> {
        let mut negotiating = self.live_peers();
        negotiating.retain(|state| state.is_answering());
        let of_peer = negotiating.iter().filter(|state| state.peer() == Some(peer)).count();
        if of_peer >= NEGOTIATIONS_OF_A_PEER || negotiating.len() >= self.0.config.max_connections.div_ceil(2) {
            return Err(Error::TooManyNegotiations);
        }
        self.begin(Some(peer), "respond", Some(offer), &self.0.configuration.borrow())
    }

    fn begin(&self, peer: Option<PeerId>, op: &str, text: Option<&str>, configuration: &Object) -> Result<Peer, Error> {
        let open = self.0.peers.borrow().len();
        if open >= self.0.config.max_connections {
            return Err(Error::TooManyConnections(open));
        }
        let id = self.next_id();
        let state = PeerState::new(id, peer, text.is_some(), self.clone(), &self.0.config);
        self.0.peers.borrow_mut().insert(id, Rc::downgrade(&state));
        let command = self.command(op, id, text);
        set(&command, "configuration", configuration);
        set(&command, "peer", &peer.map(|peer| peer.to_string()).into());
        let peer = Peer::new(state);
        self.post(&command)?;
        Ok(peer)
    }

    /// Gives the browser both descriptions of a connection to a server.
    pub(super) fn describe(&self, id: u32, offer: &str, answer: &str) {
        let command = self.command("answer", id, Some(answer));
        set(&command, "offer", &offer.into());
        let _ = self.post(&command);
    }

    /// Sends a command about a peer connection. A port that is gone shows in the reports that do not come.
    pub(super) fn send(&self, op: &str, id: u32, text: Option<&str>) {
        let _ = self.post(&self.command(op, id, text));
    }

    /// Closes a peer connection and forgets it.
    pub(super) fn close(&self, id: u32) {
        if self.0.peers.borrow_mut().remove(&id).is_some() {
            self.send("close", id, None);
        }
    }

    /// What the browser knows of the path to `peer`; `None` if there is no connection.
    pub(super) fn statistics(&self, peer: &PeerId) -> oneshot::Receiver<Statistics> {
        let (sender, receiver) = oneshot::channel();
        let established = self.live_peers().into_iter().find(|state| state.peer() == Some(*peer) && state.is_established());
        if let Some(state) = established {
            let request = self.next_id();
            let mut waiting = self.0.statistics.borrow_mut();
            waiting.retain(|_, sender| !sender.is_canceled());
            waiting.insert(request, sender);
            let command = self.command("statistics", state.id(), None);
            set(&command, "request", &request.into());
            let _ = self.post(&command);
        }
        receiver
    }

    /// What became of the last attempts at a direct connection to `peer`.
    pub(super) fn traces(&self, peer: &PeerId) -> oneshot::Receiver<JsValue> {
        let (sender, receiver) = oneshot::channel();
        let request = self.next_id();
        let mut waiting = self.0.traces.borrow_mut();
        waiting.retain(|_, sender| !sender.is_canceled());
        waiting.insert(request, sender);
        let command = self.command("trace", 0, None);
        set(&command, "peer", &peer.to_string().into());
        set(&command, "request", &request.into());
        let _ = self.post(&command);
        receiver
    }

    /// The next interruption or recovery of an established connection.
    pub(super) fn poll_path_change(&self, cx: &mut Context<'_>) -> Poll<PathChange> {
        let mut changes = self.0.path_changes.borrow_mut();
        if let Some(change) = changes.0.pop_front() {
            return Poll::Ready(change);
        }
        changes.1 = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn path_changed(&self, change: PathChange) {
        let mut changes = self.0.path_changes.borrow_mut();
        if changes.0.len() == PATH_CHANGES {
            changes.0.pop_front();
        }
        changes.0.push_back(change);
        if let Some(waker) = changes.1.take() {
            waker.wake();
        }
    }

    fn receive(&self, report: &Report) {
        let event = report.event();
        if event == "statistics" {
            let waiting = self.0.statistics.borrow_mut().remove(&report.request());
            if let Some(sender) = waiting {
                let _ = sender.send(Statistics::of(report));
            }
            return;
        }
        if event == "trace" {
            let waiting = self.0.traces.borrow_mut().remove(&report.request());
            if let Some(sender) = waiting {
                let _ = sender.send(report.attempts());
            }
            return;
        }
        let id = report.id();
        let peer = self.0.peers.borrow().get(&id).and_then(Weak::upgrade);
        if event == "closed" {
            self.0.peers.borrow_mut().remove(&id);
        }
        match peer {
            Some(peer) => peer.receive(&event, report),
            // Closed from here in the meantime: the page closes it as soon as it hears of that.
            None => {
                if let Some(channel) = report.channel() {
                    channel.close();
                }
            }
        }
    }

    fn next_id(&self) -> u32 {
        let id = self.0.next_id.get();
        self.0.next_id.set(id.wrapping_add(1));
        id
    }

    fn live_peers(&self) -> Vec<Rc<PeerState>> {
        let peers = self.0.peers.borrow();
        peers.values().filter_map(Weak::upgrade).collect()
    }

    fn command(&self, op: &str, id: u32, text: Option<&str>) -> Object {
        let command = Object::new();
        set(&command, "op", &op.into());
        set(&command, "id", &id.into());
        if let Some(text) = text {
            set(&command, "text", &text.into());
        }
        command
    }

    fn post(&self, command: &Object) -> Result<(), Error> {
        self.0.port.post_message(command, &Array::new()).map_err(|error| Error::Ended(format!("no way to the page: {error:?}")))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.port.set_onmessage(None);
    }
}

/// How many path changes wait for a behaviour that is late: as many as there may be connections, twice.
const PATH_CHANGES: usize = 128;

/// How many negotiations one peer may have under way here: seven further connections for one transfer, or two relays at once by which it comes, and one that
/// it gave up.
const NEGOTIATIONS_OF_A_PEER: usize = 8;

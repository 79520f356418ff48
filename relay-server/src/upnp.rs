//! Asks the router to let others in, by UPnP (Internet Gateway Device). libp2p's own finds the router, maps the ports and renews that; it is told the
//! addresses that lead to this machine from the router's side, and looked after: it gives up at the first silence, and fails without a word.

use std::{
    collections::BTreeMap,
    future::Future as _,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{
        Endpoint,
        transport::{ListenerId, PortUse},
    },
    swarm::{
        ConnectionDenied, ConnectionId, ExpiredListenAddr, FromSwarm, NetworkBehaviour, NewListenAddr, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
    upnp,
};
use tokio::time::{Sleep, sleep};

use crate::{addresses::ip_of, limits};

/// What came of it.
#[derive(Debug)]
pub(crate) enum Event {
    /// The router lets others in at this address.
    Mapped(Multiaddr),
    /// It no longer does.
    Lost(Multiaddr),
    /// It does not, and why. Said once until it is different.
    Failed(&'static str),
}

/// The behaviour.
pub(crate) struct Upnp {
    inner: upnp::tokio::Behaviour,
    announced: BTreeMap<Multiaddr, ListenerId>,
    mapped: usize,
    failed: bool,
    /// Until something is mapped.
    patience: Option<Pin<Box<Sleep>>>,
    /// Until the router is looked for again.
    again: Option<Pin<Box<Sleep>>>,
}

impl Upnp {
    /// Looks for the router.
    pub(crate) fn new() -> Self {
        Self {
            inner: upnp::tokio::Behaviour::default(),
            announced: BTreeMap::new(),
            mapped: 0,
            failed: false,
            patience: Some(Box::pin(sleep(limits::UPNP_PATIENCE))),
            again: None,
        }
    }

    /// Has those of these addresses mapped that are this machine's on the router's side.
    pub(crate) fn announce(&mut self, addresses: &[Multiaddr]) {
        let own = towards_the_internet();
        let wanted: Vec<_> = addresses.iter().filter(|address| own.is_some() && ip_of(address) == own).collect();
        let gone: Vec<_> = self.announced.keys().filter(|known| !wanted.contains(known)).cloned().collect();
        for address in gone {
            if let Some(listener_id) = self.announced.remove(&address) {
                self.inner.on_swarm_event(FromSwarm::ExpiredListenAddr(ExpiredListenAddr { listener_id, addr: &address }));
            }
        }
        for address in wanted {
            if !self.announced.contains_key(address) {
                let listener = ListenerId::next();
                self.announced.insert(address.clone(), listener);
                tell(&mut self.inner, listener, address);
            }
        }
    }

    fn on_event(&mut self, event: upnp::Event) -> Option<Event> {
        match event {
            upnp::Event::NewExternalAddr { external_addr, .. } => {
                self.mapped += 1;
                (self.failed, self.patience) = (false, None);
                Some(Event::Mapped(external_addr))
            }
            upnp::Event::ExpiredExternalAddr { external_addr, .. } => {
                self.mapped = self.mapped.saturating_sub(1);
                Some(Event::Lost(external_addr))
            }
            upnp::Event::GatewayNotFound => self.fail("no router answers"),
            upnp::Event::NonRoutableGateway => self.fail("the router itself is not on the internet but behind another one"),
        }
    }

    fn fail(&mut self, why: &'static str) -> Option<Event> {
        self.patience = None;
        if self.mapped == 0 {
            self.again = Some(Box::pin(sleep(limits::UPNP_AGAIN)));
        }
        (!std::mem::replace(&mut self.failed, true)).then_some(Event::Failed(why))
    }

    fn begin_again(&mut self) {
        self.inner = upnp::tokio::Behaviour::default();
        self.patience = Some(Box::pin(sleep(limits::UPNP_PATIENCE)));
        for (address, listener) in &self.announced {
            tell(&mut self.inner, *listener, address);
        }
    }
}

/// This machine's address where packets to the internet leave it, if it is one that a router translates. Nothing is sent to find out.
fn towards_the_internet() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Any address out there does.
    socket.connect((Ipv4Addr::new(1, 1, 1, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if ip.is_private() => Some(ip.into()),
        _ => None,
    }
}

fn tell(inner: &mut upnp::tokio::Behaviour, listener_id: ListenerId, address: &Multiaddr) {
    inner.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr: address }));
}

fn over(wait: &mut Option<Pin<Box<Sleep>>>, context: &mut Context<'_>) -> bool {
    let over = wait.as_mut().is_some_and(|wait| wait.as_mut().poll(context).is_ready());
    if over {
        *wait = None;
    }
    over
}

impl NetworkBehaviour for Upnp {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    // What the swarm listens at is told by `announce`.
    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, never: THandlerOutEvent<Self>) {
        match never {}
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        if over(&mut self.again, context) {
            self.begin_again();
        }
        if over(&mut self.patience, context)
            && let Some(event) = self.fail("the router maps nothing")
        {
            return Poll::Ready(ToSwarm::GenerateEvent(event));
        }
        while let Poll::Ready(order) = self.inner.poll(context) {
            // That an address is confirmed is said by the event as well.
            if let ToSwarm::GenerateEvent(event) = order
                && let Some(event) = self.on_event(event)
            {
                return Poll::Ready(ToSwarm::GenerateEvent(event));
            }
        }
        Poll::Pending
    }
}

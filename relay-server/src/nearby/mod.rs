//! Nearby devices: pages behind the same public address that want to find each other, `/shoal/nearby/1.0.0`. Who is near whom and who is
//! told what, [`shoal_protocol::nearby`] decides; here are its streams and its clock.
//!
//! ```text
//!   connection ─ Handler ──Here, Left──►  Behaviour ─ Registry
//!                        ◄──Tell, Drop──
//! ```

mod handler;
mod vantage;

use std::{
    collections::{HashMap, VecDeque},
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use shoal_protocol::{
    limits::NEARBY_DEVICES,
    nearby::{Bounds, Order, Registry},
    time::Time,
};
use tokio::time::{Instant, Sleep, sleep_until};

use self::handler::{FromHandler, Handler, ToHandler};
use crate::{addresses::ip_of, health::Health, settings::Config};

pub(crate) use self::vantage::Vantage;

/// A device: a stream of a connection, by the number that the connection gave it.
type Member = (ConnectionId, u64);

/// A connection's last stream.
struct Seat {
    peer: PeerId,
    stream: u64,
    /// It is to be closed. What it says until it knows does not count.
    dropped: bool,
}

/// Lists the devices that want to be found, and tells them of each other.
pub(crate) struct Behaviour {
    registry: Registry<Member>,
    vantage: Vantage,
    /// The last stream of each connection that had one.
    streams: HashMap<ConnectionId, Seat>,
    orders: VecDeque<ToSwarm<std::convert::Infallible, ToHandler>>,
    origin: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    health: Arc<Health>,
}

impl Behaviour {
    /// Within the bounds of `config`.
    pub(crate) fn new(config: &Config, vantage: Vantage, health: Arc<Health>) -> Self {
        let bounds = Bounds { total: NEARBY_DEVICES, per_group: config.max_nearby_per_network };
        Self {
            registry: Registry::new(bounds),
            vantage,
            streams: HashMap::new(),
            orders: VecDeque::new(),
            origin: Instant::now(),
            alarm: None,
            health,
        }
    }

    fn now(&self) -> Time {
        Time::from_origin(self.origin.elapsed())
    }

    fn carry_out(&mut self, orders: Vec<Order<Member>>) {
        for order in orders {
            let ((connection, stream), event) = match order {
                Order::Tell(member, list) => (member, ToHandler::Tell(member.1, list)),
                Order::Drop(member, refusal) => (member, ToHandler::Drop(member.1, refusal)),
            };
            if let Some(seat) = self.streams.get_mut(&connection).filter(|seat| seat.stream == stream) {
                seat.dropped = matches!(event, ToHandler::Drop(..));
                self.orders.push_back(ToSwarm::NotifyHandler { peer_id: seat.peer, handler: NotifyHandler::One(connection), event });
            }
        }
        self.health.nearby.set(self.registry.len());
        self.alarm = self.registry.deadline().map(|at| {
            let after = at.since(Time::from_origin(Duration::ZERO));
            Box::pin(sleep_until(self.origin + after))
        });
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = std::convert::Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(peer, ip_of(remote), self.vantage.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // Other servers are dialled, and that says nothing of where they are.
        Ok(Handler::new(peer, None, self.vantage.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(closed) = event
            && let Some(seat) = self.streams.remove(&closed.connection_id)
        {
            self.registry.leave((closed.connection_id, seat.stream), self.now());
            self.carry_out(Vec::new());
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        let now = self.now();
        let orders = match event {
            FromHandler::Here { stream, group, key, name } => {
                let seat = self.streams.entry(connection).or_insert(Seat { peer, stream, dropped: false });
                if seat.stream != stream {
                    *seat = Seat { peer, stream, dropped: false };
                }
                if seat.dropped {
                    return;
                }
                self.registry.announce((connection, stream), group, &key, name, now)
            }
            FromHandler::Left { stream } => {
                self.streams.remove(&connection);
                self.registry.leave((connection, stream), now);
                Vec::new()
            }
        };
        self.carry_out(orders);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(order) = self.orders.pop_front() {
                return Poll::Ready(order);
            }
            match &mut self.alarm {
                Some(alarm) => ready!(alarm.as_mut().poll(context)),
                None => return Poll::Pending,
            }
            let orders = self.registry.poll(self.now());
            self.carry_out(orders);
        }
    }
}

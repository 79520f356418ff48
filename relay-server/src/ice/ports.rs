//! The relayed ports of TURN: sockets by which clients reach their peers.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
};

use shoal_turn::limits::PACKET;
use tokio::{net::UdpSocket, sync::mpsc, task::AbortHandle, time::sleep};

use super::desk::AFTER_ERROR;
use crate::limits;

/// A packet that came to a relayed port.
pub(super) struct Arrived {
    pub(super) port: u16,
    pub(super) from: SocketAddr,
    pub(super) packet: Vec<u8>,
}

/// The sockets that are open.
pub(super) struct Ports {
    ip: IpAddr,
    range: RangeInclusive<u16>,
    next: u16,
    open: HashMap<u16, Open>,
    arrivals: mpsc::Sender<Arrived>,
}

struct Open {
    socket: Arc<UdpSocket>,
    reading: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Ports {
    /// None yet; they will be of the family of `relayed`, in this range. What comes to them comes out of the second half.
    pub(super) fn new(bound: IpAddr, relayed: IpAddr, range: RangeInclusive<u16>) -> (Self, mpsc::Receiver<Arrived>) {
        let ip = match (bound.is_unspecified(), relayed) {
            (false, _) => bound,
            (true, IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
            (true, IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let (arrivals, arrived) = mpsc::channel(limits::RELAYED_PACKETS);
        (Self { ip, next: *range.start(), range, open: HashMap::new(), arrivals }, arrived)
    }

    /// Opens the next one that is free; none after some attempts.
    pub(super) fn open(&mut self) -> Option<u16> {
        (0..limits::PORT_ATTEMPTS).find_map(|_| {
            let port = self.next;
            self.next = if port == *self.range.end() { *self.range.start() } else { port + 1 };
            self.bind(port).ok()
        })
    }

    fn bind(&mut self, port: u16) -> io::Result<u16> {
        let socket = std::net::UdpSocket::bind((self.ip, port))?;
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let reading = tokio::spawn(read(Arc::clone(&socket), port, self.arrivals.clone())).abort_handle();
        self.open.insert(port, Open { socket, reading });
        Ok(port)
    }

    pub(super) fn close(&mut self, port: u16) {
        self.open.remove(&port);
    }

    /// Sends by this port. What cannot be sent now is lost, as packets are.
    pub(super) fn send(&self, port: u16, packet: &[u8], to: SocketAddr) {
        if let Some(open) = self.open.get(&port) {
            let _ = open.socket.try_send_to(packet, to);
        }
    }
}

/// Hands on what comes. Where the desk does not keep up, packets are lost.
async fn read(socket: Arc<UdpSocket>, port: u16, arrivals: mpsc::Sender<Arrived>) {
    let mut packet = [0; PACKET];
    loop {
        // On an unconnected socket an error is about a packet sent earlier, to somebody who has gone.
        let Ok((length, from)) = socket.recv_from(&mut packet).await else {
            sleep(AFTER_ERROR).await;
            continue;
        };
        let _ = arrivals.try_send(Arrived { port, from, packet: packet[..length].to_vec() });
    }
}

//! Tells whoever asks by which address the relay sees him: with it two pages behind routers find the way to each other. STUN, RFC 8489, over UDP.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use shoal_protocol::{connections::Network, stun};
use tokio::{net::UdpSocket, time::sleep};

use crate::{health::Health, limits, rate::TokenBuckets};

/// Bytes that are read of a packet: more than any request that is answered has.
const PACKET: usize = 1_024;

/// Pause after an error of the socket, so that one that stays does not keep a core busy.
const AFTER_ERROR: Duration = Duration::from_millis(10);

/// Answers for as long as the process lives, each network so many times a minute and no more often.
///
/// # Errors
/// When the operating system does not give the socket.
pub(crate) async fn serve(socket: SocketAddr, per_minute: u32, health: Arc<Health>) -> io::Result<()> {
    let socket = UdpSocket::bind(socket).await?;
    tokio::spawn(async move {
        let mut asked = TokenBuckets::new(per_minute, limits::RATE_BUCKETS);
        let mut packet = [0; PACKET];
        loop {
            // On an unconnected socket an error is about a packet sent earlier, to somebody who has gone.
            let Ok((length, from)) = socket.recv_from(&mut packet).await else {
                sleep(AFTER_ERROR).await;
                continue;
            };
            let Some(answer) = stun::answer(&packet[..length], from) else { continue };
            if !asked.take(Network::from(from.ip()), Instant::now()) {
                health.refused.add(1);
                continue;
            }
            health.stun_answers.add(1);
            // What cannot be sent now is lost, as packets are; who asked asks again.
            let _ = socket.try_send_to(&answer, from);
        }
    });
    Ok(())
}

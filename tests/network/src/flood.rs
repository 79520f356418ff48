//! How many packets in a second go through the shaper: as many as can be sent are sent, and counted where they arrive.

use std::{
    net::{Ipv4Addr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use shoal_network::scenario::Flood;

use crate::{experiment::Counts, problem::Problem, world::within};

const PORT: u16 = 5_002;
/// About what WebRTC sends.
const PACKET: [u8; 1_200] = [7; 1_200];
/// Silence that means the end.
const SILENCE: Duration = Duration::from_millis(300);

/// Counts.
pub(crate) fn run(flood: &Flood, counts: &mut Counts) -> Result<(), Problem> {
    let problem = || Problem::system("sending many packets");
    // The receiver is the first site by name, the sender the second.
    let receiver = within("receiver", || UdpSocket::bind((Ipv4Addr::new(11, 1, 1, 2), PORT)).map_err(problem()))?;
    let sender = within("sender", || UdpSocket::bind((Ipv4Addr::new(11, 1, 2, 2), PORT)).map_err(problem()))?;
    let address = receiver.local_addr().map_err(problem())?;
    let ends = Instant::now() + flood.time();
    let (sent, came) = thread::scope(|scope| {
        let sending = scope.spawn(move || {
            let mut sent = 0_u64;
            while Instant::now() < ends {
                // A full queue refuses one; what counts is what arrives.
                sent += u64::from(sender.send_to(&PACKET, address).is_ok());
            }
            sent
        });
        let came = count(&receiver, ends);
        (sending.join().unwrap_or(0), came)
    });
    let rate = came.map_err(problem())? / flood.seconds.max(1);
    counts.claim(
        rate >= flood.packets_per_second,
        &format!(
            "the shaper carries {rate} packets of {} bytes in a second ({} sent), {} at least",
            PACKET.len(),
            sent / flood.seconds.max(1),
            flood.packets_per_second
        ),
    );
    Ok(())
}

fn count(receiver: &UdpSocket, ends: Instant) -> std::io::Result<u64> {
    receiver.set_read_timeout(Some(SILENCE))?;
    let mut buffer = [0; PACKET.len()];
    let mut came = 0;
    loop {
        match receiver.recv(&mut buffer) {
            Ok(_) => came += 1,
            Err(_) if Instant::now() > ends => return Ok(came),
            Err(_) => {}
        }
    }
}

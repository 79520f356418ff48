//! What a browser's data channel reaches without any protocol on it: the far side of a measurement (`tests/bench/ways.mjs`), by `str0m`, which is made of the same DTLS
//! and SCTP as this crate's listener.
//!
//! Each line of its input is an offer, each line of its output the answer, with tabs in place of the ends of lines; it ends with its input. The first message on a
//! channel says, in 16 bytes (big endian), how many bytes will come and how many shall go back; then they come, then they go.
//!
//! ```sh
//! cargo run --release -p shoal-webrtc --example bare_channel -- 127.0.0.1
//! ```

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    native::run()
}

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::{
        error::Error,
        io,
        net::{IpAddr, SocketAddr},
        time::Instant,
    };

    use str0m::{
        Candidate, Event, Input, Output, Rtc, RtcError,
        change::SdpOffer,
        channel::ChannelId,
        net::{Protocol, Receive},
    };
    use tokio::net::UdpSocket;

    /// Bytes of a message, and of what waits in SCTP while more are written: with 1 MiB a browser's socket loses so much that half of the rate is left.
    const MESSAGE: usize = 64 * 1024;
    const UNSENT: usize = 64 * 1024;
    /// Packets that are taken at once before they are answered.
    const AT_ONCE: usize = 32;
    /// The longest packet.
    const PACKET: usize = 2_048;

    #[tokio::main(flavor = "current_thread")]
    pub(super) async fn run() -> Result<(), Box<dyn Error>> {
        let host: IpAddr = std::env::args().nth(1).unwrap_or("127.0.0.1".into()).parse()?;
        str0m::crypto::from_feature_flags().install_process_default();
        let (offered, mut offers) = tokio::sync::mpsc::channel(1);
        std::thread::spawn(move || io::stdin().lines().map_while(Result::ok).try_for_each(|line| offered.blocking_send(line)));
        while let Some(offer) = offers.recv().await {
            let socket = UdpSocket::bind((host, 0)).await?;
            let local = socket.local_addr()?;
            let mut rtc = Rtc::builder().set_ice_lite(true).set_sctp_max_buffered_amount(UNSENT + MESSAGE).build(Instant::now());
            rtc.add_local_candidate(Candidate::host(local, "udp")?);
            let answer = rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(&offer.replace('\t', "\r\n"))?)?;
            println!("{}", answer.to_sdp_string().replace("\r\n", "\t"));
            tokio::spawn(async move {
                if let Err(error) = serve(rtc, socket, local).await {
                    eprintln!("a bare channel ended: {error}");
                }
            });
        }
        Ok(())
    }

    /// What is still to come and to go, on the channel that said so.
    struct Work {
        channel: ChannelId,
        up: u64,
        down: u64,
    }

    async fn serve(mut rtc: Rtc, socket: UdpSocket, local: SocketAddr) -> Result<(), Box<dyn Error>> {
        let (mut buffer, mut work) = (vec![0; PACKET], None);
        while rtc.is_alive() {
            let wake = loop {
                match rtc.poll_output()? {
                    Output::Transmit(packet) => drop(socket.send_to(&packet.contents, packet.destination).await),
                    Output::Event(event) => happened(&mut work, event),
                    Output::Timeout(wake) if !write(&mut rtc, &mut work)? => break wake,
                    Output::Timeout(_) => rtc.handle_input(Input::Timeout(Instant::now()))?,
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(wake.into()) => {}
                readable = socket.readable() => readable?,
            }
            for _ in 0..AT_ONCE {
                let Ok((length, source)) = socket.try_recv_from(&mut buffer) else { break };
                let Ok(contents) = buffer[..length].try_into() else { continue };
                rtc.handle_input(Input::Receive(Instant::now(), Receive { proto: Protocol::Udp, source, destination: local, contents }))?;
                while let Some(event) = next(&mut rtc, &socket).await? {
                    happened(&mut work, event);
                }
            }
            rtc.handle_input(Input::Timeout(Instant::now()))?;
        }
        Ok(())
    }

    /// Sends what is to be sent; the next event before it is quiet.
    async fn next(rtc: &mut Rtc, socket: &UdpSocket) -> Result<Option<Event>, RtcError> {
        loop {
            match rtc.poll_output()? {
                Output::Transmit(packet) => drop(socket.send_to(&packet.contents, packet.destination).await),
                Output::Event(event) => return Ok(Some(event)),
                Output::Timeout(_) => return Ok(None),
            }
        }
    }

    fn happened(work: &mut Option<Work>, event: Event) {
        let Event::ChannelData(message) = event else { return };
        match work {
            Some(work) => work.up = work.up.saturating_sub(message.data.len() as u64),
            None => {
                let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
                let (up, down) = message.data.split_at(message.data.len().min(8));
                *work = Some(Work { channel: message.id, up: number(up), down: number(down) });
            }
        }
    }

    /// Writes as much as there is room for. Whether that was anything.
    fn write(rtc: &mut Rtc, work: &mut Option<Work>) -> Result<bool, RtcError> {
        let Some(work) = work.as_mut().filter(|work| work.up == 0 && work.down > 0) else { return Ok(false) };
        let Some(mut channel) = rtc.channel(work.channel) else { return Ok(false) };
        let mut wrote = false;
        while work.down > 0 && channel.buffered_amount() < UNSENT {
            let length = work.down.min(MESSAGE as u64);
            if !channel.write(true, &vec![7; length as usize])? {
                break;
            }
            work.down -= length;
            wrote = true;
        }
        Ok(wrote)
    }
}

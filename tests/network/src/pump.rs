//! Bytes over plain TCP, from one namespace to another: what the system itself makes of a link, by which a transfer between pages is judged.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt::set_tcp_congestion;

use crate::{problem::Problem, world::within};

const PORT: u16 = 5_001;
/// Linux's default, which most senders of the internet have, whatever this machine prefers.
const CONGESTION: &str = "cubic";
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time for so many bytes, from asking for a connection to the last one.
pub(crate) fn tcp(from: &str, address: Ipv4Addr, to: &str, bytes: u64) -> Result<Duration, Problem> {
    let listener = within(from, || TcpListener::bind((address, PORT)).map_err(Problem::system("listening for the plain transfer")))?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || send(&listener, bytes));
        let received = within(to, || receive(address, bytes));
        sending.join().unwrap_or(Ok(()))?;
        received
    })
}

fn send(listener: &TcpListener, bytes: u64) -> Result<(), Problem> {
    let send = || {
        let (mut stream, _) = listener.accept()?;
        set_tcp_congestion(&stream, CONGESTION)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        std::io::copy(&mut std::io::repeat(7).take(bytes), &mut stream)?;
        stream.flush()
    };
    send().map_err(Problem::system("sending over TCP"))
}

fn receive(address: Ipv4Addr, bytes: u64) -> Result<Duration, Problem> {
    let receive = || {
        let began = Instant::now();
        let mut stream = TcpStream::connect((address, PORT))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let came = std::io::copy(&mut (&mut stream).take(bytes), &mut std::io::sink())?;
        if came < bytes {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, format!("{came} of {bytes} bytes came")));
        }
        Ok(began.elapsed())
    };
    receive().map_err(Problem::system("receiving over TCP"))
}

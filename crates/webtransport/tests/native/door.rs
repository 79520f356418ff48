//! Who is refused before his peer is known.

use std::{pin::Pin, time::Duration};

use futures::future::poll_fn;
use libp2p_core::StreamMuxer as _;
use shoal_webtransport::{Config, Error};
use tokio::time::timeout;

use crate::{
    streams,
    support::{
        Server,
        client::{NOISE, session},
        stubborn::Stubborn,
    },
};

#[tokio::test]
async fn another_path_is_refused() {
    let mut server = Server::listen(Config::default()).await;
    for path in ["/", "/.well-known/libp2p-webtransport", "/.well-known/libp2p-webtransport?type=tls"] {
        let address = server.address.clone();
        let (opened, came) = futures::future::join(session(&address, path), server.arrived()).await;
        assert!(opened.is_err(), "{path}");
        assert!(matches!(came, Err(Error::Path(_))), "{path}: {came:?}");
    }
}

#[tokio::test]
async fn nobody_gets_in_after_the_end_and_who_is_in_stays() {
    let mut server = Server::listen(Config::default()).await;
    let (dialled, came) = server.connected().await;
    server.remove().await;
    // Nobody answers at all, which is not waited for to the end.
    let opened = timeout(Duration::from_secs(1), session(&server.address, NOISE)).await;
    assert!(!matches!(opened, Ok(Ok(_))));
    streams::ask_and_answer(dialled, came, 1).await;
}

#[tokio::test]
async fn who_says_nothing_more_is_given_up() {
    let mut server = Server::listen(Config { handshake_timeout: Duration::from_millis(500), ..Config::default() }).await;
    let silent = Stubborn::dial(&server.address).await;
    assert!(matches!(server.arrived().await, Err(Error::TimedOut)));
    ended(&silent).await;
}

#[tokio::test]
async fn who_does_not_prove_who_he_is_is_sent_away() {
    let mut server = Server::listen(Config::default()).await;
    let forger = Stubborn::dial(&server.address).await;
    let (mut send, _receive) = forger.open().await;
    // Too short for a key.
    send.write_all(&[0, 1, 7]).await.unwrap();
    assert!(matches!(server.arrived().await, Err(Error::Noise(_))));
    ended(&forger).await;
}

/// It is not enough to forget an attempt: quinn keeps a connection alive while anything of it is held.
async fn ended(one: &Stubborn) {
    timeout(Duration::from_secs(5), one.connection.closed()).await.expect("the listener closes the connection");
}

#[tokio::test]
async fn attempts_are_bounded_and_make_room_again() {
    let config = Config {
        handshakes: 4,
        handshakes_per_network: 4,
        handshakes_unproven: 2,
        handshake_timeout: Duration::from_secs(2),
        ..Config::default()
    };
    let mut server = Server::listen(config).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(session(&server.address, NOISE).await.unwrap());
    }
    assert!(session(&server.address, NOISE).await.is_err(), "a fifth");
    for _ in 0..4 {
        assert!(server.arrived().await.is_err());
    }
    server.connected().await;
}

/// What belongs to the session itself goes on the stream of the request. Nothing of it is kept, before the peer is known and after.
#[tokio::test]
async fn what_is_said_on_the_requests_stream_fills_no_memory() {
    let mut server = Server::listen(Config::default()).await;
    let unknown = Stubborn::dial(&server.address).await;
    fill(unknown).await;
    server.arrived().await.unwrap_err();
    let known = Stubborn::dial(&server.address).await;
    let (arrived, ()) = futures::future::join(server.arrived(), known.prove()).await;
    let (_, mut connection) = arrived.unwrap();
    tokio::spawn(async move { poll_fn(|context| Pin::new(&mut connection).poll(context)).await.map(drop) });
    fill(known).await;
}

/// The end of a session (`CLOSE_WEBTRANSPORT_SESSION`) in a capsule that is too short for one, and so many bytes behind it, as fast as they are taken.
async fn fill(mut stubborn: Stubborn) {
    const BYTES: usize = 200 * 1024 * 1024;
    let before = memory();
    let writing = async {
        stubborn.request.write_all(&[0, 3, 0x68, 0x43, 3]).await?;
        // A frame of data that is 16,383 bytes long.
        let frame = [&[0, 0x7f, 0xff][..], &[0; 16_383]].concat();
        for _ in 0..BYTES / frame.len() {
            stubborn.request.write_all(&frame).await?;
        }
        Ok::<(), quinn::WriteError>(())
    };
    // Not to be read, or to be sent away, is as good.
    let written = timeout(Duration::from_secs(3), writing).await;
    let grown = memory().saturating_sub(before);
    assert!(grown < BYTES / 4, "{grown} bytes more; written: {written:?}");
}

/// What this process holds, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

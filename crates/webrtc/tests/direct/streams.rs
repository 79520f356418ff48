//! Streams: bytes both ways, ends in every order, and many of them.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, future::join};
use libp2p_core::StreamMuxer as _;
use shoal_webrtc::Config;
use tokio::time::{sleep, timeout};

use crate::support::{PATIENCE, Server, client::Version, inbound, outbound};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

#[tokio::test]
async fn both_versions_connect_on_one_port() {
    let mut server = Server::listen(Config::default()).await;
    for version in [Version::One, Version::Two] {
        let (client, mut connection) = server.connected(version).await;
        let mut ours = client.open();
        ours.write_all(b"hello").await.unwrap();
        ours.close().await.unwrap();
        let mut received = Vec::new();
        let mut theirs = inbound(&mut connection).await;
        timeout(PATIENCE, theirs.read_to_end(&mut received)).await.unwrap().unwrap();
        assert_eq!(received, b"hello");
    }
}

/// In pieces of odd sizes, both ways at once.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_both_ways_whatever_the_sizes_of_writes() {
    let mut server = Server::listen(Config::default()).await;
    let (client, mut connection) = server.connected(Version::Two).await;
    let mut all = pattern(3_000_001);
    for sizes in [[1_usize, 7, 16_373], [16_384, 65_536, 333], [100_000, 2, 8_192]] {
        all.rotate_left(1);
        let all = &all;
        let mut ours = client.open();
        ours.write_all(&[1]).await.unwrap();
        let mut theirs = inbound(&mut connection).await;
        theirs.read_exact(&mut [0]).await.unwrap();
        let (mut read, mut write) = theirs.split();
        let (mut read_back, mut send) = ours.split();
        let pieces = move |mut rest: &'static [u8], sizes: [usize; 3]| {
            sizes.into_iter().cycle().map_while(move |size| {
                let (piece, left) = rest.split_at(size.min(rest.len()));
                rest = left;
                (!piece.is_empty()).then_some(piece)
            })
        };
        let leaked: &'static [u8] = all.clone().leak();
        let sending = async {
            for piece in pieces(leaked, sizes) {
                send.write_all(piece).await.unwrap();
            }
            send.close().await.unwrap();
        };
        let sending_back = async {
            for piece in pieces(leaked, sizes) {
                write.write_all(piece).await.unwrap();
            }
            write.close().await.unwrap();
        };
        let mut received = Vec::new();
        let mut came_back = Vec::new();
        let receiving = async {
            read.read_to_end(&mut received).await.unwrap();
        };
        let receiving_back = async {
            read_back.read_to_end(&mut came_back).await.unwrap();
        };
        timeout(PATIENCE, join(join(sending, sending_back), join(receiving, receiving_back))).await.unwrap();
        assert!(received == *all && came_back == *all);
    }
}

#[tokio::test]
async fn either_side_may_finish_first_and_go_on_reading() {
    let mut server = Server::listen(Config::default()).await;
    let (client, mut connection) = server.connected(Version::One).await;
    for client_first in [true, false] {
        let mut ours = client.open();
        ours.write_all(b"a").await.unwrap();
        let mut theirs = inbound(&mut connection).await;
        let mut received = Vec::new();
        if client_first {
            ours.close().await.unwrap();
            timeout(PATIENCE, theirs.read_to_end(&mut received)).await.unwrap().unwrap();
            sleep(Duration::from_millis(50)).await;
            theirs.write_all(b"later").await.unwrap();
            theirs.close().await.unwrap();
            received.clear();
            timeout(PATIENCE, ours.read_to_end(&mut received)).await.unwrap().unwrap();
        } else {
            theirs.read_exact(&mut [0]).await.unwrap();
            theirs.close().await.unwrap();
            timeout(PATIENCE, ours.read_to_end(&mut received)).await.unwrap().unwrap();
            sleep(Duration::from_millis(50)).await;
            ours.write_all(b"later").await.unwrap();
            ours.close().await.unwrap();
            timeout(PATIENCE, theirs.read_to_end(&mut received)).await.unwrap().unwrap();
        }
        assert_eq!(received, b"later", "{client_first}");
    }
}

#[tokio::test]
async fn a_reset_is_an_error_at_the_other_end() {
    let mut server = Server::listen(Config::default()).await;
    let (client, mut connection) = server.connected(Version::Two).await;
    let mut ours = client.open();
    ours.write_all(b"a").await.unwrap();
    let mut theirs = inbound(&mut connection).await;
    theirs.read_exact(&mut [0]).await.unwrap();
    ours.reset();
    timeout(PATIENCE, theirs.read(&mut [0])).await.unwrap().unwrap_err();
    theirs.write_all(&[0; 100]).await.unwrap_err();
    // And from the listener's side, by leaving in the middle.
    let mut ours = client.open();
    ours.write_all(b"a").await.unwrap();
    drop(inbound(&mut connection).await);
    timeout(PATIENCE, ours.read(&mut [0])).await.unwrap().unwrap_err();
}

/// More than a browser has numbers for, and more than any may be open at once.
#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_streams_in_a_row_of_either_side() {
    let mut server = Server::listen(Config { streams: 16, ..Config::default() }).await;
    let (client, mut connection) = server.connected(Version::Two).await;
    for number in 0..5_000_u32 {
        let mut here = client.open();
        here.write_all(&number.to_be_bytes()).await.unwrap();
        here.close().await.unwrap();
        let mut theirs = inbound(&mut connection).await;
        let mut received = Vec::new();
        timeout(PATIENCE, theirs.read_to_end(&mut received)).await.unwrap().unwrap();
        theirs.write_all(&received).await.unwrap();
        theirs.close().await.unwrap();
        drop(theirs);
        received.clear();
        timeout(PATIENCE, here.read_to_end(&mut received)).await.unwrap().unwrap();
        assert_eq!(received, number.to_be_bytes());
    }
    for number in 0..5_000_u32 {
        let mut ours = outbound(&mut connection).await;
        ours.write_all(&number.to_be_bytes()).await.unwrap();
        ours.close().await.unwrap();
        let mut theirs = timeout(Duration::from_secs(10), client.accept()).await.unwrap_or_else(|_| panic!("stream {number}: {client:?}"));
        let mut received = Vec::new();
        timeout(PATIENCE, theirs.read_to_end(&mut received)).await.unwrap().unwrap();
        assert_eq!(received, number.to_be_bytes());
        theirs.close().await.unwrap();
        received.clear();
        timeout(PATIENCE, ours.read_to_end(&mut received)).await.unwrap().unwrap();
    }
}

/// Whoever reads slowly gets everything, and the sender waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_the_sender() {
    const ALL: usize = 16_000_000;
    let mut server = Server::listen(Config::default()).await;
    let (client, mut connection) = server.connected(Version::Two).await;
    let mut ours = client.open();
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = sent.clone();
    let sender = tokio::spawn(async move {
        for piece in pattern(ALL).chunks(16_000) {
            ours.write_all(piece).await.unwrap();
            counted.fetch_add(piece.len(), std::sync::atomic::Ordering::Relaxed);
        }
        ours.close().await.unwrap();
        ours
    });
    let mut theirs = inbound(&mut connection).await;
    sleep(Duration::from_secs(2)).await;
    let so_far = sent.load(std::sync::atomic::Ordering::Relaxed);
    assert!(so_far < 3_000_000, "{so_far} bytes were sent to nobody");
    let began = Instant::now();
    let mut received = Vec::new();
    timeout(PATIENCE, theirs.read_to_end(&mut received)).await.unwrap().unwrap();
    println!("16 MB after a pause: {:?}", began.elapsed());
    assert!(received == pattern(ALL));
    drop(sender.await.unwrap());
}

/// The listener's end reaches the client at once, and the other way round.
#[tokio::test]
async fn an_end_is_noticed() {
    let mut server = Server::listen(Config::default()).await;
    let (client, connection) = server.connected(Version::Two).await;
    drop(connection);
    timeout(Duration::from_secs(5), client.ended()).await.expect("the end");
    let (client, mut connection) =
        Server::listen(Config { idle_timeout: Duration::from_secs(2), ..Config::default() }).await.connected(Version::Two).await;
    client.vanish();
    let end = std::future::poll_fn(|context| Pin::new(&mut connection).poll(context));
    let _ = timeout(Duration::from_secs(5), end).await.expect("the end of who vanished").unwrap_err();
}

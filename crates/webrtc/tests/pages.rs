//! Two nodes in one page connect and open streams.
#![cfg(target_arch = "wasm32")]

mod support;

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use sha2::{Digest, Sha256};
use shoal_webrtc::Config;
use support::{connected, now, until};
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
async fn either_side_opens_streams_and_hears_its_echo() {
    let start = now();
    let (left, right) = connected(Config::default()).await;
    console_log!("connected in {:?}", now() - start);
    let mut pages = [left, right];
    for _ in 0..2 {
        let [from, to] = &mut pages;
        let mut stream = from.open(to.peer).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut inbound = to.inbound.next().await.unwrap();
        assert_eq!(inbound.peer, from.peer);
        let mut heard = [0; 4];
        inbound.stream.read_exact(&mut heard).await.unwrap();
        inbound.stream.write_all(&heard).await.unwrap();
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ping");
        pages.reverse();
    }
    let statistics = pages[0].statistics(pages[1].peer).await.unwrap();
    assert!(statistics.sent.unwrap() > 0, "{statistics:?}");
    assert!(matches!(statistics.local_candidate.as_deref(), Some("host" | "prflx")), "{statistics:?}");
}

#[wasm_bindgen_test]
async fn twenty_megabytes_arrive_whole() {
    const SIZE: usize = 20_000_000;
    let (left, mut right) = connected(Config::default()).await;
    let mut stream = left.open(right.peer).await.unwrap();
    let mut bytes = Vec::with_capacity(SIZE);
    let mut value = 1u32;
    for _ in 0..SIZE {
        value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.push((value >> 24) as u8);
    }
    let expected = Sha256::digest(&bytes);
    let start = now();
    let sending = async {
        stream.write_all(&bytes).await.unwrap();
        stream.close().await.unwrap();
    };
    let receiving = async {
        let mut inbound = right.inbound.next().await.unwrap().stream;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 65_536];
        let mut total = 0;
        loop {
            match inbound.read(&mut buffer).await.unwrap() {
                0 => break,
                length => {
                    hash.update(&buffer[..length]);
                    total += length;
                }
            }
        }
        (total, hash.finalize())
    };
    let ((), (total, hash)) = futures::join!(sending, receiving);
    assert_eq!(total, SIZE);
    assert_eq!(hash, expected);
    let seconds = (now() - start).as_secs_f64();
    console_log!("20 MB in {seconds:.2} s: {:.1} MB/s", 20.0 / seconds);
}

#[wasm_bindgen_test]
async fn a_finished_half_leaves_the_other_open() {
    let (left, mut right) = connected(Config::default()).await;
    let mut stream = left.open(right.peer).await.unwrap();
    stream.write_all(b"question").await.unwrap();
    stream.close().await.unwrap();
    let mut inbound = right.inbound.next().await.unwrap().stream;
    let mut question = Vec::new();
    inbound.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    inbound.write_all(b"answer").await.unwrap();
    inbound.close().await.unwrap();
    drop(inbound);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
}

#[wasm_bindgen_test]
async fn a_peer_that_leaves_is_noticed_within_a_second() {
    let (left, right) = connected(Config::default()).await;
    right.shim.close_all();
    let noticed = until(Duration::from_secs(1), || left.direct(right.peer) == 0).await;
    console_log!("noticed in {noticed:?}");
    until(Duration::from_secs(1), || right.direct(left.peer) == 0).await;
    assert_eq!((left.shim.size(), right.shim.size()), (0, 0));
}

//! Two nodes in one page connect and open streams.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::{io::ErrorKind, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p_identity::PeerId;
use sha2::{Digest, Sha256};
use shoal_webrtc::Config;
use support::{Page, connected, now, until};
use wasm_bindgen::prelude::*;
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
async fn the_page_remembers_how_a_connection_came_about() {
    let (left, right) = connected(Config::default()).await;
    for (page, other, role) in [(&left, &right, "dialler"), (&right, &left, "listener")] {
        let traces = page.traces(other.peer).await;
        assert!(traces.contains(&format!(r#""role":"{role}""#)), "{traces}");
        for step in ["described", "answered", "checking", "connected", "ready"] {
            assert!(traces.contains(&format!(r#""{step}":"#)), "no {step}: {traces}");
        }
        assert!(traces.contains(r#""selected":{"#) && traces.contains(r#""pairs":{""#), "{traces}");
        // Kinds of addresses, never addresses.
        assert!(!traces.contains("127.0.0.1") && !traces.contains(".local"), "{traces}");
        assert_eq!(page.traces(page.peer).await, "[]", "nothing of a peer that was never tried");
    }
    left.close(right.peer).await;
    until(Duration::from_secs(2), || right.direct(left.peer) == 0).await;
    let traces = right.traces(left.peer).await;
    assert!(traces.contains(r#""ended":{"after":"#), "{traces}");
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

#[wasm_bindgen_test]
async fn two_hundred_connections_in_a_row_leave_nothing_behind() {
    let (left, right) = (Page::start(Config::default()), Page::start(Config::default()));
    let start = now();
    for number in 0..200 {
        if let Err(error) = left.dial(right.webrtc_address()).await {
            panic!("connection {number}: {error}");
        }
        left.close(right.peer).await;
        until(Duration::from_secs(5), || left.direct(right.peer) + right.direct(left.peer) == 0).await;
    }
    console_log!("200 connections in {:?}", now() - start);
    until(Duration::from_secs(2), || left.shim.size() + right.shim.size() == 0).await;
}

/// Opens a stream, sends a byte, gets it back, and lets go of the stream on both sides.
async fn round_trip(left: &Page, right: PeerId) -> Result<(), String> {
    let mut stream = left.open(right).await?;
    let exchange = async {
        stream.write_all(b"x").await?;
        stream.close().await?;
        let mut echo = Vec::new();
        stream.read_to_end(&mut echo).await?;
        assert_eq!(echo, b"x");
        std::io::Result::Ok(())
    };
    exchange.await.map_err(|error| error.to_string())
}

/// Answers every stream with what it brings.
fn echo(mut inbound: futures::channel::mpsc::Receiver<support::Inbound>) {
    wasm_bindgen_futures::spawn_local(async move {
        while let Some(support::Inbound { mut stream, .. }) = inbound.next().await {
            wasm_bindgen_futures::spawn_local(async move {
                let mut bytes = Vec::new();
                if stream.read_to_end(&mut bytes).await.is_ok() {
                    let _ = stream.write_all(&bytes).await;
                    let _ = stream.close().await;
                }
            });
        }
    });
}

#[wasm_bindgen_test]
async fn three_hundred_streams_one_after_the_other() {
    let (left, right) = connected(Config::default()).await;
    let peer = right.peer;
    echo(right.inbound);
    let start = now();
    for number in 0..300 {
        round_trip(&left, peer).await.unwrap_or_else(|error| panic!("stream {number}: {error}"));
    }
    console_log!("300 streams in {:?}", now() - start);
}

#[wasm_bindgen_test]
async fn three_hundred_streams_at_once_wait_for_their_turn() {
    let (left, right) = connected(Config::default()).await;
    let peer = right.peer;
    echo(right.inbound);
    let start = now();
    let all = futures::future::join_all((0..300).map(|_| round_trip(&left, peer))).await;
    assert_eq!(all.into_iter().collect::<Result<Vec<_>, _>>().map(|all| all.len()), Ok(300));
    console_log!("300 streams at once in {:?}", now() - start);
}

#[wasm_bindgen_test]
async fn more_streams_than_the_browser_has_are_refused_one_by_one() {
    let config = Config { max_outbound_streams: 1100, max_inbound_streams: 1100, ..Config::default() };
    let (left, mut right) = connected(config).await;
    let mut held = Vec::new();
    let mut refused = 0;
    // Firefox has 1,023 channels, `init` may have cost one; Chromium has more.
    for _ in 0..1030 {
        match left.open(right.peer).await {
            Ok(stream) => held.push((stream, right.inbound.next().await)),
            Err(_) => {
                refused += 1;
                if refused == 2 {
                    break;
                }
            }
        }
    }
    console_log!("{} streams held, {refused} refused", held.len());
    assert!(held.len() > 1000, "{}", held.len());
    drop(held);
    // Firefox opens no channel any more on that connection, nor tells the peer of its end; the next connection is as good as ever.
    left.close(right.peer).await;
    right.close(left.peer).await;
    until(Duration::from_secs(5), || left.direct(right.peer) + right.direct(left.peer) == 0).await;
    left.dial(right.webrtc_address()).await.unwrap();
    left.open(right.peer).await.unwrap();
}

#[wasm_bindgen_test]
async fn an_abandoned_stream_fails_for_its_reader() {
    let (left, mut right) = connected(Config::default()).await;
    let mut stream = left.open(right.peer).await.unwrap();
    stream.write_all(b"half of it").await.unwrap();
    let mut inbound = right.inbound.next().await.unwrap().stream;
    drop(stream);
    let mut heard = Vec::new();
    let error = inbound.read_to_end(&mut heard).await.unwrap_err();
    assert_eq!((error.kind(), &heard[..]), (ErrorKind::ConnectionReset, &b"half of it"[..]));
}

#[wasm_bindgen_test]
async fn a_reader_that_is_too_late_gets_an_error_and_never_an_end() {
    let config = Config { stream_buffer: 1_000_000, ..Config::default() };
    let (left, mut right) = connected(config).await;
    let mut stream = left.open(right.peer).await.unwrap();
    // Fails once the reset arrives, which may be after all is sent.
    let _ = stream.write_all(&vec![7; 5_000_000]).await;
    let mut inbound = right.inbound.next().await.unwrap().stream;
    support::sleep(Duration::from_millis(500)).await;
    let error = inbound.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    // Other streams do not notice.
    let mut other = left.open(right.peer).await.unwrap();
    other.write_all(b"x").await.unwrap();
    let mut heard = [0];
    right.inbound.next().await.unwrap().stream.read_exact(&mut heard).await.unwrap();
}

#[wasm_bindgen_test]
async fn two_that_dial_each_other_get_one_connection() {
    for _ in 0..10 {
        let (left, right) = (Page::start(Config::default()), Page::start(Config::default()));
        let results = futures::join!(left.dial(right.webrtc_address()), right.dial(left.webrtc_address()));
        let won = usize::from(results.0.is_ok()) + usize::from(results.1.is_ok());
        assert_eq!(won, 1, "{results:?}");
        let gave_way = results.0.as_ref().err().or(results.1.as_ref().err()).unwrap();
        assert!(gave_way.contains("gave way to the connection"), "{gave_way}");
        until(Duration::from_secs(1), || (left.direct(right.peer), right.direct(left.peer)) == (1, 1)).await;
        until(Duration::from_secs(2), || (left.shim.size(), right.shim.size()) == (1, 1)).await;
        let (from, mut to) = if results.0.is_ok() { (left, right) } else { (right, left) };
        let mut stream = from.open(to.peer).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        to.inbound.next().await.unwrap();
    }
}

#[wasm_bindgen(inline_js = r#"
export function sendBefore (bytes) {
  const send = RTCDataChannel.prototype.send
  RTCDataChannel.prototype.send = function (data) {
    RTCDataChannel.prototype.send = send
    send.call(this, bytes)
    send.call(this, data)
  }
}"#)]
extern "C" {
    /// Puts `bytes` in front of the next message that any channel of this page sends.
    #[wasm_bindgen(js_name = sendBefore)]
    fn send_before(bytes: &[u8]);
}

#[wasm_bindgen_test]
async fn a_frame_above_the_limit_resets_its_stream_only() {
    let (left, mut right) = connected(Config::default()).await;
    let mut stream = left.open(right.peer).await.unwrap();
    stream.write_all(b"good").await.unwrap();
    let mut inbound = right.inbound.next().await.unwrap().stream;
    let mut heard = [0; 4];
    inbound.read_exact(&mut heard).await.unwrap();
    // The prefix of a frame of 1 MiB.
    send_before(&[0x80, 0x80, 0x40]);
    stream.write_all(b"bad").await.unwrap();
    let error = inbound.read(&mut heard).await.unwrap_err();
    assert!(error.to_string().contains("malformed frame"), "{error}");
    let error = stream.read(&mut heard).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(left.open(right.peer).await.is_ok());
}

#[wasm_bindgen_test]
async fn a_dial_beyond_the_maximum_says_so() {
    let config = Config { max_connections: 1, ..Config::default() };
    let (left, _right) = connected(config.clone()).await;
    let other = Page::start(config);
    let error = left.dial(other.webrtc_address()).await.unwrap_err();
    assert!(error.contains("configured maximum"), "{error}");
}

#[wasm_bindgen_test]
async fn a_peer_that_dials_often_at_once_is_held_back() {
    let (left, right) = (Page::start(Config::default()), Page::start(Config::default()));
    let dials = futures::future::join_all((0..16).map(|_| left.dial(right.webrtc_address()))).await;
    let made = dials.iter().filter(|dial| dial.is_ok()).count();
    // As many as one transfer may ask for are answered, and not all of these.
    assert!((7..16).contains(&made), "{dials:?}");
    until(Duration::from_secs(2), || right.shim.size() as usize == made).await;
}

#[wasm_bindgen_test]
async fn a_dial_to_nobody_says_so() {
    let page = Page::start(Config::default());
    let nobody = Page::start(Config::default());
    let address = format!("/memory/1/webrtc/p2p/{}", nobody.peer).parse().unwrap();
    let error = page.dial(address).await.unwrap_err();
    assert!(error.contains("no connection over which to negotiate"), "{error}");
    assert_eq!(page.shim.size(), 0);
}

#[wasm_bindgen(module = "/tests/support/transfer.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = transferAndListenLate)]
    async fn transfer_and_listen_late(milliseconds: u32) -> Result<JsValue, JsValue>;
}

/// The browsers' side of the bargain: what arrives on a channel on its way to a worker waits for the worker.
#[wasm_bindgen_test]
async fn a_transferred_channel_loses_no_message() {
    let heard = transfer_and_listen_late(0).await.unwrap();
    assert_eq!(heard.as_f64(), Some(100.0));
}

//! Sends bytes through a relay and has them sent back, with rust-libp2p: the other half of `tests/interop/kubo/pump`, for the same test.
//!
//! ```text
//! pump reserve <way> <relay>              is reached at the relay, and sends back what comes on one stream, until its input ends
//! pump through <way> <relay> <peer> <n>   sends n bytes to that peer, and compares what comes back
//! ```
//!
//! Both print one line of JSON: who they are, the address that they dialled, and how long it took. Certificates are checked by the system's authorities.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{io, sync::Arc, time::Duration};

use libp2p::core::Multiaddr;
use serde_json::json;

use support::{
    bytes,
    peer::{Peer, Security},
};

#[allow(dead_code, reason = "of the relay's tests, of which a part is used here")]
#[path = "../tests/relay/support"]
mod support {
    pub(crate) mod bytes;
    pub(crate) mod patience;
    pub(crate) mod peer;
    pub(crate) mod udp;

    pub(crate) use patience::{PATIENCE, soon};
}

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["reserve", way, relay] => reserve(way, &relay.parse().unwrap()).await,
        ["through", way, relay, peer, size] => {
            let (relay, mut own) = (relay.parse().unwrap(), program(way));
            let time = bytes::exchange(&mut own, &relay, peer.parse().unwrap(), size.parse().unwrap()).await;
            say(&own, &relay, time);
        }
        _ => panic!("usage: pump reserve <way> <relay> | pump through <way> <relay> <peer> <bytes>"),
    }
}

async fn reserve(way: &str, relay: &Multiaddr) {
    let mut own = program(way);
    let echo = tokio::spawn(bytes::reserve(&mut own, relay).await);
    say(&own, relay, Duration::ZERO);
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()).unwrap()).await.unwrap();
    echo.abort();
}

fn say(own: &Peer, relay: &Multiaddr, time: Duration) {
    println!("{}", json!({ "id": own.id.to_string(), "address": relay.to_string(), "milliseconds": time.as_millis() as u64 }));
}

/// Which way it goes is said by the address; only over TCP there is a choice.
fn program(way: &str) -> Peer {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let trust = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    Peer::program_trusting(if way == "tls" { Security::Tls } else { Security::Noise }, Some(trust))
}

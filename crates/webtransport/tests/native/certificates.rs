//! Whom a certificate lets in, and how certificates change.

use std::time::Duration;

use shoal_webtransport::Config;

use crate::{
    streams,
    support::{
        Server,
        client::{self, NOISE},
        hashes, with_hashes,
    },
};

#[tokio::test]
async fn an_address_with_a_foreign_hash_is_no_way_in() {
    let server = Server::listen(Config::default()).await;
    let other = Server::listen(Config::default()).await;
    // TLS: the certificate is none that the client expects.
    let forged = with_hashes(&server.address, &hashes(&other.address));
    assert!(client::session(&forged, NOISE).await.is_err());
    // Noise: the listener does not confirm one of those that the address named.
    let mut expected = hashes(&server.address);
    expected.extend(hashes(&other.address));
    assert!(client::dial(&server.address, &expected).await.is_err());
}

/// Certificates change every two seconds; an address that was kept holds for four changes.
#[tokio::test]
async fn certificates_change_live_and_a_kept_address_outlives_them() {
    let mut server = Server::listen(Config { validity: Duration::from_secs(4), around: 8, ..Config::default() }).await;
    let kept = server.lasting.clone();
    assert_eq!(hashes(&kept).len(), 9);
    let (before, connection) = server.connected().await;
    for change in 0..4 {
        let (is_new, new) = server.changed().await;
        let (still_new, old) = server.changed().await;
        assert!(is_new && !still_new, "first the new address, then the end of the old one");
        assert_eq!(hashes(&old)[1], hashes(&new)[0], "the next one became the present one");
        let (dialled, came) = futures::future::join(client::dial(&kept, &hashes(&kept)), server.arrived()).await;
        assert!(dialled.is_ok() && came.is_ok(), "change {change}");
    }
    // Who was connected before notices nothing.
    streams::ask_and_answer(before, connection, 3).await;
}

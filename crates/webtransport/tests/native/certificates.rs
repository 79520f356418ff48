//! Whom a certificate lets in, how certificates change, and how long an address holds. A year passes by setting the listener's clock.

use libp2p_core::Multiaddr;
use shoal_webtransport::Config;

use crate::{
    streams,
    support::{
        Server,
        client::{self, AnyError, NOISE},
        hashes, impostor, with_hashes,
    },
};

/// Dials an address as it was kept: whether that led to the listener.
async fn still_holds(server: &mut Server, kept: &Multiaddr) -> bool {
    match client::dial(kept, &hashes(kept)).await {
        Ok((peer, _)) => {
            assert_eq!(peer, server.peer);
            server.arrived().await.unwrap();
            true
        }
        Err(_) => {
            server.arrived().await.unwrap_err();
            false
        }
    }
}

/// Whether the peer was refused for certificates that the listener does not confirm.
fn for_its_certificates(refused: &AnyError) -> bool {
    matches!(refused.downcast_ref(), Some(libp2p_noise::Error::UnknownWebTransportCerthashes(..)))
}

#[tokio::test]
async fn a_wrong_hash_is_no_way_in() {
    let server = Server::listen(Config::default()).await;
    let other = Server::listen(Config::default()).await;
    let wrong = with_hashes(&server.address, &hashes(&other.address));
    assert!(client::session(&wrong, NOISE).await.is_err());
}

#[tokio::test]
async fn a_hash_that_the_listener_does_not_confirm_is_noticed() {
    let server = Server::listen(Config::default()).await;
    let other = Server::listen(Config::default()).await;
    let expected = [hashes(&server.address), hashes(&other.address)].concat();
    let refused = client::dial(&server.address, &expected).await.err().unwrap();
    assert!(for_its_certificates(&refused), "{refused}");
}

#[tokio::test]
async fn a_forged_certificate_is_noticed_although_the_peer_is_the_right_one() {
    let server = Server::listen(Config::default()).await;
    let forged = impostor::before(&server.address);
    let refused = client::dial(&forged, &hashes(&forged)).await.err().unwrap();
    assert!(for_its_certificates(&refused), "{refused}");
    // He does pass everything on: whoever believes his certificate to be the listener's would be deceived.
    let believed = impostor::before(&server.address);
    assert_eq!(client::dial(&believed, &[]).await.unwrap().0, server.peer);
}

#[tokio::test]
async fn a_told_address_holds_for_one_change_and_a_kept_one_for_twenty_six() {
    let mut server = Server::listen(Config::default()).await;
    let (told, kept) = (server.address.clone(), server.lasting());
    assert_eq!((hashes(&told).len(), hashes(&kept).len()), (2, 27));
    for change in 0..=26 {
        assert_eq!(still_holds(&mut server, &told).await, change <= 1, "told, after {change} changes");
        assert!(still_holds(&mut server, &kept).await, "kept, after {change} changes");
        server.time.pass();
    }
    // A year is over. Whoever asks anew is told what holds now, by a listener that has gone on all the time.
    assert!(!still_holds(&mut server, &kept).await);
    let anew = server.lasting();
    assert!(still_holds(&mut server, &anew).await);
}

#[tokio::test]
async fn a_connection_lives_on_when_certificates_change() {
    let mut server = Server::listen(Config::default()).await;
    let (dialled, came) = server.connected().await;
    for _ in 0..2 {
        let before = hashes(&server.address);
        server.time.pass();
        // Somebody comes, by an address that is worth keeping.
        let lasting = server.lasting();
        assert!(still_holds(&mut server, &lasting).await);
        let (is_new, new) = server.changed().await;
        assert!(is_new, "first the new address");
        let (is_new, old) = server.changed().await;
        assert!(!is_new && old == server.address, "then the end of the old one");
        assert_eq!(before[1], hashes(&new)[0], "the next certificate is the present one");
        server.address = new;
    }
    streams::ask_and_answer(dialled, came, 3).await;
}

//! Streams as libp2p uses them: a protocol is negotiated on each, in both directions, many at once.

use std::{pin::Pin, time::Duration};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, future::poll_fn};
use libp2p::{
    PeerId, Swarm, Transport as _,
    core::{StreamMuxer as _, muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
    ping, swarm,
    swarm::SwarmEvent,
};
use multistream_select::Version;
use shoal_webtransport::{Config, Transport};
use tokio::{task::JoinSet, time::timeout};

use crate::support::{PATIENCE, Server, anywhere, client::Dialler};

const ECHO: &str = "/echo/1.0.0";
/// Streams at once: fewer than a peer may open.
const STREAMS: usize = 100;

/// Accepts `count` streams on a connection and answers what each brings.
async fn answer(mut connection: StreamMuxerBox, count: usize) -> StreamMuxerBox {
    let mut answering = JoinSet::new();
    for _ in 0..count {
        let stream = poll_fn(|context| {
            let _ = Pin::new(&mut connection).poll(context)?;
            Pin::new(&mut connection).poll_inbound(context)
        })
        .await
        .unwrap();
        answering.spawn(async move {
            let (_, mut stream) = multistream_select::listener_select_proto(stream, [ECHO]).await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            stream.close().await.unwrap();
        });
    }
    while answering.join_next().await.transpose().unwrap().is_some() {}
    connection
}

/// Opens `count` streams on a connection, all at once, and sees each answered.
async fn ask(mut connection: StreamMuxerBox, count: usize) -> StreamMuxerBox {
    let mut asking = JoinSet::new();
    for number in 0..count {
        let stream = poll_fn(|context| {
            let _ = Pin::new(&mut connection).poll(context)?;
            Pin::new(&mut connection).poll_outbound(context)
        })
        .await
        .unwrap();
        asking.spawn(async move {
            let (_, mut stream) = multistream_select::dialer_select_proto(stream, [ECHO], Version::V1).await.unwrap();
            let bytes = vec![number as u8; 1 + number * 1_000];
            stream.write_all(&bytes).await.unwrap();
            stream.close().await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, bytes);
        });
    }
    while asking.join_next().await.transpose().unwrap().is_some() {}
    connection
}

#[tokio::test]
async fn a_protocol_is_negotiated_on_each_of_many_streams_in_both_directions() {
    let mut server = Server::listen(Config::default()).await;
    let (dialled, came) = server.connected().await;
    ask_and_answer(dialled, came, STREAMS).await;
}

/// So many streams at once, first from one end of a connection, then from the other.
pub(crate) async fn ask_and_answer(one: StreamMuxerBox, other: StreamMuxerBox, count: usize) {
    let work = async {
        let (one, other) = futures::future::join(ask(one, count), answer(other, count)).await;
        futures::future::join(answer(one, count), ask(other, count)).await
    };
    timeout(PATIENCE, work).await.unwrap();
}

#[tokio::test]
async fn more_than_every_window_holds_arrives_after_the_stream_was_dropped() {
    let mut server = Server::listen(Config::default()).await;
    let (mut dialled, mut came) = server.connected().await;
    let big: Vec<u8> = (0..9_000_000_u32).map(|at| at as u8).collect();
    let writing = async {
        let mut stream = poll_fn(|context| Pin::new(&mut came).poll_outbound(context)).await.unwrap();
        stream.write_all(&big).await.unwrap();
        stream.close().await.unwrap();
    };
    let reading = async {
        let mut stream = poll_fn(|context| Pin::new(&mut dialled).poll_inbound(context)).await.unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        read
    };
    let ((), read) = timeout(PATIENCE, futures::future::join(writing, reading)).await.unwrap();
    assert!(read == big);
}

#[tokio::test]
async fn a_connection_that_is_dropped_ends_for_the_other_side() {
    let mut server = Server::listen(Config::default()).await;
    let (mut dialled, came) = server.connected().await;
    drop(came);
    timeout(Duration::from_secs(5), poll_fn(|context| Pin::new(&mut dialled).poll(context))).await.unwrap().unwrap_err();
}

/// As every libp2p program does it: two swarms, each of which asks the other.
#[tokio::test]
async fn two_swarms_ping_each_other() {
    let (listening, dialling) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let transport = Transport::new(listening.clone(), Config::default());
    let mut listener = pinging(transport.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))).boxed(), &listening);
    let mut dialler = pinging(Dialler(dialling.clone()).boxed(), &dialling);
    listener.listen_on(anywhere()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = listener.select_next_some().await {
            break address;
        }
    };
    dialler.dial(address).unwrap();
    timeout(PATIENCE, futures::future::join(pinged(listener), pinged(dialler))).await.unwrap();
}

fn pinging(transport: Boxed<(PeerId, StreamMuxerBox)>, identity: &Keypair) -> Swarm<ping::Behaviour> {
    let often = ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(100)));
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    Swarm::new(transport, often, identity.public().to_peer_id(), config)
}

/// Runs a swarm until each of some pings was answered. It goes on in a task, for the other side needs answers as well.
async fn pinged(mut swarm: Swarm<ping::Behaviour>) {
    let mut answered = 0;
    while answered < 5 {
        if let SwarmEvent::Behaviour(event) = swarm.select_next_some().await {
            event.result.unwrap();
            answered += 1;
        }
    }
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
}

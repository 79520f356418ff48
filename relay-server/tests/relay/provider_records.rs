//! The relay remembers who provides what, and nothing that it cannot judge.

use std::time::Duration;

use libp2p::{kad, swarm::SwarmEvent};

use crate::support::{
    peer::{BehaviourEvent, Event, Peer},
    program::Relay,
    until,
};

/// Times that a question is asked again, a tenth of a second apart.
const QUESTIONS: usize = 100;

fn kad_result(event: Event) -> Option<kad::QueryResult> {
    match event {
        SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { result, .. })) => Some(result),
        _ => None,
    }
}

async fn connected(relay: &Relay) -> Peer {
    let mut peer = Peer::new();
    let (id, address) = (relay.peer(), relay.address());
    peer.dial(address.clone()).await.unwrap();
    peer.with(move |swarm| swarm.behaviour_mut().kad.add_address(&id, address)).await;
    peer
}

#[tokio::test]
async fn a_provider_is_found_by_others() {
    let relay = Relay::start(&[]);
    let (mut alice, mut bob) = (connected(&relay).await, connected(&relay).await);
    // A provider's record is her circuit address: without one there would be nothing to find.
    alice.reserve(relay.address()).await.unwrap();
    let key = kad::RecordKey::new(b"a multihash");
    let provided = key.clone();
    alice.with(move |swarm| swarm.behaviour_mut().kad.start_providing(provided)).await.unwrap();
    alice.event("provided", |event| matches!(kad_result(event)?, kad::QueryResult::StartProviding(Ok(_))).then_some(())).await;
    // Nobody confirms that a provider was noted, so the question may come too early.
    for _ in 0..QUESTIONS {
        let key = key.clone();
        bob.with(move |swarm| swarm.behaviour_mut().kad.get_providers(key)).await;
        let provider = alice.id;
        let found = bob.event("an answer", |event| match kad_result(event)? {
            kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. })) => {
                Some(providers.contains(&provider))
            }
            kad::QueryResult::GetProviders(_) => Some(false),
            _ => None,
        });
        if found.await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the provider was not found");
}

#[tokio::test]
async fn a_value_that_nobody_can_judge_is_not_kept() {
    let relay = Relay::start(&[]);
    let (mut alice, mut bob) = (connected(&relay).await, connected(&relay).await);
    let key = kad::RecordKey::new(b"any key");
    let record = kad::Record::new(key.clone(), b"any value".to_vec());
    let before = relay.counted("bytesReceived");
    alice.with(move |swarm| swarm.behaviour_mut().kad.put_record(record, kad::Quorum::One)).await.unwrap();
    alice.event("an answer", |event| matches!(kad_result(event)?, kad::QueryResult::PutRecord(_)).then_some(())).await;
    until("the record's arrival", || relay.counted("bytesReceived") > before).await;
    bob.with(move |swarm| swarm.behaviour_mut().kad.get_record(key)).await;
    bob.event("no value", |event| match kad_result(event)? {
        kad::QueryResult::GetRecord(Err(kad::GetRecordError::NotFound { .. })) => Some(()),
        other => panic!("{other:?}"),
    })
    .await;
}

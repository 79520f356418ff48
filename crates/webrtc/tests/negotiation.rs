//! Two negotiations that talk to each other, and one that a stranger talks to.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::VecDeque;

use proptest::prelude::*;
use shoal_webrtc::{
    limits::{CANDIDATES, STRANGER_FRAME},
    negotiation::{Input, Negotiation, NegotiationError, Output, Role, prevails},
    signaling::{Description, Message},
};

fn description(max_frame: Option<usize>) -> Description {
    Description { sdp: "v=0".into(), max_frame }
}

fn candidate(host: &str) -> String {
    format!(r#"{{"candidate":"candidate:1 1 udp 2113937151 {host} 54321 typ host","sdpMid":"0"}}"#)
}

/// A responder that has answered: candidates are due.
fn connecting(max_frame: Option<usize>) -> Negotiation {
    let mut negotiation = Negotiation::new(Role::Responder, 300_000, 65_000);
    negotiation.handle(Input::Received(Message::Offer(description(max_frame)))).unwrap();
    negotiation.handle(Input::LocalDescription("v=0".into())).unwrap();
    negotiation
}

#[test]
fn two_of_a_kind_agree_on_the_smaller_frame() {
    let mut sides = [Negotiation::new(Role::Initiator, 300_000, 65_000), Negotiation::new(Role::Responder, 50_000, 90_000)];
    let mut wires = [VecDeque::new(), VecDeque::new()];
    let mut remote = [None, None];
    let mut established = [None, None];
    let mut inputs = VecDeque::from([(0, Input::LocalDescription("offer".into()))]);
    while let Some((side, input)) = inputs.pop_front() {
        match sides[side].handle(input).unwrap() {
            Some(Output::Send(message)) => wires[side].push_back(message),
            Some(Output::RemoteDescription(sdp)) => {
                remote[side] = Some(sdp);
                match side {
                    1 => inputs.push_back((1, Input::LocalDescription("answer".into()))),
                    _ => inputs.extend([(0, Input::Connected), (1, Input::Connected)]),
                }
            }
            Some(Output::Established { sent_frame, extended }) => established[side] = Some((sent_frame, extended)),
            Some(Output::RemoteCandidate(_)) | None => {}
        }
        for (from, wire) in wires.iter_mut().enumerate() {
            inputs.extend(wire.drain(..).map(|message| (1 - from, Input::Received(message))));
        }
    }
    assert_eq!(remote, [Some("answer".into()), Some("offer".into())]);
    assert_eq!(established, [Some((50_000, true)), Some((90_000, true))]);
}

#[test]
fn a_stranger_gets_the_standards_frames() {
    let established = connecting(None).handle(Input::Connected).unwrap();
    assert_eq!(established, Some(Output::Established { sent_frame: STRANGER_FRAME, extended: false }));
}

#[test]
fn candidates_before_the_answer_are_an_error() {
    let mut negotiation = Negotiation::new(Role::Initiator, 300_000, 65_000);
    negotiation.handle(Input::LocalDescription("offer".into())).unwrap();
    let error = negotiation.handle(Input::Received(Message::Candidate("{}".into())));
    assert_eq!(error, Err(NegotiationError::OutOfOrder { got: "a candidate", due: "an answer" }));
}

#[test]
fn the_end_of_candidates_is_no_candidate() {
    let mut negotiation = connecting(None);
    for end in ["", "null", "\"\"", " null "] {
        assert_eq!(negotiation.handle(Input::Received(Message::Candidate(end.into()))), Ok(None));
    }
}

#[test]
fn a_flood_of_candidates_is_cut_off() {
    let mut negotiation = connecting(None);
    let mut passed = |text: &str, count| {
        (0..count).filter_map(|_| negotiation.handle(Input::Received(Message::Candidate(text.into()))).unwrap()).count()
    };
    assert_eq!(passed(&candidate("127.0.0.1"), 10 * CANDIDATES), 0, "not tried, and not counted");
    assert_eq!(passed(&candidate("192.0.2.7"), 10 * CANDIDATES), CANDIDATES);
}

#[test]
fn candidates_in_a_description_are_judged_as_well() {
    let line = |host| format!("a=candidate:1 1 udp 1 {host} 54321 typ host\r\n");
    let sdp = ["127.0.0.1", "192.0.2.7", "169.254.169.254"].map(line);
    let offer = Message::Offer(Description { sdp: format!("v=0\r\n{}", sdp.concat()), max_frame: None });
    let told = Negotiation::new(Role::Responder, 300_000, 65_000).handle(Input::Received(offer)).unwrap();
    assert_eq!(told, Some(Output::RemoteDescription(format!("v=0\r\n{}", sdp[1]))));
}

#[test]
fn the_stream_may_end_once_descriptions_are_exchanged() {
    assert_eq!(connecting(None).handle(Input::StreamEnded), Ok(None));
    for role in [Role::Initiator, Role::Responder] {
        let mut negotiation = Negotiation::new(role, 300_000, 65_000);
        assert_eq!(negotiation.handle(Input::StreamEnded), Err(NegotiationError::Ended));
    }
}

fn input() -> impl Strategy<Value = Input> {
    let text = "[a-z\"{}]{0,12}";
    let frame = prop::option::of(STRANGER_FRAME..1_000_000);
    prop_oneof![
        text.prop_map(Input::LocalDescription),
        text.prop_map(Input::LocalCandidate),
        text.prop_map(|text| Input::Received(Message::Candidate(text))),
        (text, frame.clone()).prop_map(|(sdp, max_frame)| Input::Received(Message::Offer(Description { sdp, max_frame }))),
        (text, frame).prop_map(|(sdp, max_frame)| Input::Received(Message::Answer(Description { sdp, max_frame }))),
        Just(Input::StreamEnded),
        Just(Input::Connected),
    ]
}

proptest! {
    #[test]
    fn exactly_one_of_two_offers_prevails(one in any::<[u8; 8]>(), other in any::<[u8; 8]>()) {
        prop_assume!(one != other);
        prop_assert_ne!(prevails(&one, &other), prevails(&other, &one));
    }

    #[test]
    fn nothing_is_established_without_both_descriptions(initiator in any::<bool>(), inputs in prop::collection::vec(input(), 0..12)) {
        let role = if initiator { Role::Initiator } else { Role::Responder };
        let mut negotiation = Negotiation::new(role, 300_000, 65_000);
        let (mut local, mut remote) = (false, false);
        for input in inputs {
            match negotiation.handle(input) {
                Ok(Some(Output::Send(Message::Offer(_) | Message::Answer(_)))) => local = true,
                Ok(Some(Output::RemoteDescription(_))) => remote = true,
                Ok(Some(Output::Established { .. })) => prop_assert!(local && remote),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

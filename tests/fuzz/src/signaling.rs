//! How two pages get a connection: what the other says over the signalling stream, and what the browser does meanwhile.

use shoal_webrtc::{
    limits::{ACCEPTED_FRAME, CANDIDATE, CANDIDATES, PREFERRED_FRAME, SIGNALING_MESSAGE, STRANGER_FRAME},
    negotiation::{Input as Event, Negotiation, Output, Role},
    signaling::{Decoder, Message},
};

use crate::input::Input;

/// Any bytes on the signalling stream, in any pieces, among events of the browser in any order: what is handed to the browser is bounded, and a
/// connection comes about once, behind a description of the other side.
pub(crate) fn negotiation(data: &[u8]) {
    let mut input = Input::new(data);
    let role = if input.flag() { Role::Initiator } else { Role::Responder };
    let mut negotiation = Negotiation::new(role, ACCEPTED_FRAME, PREFERRED_FRAME);
    let mut decoder = Decoder::default();
    let (mut descriptions, mut candidates, mut sent, mut established) = (0, 0, 0, 0);
    while !input.is_empty() {
        let mut events = Vec::new();
        match input.below(6) {
            0 => events.push(Event::LocalDescription("v=0".into())),
            1 => events.push(Event::LocalCandidate("{}".into())),
            2 => events.push(Event::StreamEnded),
            3 => events.push(Event::Connected),
            _ => {
                decoder.receive(input.bytes(usize::MAX));
                loop {
                    match decoder.next_message() {
                        Ok(Some(message)) => {
                            reads_back(&message);
                            events.push(Event::Received(message));
                        }
                        Ok(None) => break,
                        Err(_) => return,
                    }
                }
            }
        }
        for event in events {
            match negotiation.handle(event) {
                Ok(Some(Output::Send(Message::Candidate(_)))) => sent += 1,
                Ok(Some(Output::Send(_)) | None) => {}
                Ok(Some(Output::RemoteDescription(sdp))) => {
                    assert!(sdp.len() <= SIGNALING_MESSAGE);
                    descriptions += 1;
                }
                Ok(Some(Output::RemoteCandidate(candidate))) => {
                    assert!(candidate.len() <= CANDIDATE && descriptions == 1);
                    candidates += 1;
                }
                Ok(Some(Output::Established { sent_frame, .. })) => {
                    assert!((STRANGER_FRAME..=PREFERRED_FRAME).contains(&sent_frame) && descriptions == 1);
                    established += 1;
                }
                Err(_) => return,
            }
        }
        assert!(descriptions <= 1 && candidates <= CANDIDATES && sent <= CANDIDATES && established <= 1);
    }
}

fn reads_back(message: &Message) {
    let mut decoder = Decoder::default();
    let encoded = message.encode();
    // A message that came in a shorter form than ours may not fit any more; it was taken, and is not sent on.
    if encoded.len() <= SIGNALING_MESSAGE {
        decoder.receive(encoded.into());
        assert_eq!(decoder.next_message(), Ok(Some(message.clone())));
    }
}

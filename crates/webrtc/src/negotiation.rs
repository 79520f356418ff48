//! Who says what, in which order, until two peers have a connection of their own.
//!
//! ```text
//! initiator                                     responder
//!   local offer made   ── Offer ──────────────▶   remote description set, local answer made
//!   remote description set ◀────────── Answer ──
//!                      ◀── Candidate (any) ───▶   both add what the other found
//!   connected                                     connected
//! ```
//!
//! The sequence is that of js-libp2p, which insists that the answer is the first message it reads.
//!
//! When two peers of this implementation dial each other at once, one offer would be enough: [`prevails`] tells whose, alike on
//! both sides. Strangers do not know the rule, and get two connections.

use thiserror::Error;

use crate::{
    candidates::{may_be_tried, without_others},
    limits::{CANDIDATE, CANDIDATES, STRANGER_FRAME},
    signaling::{Description, Message},
};

/// Which side of the negotiation this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Dials, and makes the offer.
    Initiator,
    /// Was dialled, and makes the answer.
    Responder,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The peer connection made its description: the offer or the answer, as SDP.
    LocalDescription(String),
    /// The peer connection found a candidate, as JSON.
    LocalCandidate(String),
    /// The peer sent a message.
    Received(Message),
    /// The peer ended its half of the signalling stream.
    StreamEnded,
    /// The peer connection is connected.
    Connected,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a message to the peer.
    Send(Message),
    /// Give the peer connection the peer's description, as SDP. A responder then makes its answer.
    RemoteDescription(String),
    /// Give the peer connection a candidate of the peer's, as JSON.
    RemoteCandidate(String),
    /// The connection is made.
    Established {
        /// The largest frame that may be sent to the peer, in bytes with its length prefix.
        sent_frame: usize,
        /// Whether the peer is of this implementation, as far as it says.
        extended: bool,
    },
}

/// Why the negotiation cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NegotiationError {
    /// The peer sent something else than what is due.
    #[error("the peer sent {got}, {due} was due")]
    OutOfOrder {
        /// What was sent.
        got: &'static str,
        /// What should have been.
        due: &'static str,
    },
    /// The peer ended the signalling stream before the descriptions were exchanged.
    #[error("the peer ended the signalling stream before its session description")]
    Ended,
    /// The peer connection did what it was not asked to do.
    #[error("the peer connection made a session description twice")]
    UnexpectedDescription,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Initiator: the local offer is being made.
    Offering,
    /// Initiator: the answer is due.
    AwaitingAnswer,
    /// Responder: the offer is due.
    AwaitingOffer,
    /// Responder: the local answer is being made.
    Answering,
    /// Both descriptions are known: candidates travel.
    Connecting,
    Established,
}

/// One negotiation.
#[derive(Debug)]
pub struct Negotiation {
    phase: Phase,
    /// What this side says it takes.
    accepted_frame: usize,
    /// What this side would send if it may.
    preferred_frame: usize,
    /// What the peer said it takes.
    peer_frame: Option<usize>,
    sent_candidates: usize,
    received_candidates: usize,
}

impl Negotiation {
    /// A negotiation that has not begun. Frame sizes are in bytes, length prefix included.
    pub fn new(role: Role, accepted_frame: usize, preferred_frame: usize) -> Self {
        Self {
            phase: match role {
                Role::Initiator => Phase::Offering,
                Role::Responder => Phase::AwaitingOffer,
            },
            accepted_frame,
            preferred_frame,
            peer_frame: None,
            sent_candidates: 0,
            received_candidates: 0,
        }
    }

    /// What follows from `input`, if anything.
    ///
    /// # Errors
    /// The negotiation failed: give the stream and the peer connection up.
    pub fn handle(&mut self, input: Input) -> Result<Option<Output>, NegotiationError> {
        match input {
            Input::LocalDescription(sdp) => self.local_description(sdp).map(Some),
            Input::LocalCandidate(candidate) => Ok(self.local_candidate(candidate)),
            Input::Received(message) => self.received(message),
            Input::StreamEnded => self.stream_ended().map(|()| None),
            Input::Connected => Ok(self.connected()),
        }
    }

    fn local_description(&mut self, sdp: String) -> Result<Output, NegotiationError> {
        let description = Description { sdp, max_frame: Some(self.accepted_frame) };
        match self.phase {
            Phase::Offering => {
                self.phase = Phase::AwaitingAnswer;
                Ok(Output::Send(Message::Offer(description)))
            }
            Phase::Answering => {
                self.phase = Phase::Connecting;
                Ok(Output::Send(Message::Answer(description)))
            }
            _ => Err(NegotiationError::UnexpectedDescription),
        }
    }

    fn local_candidate(&mut self, candidate: String) -> Option<Output> {
        // Found before the description went out, or after it served its purpose: of no use to the peer.
        let wanted = matches!(self.phase, Phase::AwaitingAnswer | Phase::Connecting);
        if !wanted || self.sent_candidates == CANDIDATES {
            return None;
        }
        self.sent_candidates += 1;
        Some(Output::Send(Message::Candidate(candidate)))
    }

    fn received(&mut self, message: Message) -> Result<Option<Output>, NegotiationError> {
        match (self.phase, message) {
            (Phase::AwaitingOffer, Message::Offer(description)) => {
                self.phase = Phase::Answering;
                self.peer_frame = description.max_frame;
                Ok(Some(Output::RemoteDescription(without_others(description.sdp))))
            }
            (Phase::AwaitingAnswer, Message::Answer(description)) => {
                self.phase = Phase::Connecting;
                self.peer_frame = description.max_frame;
                Ok(Some(Output::RemoteDescription(without_others(description.sdp))))
            }
            (Phase::Answering | Phase::Connecting, Message::Candidate(candidate)) => Ok(self.remote_candidate(candidate)),
            (Phase::Established, Message::Candidate(_)) => Ok(None),
            (phase, message) => Err(NegotiationError::OutOfOrder {
                got: match message {
                    Message::Offer(_) => "an offer",
                    Message::Answer(_) => "an answer",
                    Message::Candidate(_) => "a candidate",
                },
                due: match phase {
                    Phase::Offering | Phase::AwaitingAnswer => "an answer",
                    Phase::AwaitingOffer => "an offer",
                    Phase::Answering | Phase::Connecting | Phase::Established => "a candidate",
                },
            }),
        }
    }

    /// A bad candidate is skipped, not punished: others may connect.
    fn remote_candidate(&mut self, candidate: String) -> Option<Output> {
        let end = matches!(candidate.trim(), "" | "null" | "\"\"");
        if end || candidate.len() > CANDIDATE || self.received_candidates == CANDIDATES || !may_be_tried(&candidate) {
            return None;
        }
        self.received_candidates += 1;
        Some(Output::RemoteCandidate(candidate))
    }

    /// A peer that is connected already ends the stream: what was exchanged must be enough for us, too.
    fn stream_ended(&mut self) -> Result<(), NegotiationError> {
        match self.phase {
            Phase::Connecting | Phase::Established => Ok(()),
            _ => Err(NegotiationError::Ended),
        }
    }

    fn connected(&mut self) -> Option<Output> {
        if self.phase != Phase::Connecting {
            return None;
        }
        self.phase = Phase::Established;
        let sent_frame = self.peer_frame.map_or(STRANGER_FRAME, |frame| frame.min(self.preferred_frame));
        Some(Output::Established { sent_frame, extended: self.peer_frame.is_some() })
    }
}

/// Whether the offer of the peer `ours` prevails over the offer of the peer `theirs`, where both are the bytes of peer ids and
/// both made an offer to each other: that of the smaller id does.
pub fn prevails(ours: &[u8], theirs: &[u8]) -> bool {
    ours < theirs
}

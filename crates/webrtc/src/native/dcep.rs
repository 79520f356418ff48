//! How a data channel is opened within SCTP: RFC 8832, <https://www.rfc-editor.org/rfc/rfc8832>, section 5.

/// The type of DATA_CHANNEL_ACK, which is all of it.
const ACK: u8 = 2;
/// The type of DATA_CHANNEL_OPEN.
const OPEN: u8 = 3;
/// Bytes of DATA_CHANNEL_OPEN before label and protocol.
const HEADER: usize = 12;

/// A message that opens a channel: reliable and in order, without label, as libp2p/specs webrtc/README.md says.
pub(super) const OPENING: [u8; HEADER] = [OPEN, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// The answer to one.
pub(super) const ACKNOWLEDGEMENT: [u8; 1] = [ACK];

/// What a peer says about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It opens it. Label, protocol and how reliable the peer's own messages are make no difference.
    Open,
    /// It knows that it was opened.
    Acknowledged,
}

impl Said {
    /// Reads a message; nothing where it is none.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<Self> {
        match message {
            [ACK] => Some(Self::Acknowledged),
            [OPEN, ..] if message.len() >= HEADER => {
                let length = |at: usize| Some(usize::from(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?)));
                (HEADER + length(8)? + length(10)? == message.len()).then_some(Self::Open)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_opened_with_or_without_a_label() {
        assert_eq!(Said::read(&OPENING), Some(Said::Open));
        assert_eq!(Said::read(&ACKNOWLEDGEMENT), Some(Said::Acknowledged));
        assert_eq!(Said::read(b"\x03\x80\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01labp"), None, "a byte too many");
        assert_eq!(Said::read(b"\x03\x80\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01lap"), Some(Said::Open));
    }

    #[test]
    fn anything_else_is_nothing() {
        for message in [&b""[..], b"\x02\x00", b"\x03", &OPENING[..11], b"\x01", b"\x04\0\0\0\0\0\0\0\0\0\0\0"] {
            assert_eq!(Said::read(message), None, "{message:?}");
        }
    }
}

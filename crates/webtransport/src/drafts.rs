//! What has changed between the drafts of WebTransport over HTTP/3 (draft-ietf-webtrans-http3) and what `web-transport-proto` does not know yet: since its 15th,
//! which go-libp2p speaks, another setting says that there is WebTransport, and another name is asked for. Browsers and js-libp2p use earlier ones.

use quinn::RecvStream;
use web_transport_proto::{ConnectError, ConnectRequest, Frame, Setting, Settings, VarInt};

use crate::error::Error;

/// SETTINGS_WT_ENABLED, since draft 15 (9.2 there).
const ENABLED: Setting = Setting(VarInt::from_u32(0x2c7c_f000));
/// What is asked for since draft 15 (9.1 there); before, [`NAME_BEFORE`].
const NAME: &str = "webtransport-h3";
const NAME_BEFORE: &[u8] = b"webtransport";
/// Bytes of a request: a path of ours, and whatever a browser says of itself.
const REQUEST: u64 = 16 * 1024;

/// The settings of a listener.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.enable_webtransport(1);
    settings.insert(ENABLED, VarInt::from_u32(1));
    settings
}

/// Whether a client of these settings knows WebTransport.
pub(crate) fn is_offered(settings: &Settings) -> bool {
    settings.supports_webtransport() > 0 || settings.get(&ENABLED).is_some_and(|value| value.into_inner() > 0)
}

/// The request for a session, by whichever name.
///
/// # Errors
/// Where it is none.
pub(crate) async fn request(stream: &mut RecvStream) -> Result<ConnectRequest, Error> {
    loop {
        let kind = Frame(VarInt::read(stream).await.map_err(|_| ConnectError::UnexpectedEnd)?);
        let length = VarInt::read(stream).await.map_err(|_| ConnectError::UnexpectedEnd)?.into_inner();
        if length > REQUEST {
            return Err(ConnectError::UnexpectedFrame(kind).into());
        }
        let mut fields = vec![0; usize::try_from(length).unwrap_or_default()];
        stream.read_exact(&mut fields).await.map_err(|_| ConnectError::UnexpectedEnd)?;
        if !kind.is_grease() {
            return parse(kind, fields).map_err(Error::Request);
        }
    }
}

fn parse(kind: Frame, mut fields: Vec<u8>) -> Result<ConnectRequest, ConnectError> {
    match decode(kind, &fields) {
        Err(ConnectError::WrongProtocol(Some(name))) if name == NAME => {
            // Of two lines of one name the codec takes the last: the name that it knows, as QPACK writes a line that is in no table (RFC 9204 4.5.6).
            for (prefix, text) in [(&[0x27, 0x02][..], &b":protocol"[..]), (&[12][..], NAME_BEFORE)] {
                fields.extend_from_slice(prefix);
                fields.extend_from_slice(text);
            }
            decode(kind, &fields)
        }
        other => other,
    }
}

fn decode(kind: Frame, fields: &[u8]) -> Result<ConnectRequest, ConnectError> {
    let mut frame = Vec::with_capacity(fields.len() + 2 * VarInt::MAX_SIZE);
    kind.encode(&mut frame);
    VarInt::try_from(fields.len()).unwrap_or(VarInt::MAX).encode(&mut frame);
    frame.extend_from_slice(fields);
    ConnectRequest::decode(&mut frame.as_slice())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    /// The fields of a request for `path`, its protocol named so.
    fn fields(path: &str, name: &str) -> Vec<u8> {
        let line = |name: &str, value: &str| {
            let length = name.len() as u8 - 7;
            [&[0x27, length][..], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
        };
        // What stands in QPACK's table: CONNECT is its 15th, https its 23rd, :authority its first, :path its second.
        let head = [&[0, 0, 0xc0 | 15, 0xc0 | 23, 0x50, 1, b'a', 0x51, path.len() as u8][..], path.as_bytes()].concat();
        [head, line(":protocol", name)].concat()
    }

    #[test]
    fn both_names_lead_to_the_path_that_is_asked_for() {
        for name in ["webtransport", NAME] {
            let request = parse(Frame::HEADERS, fields("/here?type=noise", name)).unwrap();
            assert_eq!((request.url.path(), request.url.query()), ("/here", Some("type=noise")), "{name}");
        }
        assert!(
            matches!(parse(Frame::HEADERS, fields("/", "websocket")), Err(ConnectError::WrongProtocol(Some(name))) if name == "websocket")
        );
        assert!(parse(Frame::HEADERS, vec![0xff; 100]).is_err());
    }

    #[test]
    fn clients_of_any_draft_are_understood() {
        assert!(is_offered(&settings()) && !is_offered(&Settings::default()));
        let mut only_new = Settings::default();
        only_new.insert(ENABLED, VarInt::from_u32(1));
        assert!(is_offered(&only_new));
        only_new.insert(ENABLED, VarInt::from_u32(0));
        assert!(!is_offered(&only_new));
    }
}

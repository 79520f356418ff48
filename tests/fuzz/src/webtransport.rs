//! WebTransport in the relay: what a stranger sends before anybody knows who it is, and the certificates that are made for him.

use std::time::{Duration, UNIX_EPOCH};

use futures::FutureExt as _;
use libp2p_identity::Keypair;
use shoal_webtransport::certificates::{Certificates, PERIOD, SKEW, Schedule, VALIDITY};
use web_transport_proto::{ConnectRequest, Settings, VarInt};

use crate::input::Input;

/// Bytes of the longest request that is taken.
const REQUEST: usize = 16 * 1024;

/// Any bytes where HTTP/3's settings are, and where the request for a session is: what is read is bounded, reads back the same once written, and nothing
/// behind it is taken.
pub(crate) fn session(data: &[u8]) {
    let mut input = Input::new(data);
    let settings = input.bytes(usize::MAX);
    let mut read = &settings[..];
    if let Some(Ok(settings)) = Settings::read(&mut read).now_or_never() {
        let mut written = Vec::new();
        settings.encode(&mut written);
        let again = Settings::read(&mut &written[..]).now_or_never().expect("no waiting").expect("what is written can be read");
        assert_eq!(again.supports_webtransport(), settings.supports_webtransport());
    }
    let all = input.rest();
    let mut read = all;
    if let Some(Ok(mut request)) = ConnectRequest::read(&mut read).now_or_never() {
        assert!(request.url.as_str().len() <= REQUEST * 3 && all.ends_with(read));
        // What is behind a `#` in the name of the host is not written.
        request.url.set_fragment(None);
        let mut written = Vec::new();
        if request.encode(&mut written).is_ok() {
            written.extend_from_slice(b"behind");
            let mut read = &written[..];
            let again = ConnectRequest::read(&mut read).now_or_never().expect("no waiting").expect("what is written can be read");
            assert_eq!((again.url, read), (request.url, &b"behind"[..]));
        }
    }
    // How each stream begins.
    let mut read = all;
    let kind = VarInt::read(&mut read).now_or_never();
    assert!(kind.is_some_and(|kind| kind.is_err() || read.len() < all.len()));
}

/// At any time, for any identity: what is in use is valid now and an hour around, for two weeks at most; the next is the next; and what was told stays
/// confirmed as long as was said.
pub(crate) fn certificate(data: &[u8]) {
    let mut input = Input::new(data);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&input.number().to_be_bytes());
    let identity = Keypair::ed25519_from_bytes(seed).expect("any 32 bytes are a key");
    let schedule = Schedule::of(&identity.public());
    // Years of four digits.
    let seconds = input.number() % 250_000_000_000;
    let around = 1 + input.below(3) as u16;
    let later = input.below(usize::from(around) + 1) as u64;
    let now = UNIX_EPOCH + Duration::from_secs(seconds);
    let certificates = |now| Certificates::at(&identity, &schedule, now, around).expect("a certificate for any time");
    let present = certificates(now);
    let der = present.current.key.cert.first().expect("one certificate").as_ref();
    let (serial, [from, to]) = fields(der);
    assert!(serial.len() == 1 || serial[0] != 0 || serial[1] >= 0x80, "a number in its shortest form: {serial:?}");
    let now_seconds = seconds as i64;
    // The first weeks of 1970 begin with the epoch.
    assert!(from.max(SKEW) <= now_seconds.max(SKEW) && now_seconds + SKEW <= to && to - from <= VALIDITY, "{from} {now_seconds} {to}");
    assert!(present.advertised().len() == 2 && present.lasting()[..2] == *present.advertised());
    let then = certificates(now + Duration::from_secs(later * PERIOD.unsigned_abs()));
    assert_eq!(then.period, present.period + later as i64);
    assert_eq!(then.current.hash, present.lasting()[later as usize]);
    assert!(present.lasting().iter().all(|hash| then.confirmed().any(|known| known == hash)), "an address that was told is confirmed");
}

/// Serial number and times of a certificate, by another reader than the writer's: X.509 in DER (RFC 5280 4.1).
fn fields(der: &[u8]) -> (&[u8], [i64; 2]) {
    let (certificate, _) = value(der, 0x30);
    let (to_be_signed, _) = value(certificate, 0x30);
    let (_version, rest) = value(to_be_signed, 0xa0);
    let (serial, rest) = value(rest, 0x02);
    let (_algorithm, rest) = value(rest, 0x30);
    let (_issuer, rest) = value(rest, 0x30);
    let (validity, _) = value(rest, 0x30);
    let (from, rest) = time(validity);
    let (to, _) = time(rest);
    (serial, [from, to])
}

/// What an element holds, and what is behind it.
fn value(der: &[u8], tag: u8) -> (&[u8], &[u8]) {
    assert_eq!(der[0], tag);
    let (header, length) = match der[1] {
        short @ ..0x80 => (2, usize::from(short)),
        long => {
            let size = usize::from(long & 0x7f);
            (2 + size, der[2..2 + size].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
    };
    (&der[header..header + length], &der[header + length..])
}

/// `UTCTime` until 2049, `GeneralizedTime` from then on; in seconds since the epoch.
fn time(der: &[u8]) -> (i64, &[u8]) {
    let (text, rest) = value(der, der[0]);
    let number = |text: &[u8]| text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    let (year, text) = match der[0] {
        0x17 => (if number(&text[..2]) < 50 { 2000 } else { 1900 } + number(&text[..2]), &text[2..]),
        _ => (number(&text[..4]), &text[4..]),
    };
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| number(&text[at..at + 2]));
    // Days of the Gregorian calendar, the year beginning with March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    (days * 86_400 + hour * 3_600 + minute * 60 + second, rest)
}

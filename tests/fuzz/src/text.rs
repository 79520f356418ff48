//! Text from elsewhere: names of content and of peers, addresses, records of name servers, what an earlier visit kept.

use multiaddr::Multiaddr;
use shoal_protocol::{
    addresses::{self, Filter, Reach},
    content::cid,
    identity::PublicKey,
    limits::{ADDRESS_BYTES, ADDRESS_TEXT, DNSADDR_ADDRESSES, DNSADDR_LOOKUPS, REMEMBERED_ADDRESS_TEXT, REMEMBERED_RELAYS},
    reservations::{
        dnsaddr::{Resolution, text_of_record},
        remembered::{Entry, Remembered},
    },
};

/// Any text as each of these: what is accepted has one spelling, or is within its bounds.
pub(crate) fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(cid) = cid::parse(text) {
        assert_eq!(cid::parse(&cid.to_string()).as_ref(), Ok(&cid));
        assert_eq!(cid::decode_bytes(&cid.to_bytes()), Ok(cid));
    }
    for key in [PublicKey::from_peer_id(text), PublicKey::from_did_key(text), PublicKey::from_registry_key(text)].into_iter().flatten() {
        assert_eq!(PublicKey::from_peer_id(&key.peer_id_string()).as_ref(), Ok(&key));
        assert_eq!(PublicKey::from_did_key(&key.did_key()).as_ref(), Ok(&key));
        assert_eq!(PublicKey::from_registry_key(&key.registry_key()), Ok(key));
    }
    if let Ok(address) = text.parse::<Multiaddr>() {
        check_address(&address);
    }
    if let Ok(address) = Multiaddr::try_from(data.to_vec()) {
        check_address(&address);
    }
    let _ = addresses::reach_of_host(text);
    if let Some(resolution) = Resolution::new(text.lines().next().unwrap_or_default()) {
        resolve(resolution, text);
    }
    let remembered = Remembered::read(text);
    assert!(remembered.relays().len() <= REMEMBERED_RELAYS);
    assert!(remembered.relays().iter().flat_map(Entry::addresses).all(|address| address.len() <= REMEMBERED_ADDRESS_TEXT));
    assert_eq!(Remembered::read(&remembered.write()), remembered);
}

/// What one may dial for somebody near, one may dial for oneself; and nothing that is told from far leads into a private network.
fn check_address(address: &Multiaddr) {
    let filter = Filter::new(Reach::Loopback);
    let by = |source| filter.check(address, source).is_ok();
    assert!(!by(Reach::Global) || by(Reach::Private));
    assert!(!by(Reach::Private) || by(Reach::Loopback));
    if by(Reach::Global) {
        assert!(address.len() <= ADDRESS_BYTES);
        assert_eq!(addresses::reach_of(address), Some(Reach::Global));
    }
}

/// Every name answers with all the lines.
fn resolve(mut resolution: Resolution, text: &str) {
    let mut lookups = 0;
    while let Some(name) = resolution.next_name() {
        lookups += 1;
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{name}");
        let records: Vec<String> = text.lines().map(text_of_record).collect();
        resolution.answer(records.iter().map(String::as_str));
    }
    let found = resolution.into_addresses();
    assert!(lookups <= DNSADDR_LOOKUPS && found.len() <= DNSADDR_ADDRESSES);
    assert!(found.iter().all(|address| address.len() <= ADDRESS_TEXT && !address.starts_with("/dnsaddr/")));
}

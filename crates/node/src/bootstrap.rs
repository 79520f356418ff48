//! Asks where relays are: a relay's web server, or the DNS by HTTPS (a page has no other way to it).

use std::time::Duration;

use futures::future::{Either, select};
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, de::DeserializeOwned};
use shoal_protocol::{
    addresses::reach_of,
    limits::RESERVATION_ADDRESSES,
    reservations::{
        Problem,
        dnsaddr::{Resolution, text_of_record},
    },
};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestCache, RequestInit, Response};

use crate::{
    config::Source,
    platform,
    transport::{
        address::{peer_of, way_of},
        guard::reach_of_url,
    },
};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// Relays taken from one source.
const MAX_RELAYS: usize = 16;
/// Longest answer read: sixteen relays with eight addresses of 100 characters and as many again, or one with eight of 1,700.
const MAX_ANSWER: usize = 32 * 1024;
/// The type number of TXT records.
const TXT: u32 = 16;

/// Relays, each with the addresses by which a page can dial it.
type Relays = Vec<(PeerId, Vec<Multiaddr>)>;

/// What a relay's `/bootstrap` says.
#[derive(Deserialize)]
struct Answer {
    addresses: Vec<String>,
}

/// A resolver's answer: <https://developers.google.com/speed/public-dns/docs/doh/json>.
#[derive(Deserialize)]
struct Records {
    #[serde(rename = "Answer", default)]
    answer: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    r#type: u32,
    data: String,
}

/// The relays that a source names and a page can dial; none is an answer, too.
///
/// # Errors
/// In words for people.
pub async fn resolve(source: &Source, resolver: &str) -> Result<Relays, Problem> {
    match source {
        Source::Server(url) => {
            let answer: Answer = ask(&format!("{url}/bootstrap"), "application/json").await?;
            let near = reach_of_url(url);
            let told = relays(answer.addresses, |address| reach_of(address).is_none_or(|reach| reach <= near));
            Ok(told)
        }
        Source::Name(name) => {
            let mut resolution = Resolution::new(name).ok_or_else(|| Problem::Other(format!("{name} is no name")))?;
            let (mut answered, mut problem) = (false, None);
            while let Some(name) = resolution.next_name() {
                let found: Result<Records, _> = ask(&format!("{resolver}?name={name}&type=TXT"), "application/dns-json").await;
                let texts: Vec<String> = match found {
                    Ok(Records { answer }) => {
                        answer.iter().filter(|record| record.r#type == TXT).map(|record| text_of_record(&record.data)).collect()
                    }
                    Err(error) => {
                        problem = Some(error);
                        Vec::new()
                    }
                };
                answered |= !texts.is_empty();
                resolution.answer(texts.iter().map(String::as_str));
            }
            match problem {
                Some(problem) if !answered => Err(problem),
                // What a name may lead to is the transport's affair: it knows where the resolver is.
                _ => Ok(relays(resolution.into_addresses(), |_| true)),
            }
        }
    }
}

/// Keeps what a page can dial, by relay, in the order given, and of each way as many: a machine has more addresses than are tried.
fn relays(addresses: impl IntoIterator<Item = String>, may_tell: impl Fn(&Multiaddr) -> bool) -> Relays {
    let mut relays: Relays = Vec::new();
    for address in addresses.into_iter().filter_map(|text| text.parse::<Multiaddr>().ok()) {
        let Some(peer) = peer_of(&address) else { continue };
        let Some(way) = way_of(&address).filter(|_| may_tell(&address)) else { continue };
        if let Some((_, addresses)) = relays.iter_mut().find(|(known, _)| *known == peer) {
            if addresses.iter().filter(|other| way_of(other) == Some(way)).count() < RESERVATION_ADDRESSES / 2 {
                addresses.push(address);
            }
        } else if relays.len() < MAX_RELAYS {
            relays.push((peer, vec![address]));
        }
    }
    relays
}

async fn ask<T: DeserializeOwned>(url: &str, accept: &str) -> Result<T, Problem> {
    let text = match select(Box::pin(fetch(url, accept)), Box::pin(platform::sleep(PATIENCE))).await {
        Either::Left((text, _)) => text.map_err(Problem::Other)?,
        Either::Right(_) => return Err(Problem::Silent),
    };
    // The browser's own parser: one in the module would be paid for by every visitor.
    let value = js_sys::JSON::parse(&text).ok().and_then(|value| serde_wasm_bindgen::from_value(value).ok());
    value.ok_or_else(|| Problem::Other(format!("what {url} answers cannot be understood; correct the address")))
}

async fn fetch(url: &str, accept: &str) -> Result<String, String> {
    let unreachable = |_: JsValue| format!("nothing answers at {url}; check that it runs and that this device is online");
    let options = RequestInit::new();
    options.set_cache(RequestCache::NoStore);
    let headers = js_sys::Object::new();
    let _ = js_sys::Reflect::set(&headers, &"accept".into(), &accept.into());
    options.set_headers(&headers);
    // `fetch` exists in windows and workers alike, but not on a common type of web-sys.
    let fetch = js_sys::Reflect::get(&js_sys::global(), &"fetch".into())
        .ok()
        .and_then(|fetch| fetch.dyn_into::<js_sys::Function>().ok())
        .ok_or("this place has no fetch()")?;
    let promise: js_sys::Promise = fetch.call2(&JsValue::UNDEFINED, &url.into(), &options).map_err(unreachable)?.unchecked_into();
    let response: Response = JsFuture::from(promise).await.map_err(unreachable)?.dyn_into().map_err(unreachable)?;
    if !response.ok() {
        return Err(format!("{url} answered with status {}; check what runs there", response.status()));
    }
    let text = JsFuture::from(response.text().map_err(unreachable)?).await.map_err(unreachable)?.as_string().unwrap_or_default();
    if text.len() > MAX_ANSWER { Err(format!("{url} answered with too much")) } else { Ok(text) }
}

//! Asks a relay's web server for the relay's addresses.

use std::time::Duration;

use futures::future::{Either, select};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde::Deserialize;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestCache, RequestInit, Response};

use crate::{platform, transport::address::websocket_url};

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// Addresses of one relay that are tried.
const MAX_ADDRESSES: usize = 8;
/// Longest answer read: eight addresses are far below it.
const MAX_ANSWER: usize = 16 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    peer_id: String,
    addresses: Vec<String>,
}

/// The relay's PeerId and the addresses that a page can dial, each ending in that PeerId.
///
/// # Errors
/// One sentence for people.
pub async fn resolve(url: &str) -> Result<(PeerId, Vec<Multiaddr>), String> {
    let text = match select(Box::pin(fetch(format!("{url}/bootstrap"))), Box::pin(platform::sleep(PATIENCE))).await {
        Either::Left((text, _)) => text?,
        Either::Right(_) => return Err(format!("{url} did not answer")),
    };
    parse(&text).ok_or_else(|| format!("{url}/bootstrap does not look like a Shoal relay's answer"))
}

fn parse(text: &str) -> Option<(PeerId, Vec<Multiaddr>)> {
    // The browser's own parser: one in the module would be paid for by every visitor.
    let answer: Answer = serde_wasm_bindgen::from_value(js_sys::JSON::parse(text).ok()?).ok()?;
    let peer: PeerId = answer.peer_id.parse().ok()?;
    let addresses: Vec<Multiaddr> = answer
        .addresses
        .iter()
        .filter_map(|text| text.parse::<Multiaddr>().ok())
        .filter(|address| address.iter().last() == Some(Protocol::P2p(peer)) && websocket_url(address).is_some())
        .take(MAX_ADDRESSES)
        .collect();
    (!addresses.is_empty()).then_some((peer, addresses))
}

async fn fetch(url: String) -> Result<String, String> {
    let unreachable = |_: JsValue| format!("nothing answers at {url}; is the relay running?");
    let options = RequestInit::new();
    options.set_cache(RequestCache::NoStore);
    // `fetch` exists in windows and workers alike, but not on a common type of web-sys.
    let fetch = js_sys::Reflect::get(&js_sys::global(), &"fetch".into())
        .ok()
        .and_then(|fetch| fetch.dyn_into::<js_sys::Function>().ok())
        .ok_or("this place has no fetch()")?;
    let promise: js_sys::Promise = fetch.call2(&JsValue::UNDEFINED, &url.as_str().into(), &options).map_err(unreachable)?.unchecked_into();
    let response: Response = JsFuture::from(promise).await.map_err(unreachable)?.dyn_into().map_err(unreachable)?;
    if !response.ok() {
        return Err(format!("{url} answered with status {}", response.status()));
    }
    let text = JsFuture::from(response.text().map_err(unreachable)?).await.map_err(unreachable)?.as_string().unwrap_or_default();
    if text.len() > MAX_ANSWER { Err(format!("{url} answered with too much")) } else { Ok(text) }
}

//! The node's calls in JavaScript's types.

use std::rc::Rc;

use js_sys::Function;
use serde::{Deserialize, Serialize};
use shoal_node::{
    config::NearbyConfig,
    content::source::Source,
    error::Error,
    event::Report,
    node::{FetchOptions, Node, parse_cid, parse_peer, parse_relay},
};
use shoal_protocol::content::import::Profile;
use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, MessagePort};

use crate::{
    reader::WasmReader,
    values::{cancellable, error, object, read},
};

/// A running node.
#[wasm_bindgen]
pub struct WasmNode {
    node: Node,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    from: Vec<String>,
    via: Vec<String>,
    offset: Option<f64>,
    length: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ContentStat {
    cid: String,
    size: u64,
    local: u64,
}

impl Options {
    fn understand(self) -> Result<FetchOptions, Error> {
        let number = |value: Option<f64>, field: &str| match value {
            None => Ok(None),
            Some(number) if number >= 0.0 && number.fract() == 0.0 && number <= 9_007_199_254_740_991.0 => Ok(Some(number as u64)),
            Some(_) => Err(Error::config(field, "give a whole number of bytes, zero or more")),
        };
        if self.from.len() > 64 || self.via.len() > 16 {
            return Err(Error::config("from", "give at most 64 peers and 16 relays"));
        }
        Ok(FetchOptions {
            from: self.from.iter().map(|text| parse_peer(text)).collect::<Result<_, _>>()?,
            via: self.via.iter().map(|text| parse_relay(text)).collect::<Result<_, _>>()?,
            offset: number(self.offset, "offset")?.unwrap_or(0),
            length: number(self.length, "length")?,
        })
    }
}

fn reporter(on_progress: Option<Function>) -> Option<Report> {
    let on_progress = on_progress?;
    Some(Rc::new(move |progress| {
        if let Ok(progress) = object(&progress) {
            let _ = on_progress.call1(&JsValue::UNDEFINED, &progress);
        }
    }))
}

#[wasm_bindgen]
impl WasmNode {
    /// Starts a node. `config` is a `NodeConfig` with its defaults filled in; `shim` leads to the page's peer connections.
    pub async fn start(config: JsValue, shim: MessagePort, on_event: Function) -> Result<WasmNode, JsValue> {
        let config = read(config, "")?;
        let emit = move |event| {
            if let Ok(event) = object(&event) {
                let _ = on_event.call1(&JsValue::UNDEFINED, &event);
            }
        };
        let node = Node::start(config, shim, emit).await.map_err(|problem| error(&problem))?;
        Ok(Self { node })
    }

    /// The libp2p name.
    #[wasm_bindgen(js_name = peerId)]
    pub fn peer_id(&self) -> String {
        self.node.peer_id().to_string()
    }

    /// The same key as a DID.
    pub fn did(&self) -> String {
        self.node.did().to_owned()
    }

    /// Stores content; `on_progress(bytes, total?)`.
    pub async fn publish(
        &self,
        source: JsValue,
        profile: String,
        on_progress: Option<Function>,
        signal: AbortSignal,
    ) -> Result<String, JsValue> {
        let source = Source::from_js(source).map_err(|problem| error(&problem))?;
        let profile: Profile = profile.parse().map_err(|_| error(&Error::config("profile", "give `unixfs-v1-2025` or `kubo-cid-v1`")))?;
        let node = self.node.clone();
        let progress = move |bytes: u64, total: Option<u64>| {
            let Some(on_progress) = &on_progress else { return };
            let total = total.map_or(JsValue::UNDEFINED, |total| JsValue::from_f64(total as f64));
            let _ = on_progress.call2(&JsValue::UNDEFINED, &JsValue::from_f64(bytes as f64), &total);
        };
        cancellable(&signal, async move { node.publish(source, profile, progress).await }).await.map(|cid| cid.to_string())
    }

    /// Starts to fetch; resolves once the size is known.
    pub async fn fetch(
        &self,
        cid: String,
        options: JsValue,
        on_progress: Option<Function>,
        signal: AbortSignal,
    ) -> Result<WasmReader, JsValue> {
        let options: Options = read(options, "options")?;
        let node = self.node.clone();
        let (reader, size) = cancellable(&signal, async move {
            let options = options.understand()?;
            let (offset, length) = (options.offset, options.length);
            let mut reader = node.fetch(parse_cid(&cid)?, options, reporter(on_progress))?;
            let size = reader.file_size().await?;
            if offset > size {
                return Err(Error::InvalidRange { size });
            }
            Ok((reader, length.unwrap_or(u64::MAX).min(size - offset)))
        })
        .await?;
        Ok(WasmReader::new(reader, size, signal))
    }

    /// Size, and how much of it is here.
    pub async fn stat(
        &self,
        cid: String,
        options: JsValue,
        on_progress: Option<Function>,
        signal: AbortSignal,
    ) -> Result<JsValue, JsValue> {
        let options: Options = read(options, "options")?;
        let node = self.node.clone();
        let stat = cancellable(&signal, async move {
            let root = parse_cid(&cid)?;
            let cid = root.to_string();
            let stat = node.stat(root, options.understand()?, reporter(on_progress)).await?;
            Ok(ContentStat { cid, size: stat.size, local: stat.local })
        })
        .await?;
        object(&stat)
    }

    /// Every open connection.
    pub fn connections(&self) -> Result<JsValue, JsValue> {
        object(&self.node.connections())
    }

    /// Relays, storage and limitations.
    pub async fn status(&self) -> Result<JsValue, JsValue> {
        let node = self.node.clone();
        object(&node.status().await)
    }

    /// Whether this node is found by those near it, and who they are; with a wish (`{ on, name? }`), as it is from now on.
    pub fn nearby(&self, wish: JsValue) -> Result<JsValue, JsValue> {
        let wish: Option<NearbyConfig> = read(wish, "nearby")?;
        object(&self.node.nearby(wish.as_ref()).map_err(|problem| error(&problem))?)
    }

    /// What happened lately on the way to a peer.
    pub fn history(&self, peer: &str) -> Result<JsValue, JsValue> {
        object(&self.node.history(&parse_peer(peer).map_err(|problem| error(&problem))?))
    }

    /// The session with a peer, if there is one.
    pub fn session(&self, peer: &str) -> Result<JsValue, JsValue> {
        let session = self.node.session(&parse_peer(peer).map_err(|problem| error(&problem))?);
        session.map_or(Ok(JsValue::UNDEFINED), |session| object(&session))
    }

    /// The last attempts at a direct connection to a peer.
    pub async fn traces(&self, peer: String) -> Result<JsValue, JsValue> {
        let node = self.node.clone();
        node.traces(parse_peer(&peer).map_err(|problem| error(&problem))?).await.map_err(|problem| error(&problem))
    }

    /// Connects to a peer, directly where possible, and then offers it a content of so many bytes, if one is named: whether its user is shown that.
    /// One call for both, as each promise is one more future in the module.
    pub async fn connect(
        &self,
        peer: String,
        offer: Option<String>,
        size: f64,
        name: String,
        signal: AbortSignal,
    ) -> Result<JsValue, JsValue> {
        let node = self.node.clone();
        let (connection, taken) = cancellable(&signal, async move {
            let peer = parse_peer(&peer)?;
            let connection = node.connect(peer).await?;
            let taken = match offer {
                Some(cid) => Some(node.offer(peer, parse_cid(&cid)?, size as u64, name).await?),
                None => None,
            };
            Ok((connection, taken))
        })
        .await?;
        taken.map_or_else(|| object(&connection), |taken| Ok(taken.into()))
    }

    /// The network or the page came back: tries at once what waits.
    pub fn hurry(&self) {
        self.node.hurry();
    }

    /// Closes every connection.
    pub async fn stop(&self) {
        let node = self.node.clone();
        node.stop().await;
    }
}

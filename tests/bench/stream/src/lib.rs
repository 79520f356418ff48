//! The node as it is, for a worker of the benchmark's: connects to a peer and reads one stream of the session with it.
#![cfg(target_arch = "wasm32")]

use shoal_node::{
    measure::Taken,
    node::{Node, parse_peer},
};
use wasm_bindgen::prelude::*;
use web_sys::MessagePort;

/// A running node.
#[wasm_bindgen]
pub struct Peer(Node);

#[wasm_bindgen]
impl Peer {
    /// Starts it. `config` is what the package's `createNode` takes; `shim` leads to the page's peer connections.
    pub async fn start(config: JsValue, shim: MessagePort) -> Result<Peer, JsError> {
        Ok(Self(Node::start(serde_wasm_bindgen::from_value(config)?, shim, |_| {}).await?))
    }

    /// Its name.
    pub fn id(&self) -> String {
        self.0.peer_id().to_string()
    }

    /// Whether others can reach it.
    pub async fn reachable(&self) -> bool {
        self.0.status().await.reachable
    }

    /// Connects to a peer, and says by which kind of path.
    pub async fn connect(&self, peer: String) -> Result<String, JsError> {
        Ok(format!("{:?}", self.0.connect(parse_peer(&peer)?).await?.path).to_lowercase())
    }

    /// Milliseconds until the first of so many bytes and until all of them have come.
    pub async fn read(&self, peer: String, bytes: f64) -> Result<Vec<f64>, JsError> {
        let Taken { first, all } = self.0.measure(parse_peer(&peer)?, bytes as u64).await?;
        Ok(vec![first, all])
    }
}

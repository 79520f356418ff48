//! Questions and answers, as lines.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::node::Node;

/// What may be asked. Times are milliseconds.
#[derive(Deserialize)]
#[serde(tag = "call", rename_all = "lowercase")]
enum Question {
    Open { relay: String, within: u64 },
    Publish { bytes: u64 },
    Fetch { cid: String, peer: String, within: u64 },
    Direct { peer: String, within: u64 },
    Way { peer: String },
}

/// An answer.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer<T> {
    /// What was asked for.
    Ok(T),
    /// Why not.
    Error(String),
}

/// Answers a line.
pub(crate) async fn answer(line: &str, node: &mut Option<Node>) {
    match act(line, node).await {
        Ok(value) => say(&Answer::Ok(value)),
        Err(problem) => say(&Answer::<Value>::Error(problem)),
    }
}

async fn act(line: &str, node: &mut Option<Node>) -> Result<Value, String> {
    let question = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if let Question::Open { relay, within } = question {
        let opened = Node::open(&relay, Duration::from_millis(within)).await?;
        let id = opened.id.to_string();
        *node = Some(opened);
        return Ok(json!(id));
    }
    let node = node.as_mut().ok_or("it is not open")?;
    match question {
        Question::Open { .. } => Err("it is open".to_owned()),
        Question::Publish { bytes } => Ok(json!(bytes.to_string())),
        Question::Fetch { cid, peer, within } => node.fetch(&cid, &peer, Duration::from_millis(within)).await,
        Question::Direct { peer, within } => node.direct(&peer, Duration::from_millis(within)).await,
        Question::Way { peer } => node.way(&peer),
    }
}

/// Writes a line.
pub(crate) fn say(answer: &impl Serialize) {
    // Who asks reads line by line; without them there is nobody to tell.
    if let Ok(text) = serde_json::to_string(answer) {
        println!("{text}");
    }
}

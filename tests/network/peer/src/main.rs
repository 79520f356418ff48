//! A native peer in a site of the laboratory: what rust-libp2p brings for reaching others, put together as its documentation says. It is asked by lines
//! of JSON and answers likewise, as `page.mjs` does for pages, so that the runner needs not know which of the two it talks to.
//!
//! ```text
//!   open     asks the relay for its addresses, connects to it by QUIC and by TCP, and reserves a place
//!   publish  remembers a size; the CID is its number
//!   fetch    connects through the relay and reads so many bytes; DCUtR makes a direct connection meanwhile
//! ```

mod answers;
mod behaviour;
mod node;

use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() {
    answers::say(&answers::Answer::Ok("native"));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut node = None;
    while let Ok(Some(line)) = lines.next_line().await {
        answers::answer(&line, &mut node).await;
    }
}

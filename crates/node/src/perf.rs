//! Answers `/perf/1.0.0`, the libp2p measurement of throughput: <https://github.com/libp2p/specs/blob/master/perf/perf.md>.
//!
//! The other side says in eight bytes (big endian) how much it wants back, sends what it likes and finishes; then it gets that much. It is how
//! strangers, who do not speak our sessions, see whether bytes go through. Only on direct connections, one at a time for each peer, and
//! within bounds: a stranger must not burn a relay's traffic or ours.

use std::{io, rc::Rc, time::Duration};

use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt,
    future::{Either, select},
};
use libp2p::{PeerId, Stream, StreamProtocol};

use crate::{platform, session::Route};

/// The protocol's name.
pub const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");

/// Most bytes that one measurement may send or be sent: enough for a second of a fast link.
const MOST: u64 = 128 * 1024 * 1024;
/// Longest time for one measurement.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes read or written at once.
const CHUNK: usize = 64 * 1024;

/// Who is being answered now.
#[derive(Debug, Clone, Default)]
pub struct Perf(Rc<std::cell::RefCell<Vec<PeerId>>>);

impl Perf {
    /// Whom it answers now.
    pub fn running(&self) -> std::cell::Ref<'_, Vec<PeerId>> {
        self.0.borrow()
    }

    /// Answers one stream in a task of its own; drops it where the peer already has one. What comes and goes is counted of `route`.
    pub fn answer(&self, peer: PeerId, mut stream: Stream, route: Route) {
        if self.0.borrow().contains(&peer) {
            return;
        }
        self.0.borrow_mut().push(peer);
        let running = self.0.clone();
        platform::spawn(async move {
            let work = answer(&mut stream, &route).boxed_local();
            if let Either::Left((Err(error), _)) = select(work, platform::sleep(PATIENCE).boxed_local()).await {
                tracing::debug!(%peer, %error, "measurement failed");
            }
            running.borrow_mut().retain(|other| *other != peer);
        });
    }
}

async fn answer(stream: &mut Stream, route: &Route) -> io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    let wanted = u64::from_be_bytes(wanted);
    if wanted > MOST {
        return Err(io::Error::other("more was asked for than is ever sent"));
    }
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        received += length as u64;
        route.count(length, 0);
        if received > MOST {
            return Err(io::Error::other("more was sent than is ever read"));
        }
    }
    let mut left = wanted;
    while left > 0 {
        let length = left.min(CHUNK as u64) as usize;
        stream.write_all(&buffer[..length]).await?;
        route.count(0, length);
        left -= length as u64;
    }
    stream.close().await
}

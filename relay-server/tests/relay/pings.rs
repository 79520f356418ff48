//! Who asks the relay whether it lives is answered.

use std::{io, task::Poll, time::Duration};

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    future::{Either, poll_fn},
};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};
use multistream_select::{Negotiated, Version, dialer_select_proto, listener_select_proto};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use crate::support::{peer::raw, program::Relay, soon};

const PING: &str = "/ipfs/ping/1.0.0";

/// A peer that knows no protocol, whoever asks it, and opens streams by hand.
struct Stranger(mpsc::Sender<oneshot::Sender<SubstreamBox>>);

impl Stranger {
    async fn at(relay: &Relay) -> Self {
        let (open, opens) = mpsc::channel(1);
        tokio::spawn(refuse_and_open(raw(relay.address()).await, opens));
        Self(open)
    }

    /// A stream on which pings are to be answered.
    async fn asks(&self) -> Negotiated<SubstreamBox> {
        let (opened, stream) = oneshot::channel();
        self.0.send(opened).await.unwrap();
        dialer_select_proto(stream.await.unwrap(), [PING], Version::V1).await.unwrap().1
    }
}

/// Refuses each of the relay's streams, and opens one for whoever wants one.
async fn refuse_and_open(mut connection: StreamMuxerBox, mut opens: mpsc::Receiver<oneshot::Sender<SubstreamBox>>) {
    let mut wanted: Option<oneshot::Sender<SubstreamBox>> = None;
    loop {
        let next = poll_fn(|context| {
            while connection.poll_unpin(context)?.is_ready() {}
            if let Poll::Ready(stream) = connection.poll_inbound_unpin(context)? {
                return Poll::Ready(Ok::<_, io::Error>(Either::Left(stream)));
            }
            if wanted.is_none()
                && let Poll::Ready(Some(one)) = opens.poll_recv(context)
            {
                wanted = Some(one);
            }
            match wanted {
                Some(_) => connection.poll_outbound_unpin(context).map_ok(Either::Right),
                None => Poll::Pending,
            }
        });
        match next.await {
            Ok(Either::Left(stream)) => drop(tokio::spawn(async move { listener_select_proto(stream, ["/nothing"]).await.is_ok() })),
            Ok(Either::Right(stream)) => drop(wanted.take().unwrap().send(stream)),
            Err(_) => return,
        }
    }
}

async fn ask(stream: &mut Negotiated<SubstreamBox>, byte: u8) {
    soon("the relay's answer", async {
        stream.write_all(&[byte; 32]).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = [0; 32];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [byte; 32]);
    })
    .await;
}

/// js-libp2p without its ping service is such a peer, and closes connections on which its own pings are not answered.
#[tokio::test]
async fn who_answers_no_pings_is_answered() {
    let relay = Relay::start(&[]);
    let stranger = Stranger::at(&relay).await;
    for byte in 0..5 {
        ask(&mut stranger.asks().await, byte).await;
        // Time for the relay to learn that its own ping is refused.
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn who_asks_on_two_streams_is_answered_on_both() {
    let relay = Relay::start(&[]);
    let stranger = Stranger::at(&relay).await;
    let (mut one, mut other) = (stranger.asks().await, stranger.asks().await);
    for byte in 0..3 {
        ask(&mut other, byte).await;
        ask(&mut one, byte).await;
    }
}

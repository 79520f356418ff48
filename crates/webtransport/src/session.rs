//! A WebTransport session, the only one on its QUIC connection: the listener's half of what HTTP/3 has before a stream (RFC 9114, RFC 9220,
//! draft-ietf-webtrans-http3).
//!
//! ```text
//! one-way stream, each side: SETTINGS
//! the client's first stream: CONNECT …, 200; open as long as the session
//! each further stream: WEBTRANSPORT_STREAM, the number of the first one, and then whatever
//! ```
//!
//! The codec is `web-transport-proto`'s; it is bounded. `web-transport-quinn`, which has all of this as well, keeps what a stranger sends on the stream
//! of his request, without bound, if its capsule is malformed in a certain way. Here nothing that comes on that stream is kept: of what it can say only its end
//! matters.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use quinn::{ConnectionError, RecvStream, SendStream};
use web_transport_proto::{ConnectRequest, ConnectResponse, Frame, Settings, StreamUni, VarInt, http::StatusCode};

use crate::{drafts, error::Error, stream::Stream};

/// HTTP/3 in TLS.
pub(crate) const ALPN: &[u8] = b"h3";
/// All is well (RFC 9114 8.1).
const NO_ERROR: quinn::VarInt = quinn::VarInt::from_u32(0x100);
/// Bytes taken at once of what is thrown away.
const PIECE: usize = 16 * 1024;

type Halves = (SendStream, RecvStream);

/// A request for a session, not answered yet.
pub(crate) struct Request {
    pub(crate) asks: ConnectRequest,
    connection: quinn::Connection,
    /// Its ends are the connection's, says HTTP/3.
    control: Halves,
    stream: Halves,
}

impl Request {
    /// Waits for it.
    ///
    /// # Errors
    /// Where the client speaks something else.
    pub(crate) async fn read(connection: quinn::Connection) -> Result<Self, Error> {
        let ours = async {
            let mut send = connection.open_uni().await?;
            drafts::settings().write(&mut send).await?;
            Ok::<_, Error>(send)
        };
        let theirs = async {
            let mut receive = connection.accept_uni().await?;
            let settings = Settings::read(&mut receive).await?;
            if drafts::is_offered(&settings) { Ok(receive) } else { Err(Error::NotOffered) }
        };
        let control = futures::future::try_join(ours, theirs).await?;
        let mut stream = connection.accept_bi().await?;
        let asks = drafts::request(&mut stream.1).await?;
        Ok(Self { asks, connection, control, stream })
    }

    /// Opens the session.
    ///
    /// # Errors
    /// Where the client has left.
    pub(crate) async fn accept(mut self) -> Result<Session, Error> {
        ConnectResponse::OK.write(&mut self.stream.0).await?;
        Ok(Session::new(self))
    }

    /// There is nothing here of what it asks for.
    ///
    /// # Errors
    /// Where the client has left.
    pub(crate) async fn refuse(mut self) -> Result<(), Error> {
        ConnectResponse::new(StatusCode::NOT_FOUND).write(&mut self.stream.0).await?;
        let _ = self.stream.0.finish();
        // The connection ends with `self`: not before the answer is there.
        let _ = self.stream.0.stopped().await;
        Ok(())
    }
}

/// An open session. Its end, of whatever kind, is the connection's.
pub(crate) struct Session {
    connection: quinn::Connection,
    id: u64,
    incoming: BoxFuture<'static, Result<Halves, ConnectionError>>,
    /// Streams whose first bytes are on their way: as many as QUIC lets the client open.
    beginning: FuturesUnordered<BoxFuture<'static, Option<Halves>>>,
    outgoing: Option<BoxFuture<'static, Result<Halves, Error>>>,
    one_way: BoxFuture<'static, ConnectionError>,
    request: BoxFuture<'static, ()>,
    _held: (SendStream, Halves),
}

impl Session {
    fn new(Request { connection, control, stream: (send, receive), .. }: Request) -> Self {
        Self {
            id: quinn::VarInt::from(send.id()).into_inner(),
            incoming: accept(connection.clone()),
            beginning: FuturesUnordered::new(),
            outgoing: None,
            one_way: keep_what_http_needs(connection.clone()).boxed(),
            request: until_the_end(receive).boxed(),
            _held: (send, control),
            connection,
        }
    }

    pub(crate) fn remote_address(&self) -> std::net::SocketAddr {
        self.connection.remote_address()
    }

    /// Ends it, as far as it has not ended.
    pub(crate) fn close(&self) {
        self.connection.close(NO_ERROR, b"");
    }

    /// The client's next stream.
    pub(crate) async fn next(&mut self) -> Result<Stream, Error> {
        poll_fn(|context| self.poll_inbound(context)).await
    }

    /// The same.
    pub(crate) fn poll_inbound(&mut self, context: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        loop {
            if let Poll::Ready(halves) = self.incoming.poll_unpin(context) {
                self.beginning.push(begun(halves?, self.id).boxed());
                self.incoming = accept(self.connection.clone());
                continue;
            }
            match self.beginning.poll_next_unpin(context) {
                Poll::Ready(Some(Some(halves))) => return Poll::Ready(Ok(Stream::new(halves))),
                // Not one of ours. Dropping it has stopped it.
                Poll::Ready(Some(None)) => {}
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// A stream of ours, once the client lets us open one more.
    pub(crate) fn poll_outbound(&mut self, context: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let outgoing = self.outgoing.get_or_insert_with(|| open(self.connection.clone(), self.id).boxed());
        let halves = ready!(outgoing.poll_unpin(context));
        self.outgoing = None;
        Poll::Ready(halves.map(Stream::new))
    }

    /// Its end.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        if self.request.poll_unpin(context).is_ready() {
            return Poll::Ready(self.connection.close_reason().map_or(Error::Ended, Error::Quic));
        }
        self.one_way.poll_unpin(context).map(Error::Quic)
    }
}

/// Whoever holds one of its streams still would keep the connection alive.
impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

fn accept(connection: quinn::Connection) -> BoxFuture<'static, Result<Halves, ConnectionError>> {
    async move { connection.accept_bi().await }.boxed()
}

/// Whether a stream begins as one of this session does.
async fn begun(mut halves: Halves, session: u64) -> Option<Halves> {
    let kind = Frame(VarInt::read(&mut halves.1).await.ok()?);
    let of = (kind == Frame::WEBTRANSPORT).then_some(VarInt::read(&mut halves.1).await.ok()?)?;
    (of.into_inner() == session).then_some(halves)
}

async fn open(connection: quinn::Connection, session: u64) -> Result<Halves, Error> {
    let mut halves = connection.open_bi().await?;
    let mut header = Vec::with_capacity(2 * VarInt::MAX_SIZE);
    Frame::WEBTRANSPORT.encode(&mut header);
    VarInt::from_u64(session).map_err(|_| Error::Ended)?.encode(&mut header);
    halves.0.write_all(&header).await.map_err(|error| Error::Stream(error.into()))?;
    Ok(halves)
}

/// Holds the two streams of QPACK, whose end would be the connection's (RFC 9204 4.2), and drops all others in one direction, which stops them: no protocol of
/// libp2p uses such.
async fn keep_what_http_needs(connection: quinn::Connection) -> ConnectionError {
    let mut held = Vec::new();
    loop {
        match connection.accept_uni().await {
            Ok(mut stream) => {
                let kind = VarInt::read(&mut stream).await.map(StreamUni);
                if matches!(kind, Ok(StreamUni::QPACK_ENCODER | StreamUni::QPACK_DECODER)) && held.len() < 2 {
                    held.push(stream);
                }
            }
            Err(error) => return error,
        }
    }
}

/// Throws away what comes: capsules, of which the one that ends a session is followed by the stream's end.
async fn until_the_end(mut receive: RecvStream) {
    while let Ok(Some(_)) = receive.read_chunk(PIECE, true).await {}
}

//! The browser's WebTransport (<https://www.w3.org/TR/webtransport/>), as far as libp2p uses it. web-sys has it only among what is unstable, for which the
//! whole build would have to ask.

use std::{
    io,
    task::{Context, Poll, ready},
};

use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use libp2p::multiaddr::multihash::Multihash;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, ReadableStreamDefaultReader, WritableStream};

use super::{failed, promised::Promised, stream::Stream};

#[wasm_bindgen]
extern "C" {
    #[derive(Debug)]
    type WebTransport;
    #[wasm_bindgen(constructor, catch)]
    fn new(url: &str, options: &Object) -> Result<WebTransport, JsValue>;
    #[wasm_bindgen(method, getter)]
    fn ready(this: &WebTransport) -> Promise;
    #[wasm_bindgen(method, getter)]
    fn closed(this: &WebTransport) -> Promise;
    #[wasm_bindgen(method, getter, js_name = incomingBidirectionalStreams)]
    fn incoming(this: &WebTransport) -> ReadableStream;
    #[wasm_bindgen(method, js_name = createBidirectionalStream)]
    fn create(this: &WebTransport) -> Promise;
    #[wasm_bindgen(method)]
    fn close(this: &WebTransport);

    /// Its two halves.
    type BidirectionalStream;
    #[wasm_bindgen(method, getter)]
    fn readable(this: &BidirectionalStream) -> ReadableStream;
    #[wasm_bindgen(method, getter)]
    fn writable(this: &BidirectionalStream) -> WritableStream;

    /// What a reader's promise comes to.
    pub(super) type Received;
    /// `undefined` where nothing more comes.
    #[wasm_bindgen(method, getter)]
    pub(super) fn value(this: &Received) -> JsValue;
}

/// A session with a server. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Session {
    transport: WebTransport,
    incoming: ReadableStreamDefaultReader,
    accepted: Promised,
    created: Promised,
}

impl Session {
    /// Opens one. With hashes, the server must show one of the certificates that have them; without, one of an authority.
    ///
    /// # Errors
    /// Where the browser refuses to try, or the server to answer.
    pub(super) async fn open(url: &str, hashes: &[Multihash<64>]) -> io::Result<Self> {
        let transport = WebTransport::new(url, &options(hashes)).map_err(failed)?;
        // It is rejected where nobody is there, which `ready` says as well.
        Promised::new().wait_for(&transport.closed());
        let incoming = transport.incoming().get_reader().unchecked_into();
        let session = Self { incoming, accepted: Promised::new(), created: Promised::new(), transport };
        JsFuture::from(session.transport.ready()).await.map_err(failed)?;
        Ok(session)
    }

    /// A stream of ours, once the server lets us open one more.
    pub(super) fn poll_create(&self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        if !self.created.is_waiting() {
            self.created.wait_for(&self.transport.create());
        }
        let stream = ready!(self.created.poll(context))?;
        Poll::Ready(begun(&stream))
    }

    /// The server's next stream.
    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        if !self.accepted.is_waiting() {
            self.accepted.wait_for(&self.incoming.read());
        }
        let stream = ready!(self.accepted.poll(context))?.unchecked_into::<Received>().value();
        Poll::Ready(if stream.is_undefined() { Err(io::Error::other("the server closed the session")) } else { begun(&stream) })
    }

    /// Ends it, and all its streams.
    pub(super) fn close(&self) {
        self.transport.close();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

fn begun(stream: &JsValue) -> io::Result<Stream> {
    let stream = stream.unchecked_ref::<BidirectionalStream>();
    Ok(Stream::new(stream.readable().get_reader().unchecked_into(), stream.writable().get_writer().map_err(failed)?))
}

/// `{ serverCertificateHashes: [{ algorithm: 'sha-256', value }] }`, and nothing without hashes.
fn options(hashes: &[Multihash<64>]) -> Object {
    let hash =
        |hash: &Multihash<64>| object(&[("algorithm", "sha-256".into()), ("value", Uint8Array::new_from_slice(hash.digest()).into())]);
    let hashes: Array = hashes.iter().map(hash).collect();
    if hashes.length() == 0 { Object::new() } else { object(&[("serverCertificateHashes", hashes.into())]) }
}

fn object(fields: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in fields {
        // A plain object takes every field.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object
}

//! What a page can publish, as a stream of leaves: exact pieces of a file in constant memory, whatever its length.

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream, stream::LocalBoxStream};
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, ReadableStream, ReadableStreamDefaultReader};

use crate::{error::Error, platform::describe};

/// Pieces of a Blob read ahead: reading, hashing and storing overlap.
const READ_AHEAD: usize = 4;

/// Something to publish.
#[derive(Debug)]
pub enum Source {
    /// All of it is here.
    Bytes(Uint8Array),
    /// A Blob or File, read piece by piece.
    Blob(Blob),
    /// Of unknown length.
    Stream(ReadableStream),
}

impl Source {
    /// Recognises what JavaScript gave.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for anything else.
    pub fn from_js(value: JsValue) -> Result<Self, Error> {
        let value = match value.dyn_into::<Uint8Array>() {
            Ok(bytes) => return Ok(Self::Bytes(bytes)),
            Err(value) => value,
        };
        let value = match value.dyn_into::<Blob>() {
            Ok(blob) => return Ok(Self::Blob(blob)),
            Err(value) => value,
        };
        let unsupported =
            || Error::Unsupported("only a Uint8Array, ArrayBuffer, string, Blob, File or ReadableStream can be published".to_owned());
        value.dyn_into::<ReadableStream>().map(Self::Stream).map_err(|_| unsupported())
    }

    /// Bytes in all, where known.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.length().into()),
            Self::Blob(blob) => Some(blob.size() as u64),
            Self::Stream(_) => None,
        }
    }

    /// The leaves: pieces of exactly `size` bytes, the last one shorter; none for an empty source.
    pub fn leaves(self, size: usize) -> LocalBoxStream<'static, Result<Bytes, Error>> {
        let size = size.max(1);
        match self {
            Self::Bytes(bytes) => {
                let length = bytes.length();
                let step = u32::try_from(size).unwrap_or(u32::MAX);
                stream::iter((0..length).step_by(size))
                    .map(move |start| Ok(Bytes::from(bytes.subarray(start, start.saturating_add(step).min(length)).to_vec())))
                    .boxed_local()
            }
            Self::Blob(blob) => {
                let (length, step) = (blob.size(), size as f64);
                let pieces = (length / step).ceil() as u64;
                stream::iter(0..pieces)
                    .map(move |index| read_blob(blob.clone(), index as f64 * step, ((index + 1) as f64 * step).min(length)))
                    .buffered(READ_AHEAD)
                    .boxed_local()
            }
            Self::Stream(stream) => read_stream(stream, size),
        }
    }
}

async fn read_blob(blob: Blob, start: f64, end: f64) -> Result<Bytes, Error> {
    let unreadable = |error: JsValue| Error::NotFound(format!("the file can no longer be read ({}); choose it again", describe(&error)));
    let slice = blob.slice_with_f64_and_f64(start, end).map_err(unreadable)?;
    let buffer = JsFuture::from(slice.array_buffer()).await.map_err(unreadable)?;
    let bytes = Bytes::from(Uint8Array::new(buffer.unchecked_ref::<ArrayBuffer>()).to_vec());
    // A file that shrank while it was read would otherwise be published as something that never existed.
    if bytes.len() as f64 == end - start {
        Ok(bytes)
    } else {
        Err(Error::NotFound("the file changed while it was read; choose it again".to_owned()))
    }
}

/// Cancels the stream when the publication is given up.
struct Reader(ReadableStreamDefaultReader);

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.cancel();
    }
}

fn read_stream(stream: ReadableStream, size: usize) -> LocalBoxStream<'static, Result<Bytes, Error>> {
    let Ok(reader) = stream.get_reader().dyn_into::<ReadableStreamDefaultReader>() else {
        return stream::once(async { Err(Error::Unsupported("this ReadableStream cannot be read".to_owned())) }).boxed_local();
    };
    stream::try_unfold((Reader(reader), BytesMut::new(), false), move |(reader, mut buffer, mut ended)| async move {
        while buffer.len() < size && !ended {
            match read_chunk(&reader.0).await? {
                Some(chunk) => buffer.extend_from_slice(&chunk),
                None => ended = true,
            }
        }
        let leaf = buffer.split_to(size.min(buffer.len())).freeze();
        Ok((!leaf.is_empty()).then_some((leaf, (reader, buffer, ended))))
    })
    .into_stream()
    .boxed_local()
}

async fn read_chunk(reader: &ReadableStreamDefaultReader) -> Result<Option<Vec<u8>>, Error> {
    let failed = |error: JsValue| Error::NotFound(format!("the stream that was to be published failed: {}", describe(&error)));
    let result = JsFuture::from(reader.read()).await.map_err(failed)?;
    let field = |name: &str| js_sys::Reflect::get(&result, &name.into()).map_err(failed);
    if field("done")?.is_truthy() {
        return Ok(None);
    }
    match field("value")?.dyn_into::<Uint8Array>() {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(_) => Err(Error::Unsupported("the stream must give Uint8Arrays".to_owned())),
    }
}

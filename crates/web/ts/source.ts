/** What `publishContent` takes, brought into the two forms that travel: an object that is copied, or a stream that is asked for its chunks. */
import { ShoalError } from './errors.ts'
import type { ContentSource } from './types.ts'

/** A source ready to be sent. */
export type Prepared =
  /** Sent by reference; the same bytes again, however often. */
  | { kind: 'blob'; blob: Blob }
  /** A copy of its own, which is handed over. */
  | { kind: 'bytes'; bytes: Uint8Array<ArrayBuffer> }
  /**
   * Read chunk by chunk through the protocol. Transferring the stream itself would copy each chunk just the same, does not work in Safari nor between
   * tabs, and would be a second way to do one thing.
   */
  | { kind: 'stream'; stream: ReadableStream<Uint8Array> }

/** Copies or wraps a source. Throws `InvalidSource` for anything else. */
export function prepare(source: ContentSource): Prepared {
  if (typeof source === 'string') return { kind: 'bytes', bytes: new TextEncoder().encode(source) }
  if (source instanceof Blob) return { kind: 'blob', blob: source }
  if (source instanceof ArrayBuffer) return { kind: 'bytes', bytes: new Uint8Array(source.slice(0)) }
  if (ArrayBuffer.isView(source)) return { kind: 'bytes', bytes: new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice() }
  if (source instanceof ReadableStream) {
    if (source.locked) throw invalid('this stream is being read already; pass one that nobody reads')
    return { kind: 'stream', stream: source }
  }
  throw invalid('pass bytes, a string, a Blob or File, or a ReadableStream of Uint8Array')
}

function invalid(remedy: string): ShoalError {
  return new ShoalError('InvalidSource', `This cannot be published: ${remedy}.`)
}

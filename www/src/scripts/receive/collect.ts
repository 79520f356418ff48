/**
 * A content on its way into the page. Chunks are folded into Blobs of some megabytes, which browsers keep outside the page's memory, so a
 * file of any size passes through little of it. A very large one is not kept here at all: the node's store has it.
 */

import { headLength } from './kind.ts'

/** Bytes that are gathered before they become one Blob. */
const fold = 8 * 1024 * 1024

/** Contents up to this many bytes are kept for showing; larger ones are read again from the store when they are saved. */
export const keepLimit = 256 * 1000 * 1000

/** What arrived. */
export interface Collected {
  /** The first bytes, enough to tell what it is. */
  head: Uint8Array
  /** All bytes, unless there were more than the limit. */
  blob: Blob | undefined
}

/** Reads the stream to its end. @param limit bytes to keep at most */
export async function collect(stream: ReadableStream<Uint8Array>, limit = keepLimit): Promise<Collected> {
  let parts: Blob[] = []
  let chunks: Uint8Array<ArrayBuffer>[] = []
  let gathered = 0
  let size = 0
  const head = new Uint8Array(headLength)
  const reader = (stream as ReadableStream<Uint8Array<ArrayBuffer>>).getReader()
  for (;;) {
    const { done, value: chunk } = await reader.read()
    if (done) break
    if (size < headLength) head.set(chunk.subarray(0, headLength - size), size)
    size += chunk.byteLength
    if (size > limit) {
      parts = []
      chunks = []
      gathered = 0
      continue
    }
    chunks.push(chunk)
    gathered += chunk.byteLength
    if (gathered >= fold) {
      parts.push(new Blob(chunks))
      chunks = []
      gathered = 0
    }
  }
  return { head: head.slice(0, Math.min(size, headLength)), blob: size > limit ? undefined : new Blob([...parts, ...chunks]) }
}

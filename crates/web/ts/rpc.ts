/**
 * The one protocol between page code and a node, whatever lies between them: a worker, another tab, or nothing.
 *
 * Requests are numbered. A request may send progress back, may be cancelled, may bring a stream of bytes in (the answering side asks for each
 * chunk: `want`) and may be answered by a stream (the call asks for the first item, `pull` for each further one; the answering side keeps one ready).
 * Nothing but the end is sent that was not asked for, so memory stays bounded on both sides without counters. Buffers are transferred where the port
 * can, and copied where it cannot (`BroadcastChannel`). What one side says in one turn goes as one message: an array (`outbox.ts`).
 *
 *     Caller                         Server
 *       call 7 read {cid}   ->
 *                           <-   progress 7 {phase: 'connecting'}
 *                           <-   result 7 {size}, item 7 bytes
 *       pull 7              ->
 *                           <-   item 7 bytes
 *       cancel 7            ->
 *
 * This file: the messages. `caller.ts` and `server.ts` are the two ends.
 */
import type { WireError } from './errors.ts'

/** What both ends need of a `MessagePort`, a `Worker`, a worker's `self`, or a `BroadcastChannel`. */
export interface Port {
  postMessage(message: unknown, transfer?: Transferable[]): void
  onmessage: ((event: MessageEvent) => void) | null
}

/** What the asking side sends. */
export type Request =
  | {
      type: 'call'
      id: number
      method: string
      parameters: unknown
      /** Whether chunks may be asked for. */
      input: boolean
      /** Whether anybody wants to hear of progress. */
      progress: boolean
    }
  /** Nobody waits for this call or stream any more. */
  | { type: 'cancel'; id: number }
  /** The next item but the first of the stream that answered a call. */
  | { type: 'pull'; id: number }
  /** The answer to `want`; without data the input has ended. */
  | { type: 'chunk'; id: number; data?: Uint8Array }

/** What the answering side sends. */
export type Reply =
  | { type: 'progress'; id: number; value: unknown }
  /** The call succeeded. Where `stream` is set, items follow until `end`: the first unasked, the others as they are pulled. */
  | { type: 'result'; id: number; value: unknown; stream: boolean }
  | { type: 'failure'; id: number; error: WireError }
  | { type: 'item'; id: number; value: unknown }
  | { type: 'end'; id: number }
  /** The next chunk of the call's input, please. */
  | { type: 'want'; id: number }

/** Items that come one by one, each when it is asked for. */
export interface Source<Item> {
  /** The next item, or `undefined` at the end. Never called again before it has settled. */
  next(): Promise<Item | undefined>
  /** Nobody will ask again. Harmless after the end. */
  cancel(): void
}

/** The port went away before the call was answered; the message says why. Whether the call took effect is not known. */
export class Disconnected extends Error {
  override readonly name = 'Disconnected'
}

/** The buffers of a message that may change owner: those that nothing else looks at. */
export function transferable(value: unknown): Transferable[] {
  return value instanceof Uint8Array && value.buffer instanceof ArrayBuffer ? [value.buffer] : []
}

/** The bytes in a buffer of exactly their size, so that sending them sends nothing else. */
export function exact(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength
    ? (bytes as Uint8Array<ArrayBuffer>)
    : new Uint8Array(bytes)
}

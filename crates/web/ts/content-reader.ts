/** Reads a content chunk by chunk, and goes on at the byte where it was when the node behind it was replaced. */
import type { Answer, Caller } from './caller.ts'
import { ShoalError } from './errors.ts'
import { Disconnected, type Source } from './rpc.ts'
import type { FetchOptions } from './types.ts'

/** Runs a call on a session, and again on the next one where that is allowed. */
export type Attempt = <Result>(signal: AbortSignal | undefined, call: (caller: Caller) => Promise<Result>) => Promise<Result>

/** One read of a content, or of a range of it. */
export class ContentReader implements Source<Uint8Array> {
  readonly #cid: string
  readonly #options: FetchOptions
  readonly #attempt: Attempt
  readonly #offset: number
  #items: Source<Uint8Array> | undefined
  /** Bytes that will have come, once known. */
  #size: number | undefined
  #delivered = 0
  #cancelled = false

  /** Throws `InvalidRange` for an offset or length that is no number of bytes. */
  constructor(cid: string, options: FetchOptions, attempt: Attempt) {
    this.#cid = cid
    this.#options = options
    this.#attempt = attempt
    this.#offset = bytes('offset', options.offset) ?? 0
    bytes('length', options.length)
  }

  /** How many bytes will come. */
  async size(): Promise<number> {
    if (this.#size === undefined) await this.#open()
    return this.#size ?? 0
  }

  /** The next chunk, verified; `undefined` at the end, when all of it is stored. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#cancelled) return undefined
      if (!this.#items) await this.#open()
      try {
        const chunk = await this.#items?.next()
        this.#delivered += chunk?.byteLength ?? 0
        return chunk
      } catch (error) {
        if (!(error instanceof Disconnected)) throw error
        this.#items = undefined // the next session goes on from here
      }
    }
  }

  /** Stops. What has arrived stays stored. */
  cancel(): void {
    this.#cancelled = true
    this.#items?.cancel()
  }

  async #open(): Promise<void> {
    const { from, via, length, signal, onProgress } = this.#options
    const left = this.#size === undefined ? length : this.#size - this.#delivered
    const options = {
      ...(from !== undefined && { from }),
      ...(via !== undefined && { via }),
      ...(this.#offset + this.#delivered > 0 && { offset: this.#offset + this.#delivered }),
      ...(left !== undefined && { length: left }),
    }
    const { value, items } = await this.#attempt(signal, (caller): Promise<Answer<{ size: number }, Uint8Array>> =>
      caller.open('read', { cid: this.#cid, options }, { signal, onProgress }),
    )
    this.#size ??= value.size
    this.#items = items
    if (this.#cancelled) items.cancel()
  }
}

function bytes(field: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return value
  throw new ShoalError('InvalidRange', `${field}: must be a whole number of bytes, zero or more, got ${value}.`)
}

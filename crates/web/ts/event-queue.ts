/**
 * A bounded queue of node events, for a reader that may lag.
 *
 * When it is full the oldest goes, but never the newest status: whoever comes late must still learn how things stand.
 */
import type { NodeEvent } from './types.ts'
import type { Source } from './rpc.ts'

/** Events kept for one reader: some seconds of a busy node, some tens of kilobytes. */
export const EVENT_CAPACITY = 256

/** One reader's events. */
export class EventQueue implements Source<NodeEvent> {
  readonly #events: NodeEvent[] = []
  #waiting: ((event: NodeEvent | undefined) => void) | undefined
  #ended = false

  /** Adds an event; drops one when full. */
  push(event: NodeEvent): void {
    if (this.#ended) return
    if (this.#waiting) return this.#deliver(event)
    this.#events.push(event)
    if (this.#events.length > EVENT_CAPACITY) this.#events.splice(this.#oldestExpendable(), 1)
  }

  /** The next event; `undefined` once ended and read to the end. One reader at a time. */
  next(): Promise<NodeEvent | undefined> {
    const event = this.#events.shift()
    if (event || this.#ended) return Promise.resolve(event)
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  /** Nothing more will be pushed; what is queued can still be read. */
  end(): void {
    this.#ended = true
    this.#deliver(undefined)
  }

  /** Nobody will read. */
  cancel(): void {
    this.#events.length = 0
    this.end()
  }

  #deliver(event: NodeEvent | undefined): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.(event)
  }

  #oldestExpendable(): number {
    const newestStatus = this.#events.findLastIndex((event) => event.type === 'status')
    return newestStatus === 0 ? 1 : 0
  }
}

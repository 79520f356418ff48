/**
 * Two ends of a channel within one thread that passes objects as they are: no clone, no transfer.
 *
 * For browsers whose `RTCDataChannel` cannot be sent through a `MessagePort`. As with a real port, delivery is a later task in order, messages wait
 * until somebody listens, and nothing arrives after `close`.
 */
import type { Port } from './rpc.ts'

/** One end. The part of `MessagePort` that the node and the shim use. */
export class LocalPort extends EventTarget implements Port {
  #peer: LocalPort | undefined
  #listener: ((event: MessageEvent) => void) | null = null
  #started = false
  #waiting: unknown[] = []

  /** @internal */
  static pair(): [LocalPort, LocalPort] {
    const [one, other] = [new LocalPort(), new LocalPort()]
    one.#peer = other
    other.#peer = one
    return [one, other]
  }

  get onmessage(): ((event: MessageEvent) => void) | null {
    return this.#listener
  }

  set onmessage(listener: ((event: MessageEvent) => void) | null) {
    this.#listener = listener
    if (listener) this.start()
  }

  postMessage(message: unknown): void {
    const peer = this.#peer
    if (!peer) return
    peer.#waiting.push(message)
    if (peer.#started) queueMicrotask(() => peer.#deliver())
  }

  /** Lets messages through to listeners that were added by `addEventListener`. */
  start(): void {
    if (this.#started) return
    this.#started = true
    queueMicrotask(() => this.#deliver())
  }

  close(): void {
    if (this.#peer) this.#peer.#peer = undefined
    this.#peer = undefined
    this.#started = false
    this.#waiting = []
  }

  #deliver(): void {
    while (this.#started && this.#waiting.length > 0) {
      const event = new MessageEvent('message', { data: this.#waiting.shift() })
      this.#listener?.(event)
      this.dispatchEvent(event)
    }
  }
}

/** A connected pair. */
export function localPorts(): [LocalPort, LocalPort] {
  return LocalPort.pair()
}

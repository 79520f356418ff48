/**
 * What one end of a port has to say, as one message a turn.
 *
 * A message costs both threads far more than what is in it, and what comes together is dealt with together on the other side: reads share a
 * transaction of the database, requests to a peer share a packet. Nothing waits for a clock: a turn is over before the next event is handled.
 */
import type { Port } from './rpc.ts'

interface Waiting<Message> {
  message: Message
  transfer: Transferable[]
}

/** Messages of one turn, on their way to a port. The other side receives arrays of them. */
export class Outbox<Message> {
  readonly #port: Port
  readonly #refused: (message: Message, error: unknown) => void
  #waiting: Waiting<Message>[] = []

  /** @param refused called with a message that cannot be sent, such as one that holds a function */
  constructor(port: Port, refused: (message: Message, error: unknown) => void) {
    this.#port = port
    this.#refused = refused
  }

  /** Sends `message` with whatever else this turn brings, in order. What is in `transfer` changes owner then. */
  post(message: Message, transfer: Transferable[] = []): void {
    this.#waiting.push({ message, transfer })
    if (this.#waiting.length === 1) queueMicrotask(() => this.flush())
  }

  /** Sends what waits now: the port is about to be closed. */
  flush(): void {
    const waiting = this.#waiting
    this.#waiting = []
    if (waiting.length === 0) return
    try {
      this.#send(waiting)
    } catch {
      // One of them cannot be sent; the others shall not suffer for it.
      for (const single of waiting) this.#sendSingle(single)
    }
  }

  #sendSingle(single: Waiting<Message>): void {
    try {
      this.#send([single])
    } catch (error) {
      this.#refused(single.message, error)
    }
  }

  #send(waiting: Waiting<Message>[]): void {
    this.#port.postMessage(
      waiting.map(({ message }) => message),
      waiting.flatMap(({ transfer }) => transfer),
    )
  }
}

/** The asking end of the protocol in `rpc.ts`. */
import { fromWire, ShoalError } from './errors.ts'
import { Outbox } from './outbox.ts'
import { Disconnected, transferable, type Port, type Reply, type Request, type Source } from './rpc.ts'

/** What may accompany a call. */
export interface CallSettings {
  signal?: AbortSignal | undefined
  onProgress?: ((value: never) => void) | undefined
  /** Read chunk by chunk as the other side asks for it; cancelled when the call ends early. */
  input?: ReadableStream<Uint8Array>
  /** Objects in the parameters that change owner. */
  transfer?: Transferable[]
}

/** A call that was answered by a stream. */
export interface Answer<Value, Item> {
  value: Value
  items: Source<Item>
}

/** Makes calls through a port, which it owns from then on. */
export class Caller {
  readonly #port: Port
  readonly #outbox: Outbox<Request>
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  #closed: Disconnected | undefined

  constructor(port: Port) {
    this.#port = port
    this.#outbox = new Outbox(port, ({ type, id }, error) => this.#refused(type, id, error))
    port.onmessage = (event) => {
      for (const reply of event.data as Reply[]) this.#receive(reply)
    }
  }

  /** One request, one answer. Rejects with the other side's error, the signal's reason, or `Disconnected`. */
  async call<Value>(method: string, parameters: unknown, settings: CallSettings = {}): Promise<Value> {
    return (await this.#begin(method, parameters, settings)).value as Value
  }

  /** One request that is answered by a stream. The signal goes on to govern the stream. */
  async open<Value, Item>(method: string, parameters: unknown, settings: CallSettings = {}): Promise<Answer<Value, Item>> {
    const { value, pending } = await this.#begin(method, parameters, settings)
    const items: Source<Item> = {
      next: () => this.#pull(pending) as Promise<Item | undefined>,
      cancel: () => this.#cancel(pending, new ShoalError('AbortError', 'The stream was cancelled.')),
    }
    return { value: value as Value, items }
  }

  /** Gives the port up: whatever waits rejects with `Disconnected`, and so does every later call. */
  close(reason: string): void {
    if (this.#closed) return
    this.#closed = new Disconnected(reason)
    this.#port.onmessage = null
    this.#outbox.flush()
    for (const pending of [...this.#pending.values()]) this.#settle(pending, this.#closed)
  }

  #begin(method: string, parameters: unknown, settings: CallSettings): Promise<{ value: unknown; pending: Pending }> {
    const { signal, onProgress, input, transfer } = settings
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      if (this.#closed) return reject(this.#closed)
      const pending: Pending = {
        id: ++this.#lastId,
        answered: (value) => resolve({ value, pending }),
        failed: reject,
        progress: onProgress as ((value: unknown) => void) | undefined,
        input: input?.getReader(),
        item: undefined,
        asked: true,
        arrived: undefined,
        ended: undefined,
        forget: () => signal?.removeEventListener('abort', abort),
      }
      const abort = () => this.#cancel(pending, signal?.reason)
      signal?.addEventListener('abort', abort)
      this.#pending.set(pending.id, pending)
      this.#outbox.post({ type: 'call', id: pending.id, method, parameters, input: input !== undefined, progress: onProgress !== undefined }, transfer)
    })
  }

  #pull(pending: Pending): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { arrived, ended } = pending
      pending.arrived = undefined
      if (arrived) return resolve(arrived.value)
      if (ended) return ended.error === undefined ? resolve(undefined) : reject(ended.error)
      pending.item = { resolve, reject }
      if (!pending.asked) this.#outbox.post({ type: 'pull', id: pending.id })
      pending.asked = true
    })
  }

  #receive(reply: Reply): void {
    const pending = this.#pending.get(reply.id)
    if (!pending) return // cancelled meanwhile
    switch (reply.type) {
      case 'progress':
        return pending.progress && callBack(pending.progress, reply.value)
      case 'want':
        return void this.#feed(pending)
      case 'result':
        if (!reply.stream) this.#settle(pending, undefined)
        return pending.answered(reply.value)
      case 'item': {
        const { item } = pending
        pending.item = undefined
        pending.asked = false
        if (!item) pending.arrived = { value: reply.value }
        return item?.resolve(reply.value)
      }
      case 'failure':
        return this.#settle(pending, fromWire(reply.error))
      case 'end':
        return this.#settle(pending, undefined)
    }
  }

  /** Answers one `want`. What the user's own stream throws is what the user's call rejects with. */
  async #feed(pending: Pending): Promise<void> {
    try {
      const { value, done } = await pending.input!.read()
      if (!this.#pending.has(pending.id)) return
      if (done) {
        pending.input = undefined
        return this.#outbox.post({ type: 'chunk', id: pending.id })
      }
      const data = asBytes(value).slice() // the user may go on using the buffer
      this.#outbox.post({ type: 'chunk', id: pending.id, data }, transferable(data))
    } catch (error) {
      this.#cancel(pending, error)
    }
  }

  #cancel(pending: Pending, reason: unknown): void {
    if (!this.#pending.has(pending.id)) return
    this.#outbox.post({ type: 'cancel', id: pending.id })
    pending.arrived = undefined
    this.#settle(pending, reason)
  }

  /** A request of the call could not be sent. */
  #refused(type: Request['type'], id: number, error: unknown): void {
    const pending = this.#pending.get(id)
    if (!pending) return
    if (type === 'call') this.#settle(pending, error)
    else this.#cancel(pending, error)
  }

  /** The last thing that happens to a call; `error` is undefined where all went well. */
  #settle(pending: Pending, error: unknown): void {
    this.#pending.delete(pending.id)
    pending.forget()
    pending.ended = { error }
    pending.input?.cancel(error).catch(() => {})
    if (error === undefined) return pending.item?.resolve(undefined)
    pending.failed(error)
    pending.item?.reject(error)
  }
}

interface Pending {
  id: number
  answered(value: unknown): void
  failed(error: unknown): void
  progress: ((value: unknown) => void) | undefined
  input: ReadableStreamDefaultReader<unknown> | undefined
  /** Whoever waits for the next item. */
  item: { resolve(value: unknown): void; reject(error: unknown): void } | undefined
  /** Whether the next item has been asked for: the call itself asks for the first. */
  asked: boolean
  /** The item that came before anybody waited for it. */
  arrived: { value: unknown } | undefined
  /** Set once nothing more will come. */
  ended: { error: unknown } | undefined
  /** Stops listening to the signal. */
  forget(): void
}

function asBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  const kind = value === null ? 'null' : typeof value
  throw new ShoalError('InvalidSource', `The stream gave a chunk of type ${kind}; chunks must be Uint8Array. Pipe text through a TextEncoderStream.`)
}

/** An error in the user's callback is the user's: it is reported like one in an event listener, and does not disturb the call. */
function callBack(callback: (value: unknown) => void, value: unknown): void {
  try {
    callback(value)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

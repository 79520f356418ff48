/** The answering end of the protocol in `rpc.ts`. */
import { ShoalError, toWire } from './errors.ts'
import { Outbox } from './outbox.ts'
import { transferable, type Port, type Reply, type Request, type Source } from './rpc.ts'

/** What a handler may use besides its parameters. */
export interface Context {
  /** Aborted when the caller gave up. */
  signal: AbortSignal
  /** Sends progress; absent where nobody wants to hear of it. Ignored once the call is over. */
  progress: ((value: unknown) => void) | undefined
  /** The caller's stream, if the call brought one. Each chunk is fetched when it is read. */
  input: ReadableStream<Uint8Array> | undefined
}

/** Answers one method. */
export type Handler = (parameters: never, context: Context) => Promise<unknown>

/** What a handler returns to answer with a stream. */
export class Streaming<Item> {
  readonly value: unknown
  readonly items: Source<Item>

  constructor(value: unknown, items: Source<Item>) {
    this.value = value
    this.items = items
  }
}

/** Calls of one port that may be open at once: far more than an application needs, and a bound on what a runaway loop can pile up. */
const MAX_CALLS = 1_024

/**
 * Answers a port's calls until closed. A handler that never settles leaves its call open: that is how a node that has died keeps silent until the
 * port is given up.
 */
export function serve(port: Port, handlers: Readonly<Record<string, Handler>>): { close(): void } {
  const open = new Map<number, Call>()
  const outbox = new Outbox<Reply>(port, ({ type, id }, error) => {
    open.get(id)?.cancel()
    if (type !== 'failure') outbox.post({ type: 'failure', id, error: toWire(error) })
  })

  port.onmessage = (event) => {
    for (const request of event.data as Request[]) receive(request)
  }

  function receive(request: Request): void {
    if (request.type === 'call') return begin(request)
    const call = open.get(request.id)
    if (request.type === 'cancel') call?.cancel()
    else if (request.type === 'pull') call?.pull()
    else if (request.type === 'chunk') call?.chunk(request.data)
  }

  function begin(request: Request & { type: 'call' }): void {
    const call = new Call(request.id, request.input, (reply, transfer) => outbox.post(reply, transfer), () => open.delete(request.id))
    const handler = Object.hasOwn(handlers, request.method) ? handlers[request.method] : undefined
    if (!handler) return call.fail(new ShoalError('Internal', `There is no method ${request.method} here. Reload the page: its parts are of different versions.`))
    if (open.size >= MAX_CALLS) return call.fail(new ShoalError('Internal', `${MAX_CALLS} calls are open at once. Wait for some of them to end.`))
    open.set(request.id, call)
    void call.run(handler, request.parameters as never, request.progress)
  }

  return {
    close() {
      port.onmessage = null
      for (const call of [...open.values()]) call.cancel()
      outbox.flush()
    },
  }
}

/** One open call, and the stream that may follow it. */
class Call {
  readonly #id: number
  readonly #send: (reply: Reply, transfer?: Transferable[]) => void
  readonly #forget: () => void
  readonly #abort = new AbortController()
  readonly #input: Input | undefined
  #items: Source<unknown> | undefined
  /** Settles when the caller asks for the next item but the first, for which the call asked. */
  #asked = Promise.withResolvers<void>()
  #over = false

  constructor(id: number, input: boolean, send: (reply: Reply, transfer?: Transferable[]) => void, forget: () => void) {
    this.#id = id
    this.#send = send
    this.#forget = forget
    this.#input = input ? new Input(() => this.#reply({ type: 'want', id })) : undefined
  }

  async run(handler: Handler, parameters: never, heard: boolean): Promise<void> {
    try {
      const result = await handler(parameters, {
        signal: this.#abort.signal,
        progress: heard ? (value) => this.#reply({ type: 'progress', id: this.#id, value }) : undefined,
        input: this.#input?.stream,
      })
      if (result instanceof Streaming) {
        if (this.#over) return result.items.cancel()
        this.#items = result.items
        this.#reply({ type: 'result', id: this.#id, value: result.value, stream: true })
        await this.#follow(result.items)
      } else {
        this.#reply({ type: 'result', id: this.#id, value: result, stream: false }, transferable(result))
        this.#end()
      }
    } catch (error) {
      this.fail(error)
    }
  }

  /** Keeps one item ready for the caller, and tells the end without being asked: who knows how much there is stops asking before it. */
  async #follow(items: Source<unknown>): Promise<void> {
    this.#asked.resolve()
    for (let value = await items.next(); value !== undefined; value = await items.next()) {
      await this.#asked.promise
      if (this.#over) return
      this.#asked = Promise.withResolvers()
      this.#reply({ type: 'item', id: this.#id, value }, transferable(value))
    }
    this.#reply({ type: 'end', id: this.#id })
    this.#end()
  }

  pull(): void {
    this.#asked.resolve()
  }

  chunk(data: Uint8Array | undefined): void {
    this.#input?.supply(data)
  }

  cancel(): void {
    if (this.#over) return
    const reason = new DOMException('The caller gave up.', 'AbortError')
    this.#end()
    this.#abort.abort(reason)
    this.#input?.fail(reason)
    this.#items?.cancel()
  }

  fail(error: unknown): void {
    this.#reply({ type: 'failure', id: this.#id, error: toWire(error) })
    this.#end()
  }

  #end(): void {
    this.#over = true
    this.#asked.resolve()
    this.#forget()
  }

  #reply(reply: Reply, transfer?: Transferable[]): void {
    if (!this.#over) this.#send(reply, transfer)
  }
}

/** The caller's bytes as a stream: one chunk is asked for when there is room for one. */
class Input {
  readonly stream: ReadableStream<Uint8Array>
  #controller!: ReadableStreamDefaultController<Uint8Array>
  #arrived: (() => void) | undefined
  #over = false

  constructor(want: () => void) {
    this.stream = new ReadableStream({
      start: (controller) => {
        this.#controller = controller
      },
      pull: () =>
        new Promise<void>((resolve) => {
          this.#arrived = resolve
          want()
        }),
      cancel: () => {
        this.#over = true
      },
    })
  }

  supply(data: Uint8Array | undefined): void {
    if (this.#over) return
    if (data) {
      this.#controller.enqueue(data)
    } else {
      this.#over = true
      this.#controller.close()
    }
    this.#arrived?.()
  }

  fail(reason: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#controller.error(reason)
    this.#arrived?.()
  }
}

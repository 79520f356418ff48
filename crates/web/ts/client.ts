/**
 * The node as application code sees it.
 *
 * Behind it nodes may come and go: the worker died and was started again, or the tab that ran the node was closed and another took over. Each one that
 * answers is a session. A call that can be made twice without harm is made again on the next session; a read goes on at the byte where it was.
 */
import type { Caller } from './caller.ts'
import { nearbyWish } from './config.ts'
import { ContentReader } from './content-reader.ts'
import { ShoalError } from './errors.ts'
import { EventQueue } from './event-queue.ts'
import type { Identity } from './node-server.ts'
import { Disconnected } from './rpc.ts'
import { prepare } from './source.ts'
import { keepStorage } from './storage.ts'
import type {
  CallOptions,
  ConnectionInfo,
  ContentSource,
  ContentStat,
  Diagnosis,
  FetchOptions,
  Nearby,
  NodeEvent,
  NodeStatus,
  OfferOptions,
  PublishOptions,
  ShoalNode,
} from './types.ts'

/** A node that answers, wherever it runs. */
export interface Session {
  caller: Caller
  identity: Identity
  /** What this tab has to add to `status().limitations`. */
  limitations: string[]
  /** Whether it runs in another tab, to which buffers cannot be handed over. */
  far: boolean
}

/** How often a call is made again when the node went away under it: a call that kills the node must not do so for ever. */
const MOST_REPEATS = 1

/** A `ShoalNode` over whichever session there is. */
export class Client implements ShoalNode {
  readonly #leave: () => Promise<void>
  readonly #keep: boolean
  readonly #remember: (nearby: Nearby) => void
  readonly #readers = new Set<EventQueue>()
  #identity: Identity = { peerId: '', did: '' }
  /** The session that answers now. */
  #active: Session | undefined
  /** The session that answers now or next. */
  #session = pending<Session>()
  /** Why the last session ended, until the next one is there. */
  #lost: string | undefined
  #stopped = false

  /**
   * @param leave ends this tab's part in the node
   * @param keep whether to ask the browser not to clear this origin's storage once there is something in it
   * @param remember told whether the node is to be found by those near it, each time that this may have changed: a successor must do the same
   */
  constructor(leave: () => Promise<void>, keep: boolean, remember: (nearby: Nearby) => void = () => {}) {
    this.#leave = leave
    this.#keep = keep
    this.#remember = remember
  }

  /** @internal A node answers from now on. */
  up(session: Session): void {
    if (this.#stopped) return
    this.#active = session
    this.#identity = session.identity
    this.#session.resolve(session)
    this.#session = pending()
    this.#session.resolve(session)
    if (this.#lost !== undefined) this.#emit({ type: 'restarted', reason: this.#lost })
    this.#lost = undefined
    void this.#follow(session)
    // Somebody in another tab may have asked for something else before this one came.
    if (session.far) this.nearby().catch(() => {})
  }

  /** @internal The node is gone, another will come. */
  down(reason: string): void {
    if (!this.#active || this.#stopped) return
    this.#lost = reason
    this.#active = undefined
    this.#session = pending()
  }

  /** @internal No node will come. */
  failed(error: unknown): void {
    this.#active = undefined
    this.#session.reject(error)
    this.#session = pending()
    this.#session.reject(error)
    this.#endEvents()
  }

  /** @internal Waits for the first session. */
  async ready(signal: AbortSignal | undefined): Promise<void> {
    await this.#current(signal)
  }

  get peerId(): string {
    return this.#identity.peerId
  }

  get did(): string {
    return this.#identity.did
  }

  async publishContent(source: ContentSource, options: PublishOptions = {}): Promise<string> {
    const { signal, profile = 'unixfs-v1-2025', onProgress } = options
    const content = prepare(source)
    const publish = (caller: Caller, { far }: Session): Promise<string> => {
      const send = (source: Blob | Uint8Array, transfer: Transferable[]) => caller.call<string>('publish', { source, profile, far }, { signal, onProgress, transfer })
      if (content.kind === 'stream') return caller.call('publish', { profile }, { signal, onProgress, input: content.stream })
      if (content.kind === 'blob') return send(content.blob, [])
      // Between tabs a message of any size would be copied through the browser's own process; a Blob goes by reference.
      return far ? send(new Blob([content.bytes]), []) : send(content.bytes, [content.bytes.buffer])
    }
    // Only a Blob is still there after it was sent; publishing it again gives the same CID.
    const cid = await this.#attempt(signal, content.kind === 'blob' ? MOST_REPEATS : 0, publish)
    if (this.#keep) keepStorage()
    return cid
  }

  async fetchContent(cid: string, options: FetchOptions = {}): Promise<Uint8Array> {
    const reader = this.#reader(cid, options)
    let content: Uint8Array
    let length = 0
    const size = await reader.size()
    try {
      content = new Uint8Array(size)
    } catch (cause) {
      reader.cancel()
      throw new ShoalError('TooLarge', `The content has ${size} bytes, more than fit into one array here. Read it as a stream with readContent.`, { cause })
    }
    for (let chunk = await reader.next(); chunk; chunk = await reader.next()) {
      if (length + chunk.byteLength > size) throw new ShoalError('Internal', 'More bytes came than were announced. Try again; if it stays, please report it.')
      content.set(chunk, length)
      length += chunk.byteLength
    }
    return length === size ? content : content.slice(0, length)
  }

  readContent(cid: string, options: FetchOptions = {}): ReadableStream<Uint8Array> {
    let reader: ContentReader
    const stream = new ReadableStream<Uint8Array>({
      start: async () => {
        reader = this.#reader(cid, options) // what it throws, the stream gives to whoever reads
      },
      pull: async (controller) => {
        const chunk = await reader.next()
        if (chunk) controller.enqueue(chunk)
        else controller.close()
      },
      cancel: () => reader.cancel(),
    })
    return iterable(stream)
  }

  async statContent(cid: string, options: FetchOptions = {}): Promise<ContentStat> {
    const { signal, onProgress, from, via } = options
    const parameters = { cid, options: { ...(from !== undefined && { from }), ...(via !== undefined && { via }) } }
    return await this.#attempt(signal, MOST_REPEATS, (caller) => caller.call('stat', parameters, { signal, onProgress }))
  }

  async connections(): Promise<ConnectionInfo[]> {
    return await this.#attempt(undefined, MOST_REPEATS, (caller) => caller.call('connections', {}))
  }

  async status(): Promise<NodeStatus> {
    return await this.#attempt(undefined, MOST_REPEATS, async (caller, session) => this.#complete(await caller.call('status', {}), session))
  }

  async connect(peer: string, { signal }: CallOptions = {}): Promise<ConnectionInfo> {
    return await this.#attempt(signal, MOST_REPEATS, (caller) => caller.call('connect', { peer }, { signal }))
  }

  async nearby(wish?: boolean | { name?: string }): Promise<Nearby> {
    const parameters = wish === undefined ? {} : { wish: nearbyWish(wish) }
    const nearby = await this.#attempt<Nearby>(undefined, MOST_REPEATS, (caller) => caller.call('nearby', parameters))
    this.#remember(nearby)
    return nearby
  }

  async offerContent(cid: string, peer: string, { name = '', signal }: OfferOptions = {}): Promise<void> {
    await this.#attempt(signal, MOST_REPEATS, (caller) => caller.call('offer', { cid, peer, name }, { signal }))
  }

  async diagnose(peer: string, { signal }: CallOptions = {}): Promise<Diagnosis> {
    return await this.#attempt(signal, MOST_REPEATS, (caller) => caller.call('diagnose', { peer }, { signal }))
  }

  events({ signal }: CallOptions = {}): AsyncIterable<NodeEvent> {
    const queue = new EventQueue()
    const end = () => {
      this.#readers.delete(queue)
      queue.cancel()
      signal?.removeEventListener('abort', end)
    }
    signal?.addEventListener('abort', end)
    if (this.#stopped || signal?.aborted) end()
    else this.#readers.add(queue)
    const iterator: AsyncIterableIterator<NodeEvent> = {
      [Symbol.asyncIterator]: () => iterator,
      async next() {
        signal?.throwIfAborted()
        const value = await queue.next()
        signal?.throwIfAborted()
        return value === undefined ? { done: true, value } : { done: false, value }
      },
      async return() {
        end()
        return { done: true, value: undefined }
      },
    }
    return iterator
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.failed(stopped())
    await this.#leave()
  }

  #reader(cid: string, options: FetchOptions): ContentReader {
    return new ContentReader(cid, options, (signal, use) => this.#attempt(signal, MOST_REPEATS, use))
  }

  /** Makes a call on the session that there is, and again on the next one where the node went away and the call allows it. */
  async #attempt<Result>(signal: AbortSignal | undefined, repeats: number, call: (caller: Caller, session: Session) => Promise<Result>): Promise<Result> {
    for (let left = repeats; ; left -= 1) {
      const session = await this.#current(signal)
      try {
        return await call(session.caller, session)
      } catch (error) {
        if (!(error instanceof Disconnected)) throw error
        if (this.#stopped) throw stopped()
        if (left === 0) throw new ShoalError('Internal', `${error.message} It is being started again; please try again.`, { cause: error })
        if (this.#active === session) this.down(error.message) // this call may learn it first
      }
    }
  }

  /** The session, as soon as there is one; rejects when there will be none, or nobody waits any more. */
  #current(signal: AbortSignal | undefined): Promise<Session> {
    const { promise } = this.#session
    if (!signal) return promise
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const abort = () => reject(signal.reason)
      signal.addEventListener('abort', abort)
      promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
    })
  }

  /** Passes a session's events on, for as long as it lasts. */
  async #follow(session: Session): Promise<void> {
    try {
      const { items } = await session.caller.open<undefined, NodeEvent>('events', {})
      for (let event = await items.next(); event; event = await items.next()) {
        if (event.type === 'nearby') this.#remember(event.nearby)
        this.#emit(event.type === 'status' ? { ...event, status: this.#complete(event.status, session) } : event)
      }
    } catch (error) {
      if (!(error instanceof Disconnected)) this.#emit({ type: 'restarted', reason: String(error) })
    }
  }

  #complete(status: NodeStatus, session: Session): NodeStatus {
    return { ...status, limitations: [...session.limitations, ...status.limitations] }
  }

  #emit(event: NodeEvent): void {
    for (const reader of this.#readers) reader.push(event)
  }

  #endEvents(): void {
    for (const reader of this.#readers) reader.end()
    this.#readers.clear()
  }
}

function stopped(): ShoalError {
  return new ShoalError('Stopped', 'This node was stopped. Create a new one with createNode.')
}

/** A promise and its levers, whose rejection is nobody's fault if nobody waits. */
function pending<Value>() {
  const resolvers = Promise.withResolvers<Value>()
  resolvers.promise.catch(() => {})
  return resolvers
}

/** `for await` over a stream: Safari learnt it late. */
function iterable(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  if (Symbol.asyncIterator in stream) return stream
  const iterate = async function* (this: ReadableStream<Uint8Array>) {
    const reader = this.getReader()
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
    } finally {
      await reader.cancel()
    }
  }
  return Object.assign(stream, { [Symbol.asyncIterator]: iterate })
}

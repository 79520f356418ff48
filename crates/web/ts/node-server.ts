/**
 * The node behind the protocol: holds the wasm node and answers calls, in a worker or (where that cannot be) in the page.
 *
 * It also completes what the wasm node says with what only the platform knows: storage in use, and what this browser lacks.
 */
import { ShoalError } from './errors.ts'
import { diagnose } from './diagnosis.ts'
import { EventQueue } from './event-queue.ts'
import type { Port as ShimPort } from '../../webrtc/js/peer-connections.js'
import { Followers } from './followers.ts'
import { indexedDbProblem } from './limitations.ts'
import { exact, type Source } from './rpc.ts'
import { Streaming, type Context, type Handler } from './server.ts'
import { throttle } from './throttle.ts'
import type { NearbyWish, Settings } from './config.ts'
import type { ConnectionInfo, ContentStat, Diagnosis, FetchProgress, Nearby, NodeEvent, NodeStatus, PublishProgress, StartProgress } from './types.ts'
import { load, trapReason, type WasmFetchOptions, type WasmNode, type WasmReader } from './wasm.ts'

/** What a node is started with. */
export interface StartParameters {
  settings: Settings
  /** What this browser lacks, as far as the page knows. */
  limitations: string[]
  /** Whether other tabs of the site use this node. */
  shared: boolean
  /** The other end belongs to the page's peer connections. */
  shim: ShimPort
  /** A lock to hold from before the first progress until the thread ends. Absent where the thread is the page's own. */
  lifeline: string | undefined
}

/** Who the node is. */
export interface Identity {
  peerId: string
  did: string
}

/** One node, and the methods by which it is used. */
export class NodeServer {
  /** The methods that everybody who may use the node may call. */
  readonly shared: Readonly<Record<string, Handler>> = this.#guarded({
    identity: async () => this.#identity(),
    publish: (parameters: PublishParameters, context) => this.#publish(parameters, context),
    read: (parameters: ReadParameters, context) => this.#read(parameters, context),
    stat: (parameters: ReadParameters, context) => this.#stat(parameters, context),
    connections: async (): Promise<ConnectionInfo[]> => this.#node.connections(),
    status: async () => this.#complete(await this.#node.status()),
    nearby: async ({ wish }: { wish?: NearbyWish }): Promise<Nearby> => this.#node.nearby(wish),
    connect: ({ peer }: { peer: string }, { signal }) => this.#node.connect(peer, undefined, 0, '', signal),
    offer: (parameters: OfferParameters, { signal }) => this.#offer(parameters, signal),
    diagnose: ({ peer }: { peer: string }) => this.#diagnose(peer),
    events: async (_: unknown, { signal }) => this.#subscribe(signal),
  })

  /** The methods of the page that runs it. */
  readonly all: Readonly<Record<string, Handler>> = {
    ...this.shared,
    ...this.#guarded({
      start: (parameters: StartParameters, context) => this.#start(parameters, context),
      stop: async () => this.#stop(),
      hurry: async () => this.#node.hurry(),
    }),
    /** Settles when the node has died, with the reason. Nothing else is answered from then on. */
    failure: () => this.#death.promise,
  }

  readonly #death = Promise.withResolvers<string>()
  readonly #readers = new Set<EventQueue>()
  #dead = false
  #started: WasmNode | undefined
  #followers: Followers | undefined
  #limitations: string[] = []
  #webrtc = true
  #storage: { at: number; estimate: Promise<Pick<NodeStatus['storage'], 'usage' | 'quota' | 'persistent'>> } | undefined

  constructor() {
    // A trap inside a callback from the browser or a promise reaches nobody's `catch`.
    globalThis.addEventListener('error', (event) => this.#examine(event.error))
    globalThis.addEventListener('unhandledrejection', (event) => this.#examine(event.reason))
  }

  get #node(): WasmNode {
    if (!this.#started) throw new ShoalError('Stopped', 'The node is not running.')
    return this.#started
  }

  async #start({ settings, limitations, shared, shim, lifeline }: StartParameters, context: Context): Promise<Identity> {
    if (lifeline) await holdForLife(lifeline)
    const tell = (phase: StartProgress['phase']) => context.progress?.({ phase } satisfies StartProgress)
    tell('loading')
    const module = await load().catch((error: unknown) => {
      throw loadProblem(error)
    })
    tell('starting')
    this.#limitations = limitations
    this.#webrtc = settings.webrtc
    const problem = settings.store.kind === 'indexeddb' ? await indexedDbProblem() : undefined
    if (problem) {
      this.#limitations = [...limitations, problem]
    }
    const able: Settings = problem ? { ...settings, store: { ...settings.store, kind: 'memory' } } : settings
    this.#started = await module.start(able, shim, (event) => void this.#emit(event))
    const identity = this.#identity()
    if (shared) this.#followers = new Followers(identity, settings, this.shared)
    return identity
  }

  #identity(): Identity {
    return { peerId: this.#node.peerId(), did: this.#node.did() }
  }

  async #publish({ source, profile, far }: PublishParameters, { signal, progress, input }: Context): Promise<string> {
    const size = source instanceof Blob ? source.size : undefined
    // Firefox never answers who reads a Blob of another process from its middle before its beginning was read (seen in 153 from 1 MiB on).
    const content = far && source instanceof Blob ? source.stream() : (source ?? input)
    if (!content) throw new ShoalError('InvalidSource', 'There is nothing to publish.')
    const paced = progress && throttle<PublishProgress>(progress)
    const tell = paced && ((bytes: number, total = size) => paced.push(total === undefined ? { bytes } : { bytes, total }))
    try {
      return await this.#node.publish(content, profile, tell, signal)
    } finally {
      paced?.flush()
    }
  }

  async #read({ cid, options }: ReadParameters, context: Context): Promise<Streaming<Uint8Array>> {
    const paced = pacedFetch(context)
    const reader = await this.#node.fetch(cid, options, paced?.push, context.signal).finally(paced?.flush)
    return new Streaming({ size: reader.size() }, this.#chunks(reader, paced?.flush))
  }

  async #stat({ cid, options }: ReadParameters, context: Context): Promise<ContentStat> {
    const paced = pacedFetch(context)
    return await this.#node.stat(cid, options, paced?.push, context.signal).finally(paced?.flush)
  }

  /** A reader's chunks. Frees the reader when it is done: wasm memory is not garbage-collected. */
  #chunks(reader: WasmReader, flush: (() => void) | undefined): Source<Uint8Array> {
    let reading = false
    let over = false
    const release = () => {
      over = true
      if (!reading) reader.free() // a read still holds it; it is freed when that ends
    }
    return {
      next: () =>
        this.#guard(async () => {
          if (over) return undefined
          reading = true
          let chunk: Uint8Array | undefined
          try {
            chunk = await reader.next()
          } catch (error) {
            over = true
            this.#examine(error)
            throw error
          } finally {
            reading = false
            if (over && !this.#dead) reader.free()
          }
          if (chunk) return exact(chunk)
          flush?.()
          if (!over) release()
          return undefined
        }),
      cancel: () => {
        if (over || this.#dead) return
        reader.cancel()
        release()
      },
    }
  }

  async #offer({ cid, peer, name }: OfferParameters, signal: AbortSignal): Promise<void> {
    const { size, local } = await this.#node.stat(cid, {}, undefined, signal)
    if (local < size) throw new ShoalError('NotFound', `${cid} is not here as a whole. Publish or fetch it first.`)
    if (!(await this.#node.connect(peer, cid, size, name, signal))) {
      throw new ShoalError('Declined', `${peer} takes nothing from this page now. Both must see each other among nearby devices, and no more than a few things go at once; then try again.`)
    }
  }

  async #diagnose(peer: string): Promise<Diagnosis> {
    const node = this.#node
    const history = node.history(peer)
    const [{ relays }, attempts] = await Promise.all([node.status(), node.traces(peer)])
    const relayHistory = (address: string) => {
      const relay = /\/p2p\/(\w+)$/.exec(address)?.[1]
      return relay === undefined ? [] : node.history(relay)
    }
    return diagnose({
      peer,
      history,
      attempts,
      connections: node.connections(),
      session: node.session(peer),
      webrtc: this.#webrtc,
      relays: relays.map((relay) => ({ ...relay, history: relayHistory(relay.address) })),
    })
  }

  async #subscribe(signal: AbortSignal): Promise<Streaming<NodeEvent>> {
    const events = new EventQueue()
    this.#readers.add(events)
    signal.addEventListener('abort', () => this.#readers.delete(events))
    return new Streaming(undefined, events)
  }

  async #emit(event: NodeEvent): Promise<void> {
    const complete = event.type === 'status' ? { ...event, status: await this.#complete(event.status) } : event
    for (const reader of this.#readers) reader.push(complete)
  }

  async #stop(): Promise<void> {
    const node = this.#node
    this.#started = undefined
    await node.stop()
    this.#followers?.close()
    for (const reader of this.#readers) reader.end()
    this.#readers.clear()
  }

  async #complete(status: NodeStatus): Promise<NodeStatus> {
    return { ...status, storage: { ...status.storage, ...(await this.#measure()) }, limitations: [...this.#limitations, ...status.limitations] }
  }

  /** What the browser says of this origin's storage, asked at most once in ten seconds: Chromium walks its files for it. */
  #measure() {
    if (!this.#storage || performance.now() - this.#storage.at > 10_000) this.#storage = { at: performance.now(), estimate: measureStorage() }
    return this.#storage.estimate
  }

  #guarded(handlers: Record<string, Handler>): Record<string, Handler> {
    return Object.fromEntries(
      Object.entries(handlers).map(([name, handler]) => [name, (parameters: never, context: Context) => this.#guard(() => handler(parameters, context))]),
    )
  }

  /** Runs what may call wasm. After a trap nothing settles any more: the page gives the whole worker up and asks its successor. */
  async #guard<Result>(act: () => Promise<Result>): Promise<Result> {
    if (this.#dead) return await new Promise<never>(() => {})
    try {
      return await act()
    } catch (error) {
      if (this.#examine(error)) return await new Promise<never>(() => {})
      throw error
    }
  }

  /** Whether this was a trap, after which the instance's memory is in no known state. */
  #examine(error: unknown): boolean {
    const reason = trapReason(error)
    if (reason === undefined) return false
    this.#dead = true
    this.#death.resolve(reason)
    return true
  }
}

interface PublishParameters {
  /** Absent where the call's input is the source. */
  source?: Blob | Uint8Array
  profile: string
  /** Whether the source was made in another tab. */
  far?: boolean
}

interface OfferParameters {
  cid: string
  peer: string
  name: string
}

interface ReadParameters {
  cid: string
  options: WasmFetchOptions
}

/** Resolves once this thread holds the lock, or cannot: storage is refused, and locks with it. */
function holdForLife(lock: string): Promise<void> {
  return new Promise((resolve) => {
    const hold = () => {
      resolve()
      return new Promise<never>(() => {})
    }
    navigator.locks.request(lock, hold).catch(() => resolve())
  })
}

function pacedFetch({ progress, signal }: Context) {
  if (!progress) return undefined
  const paced = throttle<FetchProgress>(progress, (previous, next) => previous.phase !== next.phase || previous.path !== next.path || next.phase === 'done')
  signal.addEventListener('abort', paced.stop)
  return paced
}

async function measureStorage(): Promise<Pick<NodeStatus['storage'], 'usage' | 'quota' | 'persistent'>> {
  try {
    // Both are missing in an insecure context.
    const [{ usage, quota }, persistent] = await Promise.all([navigator.storage.estimate(), navigator.storage.persisted()])
    return { ...(usage !== undefined && { usage }), ...(quota !== undefined && { quota }), persistent }
  } catch {
    return { persistent: false }
  }
}

/** Why the module could not be loaded, in words that lead to the cure. */
function loadProblem(error: unknown): ShoalError {
  if (error instanceof ShoalError) return error
  const message = error instanceof Error ? error.message : String(error)
  if (typeof WebAssembly === 'undefined') {
    return new ShoalError('Unsupported', 'This browser cannot run WebAssembly (some turn it off in a lockdown mode), and without it the node cannot run.', { cause: error })
  }
  if (/content security policy|unsafe-eval|CSP/i.test(message)) {
    return new ShoalError('Unsupported', "This page's Content-Security-Policy forbids WebAssembly. Add 'wasm-unsafe-eval' to its script-src.", { cause: error })
  }
  return new ShoalError('Unsupported', `The node's WebAssembly file could not be loaded (${message}). Check that shoal_web_bg.wasm is served next to worker.js, then reload.`, {
    cause: error,
  })
}

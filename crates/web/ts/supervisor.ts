/**
 * Keeps a node running: when one dies (a Rust panic ends its wasm instance) the next is started from the same store, with the same identity.
 *
 * A node that dies again and again is given up, lest it eat the battery and the peers' patience.
 */
import { ShoalError } from './errors.ts'
import { Host, type Setup } from './host.ts'
import type { StartProgress } from './types.ts'
import type { Session } from './client.ts'

/** Restarts within a minute before the node is given up. */
const MAX_RESTARTS = 3
const WINDOW = 60_000
/** Waits before the first, second and third restart: at once at first, since most failures do not come back. */
const DELAYS = [50, 400, 1_200] as const

/** What a supervisor reports. */
export interface Listener {
  /** A node runs. */
  up(session: Session): void
  /** It does not any more, and the next one is on its way. */
  down(reason: string): void
  /** There will be none: it could not start, or it died too often. */
  failed(error: unknown): void
}

/** The node of this page, through all its lives. */
export class Supervisor {
  readonly #setup: Setup
  readonly #listener: Listener
  readonly #onProgress: (progress: StartProgress) => void
  readonly #stopping = new AbortController()
  #restarts: number[] = []
  #host: Host | undefined
  #running: Promise<void> | undefined

  constructor(setup: Setup, listener: Listener, onProgress: (progress: StartProgress) => void) {
    this.#setup = setup
    this.#listener = listener
    this.#onProgress = onProgress
  }

  /** Runs the node until it was stopped or is given up. Never rejects: failures go to the listener. */
  run(): Promise<void> {
    this.#running ??= this.#run()
    return this.#running
  }

  /** The network or the page came back. */
  hurry(): void {
    this.#host?.hurry()
  }

  /** Lets the node say goodbye, then ends it. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  /** Ends the node at once. */
  end(reason: string): void {
    this.#stopping.abort()
    this.#host?.end(reason)
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    try {
      while (!signal.aborted) {
        const host = await Host.start(this.#setup, signal, this.#onProgress)
        this.#host = host
        this.#listener.up({ caller: host.caller, identity: host.identity, limitations: [], far: false })
        const reason = await Promise.race([host.died, aborted(signal)])
        if (signal.aborted) return await host.stop()
        this.#host = undefined
        this.#listener.down(reason)
        await this.#pause(reason)
      }
    } catch (error) {
      if (!signal.aborted) this.#listener.failed(error)
    }
  }

  async #pause(reason: string): Promise<void> {
    const now = performance.now()
    this.#restarts = this.#restarts.filter((at) => now - at < WINDOW)
    const delay = DELAYS[this.#restarts.length]
    if (this.#restarts.length >= MAX_RESTARTS || delay === undefined) {
      throw new ShoalError('Internal', `${reason} That was the ${MAX_RESTARTS + 1}th time within a minute. Reload the page; if it stays, please report it.`)
    }
    this.#restarts.push(now)
    await new Promise((resolve) => setTimeout(resolve, delay))
  }
}

function aborted(signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve('stopped')
    signal.addEventListener('abort', () => resolve('stopped'), { once: true })
  })
}

/**
 * One life of a node that this page runs: the worker, the page's peer connections, and the calls between them. Ends by `stop`, or when the node dies.
 *
 * `RTCPeerConnection` exists only in a page and everything else runs best in a worker; see "Where the node runs" in ARCHITECTURE.md.
 */
import { localPorts, PeerConnections, type Port as ShimPort } from '../../webrtc/js/peer-connections.js'
import { Caller } from './caller.ts'
import { ShoalError } from './errors.ts'
import { lookAround, WORKER_BLOCKED } from './limitations.ts'
import type { Identity, StartParameters } from './node-server.ts'
import { workerLock } from './notices.ts'
import type { Port } from './rpc.ts'
import type { StartProgress } from './types.ts'

/** How long a node may take to say goodbye to its peers and close its store before it is ended without ceremony. */
const GOODBYE = 2_000

/** What a node is started with, apart from what it needs of this page. */
export type Setup = Omit<StartParameters, 'shim' | 'lifeline'>

/** A thread with a node server in it. */
interface Thread {
  port: Port
  /** Resolves when messages from it cannot be read; never, for the page's own. */
  broken: Promise<string>
  /** Rejects with `WorkerBlocked` when its script cannot run. */
  blocked: Promise<never>
  /** The lock that it holds while it lives. Absent where it needs none, or the browser has none (plain http): there its silent end goes unnoticed. */
  lifeline: string | undefined
  end(): void
  /** The local ends of a channel whose other end belongs to a wasm node in this thread. */
  shim(): { page: ShimPort; node: ShimPort }
}

/** A running node of this page. */
export class Host {
  readonly caller: Caller
  readonly identity: Identity
  /** Resolves when the node has died, with a sentence that says why. The host is closed by then. */
  readonly died: Promise<string>
  readonly #close: (reason: string) => void

  private constructor(caller: Caller, identity: Identity, died: Promise<string>, close: (reason: string) => void) {
    this.caller = caller
    this.identity = identity
    this.died = died
    this.#close = close
  }

  /** Starts a node. Rejects with what is wrong with the settings, the store or this browser, or with the signal's reason. */
  static async start(setup: Setup, signal: AbortSignal, onProgress: (progress: StartProgress) => void): Promise<Host> {
    const { limitations, worker } = lookAround()
    const parameters = { ...setup, limitations: [...setup.limitations, ...limitations] }
    if (worker) {
      try {
        return await Host.#on(startWorker(), parameters, signal, onProgress)
      } catch (error) {
        if (!(error instanceof WorkerBlocked)) throw error
        parameters.limitations.push(WORKER_BLOCKED)
      }
    }
    return await Host.#on(await startHere(), parameters, signal, onProgress)
  }

  static async #on(thread: Thread, setup: Setup, signal: AbortSignal, onProgress: (progress: StartProgress) => void): Promise<Host> {
    const caller = new Caller(thread.port)
    const shim = thread.shim()
    const connections = new PeerConnections(shim.page)
    const close = (reason: string) => {
      caller.close(reason)
      connections.closeAll()
      shim.page.close()
      thread.end()
    }
    const ended = Promise.withResolvers<string>()
    const watch = () => thread.lifeline && released(thread.lifeline, () => ended.resolve('its worker ended'))
    const died = Promise.race([caller.call<string>('failure', {}).catch((error: Error) => error.message), thread.broken, ended.promise]).then((reason) => {
      const sentence = `The node failed (${reason}).`
      close(sentence)
      return sentence
    })
    try {
      const parameters: StartParameters = { ...setup, shim: shim.node, lifeline: thread.lifeline }
      const begun = (progress: StartProgress) => {
        if (progress.phase === 'loading') watch()
        onProgress(progress)
      }
      const start = caller.call<Identity>('start', parameters, { signal, onProgress: begun, transfer: shim.node instanceof MessagePort ? [shim.node] : [] })
      const identity = await Promise.race([
        start,
        thread.blocked,
        died.then((sentence) => {
          throw new ShoalError('Internal', `${sentence} It had not even started. Reload the page; if it stays, please report it.`)
        }),
      ])
      return new Host(caller, identity, died, close)
    } catch (error) {
      close('The node could not start.')
      throw error
    }
  }

  /** The network or the page came back: the node shall try at once what it waits with. */
  hurry(): void {
    this.caller.call('hurry', {}).catch(() => {}) // it is only a hint
  }

  /** Lets the node close its connections and store, then ends it. */
  async stop(): Promise<void> {
    await this.caller.call('stop', {}, { signal: AbortSignal.timeout(GOODBYE) }).catch(() => {}) // it is ended either way
    this.end('The node was stopped.')
  }

  /** Ends the node at once: peers see their connections close, which takes milliseconds instead of the half minute of a timeout. */
  end(reason: string): void {
    this.#close(reason)
  }
}

/** The browser does not start the worker, or cannot load its script. */
class WorkerBlocked extends Error {}

function startWorker(): Thread {
  const broken = Promise.withResolvers<string>()
  const blocked = Promise.withResolvers<never>()
  let worker: Worker
  try {
    worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'shoal' })
  } catch (cause) {
    throw new WorkerBlocked('refused', { cause })
  }
  worker.onerror = (event) => {
    event.preventDefault()
    // A script that cannot be loaded gives an event without a message. An error inside a running one has one, and is judged in there.
    if (event.message === undefined) blocked.reject(new WorkerBlocked('not loaded'))
    else console.error(`shoal worker: ${event.message}`)
  }
  worker.onmessageerror = () => broken.resolve('a message could not be read')
  return {
    port: worker as Port,
    broken: broken.promise,
    blocked: blocked.promise,
    lifeline: navigator.locks && workerLock(),
    end: () => worker.terminate(),
    shim: () => {
      const { port1: page, port2: node } = new MessageChannel()
      return { page, node }
    },
  }
}

/** The page's own thread. Its channels pass objects as they are, since data channels may not be transferable here. */
async function startHere(): Promise<Thread> {
  const { serveNode } = await import('./worker.ts').catch((cause: unknown) => {
    throw new ShoalError('Unsupported', "The node's script worker.js could not be loaded. Check that it is served next to index.js, then reload.", { cause })
  })
  const [page, node] = localPorts()
  serveNode(node)
  const never = new Promise<never>(() => {})
  return {
    port: page,
    broken: never,
    blocked: never,
    lifeline: undefined,
    end: () => page.close(),
    shim: () => {
      const [page, node] = localPorts()
      return { page, node }
    },
  }
}

/** Calls when nobody holds the lock any more. Where the browser refuses locks (with storage), never. */
function released(lock: string, call: () => void): void {
  navigator.locks.request(lock, async () => call()).catch(() => {})
}

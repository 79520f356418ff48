/** What this browser or page cannot do, each in one plain sentence that says what follows from it. */
import { ShoalError } from './errors.ts'

/** What the page finds out before it starts a node. */
export interface Surroundings {
  /** For `status().limitations`. */
  limitations: string[]
  /** Whether the node can run in a worker; elsewhere it runs on the page's thread. */
  worker: boolean
}

/** Looks at the browser. Changes nothing, asks nobody. */
export function lookAround(): Surroundings {
  const limitations: string[] = []
  let worker = true
  if (typeof RTCPeerConnection === 'undefined') {
    limitations.push('This browser has no WebRTC, so nothing travels directly between browsers: everything goes through the relay.')
  } else if (!channelsAreTransferable()) {
    worker = false
    limitations.push("This browser cannot hand WebRTC channels to a worker, so the node runs on the page's own thread: the page may stutter during large transfers.")
  }
  if (!globalThis.isSecureContext) {
    limitations.push(
      'This page was opened by plain http from another device: the browser gives it no built-in cryptography and may clear its storage, so hashing is slower and content may not last.',
    )
  }
  return { limitations, worker }
}

/** What `status()` says where a worker was tried and refused. */
export const WORKER_BLOCKED =
  "This page may not start a worker (its Content-Security-Policy or the browser forbids it), so the node runs on the page's own thread: the page may stutter during large transfers."

/** Refuses to go on where no node can run at all. */
export function requireBrowser(): void {
  if (typeof document === 'undefined' || typeof location === 'undefined') {
    throw new ShoalError('Unsupported', 'A node runs in a web page only. On a server, import the package but call createNode in the browser.')
  }
  if (typeof WebAssembly === 'undefined') {
    throw new ShoalError('Unsupported', 'This browser cannot run WebAssembly (some turn it off in a lockdown mode), and without it the node cannot run.')
  }
}

/**
 * Whether IndexedDB can be used here, tried with an empty database: Firefox and Chromium both only refuse when one is opened.
 * @returns undefined where it can, else the sentence for `status().limitations`
 */
export async function indexedDbProblem(): Promise<string | undefined> {
  try {
    await new Promise<void>((resolve, reject) => {
      const request = indexedDB.open(PROBE)
      request.onsuccess = () => {
        request.result.close()
        indexedDB.deleteDatabase(PROBE)
        resolve()
      }
      request.onerror = () => reject(request.error)
      request.onblocked = () => resolve() // somebody else probes: so it works
    })
    return undefined
  } catch {
    return 'This browser refuses to store data for this page (private mode, or cookies are blocked), so content and identity are forgotten when the page closes.'
  }
}

const PROBE = 'shoal-probe'

/** Chromium since 130, Firefox since 144, Safari since 15. Elsewhere `postMessage` throws at once. */
function channelsAreTransferable(): boolean {
  const connection = new RTCPeerConnection()
  const ports = new MessageChannel()
  try {
    const channel = connection.createDataChannel('probe')
    ports.port1.postMessage(channel, [channel as unknown as Transferable])
    return true
  } catch {
    return false
  } finally {
    connection.close()
    ports.port1.close()
  }
}

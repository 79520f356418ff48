/** Which tab of the site runs the node. */
import type { Settings } from './config.ts'
import { Supervisor, type Listener } from './supervisor.ts'
import type { StartProgress } from './types.ts'

/** This tab's part in the node. */
export class Tab {
  readonly #settings: Settings
  readonly #listener: Listener
  readonly #onProgress: (progress: StartProgress) => void
  readonly #left = new AbortController()
  #supervisor: Supervisor | undefined

  constructor(settings: Settings, listener: Listener, onProgress: (progress: StartProgress) => void) {
    this.#settings = settings
    this.#listener = listener
    this.#onProgress = onProgress
  }

  /** Runs the node. What happens is told to the listener. */
  join(): void {
    const { signal } = this.#left
    addEventListener('pagehide', () => this.#putAside(), { signal })
    addEventListener('pageshow', (event) => event.persisted && this.#lead(), { signal })
    addEventListener('online', () => this.#supervisor?.hint('online'), { signal })
    addEventListener('offline', () => this.#supervisor?.hint('offline'), { signal })
    document.addEventListener('visibilitychange', () => this.#supervisor?.hint(document.visibilityState), { signal })
    this.#lead()
  }

  /** Ends this tab's part. */
  async leave(): Promise<void> {
    this.#left.abort()
    await this.#supervisor?.stop()
  }

  #lead(): void {
    this.#supervisor = new Supervisor(this.#settings, this.#listener, this.#onProgress)
    void this.#supervisor.run()
  }

  /** The page goes away, perhaps to come back from the back-forward cache: peers shall know at once. */
  #putAside(): void {
    this.#supervisor?.end('The page was left.')
    this.#supervisor = undefined
    this.#listener.down('the page was put aside and came back')
  }
}

/**
 * Which tab of the site runs the node. There is one node for each site and store: the tab that holds the lock runs it, the others use it from there, and
 * when that tab ends, the next one runs it with the same identity and store.
 *
 * A memory store is a page's own affair: each page that asks for one runs a node of its own.
 */
import type { Settings } from './config.ts'
import { Follower } from './follower.ts'
import { indexedDbProblem } from './limitations.ts'
import { findLocks, type LockOptions, type Locks } from './locks.ts'
import { noticeChannel, type Notice } from './notices.ts'
import { Supervisor, type Listener } from './supervisor.ts'
import type { StartProgress } from './types.ts'

/** What `status()` says where tabs have nothing to agree by. */
const NO_TABS = 'This browser gives tabs no way to agree on who runs the node, so each tab runs one of its own, and forgets its content and identity when it is closed.'

/** This tab's part in the node. */
export class Tab {
  readonly #settings: Settings
  readonly #listener: Listener
  readonly #onProgress: (progress: StartProgress) => void
  readonly #left = new AbortController()
  /** Aborted when the page is left, perhaps to come back. */
  #present = new AbortController()
  #supervisor: Supervisor | undefined
  #follower: Follower | undefined

  constructor(settings: Settings, listener: Listener, onProgress: (progress: StartProgress) => void) {
    this.#settings = settings
    this.#listener = listener
    this.#onProgress = onProgress
  }

  /** Runs the node, or follows the tab that does. What happens is told to the listener. */
  join(): void {
    const { signal } = this.#left
    addEventListener('pagehide', () => this.#putAside(), { signal })
    addEventListener('pageshow', (event) => event.persisted && this.#takePart(), { signal })
    for (const [target, type] of signsOfChange()) target.addEventListener(type, () => this.#comeBack(), { signal })
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.#comeBack(), { signal })
    this.#takePart()
  }

  /** Ends this tab's part. Another tab may go on. */
  async leave(): Promise<void> {
    this.#left.abort()
    this.#present.abort()
    this.#unfollow('This tab stopped its node.')
    await this.#supervisor?.stop()
  }

  #takePart(): void {
    this.#present = new AbortController()
    if (this.#settings.store.kind === 'memory') return void this.#runAlone([])
    const found = findLocks()
    if (!found) return void this.#runAlone([NO_TABS])
    this.#compete(found.locks, found.limitation === undefined ? [] : [found.limitation]).catch(async () => {
      // Where storage is refused, locks are too: that is the reason to name.
      await this.#runAlone([(await indexedDbProblem()) ?? NO_TABS])
    })
  }

  /** Leads where nobody does; else follows until it is this tab's turn. */
  async #compete(locks: Locks, limitations: string[]): Promise<void> {
    const { signal } = this.#present
    const lead = (options: LockOptions) => this.#leadWhenGranted(locks, options, limitations, signal)
    let taken = await lead({ ifAvailable: true })
    while (taken && !signal.aborted) {
      const silence = new AbortController()
      this.#onProgress({ phase: 'joining' })
      this.#follower = new Follower(this.#settings, this.#listener, () => silence.abort())
      taken = await lead({ signal: AbortSignal.any([signal, silence.signal]) })
      if (silence.signal.aborted && !signal.aborted) taken = await lead({ steal: true })
    }
  }

  /** @returns whether another tab has the right to run the node: it was not granted here, or was taken away. */
  async #leadWhenGranted(locks: Locks, options: LockOptions, limitations: string[], signal: AbortSignal): Promise<boolean> {
    const lost = new AbortController()
    let granted = false
    try {
      await locks.request(`shoal:node:${this.#settings.store.name}`, options, async (lock) => {
        if (!lock) return
        granted = true
        this.#unfollow('The tab that ran the node was closed; this tab runs it now.')
        await this.#lead(limitations, signal, lost.signal)
      })
      return !granted
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== 'AbortError') throw error // storage refused: no locks either
      lost.abort()
      return true
    }
  }

  async #lead(limitations: string[], signal: AbortSignal, lost: AbortSignal): Promise<void> {
    // The node itself answers other tabs, once it runs. Until then they hear from this page that somebody is about to.
    const notices = new BroadcastChannel(noticeChannel(this.#settings.store.name))
    notices.onmessage = ({ data }: MessageEvent<Notice>) => {
      if (data.type === 'hello') notices.postMessage({ type: 'starting' } satisfies Notice)
    }
    notices.postMessage({ type: 'starting' } satisfies Notice)
    const supervisor = new Supervisor({ settings: this.#settings, limitations, shared: true }, this.#listener, this.#onProgress)
    lost.addEventListener('abort', () => {
      supervisor.end('Another tab took over the node.')
      this.#listener.down('Another tab took over the node.')
    })
    await this.#run(supervisor, signal)
    notices.close()
  }

  async #runAlone(limitations: string[]): Promise<void> {
    const { signal } = this.#present
    const settings: Settings = { ...this.#settings, store: { ...this.#settings.store, kind: 'memory' } }
    await this.#run(new Supervisor({ settings, limitations, shared: false }, this.#listener, this.#onProgress), signal)
  }

  async #run(supervisor: Supervisor, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    this.#supervisor = supervisor
    await supervisor.run()
    if (this.#supervisor === supervisor) this.#supervisor = undefined
  }

  #unfollow(reason: string): void {
    this.#follower?.end(reason)
    this.#follower = undefined
  }

  /** The tab is looked at again, thawed, or on another network; timers and connections may have slept meanwhile, or be dead. */
  #comeBack(): void {
    this.#supervisor?.hurry()
    this.#follower?.check()
  }

  /** The page is left, perhaps to come back from the back-forward cache: peers and other tabs shall know at once. */
  #putAside(): void {
    this.#present.abort()
    this.#unfollow('The page was left.')
    this.#supervisor?.end('The page was left.')
    this.#supervisor = undefined
    this.#listener.down('The page was left, and came back.')
  }
}

/** Events after which nothing is sure that was. Hints only: the node asks its relays, and also notices by its own clocks that it slept. */
function signsOfChange(): [EventTarget, string][] {
  // Chromium's Network Information: fires where the device changes from one network to another without being offline between.
  const { connection } = navigator as { connection?: EventTarget }
  return [[globalThis, 'online'], [document, 'resume'], ...(connection ? [[connection, 'change'] satisfies [EventTarget, string]] : [])]
}

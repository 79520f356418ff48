/** This tab's use of a node that another tab of the site runs. */
import { Caller } from './caller.ts'
import type { Settings } from './config.ts'
import { ShoalError } from './errors.ts'
import { noticeChannel, tabLock, uniqueName, type Notice } from './notices.ts'
import type { Listener } from './supervisor.ts'

/** Milliseconds without any answer from the tab that should run the node, before it counts as frozen (a phone suspends tabs in the background). */
const SILENCE = 10_000

/** A tab that follows. */
export class Follower {
  readonly #settings: Settings
  readonly #listener: Listener
  readonly #onSilence: () => void
  readonly #tab = uniqueName()
  readonly #ended = new AbortController()
  readonly #notices: BroadcastChannel
  #channel: BroadcastChannel | undefined
  #caller: Caller | undefined
  /** The node that the caller reaches. */
  #node: string | undefined
  #asked = 0
  #silence: ReturnType<typeof setTimeout> | undefined

  /** @param onSilence called when nobody answers, although somebody should run the node */
  constructor(settings: Settings, listener: Listener, onSilence: () => void) {
    this.#settings = settings
    this.#listener = listener
    this.#onSilence = onSilence
    this.#notices = new BroadcastChannel(noticeChannel(settings.store.name))
    this.#notices.onmessage = ({ data }: MessageEvent<Notice>) => this.#hear(data)
    void this.#enter()
  }

  /** Whether the node still answers; asks anew where it does not. Worth a call when the tab comes to the front. */
  check(): void {
    this.#caller?.call('identity', {}, { signal: AbortSignal.timeout(SILENCE / 2) }).catch(() => this.#hello('The tab that ran the node did not answer.'))
  }

  /** Stops following. */
  end(reason: string): void {
    if (this.#ended.signal.aborted) return
    this.#say({ type: 'bye', tab: this.#tab })
    this.#ended.abort()
    this.#drop(reason)
    this.#notices.close()
  }

  /** Holds the lock that tells the node that this tab lives, then asks to be served. */
  async #enter(): Promise<void> {
    const { signal } = this.#ended
    await new Promise<void>((resolve) => {
      if (!navigator.locks) return resolve()
      const hold = () => {
        resolve()
        return new Promise<void>((release) => signal.addEventListener('abort', () => release()))
      }
      navigator.locks.request(tabLock(this.#tab), hold).catch(() => resolve()) // refused: then this tab's end is noticed by `bye` only
    })
    this.#hello('')
  }

  /** Asks to be served, on a new channel: a node that thaws must not answer on the one that its successor uses. */
  #hello(reason: string, node?: string): void {
    if (this.#ended.signal.aborted) return
    this.#drop(reason)
    this.#channel = new BroadcastChannel(`${noticeChannel(this.#settings.store.name)}:${this.#tab}:${(this.#asked += 1)}`)
    this.#say({ type: 'hello', tab: this.#tab, channel: this.#channel.name, node })
    this.#wait()
  }

  #wait(): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(this.#onSilence, SILENCE)
  }

  #hear(notice: Notice): void {
    switch (notice.type) {
      case 'here':
        return this.#hello('The node was started again in another tab.', notice.node)
      case 'starting':
        return this.#caller ? undefined : this.#wait()
      case 'leaving':
        return notice.node === this.#node ? this.#drop('The tab that ran the node was closed.') : undefined
      case 'full':
        if (notice.channel !== this.#channel?.name) return
        this.#drop('')
        return this.#listener.failed(new ShoalError('Internal', 'Too many tabs of this site are open. Close some of them, then reload this one.'))
      case 'welcome': {
        if (notice.channel !== this.#channel?.name || this.#caller) return
        clearTimeout(this.#silence)
        this.#caller = new Caller(this.#channel)
        this.#node = notice.node
        return this.#listener.up({ caller: this.#caller, identity: notice.identity, limitations: differences(this.#settings, notice.settings), far: true })
      }
    }
  }

  #drop(reason: string): void {
    clearTimeout(this.#silence)
    const caller = this.#caller
    this.#caller = this.#node = undefined
    caller?.close(reason)
    this.#channel?.close()
    this.#channel = undefined
    if (caller) this.#listener.down(reason)
  }

  #say(notice: Notice): void {
    this.#notices.postMessage(notice)
  }
}

/** A node has one set of settings: those of the tab that runs it. What may change while it runs is not one of them. */
function differences(own: Settings, running: Settings): string[] {
  const fields = (Object.keys(own) as (keyof Settings)[]).filter((field) => field !== 'nearby' && JSON.stringify(own[field]) !== JSON.stringify(running[field]))
  if (fields.length === 0) return []
  return [`Another tab of this site runs the node, with other settings (${fields.join(', ')}); this tab's own take effect when it takes over.`]
}

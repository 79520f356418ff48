/** The other tabs of the site, as the node sees them: each is answered on a channel of its own until its tab is gone. */
import type { Settings } from './config.ts'
import type { Identity } from './node-server.ts'
import { noticeChannel, tabLock, uniqueName, type Notice } from './notices.ts'
import { serve, type Handler } from './server.ts'

/** More tabs than a person has open on one site; bounds what a page that reloads in a loop can pile up. */
const MAX_FOLLOWERS = 256

/** Serves the other tabs. */
export class Followers {
  readonly #node = uniqueName()
  readonly #notices: BroadcastChannel
  readonly #identity: Identity
  readonly #settings: Settings
  readonly #handlers: Readonly<Record<string, Handler>>
  /** How to close each tab's channel. */
  readonly #open = new Map<string, () => void>()
  #closed = false

  constructor(identity: Identity, settings: Settings, handlers: Readonly<Record<string, Handler>>) {
    this.#identity = identity
    this.#settings = settings
    this.#handlers = handlers
    this.#notices = new BroadcastChannel(noticeChannel(settings.store.name))
    this.#notices.onmessage = ({ data }: MessageEvent<Notice>) => {
      if (data.type === 'hello' && (data.node ?? this.#node) === this.#node) this.#welcome(data.tab, data.channel)
      else if (data.type === 'bye') this.#open.get(data.tab)?.()
    }
    this.#say({ type: 'here', node: this.#node })
  }

  /** Sends everybody away: the node ends. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#say({ type: 'leaving', node: this.#node })
    for (const close of [...this.#open.values()]) close()
    this.#notices.close()
  }

  #welcome(tab: string, name: string): void {
    this.#open.get(tab)?.() // it asks anew, so it has given up the channel it had
    if (this.#open.size >= MAX_FOLLOWERS) return this.#say({ type: 'full', channel: name })
    const channel = new BroadcastChannel(name)
    const server = serve(channel, this.#handlers)
    const gone = new AbortController()
    this.#open.set(tab, () => {
      this.#open.delete(tab)
      gone.abort()
      server.close()
      channel.close()
    })
    // Granted when the tab is gone. Absent on plain http: there a tab that crashed is forgotten when the node ends.
    navigator.locks?.request(tabLock(tab), { signal: gone.signal }, () => this.#open.get(tab)?.()).catch(() => {}) // aborted above
    this.#say({ type: 'welcome', channel: name, node: this.#node, identity: this.#identity, settings: this.#settings })
  }

  #say(notice: Notice): void {
    this.#notices.postMessage(notice)
  }
}

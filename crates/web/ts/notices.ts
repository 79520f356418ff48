/**
 * What the tabs of a site say to each other about the node that they share: on one `BroadcastChannel` per store, heard by all.
 *
 *     this tab                        the tab that runs the node (its worker)
 *       hello {tab, channel}   ->
 *                              <-   welcome {channel, identity, settings}
 *       calls, on `channel`   <->   results, on `channel`
 *
 * Each tab talks to the node on a channel of its own, so that its bytes are not copied to every other tab.
 */
import type { Settings } from './config.ts'
import type { Identity } from './node-server.ts'

/** One announcement. */
export type Notice =
  /** May I use the node (or that one and no other)? Answer on this channel. */
  | { type: 'hello'; tab: string; channel: string; node: string | undefined }
  /** The node answers on that channel now. */
  | { type: 'welcome'; channel: string; node: string; identity: Identity; settings: Settings }
  /** The node has as many tabs as it takes. */
  | { type: 'full'; channel: string }
  /** A tab runs the node, but it does not answer yet: wait. */
  | { type: 'starting' }
  /** A node runs from now on: say hello to it. */
  | { type: 'here'; node: string }
  /** The node ends; another tab will take over. */
  | { type: 'leaving'; node: string }
  /** A tab does not need the node any more. */
  | { type: 'bye'; tab: string }

// `node` names one life of the node: one that was frozen and thaws after its succession must be neither used nor listened to.

/** The channel of a store's notices, and the prefix of its tabs' own channels. */
export function noticeChannel(store: string): string {
  return `shoal:${store}`
}

/** The lock that a tab holds as long as it lives, so that the node notices its end however it comes. */
export function tabLock(tab: string): string {
  return `shoal:tab:${tab}`
}

/** The lock that a worker holds as long as it lives: a browser that takes one away for its memory tells nobody else. */
export function workerLock(): string {
  return `shoal:worker:${uniqueName()}`
}

/** A name that nothing else has. `crypto.randomUUID` is missing on plain http. */
export function uniqueName(): string {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((word) => word.toString(36)).join('')
}

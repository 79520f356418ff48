/**
 * The right to run the node: one tab has it, the others wait for it.
 *
 * Web Locks give exactly that, whatever way the holder ends. Plain http from another device has none; there tabs agree by messages, as well as they can:
 * who asks and hears nobody has the right; two who believe to have it find out, and one gives way.
 */
import { uniqueName } from './notices.ts'

/** How a lock is asked for: only if it is free, taken from whoever holds it, or in turn until the signal gives up. */
export type LockOptions = { ifAvailable: true } | { steal: true } | { signal: AbortSignal }

/** The part of `LockManager` that is used. */
export interface Locks {
  /**
   * Runs `hold` while holding the lock; gives `null` to it where the lock is taken and only a free one was wanted (`ifAvailable`).
   * Rejects with `AbortError` when the lock is taken away (`hold` may still be running), or the signal gives up the wait.
   */
  request(name: string, options: LockOptions, hold: (lock: object | null) => Promise<void>): Promise<void>
}

/** What tabs of this page can agree by; undefined where there is nothing. */
export function findLocks(): { locks: Locks; limitation?: string } | undefined {
  if (navigator.locks) return { locks: navigator.locks as Locks }
  if (typeof BroadcastChannel === 'undefined') return undefined
  return {
    locks: new MessageLocks(),
    limitation: 'Over plain http the browser does not arbitrate between tabs: if the tab that runs the node crashes, another takes over only after some seconds.',
  }
}

/** How long a holder has to say that it holds: message events reach even a hidden tab within milliseconds. */
const ANSWER = 300
/** How often a waiter asks again, for a holder that has crashed. */
const RETRY = 4_000

type Word = { type: 'ask' | 'held' | 'free'; id: string }

/** Locks by `BroadcastChannel`. Best effort: a holder that is frozen counts as gone. */
export class MessageLocks implements Locks {
  async request(name: string, options: LockOptions, hold: (lock: object | null) => Promise<void>): Promise<void> {
    const channel = new BroadcastChannel(`shoal:lock:${name}`)
    const id = uniqueName()
    const signal = 'signal' in options ? options.signal : undefined
    const say = (type: Word['type']) => channel.postMessage({ type, id } satisfies Word)
    try {
      for (let answer = await this.#ask(channel, id, say); answer !== 'granted'; answer = await this.#ask(channel, id, say)) {
        if ('ifAvailable' in options) return await hold(null)
        if (answer === 'taken') await this.#retry(channel, signal)
        signal?.throwIfAborted()
      }
      signal?.throwIfAborted()
      const lost = Promise.withResolvers<never>()
      channel.onmessage = ({ data }: MessageEvent<Word>) => {
        // Two holders: the greater name gives way, the other one insists.
        if (data.type === 'held' && data.id < id) lost.reject(new DOMException('Another tab holds the lock.', 'AbortError'))
        else if (data.type !== 'free') say('held')
      }
      say('held')
      await Promise.race([hold({}), lost.promise])
    } finally {
      say('free')
      channel.close()
    }
  }

  /** Granted where nobody holds it, and nobody who asks at the same time goes first. `freed`: taken, but given up since. */
  async #ask(channel: BroadcastChannel, id: string, say: (type: Word['type']) => void): Promise<'granted' | 'taken' | 'freed'> {
    let taken = false
    let freed = false
    channel.onmessage = ({ data }: MessageEvent<Word>) => {
      if (data.type === 'free') freed = true
      else if (data.type === 'held' || (data.type === 'ask' && data.id < id)) taken = true
      else if (data.type === 'ask') say('ask') // for one that asked after this one did: it must hear that it is not alone
    }
    say('ask')
    await new Promise((resolve) => setTimeout(resolve, ANSWER))
    return !taken ? 'granted' : freed ? 'freed' : 'taken'
  }

  #retry(channel: BroadcastChannel, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        settle()
      }
      const abort = () => finish(() => reject(signal?.reason))
      const timer = setTimeout(() => finish(resolve), RETRY)
      channel.onmessage = ({ data }: MessageEvent<Word>) => {
        if (data.type === 'free') finish(resolve)
      }
      if (signal?.aborted) abort()
      signal?.addEventListener('abort', abort)
    })
  }
}

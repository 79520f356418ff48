/** One content on its way here: asks the node, keeps the card true, shows what arrived. Ends, fails or is cancelled; can be tried again. */

import type { FetchProgress, ShoalNode } from 'shoal'
import { explain, isCancel } from '../node/problems.ts'
import { Speed } from '../view/numbers.ts'
import { collect, type Collected } from './collect.ts'
import { kindOf } from './kind.ts'
import { type ReceiveState, ReceiveCard } from './receive-card.ts'
import { saveFromStore } from './save.ts'
import { contentElement } from './show.ts'

/** What a link says. */
export interface Wanted {
  cid: string
  name: string
  /** PeerIds of senders. */
  from: string[]
  /** Multiaddrs of relays through which they can be reached. */
  via: string[]
}

/** Milliseconds that a sender may be out of reach before it is said. */
const saidAfter = 2_500

/** One reception. */
export class Reception {
  private readonly wanted: Wanted
  private readonly node: Promise<ShoalNode>
  private readonly changed: (state: ReceiveState) => void
  readonly card: ReceiveCard
  private state: ReceiveState
  private readonly speed = new Speed()
  private running: AbortController | undefined
  private url: string | undefined
  private patience: ReturnType<typeof setTimeout> | undefined

  /** @param changed called with whether bytes are arriving, and with the percentage for the window's title */
  constructor(wanted: Wanted, node: Promise<ShoalNode>, changed: (state: ReceiveState) => void) {
    this.wanted = wanted
    this.node = node
    this.changed = changed
    this.card = new ReceiveCard(wanted.name, { cancel: () => this.cancel(), retry: () => void this.run() })
    this.state = { phase: 'starting', name: wanted.name, bytes: 0, ...(wanted.from[0] === undefined ? {} : { peer: wanted.from[0] }) }
    this.card.show(this.state)
  }

  /** Whether it is complete or on its way; otherwise {@link run} starts it again. */
  get lively(): boolean {
    return !['cancelled', 'failed'].includes(this.state.phase)
  }

  /** Fetches until it is here, or something stops it. */
  async run(): Promise<void> {
    const running = new AbortController()
    this.running = running
    this.speed.reset()
    const { problem: _, ...rest } = this.state
    this.update({ ...rest, phase: 'starting' })
    try {
      const node = await this.node
      running.signal.throwIfAborted()
      this.update({ ...this.state, me: node.peerId })
      let here = true
      const began = performance.now()
      const stream = node.readContent(this.wanted.cid, {
        from: this.wanted.from.filter((peer) => peer !== node.peerId),
        via: this.wanted.via,
        signal: running.signal,
        onProgress: (progress) => {
          if (running.signal.aborted || this.state.phase === 'done') return
          if (!['local', 'done'].includes(progress.phase)) here = false
          clearTimeout(this.patience)
          // A first attempt often fails while this page itself is still connecting: the sender is called away only when that lasts.
          if (progress.phase === 'waiting') this.patience = setTimeout(() => this.progress(progress), saidAfter)
          else this.progress(progress)
        },
      })
      const collected = await collect(stream)
      clearTimeout(this.patience)
      const total = this.state.total ?? collected.blob?.size ?? this.state.bytes
      this.update({ ...this.state, phase: 'done', bytes: total, total, ...(here ? { here } : { seconds: (performance.now() - began) / 1000 }) })
      await this.show(collected, node)
    } catch (error) {
      clearTimeout(this.patience)
      if (running !== this.running) return
      if (isCancel(error)) this.update({ ...this.state, phase: 'cancelled' })
      else this.update({ ...this.state, phase: 'failed', problem: explain(error) })
    }
  }

  /** Stops it; what arrived stays stored. */
  cancel(): void {
    this.running?.abort(new DOMException('Stopped', 'AbortError'))
    if (this.state.phase === 'starting') this.update({ ...this.state, phase: 'cancelled' })
  }

  /** Stops it and lets go of what it holds. */
  dispose(): void {
    this.cancel()
    this.card.root.remove()
    if (this.url !== undefined) URL.revokeObjectURL(this.url)
  }

  private progress(progress: FetchProgress): void {
    // `done` comes before the last bytes have been read from the stream: the card says so when they have.
    const phase = progress.phase === 'done' ? this.state.phase : progress.phase
    if (phase !== this.state.phase) this.speed.reset()
    const speed = this.speed.add(performance.now(), progress.bytes)
    const { speed: _, ...rest } = this.state
    this.update({
      ...rest,
      phase,
      bytes: progress.bytes,
      ...(progress.total === undefined ? {} : { total: progress.total }),
      ...(progress.peer === undefined ? {} : { peer: progress.peer }),
      ...(progress.path === undefined ? {} : { path: progress.path }),
      ...(speed === undefined ? {} : { speed }),
    })
  }

  private update(state: ReceiveState): void {
    this.state = state
    this.card.show(state)
    this.changed(state)
  }

  private async show({ head, blob }: Collected, node: ShoalNode): Promise<void> {
    const { cid, name } = this.wanted
    const kind = kindOf(head, name)
    if (this.url !== undefined) URL.revokeObjectURL(this.url)
    // SVG is saved without its type: an object URL of a drawing would run its scripts in this origin when opened in a tab.
    this.update({ ...this.state, words: kind.words })
    const content = blob?.slice(0, blob.size, kind.showing === 'drawing' ? 'application/octet-stream' : kind.type)
    this.url = content && URL.createObjectURL(content)
    const save = () => {
      saveFromStore(node, cid, name, new AbortController().signal).catch((error: unknown) => this.update({ ...this.state, problem: explain(error) }))
    }
    this.card.arrived(
      {
        element: content && this.url !== undefined ? await contentElement(kind, content, this.url, name) : undefined,
        icon: kind.icon,
        url: this.url,
        save: content ? undefined : save,
        text: kind.showing === 'text' && content && content.size < 100_000 ? await content.text() : undefined,
      },
      name,
    )
  }
}

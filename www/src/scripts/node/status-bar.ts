/** The foot of the page: how the node stands, and every connection on request. */

import type { ConnectionInfo, NodeStatus, ShoalNode } from 'shoal'
import { announce } from '../view/announce.ts'
import { size } from '../view/numbers.ts'
import { byId, element, write } from '../view/part.ts'
import { face } from '../view/peer.ts'
import { ConnectionRow, keyOf, leadsToRelay, together } from './connection-row.ts'

/** Milliseconds between two looks at the connections while their list is open, and while it is closed. */
const lookOpen = 1_000
const lookClosed = 4_000
/** Milliseconds for which something that happened stays written: long enough to be read by who looks up at it. */
const mentionedFor = 20_000

/** Problems with relays that are shown at once; whoever needs more looks at `status()`. */
const mostProblems = 3

/** One sentence on how the node stands with its relays. */
export function standing(status: NodeStatus): string {
  if (status.reachable) return 'Ready: other browsers can reach this tab'
  if (status.relays.some((relay) => relay.state === 'connecting' || relay.state === 'connected')) return 'Connecting to the relay…'
  if (status.relays.length === 0) return 'No relay is known, so no other browser can be found'
  return 'No relay can be used; trying again by itself'
}

/** What else a person should know, each a sentence. */
export function remarks(status: NodeStatus): string[] {
  return [...relayRemarks(status), ...status.limitations]
}

/** Why no other browser can find this one, and what to do about it. */
function relayRemarks({ reachable, relays }: NodeStatus): string[] {
  if (relays.length === 0) return ['No relay is set up for this page. Whoever runs it has to name one in `bootstrap`; links do not work before.']
  const problems = relays.flatMap(({ address, problem }) => (problem === undefined ? [] : [`${address}: ${problem}.`]))
  if (reachable || problems.length === 0) return []
  return ['No relay can be used right now. What already runs directly goes on, and this page connects by itself when one is back.', ...problems.slice(0, mostProblems)]
}

/** Keeps the foot of the page true. */
export class StatusBar {
  private node: ShoalNode | undefined
  private readonly list = byId('connections')
  private readonly toggle = byId<HTMLButtonElement>('connections-toggle')
  private timer: ReturnType<typeof setTimeout> | undefined
  private status: NodeStatus | undefined
  private peers = 0
  private readonly rows = new Map<string, ConnectionRow>()
  private readonly wanted = new Set<string>()
  private said = ''
  private mentioned: string | undefined
  private forgetting: ReturnType<typeof setTimeout> | undefined

  constructor() {
    this.toggle.addEventListener('click', () => this.open(this.list.hidden !== false))
    this.list.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return
      this.open(false)
      this.toggle.focus()
    })
    this.showConnections([])
  }

  /** Says one sentence while there is no status to show. */
  say(sentence: string): void {
    write(byId('node-words'), sentence)
  }

  /** Says what happened, for a while and beside how things stand. */
  mention(sentence: string): void {
    announce(sentence)
    clearTimeout(this.forgetting)
    this.forgetting = setTimeout(() => this.remember(undefined), mentionedFor)
    this.remember(sentence)
  }

  /** From now on the node itself is shown. */
  follow(node: ShoalNode): void {
    this.node = node
    byId('me').replaceChildren(face(node.peerId))
    byId('me').title = `This browser: ${node.peerId}`
    void this.look()
  }

  /** Lists a peer also while there is no connection to it: something is to come from it. */
  wants(peer: string): void {
    this.wanted.add(peer)
    void this.look()
  }

  /** Shows a status. */
  show(status: NodeStatus): void {
    if (this.status !== undefined && this.status.reachable !== status.reachable) announce(standing(status))
    this.status = status
    this.say(standing(status))
    byId('node-status').dataset['reachable'] = String(status.reachable)
    this.numbers()
    this.remark()
  }

  /** Shows the open connections. */
  showConnections(connections: ConnectionInfo[]): void {
    this.peers = new Set(connections.filter((one) => !leadsToRelay(one)).map((one) => one.peer)).size
    this.numbers()
    if (this.list.hidden) return
    const sorted = together(connections).sort((a, b) => b.bytesReceived + b.bytesSent - a.bytesReceived - a.bytesSent)
    const missing = [...this.wanted].filter((peer) => !connections.some((connection) => connection.peer === peer))
    const entries = [...sorted.map((way) => ({ key: keyOf(way), peer: way.peer, way })), ...missing.map((peer) => ({ key: peer, peer, way: undefined }))]
    const rows = entries.map(({ key, peer, way }) => {
      const row = this.rows.get(key) ?? new ConnectionRow(peer, way !== undefined && leadsToRelay(way), () => void this.explain(row))
      row.show(way)
      return [key, row] as const
    })
    this.rows.clear()
    for (const [key, row] of rows) this.rows.set(key, row)
    if (rows.length === 0) this.list.replaceChildren(element('p', { class: 'hint' }, 'No connection yet.'))
    else this.place([...this.rows.values()].map(({ root }) => root))
  }

  /** Puts the rows in order. What stands where it should is not touched: moving an element takes its focus. */
  private place(rows: HTMLElement[]): void {
    const list = this.list.querySelector('ul') ?? element('ul')
    if (list.parentElement === null) this.list.replaceChildren(list)
    if (rows.length === list.children.length && rows.every((row, index) => list.children[index] === row)) return
    const focused = document.activeElement
    list.replaceChildren(...rows)
    if (focused instanceof HTMLElement && list.contains(focused)) focused.focus()
  }

  private async explain(row: ConnectionRow): Promise<void> {
    try {
      if (this.node) row.explain(await this.node.diagnose(row.peer))
    } catch {
      // The node has stopped or restarts: what was said before stays.
    }
  }

  private remember(sentence: string | undefined): void {
    this.mentioned = sentence
    this.remark()
  }

  private remark(): void {
    const said = [...(this.mentioned === undefined ? [] : [this.mentioned]), ...(this.status === undefined ? [] : remarks(this.status))]
    if (said.join() === this.said) return
    this.said = said.join()
    byId('notices').replaceChildren(...(said.length > 0 ? [element('div', { class: 'notice' }, ...said.map((sentence) => element('p', {}, sentence)))] : []))
  }

  private numbers(): void {
    const storage = this.status?.storage
    const texts = [
      this.peers === 1 ? '1 browser' : `${this.peers} browsers`,
      ...(storage?.usage === undefined ? [] : [`${size(storage.usage)} stored`]),
      ...(storage?.kind === 'memory' ? ['nothing kept after closing'] : []),
    ]
    write(byId('node-numbers'), this.node ? texts.join(' · ') : '')
  }

  private open(open: boolean): void {
    this.list.hidden = !open
    this.toggle.setAttribute('aria-expanded', String(open))
    if (open && this.node === undefined) this.showConnections([])
    void this.look()
  }

  /** Looks at the connections now, and from time to time from then on. */
  async look(): Promise<void> {
    clearTimeout(this.timer)
    if (this.node === undefined) return
    try {
      this.showConnections(await this.node.connections())
      this.show(await this.node.status())
      await Promise.all([...this.rows.values()].filter(({ isOpen }) => isOpen).map((row) => this.explain(row)))
    } catch {
      // The node has stopped or restarts; its events say which.
    }
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.look(), this.list.hidden ? lookClosed : lookOpen)
  }
}

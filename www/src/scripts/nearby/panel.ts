/**
 * The panel of nearby devices. It is turned on for this visit only: who uses the page at home and then in a café has not said yes to the café. The
 * name is kept.
 */

import type { Nearby, NearbyPeer, ShoalNode } from 'shoal'
import { explain } from '../node/problems.ts'
import { announce } from '../view/announce.ts'
import { byId, write } from '../view/part.ts'
import { DeviceRow } from './device-row.ts'

/** Where the name is kept. */
const nameKey = 'shoal.nearby.name'

/** Milliseconds for a device to answer before the person is told that it does not. */
const patience = 30_000

/** One sentence on how it stands. */
export function standing({ listed, peers, problem }: Nearby): string {
  if (problem !== undefined) return problem
  if (!listed) return 'Asking the relay who is here…'
  if (peers.length === 0) return 'Nobody else yet. Open this page on another device in this network, and turn this on there too.'
  return peers.length === 1 ? 'One device is here.' : `${peers.length} devices are here.`
}

/** What a device is called in a sentence. */
export function deviceTitle({ name, peer }: NearbyPeer): string {
  return name ?? `a device without a name (…${peer.slice(-6)})`
}

/** Keeps the panel true. */
export class NearbyPanel {
  private node: ShoalNode | undefined
  private readonly toggle = byId<HTMLButtonElement>('nearby-switch')
  private readonly body = byId('nearby-body')
  private readonly name = byId<HTMLInputElement>('nearby-name')
  private readonly list = byId('nearby-list')
  private readonly rows = new Map<string, DeviceRow>()
  private readonly send: (files: File[], peer: string) => void
  private on = false

  /** @param send called when the person has chosen files for a device */
  constructor(send: (files: File[], peer: string) => void) {
    this.send = send
    this.name.value = rememberedName()
    this.toggle.addEventListener('click', () => void this.wish(!this.on))
    byId('nearby-name-form').addEventListener('submit', (event) => {
      event.preventDefault()
      void this.wish(true)
    })
  }

  /** From now on it can be turned on. */
  async follow(node: ShoalNode): Promise<void> {
    this.node = node
    this.toggle.disabled = false
    this.show(await node.nearby())
  }

  /** Shows how it stands, which another tab may have changed. */
  show(nearby: Nearby): void {
    this.on = nearby.on
    this.toggle.setAttribute('aria-checked', String(nearby.on))
    this.body.hidden = !nearby.on
    write(byId('nearby-standing'), nearby.on ? standing(nearby) : '')
    this.place(nearby.on ? nearby.peers : [])
    void this.look()
  }

  /** Connections came or went: also those that others made to us. */
  async look(): Promise<void> {
    if (this.node === undefined || this.rows.size === 0) return
    try {
      const connections = await this.node.connections()
      for (const [peer, row] of this.rows) {
        const paths = connections.filter((connection) => connection.peer === peer).map(({ path }) => path)
        row.connected(paths.includes('direct') ? 'direct' : paths[0])
      }
    } catch {
      // The node has stopped or restarts: its next event leads here again.
    }
  }

  private async wish(on: boolean): Promise<void> {
    if (this.node === undefined) return
    const name = this.name.value.trim()
    const problem = byId('nearby-name-problem')
    problem.hidden = true
    try {
      this.show(await this.node.nearby(on && (name === '' ? true : { name })))
      remember(name)
      announce(on ? 'Nearby devices can find this browser now' : 'Nearby devices cannot find this browser any more')
    } catch (error) {
      // A name that cannot be shown to others; where it is not the name, the same place is as good as any.
      this.body.hidden = false
      problem.hidden = false
      write(problem, explain(error))
      this.name.focus()
    }
  }

  /** Puts the devices in order, and tells who came. What stands where it should is not touched: moving an element takes its focus. */
  private place(peers: NearbyPeer[]): void {
    const sorted = [...peers].sort((a, b) => (a.name ?? '~').localeCompare(b.name ?? '~') || a.peer.localeCompare(b.peer))
    const present = new Set(peers.map(({ peer }) => peer))
    for (const [peer, row] of this.rows) {
      if (present.has(peer)) continue
      row.root.remove()
      this.rows.delete(peer)
    }
    for (const [index, peer] of sorted.entries()) {
      let row = this.rows.get(peer.peer)
      if (row === undefined) {
        row = new DeviceRow(peer.peer, (device) => void this.connect(device), (files) => this.send(files, peer.peer))
        this.rows.set(peer.peer, row)
        announce(`Nearby: ${deviceTitle(peer)}`)
      }
      row.show(peer)
      if (this.list.children[index] !== row.root) this.list.insertBefore(row.root, this.list.children[index] ?? null)
    }
  }

  private async connect(row: DeviceRow): Promise<void> {
    if (this.node === undefined) return
    row.connecting()
    try {
      row.connected((await this.node.connect(row.peer, { signal: AbortSignal.timeout(patience) })).path)
    } catch (error) {
      row.failed(explain(error))
    }
  }
}

function rememberedName(): string {
  try {
    return localStorage.getItem(nameKey) ?? ''
  } catch {
    return '' // storage is refused: the name is typed again
  }
}

function remember(name: string): void {
  try {
    localStorage.setItem(nameKey, name)
  } catch {
    // as above
  }
}

/** One peer in the list of connections: how it is connected, and on request the way to it, step by step. */

import type { ConnectionInfo, Diagnosis, DiagnosisStep } from 'shoal'
import { size } from '../view/numbers.ts'
import { element, svg, write } from '../view/part.ts'
import { face, shortPeer } from '../view/peer.ts'

const titles: Record<DiagnosisStep['name'], string> = {
  relay: 'Relay reached',
  reservation: 'Reachable through it',
  circuit: 'Put through to the other browser',
  signalling: 'Descriptions exchanged',
  candidates: 'Addresses exchanged',
  ice: 'A pair of addresses works',
  direct: 'Direct connection',
}
const results: Record<DiagnosisStep['result'], string> = { done: 'done', failed: 'failed', running: 'not yet' }

let numbers = 0

/** Whether what is at its other end is a relay. */
export function leadsToRelay({ transport }: ConnectionInfo): boolean {
  return transport === 'websocket' || transport === 'webtransport' || transport === 'webrtc-direct'
}

/** Connections of one kind to one peer: several direct ones carry what goes far or loses packets, and a person sees one way. */
export interface Way extends ConnectionInfo {
  readonly count: number
}

/** By what a row is found again. */
export function keyOf(connection: ConnectionInfo): string {
  return `${connection.peer} ${connection.transport} ${connection.path === 'direct' && !leadsToRelay(connection) ? '' : connection.address}`
}

/** Adds up what goes by connections of one kind to one peer. The round trip is the shortest. */
export function together(connections: readonly ConnectionInfo[]): Way[] {
  const ways = new Map<string, Way>()
  for (const connection of connections) {
    const key = keyOf(connection)
    const { count = 0, bytesReceived = 0, bytesSent = 0, roundTripTime } = ways.get(key) ?? {}
    const times = [roundTripTime, connection.roundTripTime].filter((time) => time !== undefined)
    ways.set(key, {
      ...connection,
      count: count + 1,
      bytesReceived: bytesReceived + connection.bytesReceived,
      bytesSent: bytesSent + connection.bytesSent,
      ...(times.length === 0 ? {} : { roundTripTime: Math.min(...times) }),
    })
  }
  return [...ways.values()]
}

/** A row. It stays the same element while its facts change, so that focus and an open explanation stay. */
export class ConnectionRow {
  /** The list item. */
  readonly root: HTMLLIElement
  readonly peer: string
  private readonly path = element('span', { class: 'connection-path' })
  private readonly transport = element('span', { class: 'connection-transport' })
  private readonly facts = element('span', { class: 'connection-facts' })
  private readonly toggle: HTMLButtonElement
  private readonly way: HTMLElement
  private shown = ''

  /** @param opened called when the explanation was opened and is to be filled */
  constructor(peer: string, isRelay: boolean, opened: () => void) {
    this.peer = peer
    const id = `way-${(numbers += 1)}`
    this.way = element('div', { class: 'way', id, hidden: '', 'data-testid': 'connection-way' })
    this.toggle = element('button', { class: 'button quiet', type: 'button', 'aria-expanded': 'false', 'aria-controls': id, 'data-testid': 'connection-why' }, 'The way')
    this.toggle.setAttribute('aria-label', `The way to ${shortPeer(peer)}`)
    this.toggle.addEventListener('click', () => {
      this.way.hidden = !this.way.hidden
      this.toggle.setAttribute('aria-expanded', String(!this.way.hidden))
      if (this.isOpen) opened()
    })
    const picture = isRelay ? svg('svg', { viewBox: '0 0 32 40', class: 'face', 'aria-hidden': 'true' }, svg('use', { href: '#buoy' })) : face(peer)
    this.root = element(
      'li',
      { class: 'connection' },
      picture,
      element('span', { class: 'connection-peer', title: peer }, shortPeer(peer)),
      this.path,
      this.transport,
      this.facts,
      this.toggle,
      this.way,
    )
  }

  /** Whether its explanation is shown. */
  get isOpen(): boolean {
    return !this.way.hidden
  }

  /** Shows a way, or that there is none. */
  show(connection: Way | undefined): void {
    this.root.dataset['path'] = connection?.path ?? 'none'
    this.root.dataset['transport'] = connection?.transport ?? 'none'
    write(this.path, connection === undefined ? 'not connected' : leadsToRelay(connection) ? 'relay' : connection.path === 'direct' ? 'direct' : 'through the relay')
    write(this.transport, connection?.transport ?? '')
    if (connection === undefined) return write(this.facts, '')
    const time = connection.roundTripTime === undefined ? [] : [`${Math.round(connection.roundTripTime)} ms`]
    const several = connection.count > 1 ? [`${connection.count} connections`] : []
    write(this.facts, [`${size(connection.bytesReceived)} in`, `${size(connection.bytesSent)} out`, ...time, ...several].join(' · '))
  }

  /** Fills the explanation. */
  explain(diagnosis: Diagnosis): void {
    const { summary, reasons, steps } = diagnosis
    const key = JSON.stringify([summary, reasons, steps])
    if (key === this.shown) return
    this.shown = key
    this.way.replaceChildren(
      element('p', { class: 'way-summary' }, summary),
      // The summary of a missing connection ends with the first reason.
      ...reasons.filter((reason) => !summary.endsWith(reason)).map((reason) => element('p', {}, reason)),
      element('ol', {}, ...steps.map(stepItem)),
    )
  }
}

function stepItem({ name, result, duration, detail }: DiagnosisStep): HTMLElement {
  return element(
    'li',
    { 'data-result': result },
    element('span', { class: 'step-name' }, titles[name]),
    element('span', { class: 'step-result' }, result === 'done' && duration !== undefined ? milliseconds(duration) : results[result]),
    element('span', { class: 'step-detail', title: detail }, detail.replace(/\b12D3KooW\w{38}(?=\w{6}\b)/g, '…')),
  )
}

function milliseconds(value: number): string {
  return value < 1_000 ? `${Math.max(1, Math.round(value))} ms` : `${(value / 1_000).toFixed(1)} s`
}

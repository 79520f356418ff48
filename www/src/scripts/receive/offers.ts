/** What nearby devices offer: each waits for the person's yes or no, and nothing is fetched before. */

import type { NearbyPeer, NodeEvent } from 'shoal'
import { deviceTitle } from '../nearby/panel.ts'
import { announce } from '../view/announce.ts'
import { size } from '../view/numbers.ts'
import { element } from '../view/part.ts'
import { face } from '../view/peer.ts'
import { safeName } from './kind.ts'

type Offered = Extract<NodeEvent, { type: 'offered' }>

/** Offers shown at once; the oldest goes when one more comes. */
const most = 8

/** The offers. */
export class Offers {
  private readonly place: HTMLElement
  private readonly take: (offer: { cid: string; name: string; from: string }) => void
  private readonly shown = new Map<string, HTMLElement>()
  private devices: NearbyPeer[] = []

  /** @param take called when the person wants it */
  constructor(place: HTMLElement, take: (offer: { cid: string; name: string; from: string }) => void) {
    this.place = place
    this.take = take
  }

  /** Who is near now: by what name an offer is said to come. */
  near(devices: NearbyPeer[]): void {
    this.devices = devices
  }

  /** Shows one. */
  show({ peer, cid, size: bytes, name }: Offered): void {
    const key = `${peer} ${cid}`
    this.drop(key)
    const called = safeName(name)
    const words = `${deviceTitle(this.devices.find((device) => device.peer === peer) ?? { peer })} offers ${called}, ${size(bytes)}`
    const take = element('button', { type: 'button', class: 'button primary', 'data-testid': 'offer-take' }, 'Take it')
    take.addEventListener('click', () => {
      this.drop(key)
      this.take({ cid, name: called, from: peer })
    })
    const leave = element('button', { type: 'button', class: 'button quiet', 'data-testid': 'offer-leave' }, 'No, thanks')
    leave.addEventListener('click', () => this.drop(key))
    const row = element('div', { class: 'notice offer', 'data-testid': 'offer' }, face(peer), element('p', { title: peer }, words), element('span', { class: 'offer-acts' }, take, leave))
    this.shown.set(key, row)
    this.place.prepend(row)
    announce(words)
    const [oldest] = this.shown
    if (this.shown.size > most && oldest) this.drop(oldest[0])
  }

  private drop(key: string): void {
    this.shown.get(key)?.remove()
    this.shown.delete(key)
  }
}

/** One nearby device: its face, its name, whether this browser is connected to it, and a way to send it files. */

import type { ConnectionInfo, NearbyPeer } from 'shoal'
import { announce } from '../view/announce.ts'
import { element, write } from '../view/part.ts'
import { face, shortPeer } from '../view/peer.ts'

/** A row. It stays the same element while what it shows changes, so that focus stays. */
export class DeviceRow {
  /** The list item. */
  readonly root: HTMLLIElement
  readonly peer: string
  private readonly name = element('span', { class: 'device-name', 'data-testid': 'nearby-device' })
  private readonly state = element('span', { class: 'device-state', 'data-testid': 'nearby-state' })
  private readonly button: HTMLButtonElement
  private readonly chooser = element('input', { class: 'visually-hidden', type: 'file', multiple: '', 'data-testid': 'nearby-file' })

  /** @param connect called when the person wants a connection to it @param send called with what the person has chosen for it */
  constructor(peer: string, connect: (row: DeviceRow) => void, send: (files: File[]) => void) {
    this.peer = peer
    this.button = element('button', { class: 'button', type: 'button', 'data-testid': 'nearby-connect' }, 'Connect')
    this.button.addEventListener('click', () => connect(this))
    // Names are chosen freely: two equal ones differ by face and by the end of their PeerId.
    const words = element('span', { class: 'device-words' }, this.name, element('span', { class: 'device-peer', title: peer }, shortPeer(peer)), this.state)
    this.chooser.addEventListener('change', () => {
      send([...(this.chooser.files ?? [])])
      this.chooser.value = ''
    })
    const chooser = element('label', { class: 'button' }, this.chooser, 'Send a file')
    this.root = element('li', { class: 'device', tabindex: '-1' }, face(peer), words, element('span', { class: 'device-acts' }, this.button, chooser))
  }

  /** Shows its name. */
  show({ name }: NearbyPeer): void {
    write(this.name, name ?? 'No name')
    this.chooser.setAttribute('aria-label', `Send files to ${name ?? 'the device without a name'}, ${shortPeer(this.peer)}`)
    this.button.setAttribute('aria-label', `Connect to ${name ?? 'the device without a name'}, ${shortPeer(this.peer)}`)
  }

  /** An attempt is under way. */
  connecting(): void {
    this.say('connecting', 'Connecting…')
    this.button.disabled = true
  }

  /** It failed, for this reason. */
  failed(reason: string): void {
    this.button.disabled = false
    this.say('failed', reason)
  }

  /** By which path it is connected, if it is. */
  connected(path: ConnectionInfo['path'] | undefined): void {
    const held = document.activeElement === this.button
    this.button.hidden = path === 'direct'
    if (path !== undefined) {
      this.button.disabled = false
      this.say(path, path === 'direct' ? 'Connected directly' : 'Connected through the relay')
    } else if (this.root.dataset['state'] === 'direct' || this.root.dataset['state'] === 'relayed') {
      this.say('none', '')
    }
    // The button is gone, and the focus must not be lost with it.
    if (held && this.button.hidden) this.root.focus()
  }

  private say(state: string, sentence: string): void {
    if (this.root.dataset['state'] === state && this.state.textContent === sentence) return
    this.root.dataset['state'] = state
    write(this.state, sentence)
    if (sentence !== '') announce(`${this.name.textContent}: ${sentence}`)
  }
}

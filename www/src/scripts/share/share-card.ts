/** How a shared item looks, as a function of its state. Knows nothing of the node. */

import { copyButton } from '../view/copy.ts'
import { Course, type CourseState } from '../view/course.ts'
import { percent, size, sizeOf } from '../view/numbers.ts'
import { clone, element, part, svg, write } from '../view/part.ts'
import { Progress } from '../view/progress.ts'
import { qrCode } from '../view/qr.ts'

/** Everything but the link. */
export interface Item {
  name: string
  size: number
  words: string
  icon: string
}

/** One browser that reads the item. */
export interface Reader {
  peer: string
  bytes: number
  path: 'direct' | 'relayed'
  state: 'active' | 'done' | 'ended'
}

/** Readers drawn at once; more are only counted. */
const drawn = 6

/** How the line to a reader is drawn. */
function readerCourse({ state, path }: Reader): CourseState {
  if (state === 'active') return path
  if (state === 'ended') return 'waiting'
  return path === 'direct' ? 'done' : 'done-relayed'
}

/** One card. */
export class ShareCard {
  private readonly item: Item
  readonly root = clone('share-card-template')
  private readonly progress = new Progress(part(this.root, 'progress'))
  private readonly courses = new Map<string, { row: HTMLElement; course: Course }>()
  private readonly hands = new Map<string, HTMLButtonElement>()
  private link = ''
  private opened = true

  constructor(item: Item, cancel: () => void) {
    this.item = item
    write(part(this.root, 'name'), item.name)
    write(part(this.root, 'facts'), `${size(item.size)} · ${item.words}`)
    part(this.root, 'thumb').append(svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, svg('use', { href: `#icon-${item.icon}` })))
    part(this.root, 'cancel').addEventListener('click', cancel)
    const link = part<HTMLInputElement>(this.root, 'link')
    link.addEventListener('focus', () => link.select())
    copyButton(part<HTMLButtonElement>(this.root, 'copy'), () => this.link, link)
    const send = part(this.root, 'send')
    // Phones have their own way to pass a link on; it rejects when the person changes their mind.
    send.hidden = !('share' in navigator)
    send.addEventListener('click', () => void navigator.share({ title: item.name, url: this.link }).catch(() => undefined))
    part(this.root, 'toggle').addEventListener('click', () => this.open(!this.opened))
  }

  /** Shows a small picture in place of the icon. @param url an object URL, which is revoked once it is drawn */
  thumbnail(url: string): void {
    const picture = element('img', { src: url, alt: '' })
    picture.addEventListener('load', () => part(this.root, 'thumb').replaceChildren(picture))
    for (const over of ['load', 'error']) picture.addEventListener(over, () => URL.revokeObjectURL(url))
  }

  /** Shows how far the preparation is. @param speed bytes per second */
  publishing(bytes: number, speed: number | undefined, waiting: boolean): void {
    this.root.dataset['phase'] = 'publishing'
    part(this.root, 'publishing').hidden = false
    this.progress.show(bytes, this.item.size)
    write(part(this.root, 'done'), waiting ? 'Waiting for the node to start…' : `Preparing ${sizeOf(bytes, this.item.size)}`)
    write(part(this.root, 'speed'), waiting || speed === undefined || percent(bytes, this.item.size) === 100 ? '' : `${size(speed)}/s`)
  }

  /** Shows the link. @param far the same link as another device of the network spells it */
  shared(link: string, far: string | undefined): void {
    this.root.dataset['phase'] = 'shared'
    this.link = link
    part(this.root, 'publishing').hidden = true
    part<HTMLInputElement>(this.root, 'link').value = link
    part(this.root, 'qr').replaceChildren(qrCode(far ?? link))
    this.open(this.opened)
    if (far === undefined) return
    const copy = element('button', { type: 'button', class: 'button quiet' }, 'Copy that link')
    copyButton(copy, () => far)
    const line = part(this.root, 'elsewhere')
    line.hidden = false
    line.replaceChildren(`The link above works on this computer. For other devices on your network it begins with ${new URL(far).origin} `, copy)
    write(part(this.root, 'qr-caption'), 'Scan to open it on a phone in this network')
  }

  /** Offers to hand it to these devices. @param hand called when the person chooses one; what it resolves to is said in its place */
  near(devices: { peer: string; title: string }[], hand: (peer: string) => Promise<string>): void {
    const place = part(this.root, 'near')
    for (const [peer, button] of this.hands) {
      if (devices.some((device) => device.peer === peer)) continue
      button.remove()
      this.hands.delete(peer)
    }
    for (const { peer, title } of devices) {
      const known = this.hands.get(peer)
      if (known) continue
      const words = `Send to ${title}`
      const button = element('button', { type: 'button', class: 'button', 'data-testid': 'share-hand', title: peer }, words)
      button.addEventListener('click', () => {
        button.disabled = true
        write(button, `Asking ${title}…`)
        void hand(peer).then((said) => {
          button.disabled = false
          write(button, said === '' ? `${title} was asked` : words)
          this.problem(said === '' ? undefined : said)
        })
      })
      this.hands.set(peer, button)
      place.append(button)
    }
    place.hidden = this.hands.size === 0
  }

  /** Folds the link and the code away, or shows them. */
  open(open: boolean): void {
    this.opened = open
    part(this.root, 'handout').hidden = !open || this.link === ''
    part(this.root, 'toggle').setAttribute('aria-expanded', String(open))
    write(part(this.root, 'toggle'), open ? 'Hide' : 'Link')
  }

  /** Makes the card one that can be folded: all but the newest. */
  fold(): void {
    part(this.root, 'toggle').hidden = false
    this.open(false)
  }

  /** Says what is wrong; undefined takes it back. */
  problem(sentence: string | undefined): void {
    const line = part(this.root, 'problem')
    line.hidden = sentence === undefined
    write(line, sentence ?? '')
    if (sentence !== undefined) part(this.root, 'publishing').hidden = true
  }

  /** Draws who reads it. @param me this browser's PeerId */
  audience(readers: Reader[], me: string): void {
    const shown = readers.slice(-drawn)
    for (const [peer, { row }] of this.courses) {
      if (shown.some((reader) => reader.peer === peer)) continue
      row.remove()
      this.courses.delete(peer)
    }
    for (const reader of shown) {
      const known = this.courses.get(reader.peer) ?? this.addReader(reader.peer)
      known.course.show(readerCourse(reader), { peer: me, label: 'you' }, { peer: reader.peer, away: reader.state === 'ended' })
      known.course.swim(reader.bytes)
      const words = known.row.lastElementChild
      if (words instanceof HTMLElement) write(words, this.readerWords(reader))
    }
  }

  private addReader(peer: string): { row: HTMLElement; course: Course } {
    const course = new Course({ peer: undefined }, { peer })
    const added = { course, row: element('li', {}, course.root, element('p', { class: 'reader-words' })) }
    part(this.root, 'audience').prepend(added.row)
    this.courses.set(peer, added)
    return added
  }

  private readerWords(reader: Reader): string {
    const way = reader.path === 'direct' ? 'directly' : 'through the relay'
    if (reader.state === 'done') return `Has it, received ${way}`
    if (reader.state === 'ended') return `Left after ${sizeOf(Math.min(reader.bytes, this.item.size), this.item.size)}; it goes on when they are back`
    return `${percent(reader.bytes, this.item.size)} % · ${sizeOf(Math.min(reader.bytes, this.item.size), this.item.size)} ${way}`
  }
}

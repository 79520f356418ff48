/**
 * The drawn connection: sender on the left, receiver on the right, the relay's buoy above the line between them.
 *
 * ```text
 *            buoy                     relayed: the dashed arc through the buoy carries the fish
 *         .-'    '-.
 *  fish ------------------ fish       direct: the straight line is lit, the buoy goes dim
 * ```
 */

import { element, svg, write } from './part.ts'
import { face, shortPeer } from './peer.ts'

/** What the drawing shows. */
export type CourseState = 'idle' | 'seeking' | 'relayed' | 'direct' | 'waiting' | 'done' | 'done-relayed'

/** One end of the course. */
export interface End {
  /** PeerId, once known. */
  peer: string | undefined
  /** Words under the face; the short PeerId where there are none. */
  label?: string
  /** Its tab is closed or out of reach. */
  away?: boolean
}

const direct = 'M4 74H316'
const relayed = 'M4 74C78 74 96 26 160 26S242 74 316 74'

const words: Record<CourseState, string> = {
  idle: 'not connected',
  seeking: 'looking for a way',
  relayed: 'connected through the relay',
  direct: 'connected directly',
  waiting: 'one side is away',
  done: 'all here, sent directly',
  'done-relayed': 'all here, sent through the relay',
}

/** Fish on the way along one line. */
function travellers(line: string): SVGElement[] {
  return Array.from({ length: school }, () =>
    svg('g', { class: 'traveller', style: `offset-path:path("${line}")` }, svg('path', { d: 'M-8-3.2-4.5-.7C-2.6-2.7-.1-3.6 2.5-3.5 5-3.4 7.1-1.7 8 0c-.9 1.7-3 3.4-5.5 3.5C-.1 3.6-2.6 2.7-4.5.7L-8 3.2C-7.1 1.2-7.1-1.2-8-3.2z' })),
  )
}

/** Fish on one line at a time, and how much of the line they swim at each step. */
const school = 3
const stride = 0.012

/** A live drawing of one connection. */
export class Course {
  /** The drawing, to be put into a card. */
  readonly root: HTMLElement
  private readonly ends: [HTMLElement, HTMLElement]
  private readonly picture: SVGElement
  private readonly fish = { relayed: travellers(relayed), direct: travellers(direct) }
  private readonly still = matchMedia('(prefers-reduced-motion: reduce)')
  private shown = ''
  private way = 0.1
  private bytes = 0

  constructor(sender: End, receiver: End) {
    this.picture = svg(
      'svg',
      { viewBox: '0 0 320 96', class: 'course-lines', role: 'img' },
      svg('path', { d: relayed, class: 'line line-relayed' }),
      svg('path', { d: direct, class: 'line line-direct' }),
      svg('g', { class: 'travellers on-relayed' }, ...this.fish.relayed),
      svg('g', { class: 'travellers on-direct' }, ...this.fish.direct),
      svg('use', { href: '#buoy', x: 146, y: 2, width: 28, height: 35, class: 'course-buoy' }),
    )
    this.ends = [element('div', { class: 'end' }), element('div', { class: 'end' })]
    this.root = element('div', { class: 'course' }, this.ends[0], this.picture, this.ends[1])
    this.show('idle', sender, receiver)
    this.place()
  }

  /**
   * Lets the fish swim on when bytes have come. They move with the bytes and not by a clock: the picture tells the truth, and a transfer does not
   * share the processor with an animation.
   * @param bytes that came so far
   */
  swim(bytes: number): void {
    if (bytes <= this.bytes || this.still.matches) return
    this.bytes = bytes
    this.way = (this.way + stride) % 1
    this.place()
  }

  /** Draws the state; cheap when nothing changed. */
  show(state: CourseState, sender: End, receiver: End): void {
    const key = JSON.stringify([state, sender, receiver])
    if (key === this.shown) return
    this.shown = key
    this.root.dataset['state'] = state
    this.picture.setAttribute('aria-label', words[state])
    this.end(this.ends[0], sender)
    this.end(this.ends[1], receiver)
  }

  private place(): void {
    for (const fish of Object.values(this.fish)) {
      fish.forEach((one, index) => one.style.setProperty('offset-distance', `${(100 * (this.way + index / school)) % 100}%`))
    }
  }

  private end(place: HTMLElement, end: End): void {
    place.classList.toggle('away', end.away === true)
    if (place.dataset['peer'] !== String(end.peer)) {
      place.dataset['peer'] = String(end.peer)
      place.replaceChildren(face(end.peer), element('span', { class: 'end-label' }))
    }
    const label = place.lastElementChild
    if (label instanceof HTMLElement) write(label, end.label ?? (end.peer === undefined ? '?' : shortPeer(end.peer)))
  }
}

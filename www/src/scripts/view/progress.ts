/** Progress as a shoal: a hundred small fish in formation, one lit for each percent. */

import { percent } from './numbers.ts'
import { svg } from './part.ts'

const rows = 4
const columns = 25
const spacing = 20

/** A steady offset that keeps the formation from looking ruled. */
const drift = (index: number, size: number) => size * Math.sin(index * 12.9898 + 4.1)

/** Fish from left to right, so that filling them moves forward. */
function formation(): SVGElement[] {
  const fish: { x: number; element: SVGElement }[] = []
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const index = column * rows + row
      const x = column * spacing + (row % 2) * (spacing / 2) + drift(index, 1.8)
      const y = 3 + row * 11 + drift(index + 7, 1.4)
      fish.push({ x, element: svg('use', { href: '#fish', x: x.toFixed(1), y: y.toFixed(1), width: 15, height: 7.5 }) })
    }
  }
  return fish.sort((a, b) => a.x - b.x).map((one) => one.element)
}

/** A drawn progress bar inside an element that has `role="progressbar"`. */
export class Progress {
  private readonly root: HTMLElement
  private readonly fish = formation()
  private lit = 0

  constructor(root: HTMLElement) {
    this.root = root
    root.append(svg('svg', { viewBox: `0 0 ${columns * spacing + 12} ${rows * 11 + 4}`, 'aria-hidden': 'true' }, ...this.fish))
    this.show(0, undefined)
  }

  /** @returns whole percent done */
  show(bytes: number, total: number | undefined): number {
    const now = percent(bytes, total)
    if (total === undefined) this.root.removeAttribute('aria-valuenow')
    else this.root.setAttribute('aria-valuenow', String(now))
    const [from, to] = now > this.lit ? [this.lit, now] : [now, this.lit]
    for (let index = from; index < to; index++) this.fish[index]?.classList.toggle('lit', index < now)
    this.lit = now
    return now
  }
}

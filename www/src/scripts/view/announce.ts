/** What a screen reader is told: coarse steps only, through one polite region. */

import { byId, write } from './part.ts'

/** Says a sentence. */
export function announce(sentence: string): void {
  write(byId('announcer'), sentence)
}

/** Says how far something is, at each quarter and no more often. */
export class Steps {
  private readonly what: string
  private last = 0
  constructor(what: string) {
    this.what = what
  }

  /** @param percent whole percent done */
  at(percent: number): void {
    const step = Math.floor(percent / 25) * 25
    if (step > this.last && step < 100) announce(`${this.what}: ${step} percent`)
    this.last = step
  }
}

/** The links that were opened in this tab: one card for each content, the newest first. */

import type { ShareLink, ShoalNode } from 'shoal'
import { explain } from '../node/problems.ts'
import type { Package } from '../node/start.ts'
import { clone, element, part, write } from '../view/part.ts'
import { announce } from '../view/announce.ts'
import { safeName } from './kind.ts'
import { Reception, type Wanted } from './reception.ts'

/** Cards kept at once; the oldest goes when one more link is opened. Each may hold a content of 256 MB. */
const most = 8

/** Everything received in this tab. */
export class Inbox {
  private readonly place: HTMLElement
  private readonly node: Promise<ShoalNode>
  private readonly activity: (busy: boolean) => void
  private readonly receptions = new Map<string, Reception>()
  private readonly percents = new Map<string, number>()

  /** @param activity called when bytes start or stop arriving */
  constructor(place: HTMLElement, node: Promise<ShoalNode>, activity: (busy: boolean) => void) {
    this.place = place
    this.node = node
    this.activity = activity
  }

  /** Opens the link in the page's URL, and tells what it says if it can be read. */
  open(shoal: Package, url: string): ShareLink | undefined {
    let link
    try {
      link = shoal.parseLink(url)
    } catch (error) {
      this.malformed(error)
      return undefined
    }
    const { cid } = link
    this.place.querySelector('.malformed')?.remove()
    const known = this.receptions.get(cid)
    const reception = known ?? this.add({ cid, name: safeName(link.name), from: link.from === undefined ? [] : [link.from], via: link.via ?? [] })
    this.place.prepend(reception.card.root)
    if (known) announce('This is already on this page')
    if (!known || !known.lively) void reception.run()
    reception.card.root.scrollIntoView({ block: 'nearest' })
    return link
  }

  private add(wanted: Wanted): Reception {
    const reception = new Reception(wanted, this.node, (state) => {
      if (state.phase === 'fetching' && state.total) this.percents.set(wanted.cid, Math.floor((100 * state.bytes) / state.total))
      else this.percents.delete(wanted.cid)
      const [percent] = this.percents.values()
      document.title = percent === undefined ? 'Shoal' : `${percent}% · Shoal`
      this.activity(this.percents.size > 0)
    })
    this.receptions.set(wanted.cid, reception)
    const [oldest] = this.receptions
    if (this.receptions.size > most && oldest) {
      oldest[1].dispose()
      this.receptions.delete(oldest[0])
    }
    return reception
  }

  /** A link that cannot be read: says which field, and what to do. */
  private malformed(error: unknown): void {
    this.place.querySelector('.malformed')?.remove()
    const card = clone('receive-card-template')
    card.classList.add('malformed')
    card.dataset['phase'] = 'failed'
    write(part(card, 'name'), 'This link cannot be read')
    for (const name of ['course', 'phase', 'progress-block', 'cancel', 'size']) part(card, name).hidden = true
    part(card, 'thumb').append(element('span', { class: 'thumb-mark' }, '?'))
    const problem = part(card, 'problem')
    problem.hidden = false
    this.place.prepend(card)
    write(problem, explain(error))
  }
}

/** Everything shared from this browser: publishes what comes in, lists it newest first, and draws who reads it. */

import type { NearbyPeer, NodeEvent, ShoalNode } from 'shoal'
import { explain } from '../node/problems.ts'
import type { Package } from '../node/start.ts'
import { collect } from '../receive/collect.ts'
import { announce } from '../view/announce.ts'
import { part } from '../view/part.ts'
import type { Offer } from './intake.ts'
import { publish } from './publication.ts'
import { deviceTitle } from '../nearby/panel.ts'
import { type Reader, ShareCard } from './share-card.ts'
import { remember, type Shared, sharedList } from './shared-list.ts'

type Serving = Extract<NodeEvent, { type: 'serving' }>

/** Remembered items whose content is looked for after a reload; the rest is listed without a look. */
const looked = 20

/** Readers remembered of one item, and items whose readers are remembered; then the one not heard of for longest is forgotten. */
const mostReaders = 32
const mostItems = 256

/** Milliseconds for a device to answer. */
const patience = 30_000

/** Bytes of the name that an offer carries. */
const longestOffered = 128

/** Milliseconds after which a content that is not found here counts as gone. */
const lookTime = 10_000

/** Items shared from here. */
export class Outbox {
  private readonly place: HTMLElement
  private readonly shoal: Promise<Package>
  private readonly node: Promise<ShoalNode>
  private readonly far: Promise<string | undefined>
  private readonly activity: (busy: boolean) => void
  private readonly cards = new Map<string, ShareCard>()
  private readonly readers = new Map<string, Map<string, Reader>>()
  private devices: NearbyPeer[] = []
  private readonly items = new Map<string, Shared>()
  private queue: Promise<void> = Promise.resolve()

  /** @param far this page's URL for other devices, if it needs another one @param activity called when someone begins or ends reading */
  constructor(
    place: HTMLElement,
    shoal: Promise<Package>,
    node: Promise<ShoalNode>,
    far: Promise<string | undefined>,
    activity: (busy: boolean) => void,
  ) {
    this.place = place
    this.shoal = shoal
    this.node = node
    this.far = far
    this.activity = activity
  }

  /** Shares several things, one after the other. */
  offer(offers: Offer[]): void {
    for (const offer of offers) this.queue = this.queue.then(async () => void (await this.share(offer)))
  }

  /** Shares several things, and hands each to a nearby device as soon as it is ready. */
  send(offers: Offer[], peer: string): void {
    for (const offer of offers) {
      this.queue = this.queue.then(async () => {
        const item = await this.share(offer)
        if (item === undefined) return
        // What comes next does not wait for the answer.
        void this.hand(item, peer).then((said) => said !== '' && this.cards.get(item.cid)?.problem(said))
      })
    }
  }

  /** These devices are near: each card can be handed to them. */
  near(devices: NearbyPeer[]): void {
    this.devices = devices
    for (const cid of this.cards.keys()) this.showNear(cid)
  }

  /** Lists what was shared before the page was loaded. @param open whether the newest is shown with its link */
  async restore(open: boolean): Promise<void> {
    const list = sharedList()
    for (const item of [...list].reverse()) {
      if (this.cards.has(item.cid)) continue
      const card = new ShareCard(item, () => undefined)
      this.items.set(item.cid, item)
      this.list(item.cid, card)
      card.fold()
      this.link(item, card).catch((error: unknown) => card.problem(explain(error)))
    }
    if (open && list[0]) this.cards.get(list[0].cid)?.open(true)
    const node = await this.node
    for (const item of list.slice(0, looked)) await this.look(node, item)
  }

  /** Takes note of a reader. */
  async serving({ peer, cid, bytes, path, state }: Serving): Promise<void> {
    const of = this.readers.get(cid) ?? new Map<string, Reader>()
    this.readers.set(cid, of)
    of.delete(peer)
    of.set(peer, { peer, bytes, path, state })
    dropOldest(of, mostReaders)
    dropOldest(this.readers, mostItems)
    this.activity([...this.readers.values()].some((readers) => [...readers.values()].some((reader) => reader.state === 'active')))
    this.cards.get(cid)?.audience([...of.values()], (await this.node).peerId)
  }

  private async share(offer: Offer): Promise<Shared | undefined> {
    const { card, done } = await publish(offer, this.node, (cancelled) => cancelled.root.remove())
    this.place.prepend(card.root)
    card.root.scrollIntoView({ block: 'nearest' })
    const item = await done
    if (item === undefined) return undefined
    remember(item)
    this.list(item.cid, card)
    this.items.set(item.cid, item)
    this.showNear(item.cid)
    try {
      await this.link(item, card)
      if (!document.activeElement?.matches('textarea')) part(card.root, 'copy').focus({ preventScroll: true })
    } catch (error) {
      card.problem(explain(error))
    }
    card.root.scrollIntoView({ block: 'nearest' })
    return item
  }

  private showNear(cid: string): void {
    const item = this.items.get(cid)
    if (item === undefined) return
    this.cards.get(cid)?.near(
      this.devices.map((device) => ({ peer: device.peer, title: deviceTitle(device) })),
      (peer) => this.hand(item, peer),
    )
  }

  /** Asks a nearby device's user to take it. @returns what went wrong, or nothing */
  private async hand(item: Shared, peer: string): Promise<string> {
    try {
      await (await this.node).offerContent(item.cid, peer, { name: shortName(item.name), signal: AbortSignal.timeout(patience) })
      announce(`${item.name} was offered`)
      return ''
    } catch (error) {
      return explain(error)
    }
  }

  /** Puts a card in front, in place of an older one of the same content; the others fold. */
  private list(cid: string, card: ShareCard): void {
    for (const [other, shown] of this.cards) {
      if (other === cid) shown.root.remove()
      else shown.fold()
    }
    this.cards.delete(cid)
    this.cards.set(cid, card)
    this.place.prepend(card.root)
    card.open(true)
  }

  private async link(item: Shared, card: ShareCard): Promise<void> {
    const [shoal, node, far] = await Promise.all([this.shoal, this.node, this.far])
    const parts = { cid: item.cid, name: item.name, from: node.peerId }
    const here = location.href.replace(/#.*$/s, '')
    card.shared(shoal.createLink(here, parts), far === undefined ? undefined : shoal.createLink(far, parts))
    const of = this.readers.get(item.cid)
    if (of) card.audience([...of.values()], node.peerId)
  }

  /** Whether a remembered content is still here, and its thumbnail. */
  private async look(node: ShoalNode, item: Shared): Promise<void> {
    const card = this.cards.get(item.cid)
    if (card === undefined) return
    try {
      const signal = AbortSignal.timeout(lookTime)
      const { size, local } = await node.statContent(item.cid, { signal })
      if (local < size) throw new Error('incomplete')
      if (!item.picture) return
      const { blob } = await collect(node.readContent(item.cid, { signal }))
      if (blob) card.thumbnail(URL.createObjectURL(blob))
    } catch {
      card.problem('This is no longer in this browser’s storage. Share it again to make the link work.')
    }
  }
}

/** A name that fits into an offer, its ending kept. */
function shortName(name: string): string {
  const ending = /\.[^.]{1,10}$/.exec(name)?.[0] ?? ''
  const letters = [...name.slice(0, name.length - ending.length)]
  while (new TextEncoder().encode(letters.join('') + ending).length > longestOffered) letters.pop()
  return letters.join('') + ending
}

/** Keeps a map to its newest entries. */
function dropOldest<Key, Value>(map: Map<Key, Value>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return
    map.delete(key)
  }
}

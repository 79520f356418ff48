/** From a Blob to a link: stores it in the node, keeps its card true. */

import type { ShoalNode } from 'shoal'
import { explain, isCancel } from '../node/problems.ts'
import { headLength, type Kind, kindOf, safeName } from '../receive/kind.ts'
import { announce, Steps } from '../view/announce.ts'
import { percent, size, Speed } from '../view/numbers.ts'
import type { Offer } from './intake.ts'
import { ShareCard } from './share-card.ts'
import type { Shared } from './shared-list.ts'

/** Pictures up to this many bytes get a thumbnail; the browser has to decode the whole to draw it small. */
const thumbnailLimit = 20_000_000

/** One publication. */
export interface Publication {
  card: ShareCard
  /** The item once it is stored; undefined when it was cancelled or failed, which the card then says. */
  done: Promise<Shared | undefined>
}

/** Starts to publish. @param gone called when the person cancelled */
export async function publish(offer: Offer, node: Promise<ShoalNode>, gone: (card: ShareCard) => void): Promise<Publication> {
  const name = safeName(offer.name)
  const kind = await kindOfBlob(offer.content, name)
  const abort = new AbortController()
  const card = new ShareCard({ name, size: offer.content.size, words: kind.words, icon: kind.icon }, () => {
    abort.abort(new DOMException('Stopped', 'AbortError'))
    gone(card)
  })
  if (kind.showing === 'image' && offer.content.size <= thumbnailLimit) card.thumbnail(URL.createObjectURL(offer.content.slice(0, offer.content.size, kind.type)))
  card.publishing(0, undefined, true)
  return { card, done: store({ name, content: offer.content }, kind, node, card, abort.signal) }
}

/** What a Blob is, by its first bytes. Files that cannot be read are found here too. */
async function kindOfBlob(content: Blob, name: string): Promise<Kind> {
  try {
    return kindOf(new Uint8Array(await content.slice(0, headLength).arrayBuffer()), name)
  } catch {
    return kindOf(new Uint8Array([0]), name)
  }
}

async function store(offer: Offer, kind: Kind, starting: Promise<ShoalNode>, card: ShareCard, signal: AbortSignal): Promise<Shared | undefined> {
  const speed = new Speed()
  const steps = new Steps(`Preparing ${offer.name}`)
  const total = offer.content.size
  try {
    const node = await starting
    signal.throwIfAborted()
    card.publishing(0, undefined, false)
    const cid = await node.publishContent(offer.content, {
      signal,
      onProgress: ({ bytes }) => {
        card.publishing(bytes, speed.add(performance.now(), bytes), false)
        steps.at(percent(bytes, total))
      },
    })
    announce(`${offer.name} is ready to share`)
    return {
      cid,
      name: offer.name,
      size: total,
      words: kind.words,
      icon: kind.icon,
      picture: kind.showing === 'image' && total <= thumbnailLimit,
      time: Date.now(),
    }
  } catch (error) {
    if (isCancel(error)) return undefined
    const unreadable = error instanceof DOMException && error.name === 'NotReadableError'
    card.problem(unreadable ? 'This file cannot be read. It may have changed or moved, or it is a folder; choose it again.' : await withRoom(explain(error), error))
    return undefined
  }
}

/** A full disk: also how much is free. */
async function withRoom(sentence: string, error: unknown): Promise<string> {
  if (!(error instanceof Error) || error.name !== 'StorageFull') return sentence
  try {
    const { quota, usage } = await navigator.storage.estimate()
    return quota === undefined || usage === undefined ? sentence : `${sentence} ${size(Math.max(0, quota - usage))} of ${size(quota)} are free here.`
  } catch {
    return sentence
  }
}

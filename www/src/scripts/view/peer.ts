/** A peer's face: a small fish whose colours and pattern follow from its PeerId. Recognisable at a glance, not proof of who it is. */

import { element, svg } from './part.ts'

/** FNV-1a: a few well-mixed bits of a string, enough to choose colours by. */
function mix(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}

/** The end of a PeerId: the start is the same for all of them. */
export function shortPeer(peer: string): string {
  return `…${peer.slice(-6)}`
}

const body = 'M13 24c4-8 11-11 18-10 6 1 10 5 12 10-2 5-6 9-12 10-7 1-14-2-18-10z'
const tails = ['M14 24 4 14c3 6 3 14 0 20z', 'M14 24 5 15c-1 4-1 5 1 9-2 4-2 5-1 9z', 'M15 24 6 12c0 5 1 8 3 12-2 4-3 7-3 12z']

/** Stripes, spots, a belly or a band over the body. */
function pattern(kind: number): SVGElement[] {
  if (kind === 0) return [22, 28, 34].map((x) => svg('path', { d: `M${x} 12q3 12 0 24`, class: 'fish-mark-line' }))
  if (kind === 1) return [[23, 20], [28, 27], [22, 28], [33, 21], [29, 17]].map(([cx, cy]) => svg('circle', { cx: cx ?? 0, cy: cy ?? 0, r: 2, class: 'fish-mark' }))
  if (kind === 2) return [svg('path', { d: 'M12 25q16 7 32 0v14H12z', class: 'fish-mark' })]
  return [svg('path', { d: 'M24 10q6 14 0 28h8q5-14 0-28z', class: 'fish-mark' })]
}

/** The face, as a decoration: put the peer's short text next to it. */
export function face(peer: string | undefined): SVGElement {
  if (peer === undefined) {
    return svg('svg', { viewBox: '0 0 48 48', class: 'face face-unknown', 'aria-hidden': 'true' }, svg('circle', { cx: 24, cy: 24, r: 23 }), svg('path', { d: body }))
  }
  const hash = mix(peer)
  const clip = `fish-${hash.toString(36)}-${(clips += 1)}`
  return svg(
    'svg',
    { viewBox: '0 0 48 48', class: 'face', 'aria-hidden': 'true', style: `--hue:${hash % 360};--mark-hue:${(hash % 360) + 60 + ((hash >>> 9) % 200)}` },
    svg('circle', { cx: 24, cy: 24, r: 23, class: 'fish-water' }),
    svg('path', { d: tails[(hash >>> 17) % tails.length] ?? '', class: 'fish-tail' }),
    svg('clipPath', { id: clip }, svg('path', { d: body })),
    svg('path', { d: body, class: 'fish-body' }),
    svg('g', { 'clip-path': `url(#${clip})` }, ...pattern((hash >>> 20) % 4)),
    svg('circle', { cx: 37.5, cy: 22, r: 1.9, class: 'fish-eye' }),
  )
}

/** Clip paths need ids of their own in a page with many faces. */
let clips = 0

/** Face and short text together. */
export function named(peer: string | undefined, label: string): HTMLElement {
  return element('span', { class: 'peer', ...(peer === undefined ? {} : { title: peer }) }, face(peer), element('span', { class: 'peer-label' }, label))
}

/** A QR code as SVG: one path of squares, sharp at any size. Always dark on light, because not every phone reads the inverse. */

import { correction, generate } from 'lean-qr'
import { svg } from './part.ts'

/** Modules of quiet space around the code; readers expect at least four. */
const quiet = 4

/** @param text what a phone shall read, at most about 2,900 characters. */
export function qrCode(text: string): SVGElement {
  const code = generate(text, { minCorrectionLevel: correction.L, maxCorrectionLevel: correction.M })
  let squares = ''
  for (let y = 0; y < code.size; y++) {
    for (let x = 0; x < code.size; x++) {
      if (!code.get(x, y)) continue
      let run = 1
      while (code.get(x + run, y)) run += 1
      squares += `M${x} ${y}h${run}v1h-${run}z`
      x += run
    }
  }
  const edge = code.size + 2 * quiet
  return svg(
    'svg',
    { viewBox: `${-quiet} ${-quiet} ${edge} ${edge}`, role: 'img', 'aria-label': 'QR code of the link', 'shape-rendering': 'crispEdges' },
    svg('path', { d: `M${-quiet} ${-quiet}h${edge}v${edge}h-${edge}z`, class: 'qr-paper' }),
    svg('path', { d: squares, class: 'qr-ink' }),
  )
}

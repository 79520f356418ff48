/** The content itself, as an element: picture, drawing, text, video or sound. Nothing in it can run as a part of this page. */

import { size } from '../view/numbers.ts'
import { element } from '../view/part.ts'
import { type Kind, textShown } from './kind.ts'

/** The largest SVG that is drawn. It goes into a `data:` URL, which has no origin even when opened in a tab of its own. In bytes. */
const drawingLimit = 2_000_000

/** @returns the element, or undefined for what is only saved. @param url the content's object URL */
export async function contentElement(kind: Kind, content: Blob, url: string, name: string): Promise<HTMLElement | undefined> {
  switch (kind.showing) {
    case 'image':
      return element('img', { src: url, alt: name, 'data-testid': 'receive-image' })
    case 'drawing':
      return content.size > drawingLimit ? undefined : element('img', { src: await dataUrl(content), alt: name, 'data-testid': 'receive-image' })
    case 'video':
      return element('video', { src: url, controls: '', playsinline: '', preload: 'metadata', 'aria-label': name, 'data-testid': 'receive-video' })
    case 'sound':
      return element('audio', { src: url, controls: '', preload: 'metadata', 'aria-label': name, 'data-testid': 'receive-audio' })
    case 'text':
      return textElement(content)
    case 'none':
      return undefined
  }
}

async function textElement(content: Blob): Promise<HTMLElement> {
  const text = await content.slice(0, textShown).text()
  const shown = element('pre', { 'data-testid': 'receive-text', tabindex: '0', 'aria-label': 'Text' })
  shown.textContent = text
  if (content.size <= textShown) return shown
  return element('div', {}, shown, element('p', { class: 'hint' }, `The first ${size(textShown)} of ${size(content.size)}. Save it to read the rest.`))
}

function dataUrl(content: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(String(reader.result))
    reader.onerror = () => reject(reader.error ?? new Error('The drawing could not be read'))
    reader.readAsDataURL(new Blob([content], { type: 'image/svg+xml' }))
  })
}

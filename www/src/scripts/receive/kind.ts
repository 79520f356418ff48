/**
 * What a content is, decided by its own first bytes; the name only tells an icon. Anything that a browser could run is never shown as a
 * document of this origin: HTML is a download, SVG is drawn as an image (which runs no scripts).
 */

/** How a content is shown. */
export type Showing = 'image' | 'drawing' | 'text' | 'video' | 'sound' | 'none'

/** A content's kind. */
export interface Kind {
  showing: Showing
  /** Media type for its Blob: one of a fixed list that a browser does not execute. */
  type: string
  /** Words for a person. */
  words: string
  /** Name of its icon. */
  icon: 'file' | 'text' | 'picture' | 'video' | 'sound' | 'archive'
}

/** Bytes needed to tell. */
export const headLength = 4_096

/** The longest text that is shown whole; longer ones are shown up to here. In bytes. */
export const textShown = 200_000

const unknown: Kind = { showing: 'none', type: 'application/octet-stream', words: 'file', icon: 'file' }
const image = (type: string, words: string): Kind => ({ showing: 'image', type, words, icon: 'picture' })
const video = (type: string, words: string): Kind => ({ showing: 'video', type, words, icon: 'video' })
const sound = (type: string, words: string): Kind => ({ showing: 'sound', type, words, icon: 'sound' })
const archive = (words: string): Kind => ({ ...unknown, words, icon: 'archive' })

/** Signatures at a fixed place, as Latin-1 text. */
const signatures: [offset: number, bytes: string, kind: Kind][] = [
  [0, '\x89PNG\r\n\x1a\n', image('image/png', 'PNG picture')],
  [0, '\xff\xd8\xff', image('image/jpeg', 'JPEG picture')],
  [0, 'GIF8', image('image/gif', 'GIF picture')],
  [8, 'WEBP', image('image/webp', 'WebP picture')],
  [4, 'ftypavif', image('image/avif', 'AVIF picture')],
  [4, 'ftypavis', image('image/avif', 'AVIF picture')],
  [0, 'BM', image('image/bmp', 'BMP picture')],
  [4, 'ftypM4A', sound('audio/mp4', 'M4A sound')],
  [4, 'ftypheic', { ...unknown, words: 'HEIC picture', icon: 'picture' }],
  [4, 'ftypqt', video('video/mp4', 'QuickTime video')],
  [4, 'ftyp', video('video/mp4', 'MP4 video')],
  [0, '\x1a\x45\xdf\xa3', video('video/webm', 'WebM video')],
  [0, 'OggS', sound('audio/ogg', 'Ogg sound')],
  [0, 'ID3', sound('audio/mpeg', 'MP3 sound')],
  [0, '\xff\xfb', sound('audio/mpeg', 'MP3 sound')],
  [0, 'fLaC', sound('audio/flac', 'FLAC sound')],
  [8, 'WAVE', sound('audio/wav', 'WAV sound')],
  [0, '%PDF-', { ...unknown, type: 'application/octet-stream', words: 'PDF document', icon: 'text' }],
  [0, 'PK\x03\x04', archive('ZIP archive')],
  [0, '\x1f\x8b', archive('compressed file')],
  [0, '7z\xbc\xaf', archive('7z archive')],
]

const active = /\.(x?html?|xhtml|xml|mhtml?|shtml|xsl|xslt)$/i

/** @param head the first {@link headLength} bytes, or all there are. @param name the file's name as the link or the person says it. */
export function kindOf(head: Uint8Array, name: string): Kind {
  const start = String.fromCharCode(...head.subarray(0, 16))
  const found = signatures.find(([offset, bytes]) => start.startsWith(bytes, offset))
  if (found) return found[2]
  const text = asText(head)
  if (text === undefined) return unknown
  if (/\.svg$/i.test(name) && /<svg[\s/>]/.test(text)) return { showing: 'drawing', type: 'image/svg+xml', words: 'SVG drawing', icon: 'picture' }
  if (active.test(name) || /^\s*(<!doctype html|<html|<\?xml|<script)/i.test(text)) return { ...unknown, words: 'web document', icon: 'text' }
  return { showing: 'text', type: 'text/plain;charset=utf-8', words: 'text', icon: 'text' }
}

/** The bytes as text, if they look like it: UTF-8 without control characters. A character cut at the end is allowed. */
function asText(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true })
    return /[\0-\x08\x0e-\x1a\x1c-\x1f]/.test(text) ? undefined : text
  } catch {
    return undefined
  }
}

/** Kind by name alone, while no byte is here: for the icon only. */
export function iconByName(name: string): Kind['icon'] {
  const ending = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  if (/^(png|jpe?g|gif|webp|avif|bmp|svg|heic)$/.test(ending)) return 'picture'
  if (/^(mp4|m4v|webm|mkv|mov|avi)$/.test(ending)) return 'video'
  if (/^(mp3|m4a|ogg|opus|wav|flac)$/.test(ending)) return 'sound'
  if (/^(zip|gz|tgz|7z|rar|xz|zst|tar)$/.test(ending)) return 'archive'
  if (/^(txt|md|csv|json|log|pdf|docx?|odt|rtf)$/.test(ending)) return 'text'
  return 'file'
}

/** Characters that have no place in a file name, and those that turn the direction of text to disguise an ending. */
const unsafe = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069/\\:*?"<>|]/gu

/** The longest file name of common file systems, less some room for a browser's own ` (1)`. In bytes of UTF-8. */
const longestName = 240

/** A name that can be shown and saved under. */
export function safeName(name: string | undefined): string {
  const cleaned = (name ?? '').toWellFormed().replace(unsafe, '_').replace(/^[.\s]+|[.\s]+$/g, '')
  const ending = /\.[a-z0-9]{1,10}$/i.exec(cleaned)?.[0] ?? ''
  let stem = cleaned.slice(0, cleaned.length - ending.length)
  while (new TextEncoder().encode(stem + ending).length > longestName) stem = [...stem].slice(0, -1).join('')
  return stem + ending || 'file'
}

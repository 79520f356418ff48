/**
 * The share link: `<page>#<cid>?name=<file name>&from=<PeerId>&via=<multiaddr>`.
 *
 * All of it is in the fragment, which a browser never sends to a server. A link comes from anywhere, so it is read strictly: every failing field is
 * named, nothing unknown is let through, and it is short.
 */
import { ShoalError } from './errors.ts'

/**
 * What a share link says.
 * @example const content: ShareLink = { cid, name: file.name, from: node.peerId }
 */
export interface ShareLink {
  /** What is shared. */
  cid: string
  /** The file's name, for showing and saving. Not part of what the CID vouches for. */
  name?: string
  /** The PeerId of the sender. */
  from?: string
  /** Multiaddrs by which the sender can be reached, if the page's own relay is not enough. At most four. */
  via?: string[]
}

const MAX_LINK = 4_096
/** The longest file name of common file systems. */
const MAX_NAME_BYTES = 255
const MAX_VIA = 4
const MAX_ADDRESS = 512

/**
 * Makes a share link.
 * @param page the http(s) address of the app that opens it; a fragment it may have is replaced
 * @example
 * const link = createLink('https://shoal.example/', { cid: 'bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e', name: 'hello.txt' })
 */
export function createLink(page: string | URL, content: ShareLink): string {
  const url = URL.parse(page)
  if (!url || !/^https?:$/.test(url.protocol)) throw invalid('page', 'is not an absolute http(s) address; pass location.href')
  for (const key of Object.keys(content)) if (!FIELDS.has(key)) throw invalid(key, 'there is no such field; known are cid, name, from, via')
  const { cid, name, from, via = [] } = content
  check({ cid, name, from, via })
  const parameters = [
    ...(name === undefined ? [] : [`name=${encodeURIComponent(name)}`]),
    ...(from === undefined ? [] : [`from=${from}`]),
    ...via.map((address) => `via=${encodeURIComponent(address)}`),
  ]
  url.hash = ''
  const link = `${url.href.replace(/#$/, '')}#${cid}${parameters.length > 0 ? '?' : ''}${parameters.join('&')}`
  if (link.length > MAX_LINK) throw invalid('link', `would have ${link.length} characters; shorten the name, or give fewer addresses: ${MAX_LINK} are allowed`)
  return link
}

/**
 * Reads a share link.
 * @param link the whole address, or only its fragment (`#…`)
 * @throws ShoalError `InvalidLink`, naming the field that is wrong
 * @example
 * const { cid, name } = parseLink('#bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e?name=hello.txt')
 */
export function parseLink(link: string | URL): ShareLink {
  const text = String(link)
  if (text.length > MAX_LINK) throw invalid('link', `has ${text.length} characters; a share link has at most ${MAX_LINK}`)
  const start = text.indexOf('#')
  if (start < 0) throw invalid('link', 'has nothing after a "#"; copy the whole link')
  const fragment = text.slice(start + 1)
  const [cid = '', query, ...rest] = fragment.split('?')
  if (rest.length > 0) throw invalid('link', 'has more than one "?"; copy it again')
  const found: { name?: string; from?: string; via: string[] } = { via: [] }
  for (const parameter of query === undefined ? [] : query.split('&')) {
    const [key = '', value, ...more] = parameter.split('=')
    if (!FIELDS.has(key) || key === 'cid') throw invalid(key || 'link', 'is not a field of a share link; it may come from a newer version of the app')
    if (value === undefined || more.length > 0) throw invalid(key, 'has no proper value; copy the link again')
    const decoded = decode(key, value)
    if (key === 'via') found.via.push(decoded)
    else if (found[key as 'name' | 'from'] !== undefined) throw invalid(key, 'is given twice; copy the link again')
    else found[key as 'name' | 'from'] = decoded
  }
  const { name, from, via } = found
  check({ cid, name, from, via })
  return { cid, ...(name !== undefined && { name }), ...(from !== undefined && { from }), ...(via.length > 0 && { via }) }
}

const FIELDS = new Set(['cid', 'name', 'from', 'via'])

/** The rules of every field, the same in both directions. */
function check(content: { cid: string; name: string | undefined; from: string | undefined; via: string[] }): void {
  const { cid, name, from, via } = content
  if (typeof cid !== 'string' || !isCid(cid)) throw invalid('cid', 'is not a CID of a file; it looks like bafy… or bafk…, and was perhaps cut off')
  if (name !== undefined) {
    if (typeof name !== 'string' || name === '' || new TextEncoder().encode(name).length > MAX_NAME_BYTES) throw invalid('name', `must have 1 to ${MAX_NAME_BYTES} bytes`)
    if (!name.isWellFormed() || FORBIDDEN_IN_NAME.test(name)) throw invalid('name', 'holds "/", "\\" or characters that cannot be shown; rename the file')
  }
  if (from !== undefined && (typeof from !== 'string' || !PEER_ID.test(from))) throw invalid('from', 'is not a PeerId; it looks like 12D3Koo… and has 52 characters')
  if (!Array.isArray(via) || via.length > MAX_VIA) throw invalid('via', `must be at most ${MAX_VIA} addresses`)
  for (const address of via) {
    if (typeof address !== 'string' || address.length > MAX_ADDRESS || !/^(\/[\x21-\x2e\x30-\x7e]+)+$/.test(address)) {
      throw invalid('via', 'is not a multiaddr; it looks like /dns4/relay.example/tcp/443/tls/ws/p2p/12D3Koo…')
    }
  }
}

/** Path separators, control characters, and the marks that make `exe.jpg` of `gpj.exe`. */
const FORBIDDEN_IN_NAME = /[/\\\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u

/** The PeerId of an Ed25519 key: 38 bytes in base58btc, the first ones fixed. */
const PEER_ID = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/

/** CIDv1 in base32 with a sha2-256 or identity hash of dag-pb or raw, or the old form `Qm…`: what Shoal reads. */
function isCid(text: string): boolean {
  if (/^Qm[1-9A-HJ-NP-Za-km-z]{44}$/.test(text)) return true
  if (!/^b[a-z2-7]{8,256}$/.test(text)) return false
  const bytes = base32(text.slice(1))
  if (!bytes) return false
  const [version, codec, hash, length] = bytes
  if (version !== 1 || (codec !== 0x55 && codec !== 0x70) || bytes.length !== 4 + (length ?? 0)) return false
  return hash === 0x12 ? length === 32 : hash === 0x00 && (length ?? 128) < 128
}

/** RFC 4648 in lower case without padding; undefined where the last character carries bits that mean nothing. */
function base32(text: string): number[] | undefined {
  const bytes: number[] = []
  let bits = 0
  let value = 0
  for (const character of text) {
    value = (value << 5) | 'abcdefghijklmnopqrstuvwxyz234567'.indexOf(character)
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes.push((value >> bits) & 0xff)
    }
    value &= (1 << bits) - 1
  }
  return bits < 5 && value === 0 ? bytes : undefined
}

function decode(field: string, value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    throw invalid(field, 'holds a broken %-sequence; copy the link again')
  }
}

function invalid(field: string, remedy: string): ShoalError {
  return new ShoalError('InvalidLink', `${field}: ${remedy}.`)
}

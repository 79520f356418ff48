/**
 * From what the user wrote to what the node gets: every field checked, defaults filled in, addresses made absolute.
 *
 * The first thing wrong is an `InvalidConfig` that names the field and says what to write instead. An unknown field is wrong too: it is a misspelt one.
 */
import { ShoalError } from './errors.ts'
import type { NodeConfig } from './types.ts'
import { VERSION } from './version.ts'

/** A complete configuration: what the wasm node is started with. Plain data. */
export interface Settings {
  bootstrap: string[]
  reservations: number
  dnsResolver: string
  store: { kind: 'indexeddb' | 'memory'; name: string }
  /** Whether `transports` has it. */
  websocket: boolean
  /** Whether `transports` has it. */
  webtransport: boolean
  /** Whether `transports` has `webrtc-direct`. */
  webrtcDirect: boolean
  /** Whether `transports` has it. */
  webrtc: boolean
  iceServers: IceServer[]
  iceTransportPolicy: 'all' | 'relay'
  metadata: { client: string; version: string }
  /** Milliseconds. */
  connectionTimeout: number
  /** Milliseconds. */
  idleTimeout: number
  maxConnections: number
  foreignRelayBytes: number
  /** Kept true while the node runs, so that its successor goes on as it was asked last. */
  nearby: NearbyWish
}

/** Whether a node is found by those near it, and what it calls itself. */
export interface NearbyWish {
  on: boolean
  name?: string
}

/** A STUN or TURN server, in the form that `RTCConfiguration` takes. */
export interface IceServer {
  urls: string[]
  username?: string
  credential?: string
}

/** Relays that are kept at once; more would cost connections and gain nothing. */
const MAX_BOOTSTRAP = 16
/** Browsers warn from five on: each one slows every connection down. */
const MAX_ICE_SERVERS = 8
/** Bounds the length of one address or URL: a multiaddr with the certificate hashes of a year has 1,650 characters. */
const MAX_ADDRESS = 2_048
/** All but the last lead to relays. */
const TRANSPORTS = ['websocket', 'webtransport', 'webrtc-direct', 'webrtc'] as const
/** One relay may end, and the page is still reachable; each further one costs a connection. */
const RESERVATIONS = { least: 1, most: 8, default: 2 }
/** Answers JSON to any page. Asked only where `bootstrap` has a `/dnsaddr` name. */
const DNS_RESOLVER = 'https://cloudflare-dns.com/dns-query'
const TIMEOUT = { least: 1_000, most: 120_000, default: 20_000 }
/** Less would cut what pauses between two requests; a day is for ever to a page. */
const IDLE = { least: 1_000, most: 86_400_000, default: 120_000 }
/** More than 400 peer connections make a page crawl; a peer needs two beside those of relays, while it changes from relayed to direct. */
const CONNECTIONS = { least: 4, most: 400, default: 128 }
const BESIDE_RELAYS = 2
/** Whoever looks for the setting learns why there is none. */
const SECURITY = 'there is no choice: Noise secures connections to relays and through them, and DTLS the direct ones; remove it'
/** Pictures and documents pass; whoever wants films to pass names the relay, or raises it. `crates/protocol/src/limits.rs` has the same default. */
const FOREIGN_RELAY = { least: 0, most: Number.MAX_SAFE_INTEGER, default: 67_108_864 }

/** What fits on a phone's screen. */
const MAX_NAME_BYTES = 64
/** Controls, marks of direction, and what has no width. */
const NO_NAME = /[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/u

/**
 * Checks a configuration and completes it.
 * @param page the page's address, against which relative URLs are read and whose server is the default relay; undefined outside a page
 */
export function complete(config: NodeConfig, page: string | undefined): Settings {
  const known = ['bootstrap', 'reservations', 'dnsResolver', 'transports', 'store', 'iceServers', 'iceTransportPolicy', 'metadata', 'connectionTimeout', 'idleTimeout', 'maxConnections', 'foreignRelayBytes', 'nearby']
  const fields = record('config', config, known)
  const iceServers = list('iceServers', fields['iceServers'] ?? [], MAX_ICE_SERVERS).map((server, index) => iceServer(`iceServers[${index}]`, server))
  const carried = transports(fields['transports'] ?? [...TRANSPORTS])
  for (const field of ['iceServers', 'iceTransportPolicy']) {
    if (!carried.webrtc && fields[field] !== undefined) throw invalid(field, 'has no effect, as `transports` leaves "webrtc" out; remove it, or add "webrtc"')
  }
  const reservations = integer('reservations', fields['reservations'], RESERVATIONS, 'relays')
  return {
    bootstrap: bootstrap(fields['bootstrap'], page),
    reservations,
    dnsResolver: resolver(fields['dnsResolver'] ?? DNS_RESOLVER, page),
    ...carried,
    store: store(fields['store']),
    iceServers,
    iceTransportPolicy: icePolicy(fields['iceTransportPolicy'] ?? 'all'),
    metadata: metadata(fields['metadata']),
    connectionTimeout: integer('connectionTimeout', fields['connectionTimeout'], TIMEOUT, 'milliseconds'),
    idleTimeout: integer('idleTimeout', fields['idleTimeout'], IDLE, 'milliseconds'),
    maxConnections: connections(fields['maxConnections'], reservations),
    foreignRelayBytes: integer('foreignRelayBytes', fields['foreignRelayBytes'], FOREIGN_RELAY, 'bytes'),
    nearby: nearbyWish(fields['nearby'] ?? false),
  }
}

/** Reads `true`, `false` or `{ name }`. The rules of names are those of `crates/protocol/docs/nearby.md`. */
export function nearbyWish(value: unknown): NearbyWish {
  if (typeof value === 'boolean') return { on: value }
  const { name } = record('nearby', value, ['name'])
  if (name === undefined) return { on: true }
  const plain = text('nearby.name', name, MAX_NAME_BYTES)
  if (new TextEncoder().encode(plain).length > MAX_NAME_BYTES) throw invalid('nearby.name', `has more than ${MAX_NAME_BYTES} bytes; give a shorter name`)
  if (plain.trim() !== plain || !plain.isWellFormed() || NO_NAME.test(plain)) {
    throw invalid('nearby.name', 'must be one line of text without control characters, and without spaces around it')
  }
  return { on: true, name: plain }
}

function bootstrap(value: unknown, page: string | undefined): string[] {
  if (value === undefined) {
    const server = page === undefined ? undefined : new URL(page)
    if (!server || !isHttp(server)) {
      throw invalid('bootstrap', 'this page did not come from a web server, so there is no default relay; name one, such as ["https://relay.example"]')
    }
    return [`${server.origin}/`]
  }
  return list('bootstrap', value, MAX_BOOTSTRAP).map((entry, index) => relay(`bootstrap[${index}]`, entry, page))
}

function relay(field: string, value: unknown, page: string | undefined): string {
  const address = text(field, value, MAX_ADDRESS)
  if (address.startsWith('/dnsaddr/')) {
    if (!/^\/dnsaddr\/[\w-]+(\.[\w-]+)*(\/p2p\/[1-9A-HJ-NP-Za-km-z]{46,60})?$/.test(address)) throw invalid(field, `"${address}" is not a name of relays; write something like /dnsaddr/relays.example`)
    return address
  }
  if (address.startsWith('/')) {
    if (!/^(\/[\x21-\x2e\x30-\x7e]+)+\/p2p\/[1-9A-HJ-NP-Za-km-z]{46,60}$/.test(address)) {
      throw invalid(field, `"${address}" is not a relay's multiaddr; it must end in /p2p/<PeerId>, like /dns4/relay.example/tcp/443/tls/ws/p2p/12D3Koo…`)
    }
    return address
  }
  const url = URL.parse(address, page)
  if (!url || !isHttp(url) || !(/^https?:\/\//i.test(address) || address.startsWith('.'))) {
    throw invalid(field, `"${address}" is neither a multiaddr nor an http(s) URL; write something like "https://relay.example"`)
  }
  if (url.username || url.password) throw invalid(field, 'a relay URL carries no user name or password; remove them')
  if (url.search || url.hash) throw invalid(field, `"${address}" carries a query or fragment; remove it`)
  if (page?.startsWith('https:') && url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw invalid(field, `a page served by https may not talk to "${url.origin}"; give the relay a certificate and write "https://${url.host}"`)
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url.href
}

function resolver(value: unknown, page: string | undefined): string {
  const address = text('dnsResolver', value, MAX_ADDRESS)
  const url = URL.parse(address, page)
  if (!url || !isHttp(url) || url.username || url.password || url.search || url.hash) {
    throw invalid('dnsResolver', `"${address}" is not the URL of a resolver; write something like "${DNS_RESOLVER}", without a query`)
  }
  return url.href
}

function transports(value: unknown): Pick<Settings, 'websocket' | 'webtransport' | 'webrtcDirect' | 'webrtc'> {
  const names = list('transports', value, TRANSPORTS.length)
  for (const name of names) if (!TRANSPORTS.some((known) => known === name)) throw invalid('transports', `${show(name)} is not a transport; write "websocket", "webtransport", "webrtc-direct" and "webrtc"`)
  const [websocket, webtransport, webrtcDirect, webrtc] = TRANSPORTS.map((name) => names.includes(name)) as [boolean, boolean, boolean, boolean]
  if (!websocket && !webtransport && !webrtcDirect) throw invalid('transports', 'must have "websocket", "webtransport" or "webrtc-direct": relays are reached by them, and everybody else through relays')
  if (new Set(names).size < names.length) throw invalid('transports', 'names one twice; write each once')
  return { websocket, webtransport, webrtcDirect, webrtc }
}

function store(value: unknown): Settings['store'] {
  const { kind = 'indexeddb', name } = record('store', value ?? {}, ['kind', 'name'])
  if (kind !== 'indexeddb' && kind !== 'memory') throw invalid('store.kind', `${show(kind)} is not a kind of store; write "indexeddb" or "memory"`)
  if (kind === 'memory' && name !== undefined) throw invalid('store.name', 'a memory store has no name, as nothing is kept; remove the name, or write kind: "indexeddb"')
  if (name !== undefined && !/^[\w.-]{1,64}$/.test(text('store.name', name, 64))) {
    throw invalid('store.name', 'use 1 to 64 letters, digits, ".", "_" or "-"')
  }
  return { kind, name: (name as string | undefined) ?? 'shoal' }
}

function iceServer(field: string, value: unknown): IceServer {
  const server = record(field, value, ['urls', 'username', 'credential'])
  const given = server['urls']
  const urls = (typeof given === 'string' ? [given] : list(`${field}.urls`, given, MAX_ICE_SERVERS)).map((url, index) => {
    const address = text(`${field}.urls[${index}]`, url, MAX_ADDRESS)
    if (!/^(stuns?|turns?):[^\s/]+$/.test(address)) throw invalid(`${field}.urls[${index}]`, `"${address}" is not a STUN or TURN URL; write "stun:host:port" or "turn:host:port"`)
    return address
  })
  if (urls.length === 0) throw invalid(`${field}.urls`, 'is empty; write a URL such as "stun:host:port", or remove the server')
  const complete: IceServer = { urls }
  for (const secret of ['username', 'credential'] as const) {
    if (server[secret] !== undefined) complete[secret] = text(`${field}.${secret}`, server[secret], MAX_ADDRESS)
  }
  const turn = urls.some((url) => url.startsWith('turn'))
  for (const secret of ['username', 'credential'] as const) {
    if (turn && complete[secret] === undefined) throw invalid(`${field}.${secret}`, `is missing; a TURN server takes a username and a credential`)
    if (!turn && complete[secret] !== undefined) throw invalid(`${field}.${secret}`, 'has no effect, as none of the urls is a TURN server; remove it')
  }
  return complete
}

function icePolicy(value: unknown): Settings['iceTransportPolicy'] {
  if (value !== 'all' && value !== 'relay') throw invalid('iceTransportPolicy', `${show(value)} is not a policy; write "all" or "relay"`)
  return value
}

function metadata(value: unknown): Settings['metadata'] {
  const { client = 'shoal', version = VERSION } = record('metadata', value ?? {}, ['client', 'version'])
  for (const [field, word] of [['metadata.client', client], ['metadata.version', version]] as const) {
    if (!/^[\x21-\x2e\x30-\x7e]{1,64}$/.test(text(field, word, 64))) throw invalid(field, 'use 1 to 64 visible ASCII characters other than "/"')
  }
  return { client: client as string, version: version as string }
}

function record(field: string, value: unknown, known: string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(field, `must be an object, got ${show(value)}`)
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw invalid(field === 'config' ? key : `${field}.${key}`, `${key === 'security' ? SECURITY : 'there is no such field'}; known are ${known.join(', ')}`)
  }
  return value as Record<string, unknown>
}

function list(field: string, value: unknown, most: number): unknown[] {
  if (!Array.isArray(value)) throw invalid(field, `must be an array, got ${show(value)}`)
  if (value.length > most) throw invalid(field, `has ${value.length} entries; give at most ${most}`)
  return value
}

function text(field: string, value: unknown, most: number): string {
  if (typeof value !== 'string') throw invalid(field, `must be a string, got ${show(value)}`)
  if (value.length === 0 || value.length > most) throw invalid(field, `must have 1 to ${most} characters, has ${value.length}`)
  return value
}

function connections(value: unknown, reservations: number): number {
  const most = integer('maxConnections', value, CONNECTIONS, 'connections')
  const needed = reservations + BESIDE_RELAYS
  if (most < needed) throw invalid('maxConnections', `must leave room for peers beside ${reservations} relays: at least ${needed}, got ${most}`)
  return most
}

function integer(field: string, value: unknown, range: { least: number; most: number; default: number }, unit: string): number {
  const number = value ?? range.default
  if (!Number.isInteger(number) || (number as number) < range.least || (number as number) > range.most) {
    throw invalid(field, `must be a whole number of ${unit} from ${range.least} to ${range.most}, got ${show(value)}`)
  }
  return number as number
}

function isHttp(url: URL): boolean {
  return url.protocol === 'http:' || url.protocol === 'https:'
}

/** The hosts that an https page may reach by plain http. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127(\.\d+){3}$/.test(host)
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40))
  return Array.isArray(value) ? 'an array' : typeof value === 'object' && value !== null ? 'an object' : String(value)
}

function invalid(field: string, remedy: string): ShoalError {
  return new ShoalError('InvalidConfig', `${field}: ${remedy}.`)
}

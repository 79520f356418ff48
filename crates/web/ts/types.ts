/**
 * The public types of the npm package `shoal`. Plain objects, `AbortSignal`, async iterables and `Uint8Array`: nothing generated is public.
 */

/**
 * Anything that can be published. A `ReadableStream` may be of any length: it is never held in memory whole.
 * @example const source: ContentSource = new Blob(['hello'])
 */
export type ContentSource = Uint8Array | ArrayBuffer | string | Blob | ReadableStream<Uint8Array>

/**
 * How a file is cut into blocks, and so which CID it gets.
 * @example const profile: ContentProfile = 'kubo-cid-v1'
 */
export type ContentProfile =
  /** IPIP-499: 1 MiB leaves, 1,024 links a node. The default, and Helia's. */
  | 'unixfs-v1-2025'
  /** What `ipfs add --cid-version=1` gives: 256 KiB leaves, 174 links a node. */
  | 'kubo-cid-v1'

/**
 * Settings of a node. Every field has an effect; an unknown or contradictory one is refused with an error that names it.
 * @example
 * const config: NodeConfig = {
 *   bootstrap: ['https://relay.example'],
 *   iceServers: [{ urls: 'stun:stun.example:3478' }],
 * }
 */
export interface NodeConfig {
  /**
   * Where to find relays: multiaddrs that end in `/p2p/<PeerId>`, `http(s)` URLs of a relay, whose `/bootstrap` is then asked, or names
   * `/dnsaddr/<name>`, whose TXT records say the addresses. Default: the server that the page came from.
   * Where none of them answers, relays that worked in earlier visits are tried.
   */
  bootstrap?: string[]
  /** How many relays shall hold a reservation for this page, where as many are known. 1 to 8; default 2, so that one may end. */
  reservations?: number
  /**
   * Who is asked what a `/dnsaddr` name stands for: a DNS resolver that answers `application/dns-json` over HTTPS. It learns the name and the
   * visitor's address. Default `https://cloudflare-dns.com/dns-query`; it is asked only where `bootstrap` has such a name.
   */
  dnsResolver?: string
  /**
   * What carries connections: `websocket`, `webtransport` and `webrtc-direct` lead to relays, and through them to others; `webrtc` leads from page to page.
   * Where a relay offers both of the first two, the node takes what works fastest and remembers it; `webrtc-direct`, which costs a relay most, only where
   * it offers neither, or neither works. One of the three there must be. Without `webrtc` everything goes through relays, encrypted from end to end and at their limits, and peers do not learn this device's addresses. Default all.
   *
   * What secures them is no setting: Noise, and DTLS for WebRTC; nothing goes without. {@link ConnectionInfo} tells which.
   */
  transports?: ('websocket' | 'webtransport' | 'webrtc-direct' | 'webrtc')[]
  /** Where blocks and the identity are kept. Default `{ kind: 'indexeddb', name: 'shoal' }`. `memory` forgets all when the page closes. */
  store?: { kind?: 'indexeddb' | 'memory'; name?: string }
  /**
   * STUN and TURN servers for WebRTC, as in `RTCConfiguration`, besides those that the relays have: they tell them, with credentials for this node.
   * Default: none.
   */
  iceServers?: { urls: string | string[]; username?: string; credential?: string }[]
  /**
   * Which addresses peers are told for direct connections, as in `RTCConfiguration`: `relay` tells those of TURN servers only, so that no peer learns
   * this device's own. Without one, of a relay or of `iceServers`, there are no direct connections then. Default `all`.
   */
  iceTransportPolicy?: 'all' | 'relay'
  /** What this node tells other peers about itself by libp2p identify. Default `{ client: 'shoal', version: <package version> }`. */
  metadata?: { client?: string; version?: string }
  /** Milliseconds before an attempt to reach a peer counts as failed. 1,000 to 120,000; default 20,000. */
  connectionTimeout?: number
  /**
   * Milliseconds after which a connection that nothing uses is closed; the next request makes a new one. Relays that hold a reservation are kept; a relayed
   * connection to a peer is closed after 30,000 at the latest. 1,000 to 86,400,000; default 120,000.
   */
  idleTimeout?: number
  /**
   * The most connections at once, those to relays included. Beyond, the least useful makes room for a new one; those in use and those to relays that hold a
   * reservation stay. 4 to 400, and at least two more than `reservations`; default 128.
   */
  maxConnections?: number
  /**
   * How many bytes of content may go in an hour, both ways together, through each relay that `bootstrap` does not lead to: one that a link names, or a peer's
   * own. Small things come that way while a direct connection is made, and all where none can be. Beyond it a fetch waits for a direct path, and where there
   * is none ends with `RelayLimit`; peers are sent no more that way either. 0: content takes no such way. Default 67,108,864.
   */
  foreignRelayBytes?: number
  /** Whether pages of the same network may find this one from the start, and by which name: see {@link ShoalNode.nearby}. Default `false`. */
  nearby?: boolean | { name?: string }
}

/**
 * How far the start of a node is.
 * @example await createNode({}, { onProgress: ({ phase }: StartProgress) => console.log(phase) })
 */
export interface StartProgress {
  /**
   * `loading`: the worker and the wasm module are fetched and compiled. `starting`: the store and the identity are opened.
   * `joining`: another tab of this site runs the node, this one joins it.
   */
  phase: 'loading' | 'starting' | 'joining'
}

/**
 * Options of `createNode`.
 * @example await createNode({}, { signal: AbortSignal.timeout(10_000) } satisfies StartOptions)
 */
export interface StartOptions extends CallOptions {
  /** Called at each change of phase. */
  onProgress?: (progress: StartProgress) => void
}

/**
 * Options of every call that may wait.
 * @example const options: CallOptions = { signal: AbortSignal.timeout(5_000) }
 */
export interface CallOptions {
  /** Cancels the call, which then rejects with the signal's reason. */
  signal?: AbortSignal
}

/**
 * How far a publication is.
 * @example const percent = ({ bytes, total }: PublishProgress) => total && (100 * bytes) / total
 */
export interface PublishProgress {
  /** Bytes hashed and stored so far. */
  bytes: number
  /** Bytes in all, where known (not for a stream). */
  total?: number
}

/**
 * Options of {@link ShoalNode.publishContent}.
 * @example await node.publishContent(file, { profile: 'kubo-cid-v1', onProgress: ({ bytes }) => console.log(bytes) })
 */
export interface PublishOptions extends CallOptions {
  /** Default `unixfs-v1-2025`. */
  profile?: ContentProfile
  /** Called as blocks become durable, at most 20 times a second. */
  onProgress?: (progress: PublishProgress) => void
}

/**
 * How far a fetch is.
 * @example const line = ({ phase, bytes, total, path }: FetchProgress) => `${phase} ${bytes} of ${total ?? '?'} (${path ?? 'no'} path)`
 */
export interface FetchProgress {
  /**
   * `local`: looking in the own store. `finding`: looking for a peer that has it. `connecting`: a peer is known, a connection is being made.
   * `fetching`: bytes arrive. `waiting`: the peer that had it is gone, the fetch goes on by itself when it is back. `done`.
   */
  phase: 'local' | 'finding' | 'connecting' | 'fetching' | 'waiting' | 'done'
  /** Bytes of content present locally and verified. */
  bytes: number
  /** Bytes of content in all, once its root block is known. */
  total?: number
  /** The peer that sends, once known. */
  peer?: string
  /** By which path its bytes come. */
  path?: 'direct' | 'relayed'
}

/**
 * Options of {@link ShoalNode.fetchContent} and {@link ShoalNode.readContent}.
 * @example const options: FetchOptions = { from: [peerId], offset: 1_000_000, length: 65_536 }
 */
export interface FetchOptions extends CallOptions {
  /** PeerIds that are believed to have the content (a share link names its sender). */
  from?: string[]
  /** Multiaddrs of relays through which those peers can be reached, besides this node's own (a share link may name some): for connecting, and for `foreignRelayBytes` of content. */
  via?: string[]
  /** First byte wanted. Default 0. */
  offset?: number
  /** Number of bytes wanted. Default: to the end. */
  length?: number
  /** Called on each change of phase, and at most 20 times a second as bytes arrive. */
  onProgress?: (progress: FetchProgress) => void
}

/**
 * Options of {@link ShoalNode.offerContent}.
 * @example const options: OfferOptions = { name: 'beach.jpg' }
 */
export interface OfferOptions extends CallOptions {
  /** What it is called; 128 bytes of it are told. */
  name?: string
}

/**
 * What is known of a content without reading it all.
 * @example const complete = ({ size, local }: ContentStat) => local === size
 */
export interface ContentStat {
  cid: string
  /** Bytes of the file. */
  size: number
  /** Bytes of it that are in the local store already. */
  local: number
}

/**
 * One connection to a peer.
 * @example const direct = (connection: ConnectionInfo) => connection.transport === 'webrtc' && connection.path === 'direct'
 */
export interface ConnectionInfo {
  /** The other side's PeerId. */
  peer: string
  /** `direct`: no server between. `relayed`: end-to-end encrypted through a relay. A connection to a relay itself is `direct`, over `websocket`, `webtransport` or `webrtc-direct`. */
  path: 'direct' | 'relayed'
  transport: 'webrtc' | 'websocket' | 'webtransport' | 'webrtc-direct' | 'circuit'
  /**
   * What encrypts it: Noise, which proves the peer's key as well; the DTLS of WebRTC, whose fingerprints were exchanged over a Noise connection; or the
   * TLS of WebTransport and the DTLS of WebRTC-direct, inside which Noise proved the key.
   */
  security: 'noise' | 'dtls' | 'tls'
  /** What divides it into streams: yamux, the data channels of WebRTC, or the streams of WebTransport. */
  muxer: 'yamux' | 'webrtc' | 'webtransport'
  /** Whether the other side dialled. */
  direction: 'inbound' | 'outbound'
  /** The remote multiaddr. */
  address: string
  /** The relay that a relayed one runs through, and where `bootstrap` does not lead to it, how much content may still go that way now (`foreignRelayBytes`). */
  relay?: { peer: string; bytesLeft?: number }
  /** Payload bytes that came and went over this connection's streams. */
  bytesReceived: number
  bytesSent: number
  /** The last measured round-trip time in milliseconds, once measured. */
  roundTripTime?: number
  /** Milliseconds since the Unix epoch. */
  openedAt: number
  /** What the peer said of itself by libp2p identify, once it did. */
  agent?: string
}

/**
 * How this node stands with one of its relays.
 * @example const line = ({ address, state, problem }: RelayStatus) => `${address}: ${problem ?? state}`
 */
export interface RelayStatus {
  /** The relay's multiaddr, or the URL whose `/bootstrap` could not be read. */
  address: string
  /** `reserved`: others can reach this page through it. `waiting`: it did not answer; tried again by itself. */
  state: 'connecting' | 'connected' | 'reserved' | 'waiting'
  /** What carries the connection to it, while there is one. */
  transport?: 'websocket' | 'webtransport' | 'webrtc-direct'
  /** Set where WebTransport to it was not answered, but a WebSocket was: a firewall between lets no UDP through. */
  udpBlocked?: true
  /** What went wrong last, in one sentence. */
  problem?: string
}

/**
 * What the node is doing as a whole.
 * @example const free = ({ storage }: NodeStatus) => (storage.quota ?? 0) - (storage.usage ?? 0)
 */
export interface NodeStatus {
  /** Whether other pages can reach this one (a relay holds a reservation). */
  reachable: boolean
  relays: RelayStatus[]
  /** Bytes that this origin uses and may use, where the browser tells. */
  storage: { usage?: number; quota?: number; persistent: boolean; kind: 'indexeddb' | 'memory' }
  /** What this browser or page cannot do, each in one plain sentence that says what follows. */
  limitations: string[]
}

/**
 * Somebody who came to the relay from the same address.
 * @example const label = ({ peer, name }: NearbyPeer) => `${name ?? 'no name'} …${peer.slice(-6)}`
 */
export interface NearbyPeer {
  /** The PeerId. It is proven when a connection to it is made; the name never is. */
  peer: string
  /** What it calls itself: one line of at most 64 bytes. Two may use the same. */
  name?: string
}

/**
 * This node among those near it.
 * @example const alone = ({ listed, peers }: Nearby) => listed && peers.length === 0
 */
export interface Nearby {
  /** Whether this node wants to be found. While it does not, it finds nobody either. */
  on: boolean
  /** What it calls itself. */
  name?: string
  /** Whether a relay lists it now. */
  listed: boolean
  /** The others, as the relays list them. */
  peers: NearbyPeer[]
  /** Why no relay lists it, in one sentence. */
  problem?: string
}

/**
 * One step on the way to a peer.
 * @example const slow = ({ duration }: DiagnosisStep) => (duration ?? 0) > 1_000
 */
export interface DiagnosisStep {
  /**
   * `relay`: a relay is connected. `reservation`: others can reach this page through it. `circuit`: the relay put us through to the peer.
   * `signalling`: both sides described what they can. `candidates`: both told where they may be reached. `ice`: a pair of these works.
   * `direct`: the direct connection is in use.
   */
  name: 'relay' | 'reservation' | 'circuit' | 'signalling' | 'candidates' | 'ice' | 'direct'
  result: 'done' | 'failed' | 'running'
  /** Milliseconds that it took, where known. */
  duration?: number
  /** The address, the kinds of candidates, or the reason. */
  detail: string
}

/**
 * One attempt at a direct connection, as the browser saw it. Times are milliseconds from its beginning.
 * @example const blocked = ({ candidates }: DirectAttempt) => Object.keys(candidates.local).length === 0
 */
export interface DirectAttempt {
  /** Whether this side made the offer. */
  role: 'dialler' | 'listener'
  /** Milliseconds since the Unix epoch. */
  startedAt: number
  /** How many STUN and TURN servers were to be asked. */
  iceServers: number
  /** When each step was done. */
  steps: { described?: number; answered?: number; checking?: number; connected?: number; ready?: number }
  /** How many candidates of each kind there were: `host`, `mdns` (a host whose address the browser hides), `srflx`, `prflx`, `relay`. Never addresses. */
  candidates: { local: Record<string, number>; remote: Record<string, number> }
  /** The states of ICE, in order. */
  states: string[]
  /** STUN and TURN servers that did not answer. */
  problems: string[]
  /** How many pairs of candidates are in each state (`RTCStatsIceCandidatePairState`). */
  pairs: Record<string, number>
  /** The pair in use. */
  selected?: { localCandidate: string; remoteCandidate?: string; roundTrip?: number; sent?: number; received?: number }
  ended?: { after: number; reason: string }
}

/**
 * What runs between two nodes: a session, which goes on over whatever connection there is.
 * @example const share = ({ bytesSent, bytesSentAgain }: SessionInfo) => bytesSentAgain / bytesSent
 */
export interface SessionInfo {
  /** By which path bytes go now, if there is one. */
  path?: 'direct' | 'relayed'
  /** Open now, of both sides. */
  streams: number
  /** Each byte counted once, however often it was sent. */
  bytesReceived: number
  bytesSent: number
  /** Bytes that went a second time, because a connection broke. */
  bytesSentAgain: number
  /** Bytes that this node holds for the peer: to be sent, or sent and not acknowledged. Bounded, however slowly the peer reads. */
  bytesHeld: number
  /** Bytes that came and were not read yet. Bounded, however much the peer sends. */
  bytesUnread: number
}

/**
 * One thing that happened on the way to a peer.
 * @example const failures = (await node.diagnose(peerId)).history.filter(({ what }) => what === 'failed')
 */
export interface Happening {
  /** Unix time in milliseconds. */
  at: number
  /** `waiting` is for a relay; `reserved` is what a relay did. */
  what: 'dialling' | 'waiting' | 'opened' | 'reserved' | 'failed' | 'closed'
  /** Of the connection that opened or closed. */
  transport?: ConnectionInfo['transport']
  /** Of the connection that opened or closed. */
  path?: ConnectionInfo['path']
  /** Addresses, which are those of relays, or the reason. */
  detail: string
}

/**
 * What is known about the way to a peer: which paths were tried, with what result, and why the link is not direct.
 * @example for (const reason of (await node.diagnose(peerId)).reasons) console.warn(reason)
 */
export interface Diagnosis {
  peer: string
  /** By which path bytes would go now. */
  path: 'direct' | 'relayed' | 'none'
  /** How it stands, in one sentence. */
  summary: string
  /** Why it is not direct and what would help, in plain sentences. Empty for a direct link. */
  reasons: string[]
  /** The way to the peer, in order. */
  steps: DiagnosisStep[]
  relays: RelayStatus[]
  /** Open connections to this peer. */
  connections: ConnectionInfo[]
  /** What runs between the two, if anything does. */
  session?: SessionInfo
  /** The last attempts at a direct connection, at most four, the oldest first. */
  attempts: DirectAttempt[]
  /** What happened lately on the way to this peer, at most 32 things, the oldest first. */
  history: Happening[]
}

/**
 * What happens to a node, as delivered by {@link ShoalNode.events}.
 * @example const reads = (event: NodeEvent) => event.type === 'serving' && event.state === 'done'
 */
export type NodeEvent =
  | { type: 'status'; status: NodeStatus }
  | { type: 'connectionOpened'; connection: ConnectionInfo }
  | { type: 'connectionClosed'; peer: string; path: 'direct' | 'relayed'; transport: ConnectionInfo['transport']; reason: string }
  /** A peer began, went on, or ended reading a content from us. */
  | { type: 'serving'; peer: string; cid: string; bytes: number; path: 'direct' | 'relayed'; state: 'active' | 'done' | 'ended' }
  /** Somebody near came, went or took another name, or this node's own part changed. */
  | { type: 'nearby'; nearby: Nearby }
  /** A nearby device has something for this page's user. Size and name are what it says: ask before fetching. Of each device at most eight at once, and then one a second. */
  | { type: 'offered'; peer: string; cid: string; size: number; name?: string }
  /** A peer sent bytes that do not verify, or broke a protocol; it was dropped. */
  | { type: 'peerDropped'; peer: string; reason: string }
  /** The node was replaced, with the same identity and store: its worker had failed, or the tab that ran it was closed. Reads go on by themselves. */
  | { type: 'restarted'; reason: string }

/**
 * Stable names of the errors that calls reject with (`error.name`); `error.message` says what to do.
 * @example const full: ShoalErrorName = 'StorageFull'
 */
export type ShoalErrorName =
  | 'InvalidConfig'
  | 'InvalidCid'
  | 'InvalidPeer'
  | 'InvalidLink'
  | 'InvalidRange'
  | 'InvalidSource'
  | 'Unsupported'
  | 'NotFound'
  | 'PeerUnreachable'
  | 'RelayLimit'
  | 'Declined'
  | 'StorageFull'
  | 'StorageFailed'
  | 'TooLarge'
  | 'Stopped'
  | 'Internal'
  | 'AbortError'

/**
 * A running node.
 * @example const share = (node: ShoalNode, file: File) => node.publishContent(file)
 */
export interface ShoalNode {
  /** libp2p PeerId, `12D3Koo…`. */
  readonly peerId: string
  /** The same public key as a DID, `did:key:z6Mk…`. */
  readonly did: string

  /**
   * Stores content and makes it available to peers as long as this node runs.
   * @returns its CID, once every block is durable.
   * @example const cid = await node.publishContent('hello')
   */
  publishContent(source: ContentSource, options?: PublishOptions): Promise<string>

  /**
   * The whole content (or the range asked for) in one array. For large files use {@link readContent}.
   * @example const bytes = await node.fetchContent(cid, { from: [peerId] })
   */
  fetchContent(cid: string, options?: FetchOptions): Promise<Uint8Array>

  /**
   * The content as a stream, verified block by block, in constant memory; what arrives is stored, so that a broken read goes on where it was.
   * @example for await (const chunk of node.readContent(cid, { offset: 1_000 })) use(chunk)
   */
  readContent(cid: string, options?: FetchOptions): ReadableStream<Uint8Array>

  /**
   * Size of a content and how much of it is here. Fetches the root block where it is missing.
   * @example const { size, local } = await node.statContent(cid)
   */
  statContent(cid: string, options?: FetchOptions): Promise<ContentStat>

  /**
   * Every open connection.
   * @example const peers = new Set((await node.connections()).map(({ peer }) => peer))
   */
  connections(): Promise<ConnectionInfo[]>

  /**
   * Relays, storage, and what this browser cannot do.
   * @example for (const sentence of (await node.status()).limitations) console.warn(sentence)
   */
  status(): Promise<NodeStatus>

  /**
   * Connects to a peer by PeerId through our relays, directly where possible.
   * @example const { path, roundTripTime } = await node.connect(peerId, { signal: AbortSignal.timeout(10_000) })
   */
  connect(peer: string, options?: CallOptions): Promise<ConnectionInfo>

  /**
   * Lets this page be found by pages that reach a relay from the same public address (the same home, office or café), and finds them: with `true`, or
   * `{ name }`, from now on; with `false` not any more. Without an argument it only tells how it stands; `nearby` events tell of changes.
   *
   * Whoever is on that network sees this page's PeerId and name, strangers in a café too, and behind some mobile networks many people: ask first.
   * Nobody else learns of it. All tabs of a site share one node, and the last call counts.
   * @example
   * await node.nearby({ name: 'Kitchen tablet' })
   * for await (const event of node.events()) if (event.type === 'nearby') console.log(event.nearby.peers)
   */
  nearby(wish?: boolean | { name?: string }): Promise<Nearby>

  /**
   * Offers a content that is here to the user of a nearby device, whose page gets an `offered` event; resolves once it did. Whether the content is then
   * fetched is that user's choice. Rejects with `Declined` where the other side does not have this page among its nearby devices; bound the wait with `signal`.
   * @example
   * const { peers } = await node.nearby()
   * for (const { peer } of peers) await node.offerContent(cid, peer, { name: file.name })
   */
  offerContent(cid: string, peer: string, options?: OfferOptions): Promise<void>

  /**
   * Says what is known about the way to a peer: which paths were tried, with what result, how long each step took, and why the link is not direct.
   * Tries nothing itself; call `connect` for that.
   * @example console.log(describeDiagnosis(await node.diagnose(peerId)))
   */
  diagnose(peer: string, options?: CallOptions): Promise<Diagnosis>

  /**
   * What happens, from now on. Ends when the node stops. A reader that lags behind misses the oldest events, never the last status.
   * @example for await (const event of node.events()) console.log(event.type)
   */
  events(options?: CallOptions): AsyncIterable<NodeEvent>

  /**
   * Ends this tab's part in the node: pending calls reject with `Stopped`, connections and the store are closed. Another tab of the site that uses
   * the node goes on with it.
   * @example addEventListener('beforeunload', () => node.stop())
   */
  stop(): Promise<void>
}

// A js-libp2p peer in a page: the other implementation, as its authors publish it. Bundled by tests/pages.mjs; driven through `window.peer`.
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { webTransport } from '@libp2p/webtransport'
import { multiaddr } from '@multiformats/multiaddr'
import type { Connection, Stream } from '@libp2p/interface'
import { createLibp2p, type Libp2p } from 'libp2p'

/** https://github.com/libp2p/specs/blob/master/perf/perf.md: 8 bytes say how many are wanted; what follows is thrown away; then as many come back. */
const PERF = '/perf/1.0.0'
/** https://github.com/libp2p/js-libp2p/tree/main/packages/protocol-echo: what is sent comes back. */
const ECHO = '/echo/1.0.0'
const PIECE = 64 * 1024
const WITHIN = 120_000

class Peer {
  readonly #node: Libp2p

  constructor(node: Libp2p) {
    this.#node = node
  }

  get peerId(): string {
    return this.#node.peerId.toString()
  }

  /** Our addresses, once the relay holds a reservation for us. */
  async addresses(): Promise<string[]> {
    const signal = AbortSignal.timeout(30_000)
    for (;;) {
      const all = this.#node.getMultiaddrs().map(String)
      if (all.some((address) => address.includes('/p2p-circuit') && address.includes('/webrtc'))) return all
      if (signal.aborted) throw new Error(`no reservation at the relay; own addresses: ${all.join(', ') || 'none'}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Dials an address, and nothing else. */
  async dial(address: string): Promise<void> {
    await this.#node.dial(multiaddr(address), { signal: AbortSignal.timeout(30_000) })
  }

  /** Dials an address although there may be a connection to that peer. */
  async dialAnew(address: string): Promise<void> {
    await this.#node.dial(multiaddr(address), { signal: AbortSignal.timeout(10_000), force: true })
  }

  /** Dials an address so many times, and leaves it to the other side to close what it does not want. */
  async visit(address: string, times: number): Promise<void> {
    for (let visit = 0; visit < times; visit += 1) await this.dialAnew(address)
  }

  /** Asks whoever is at the other end of a connection over `transport` whether it lives, each time on a new stream. @returns milliseconds each */
  async pings(peer: string, count: number, transport = '/webtransport'): Promise<number[]> {
    const connection = this.#connectionOver(transport, peer)
    const signal = AbortSignal.timeout(WITHIN)
    const times: number[] = []
    for (let ping = 0; ping < count; ping += 1) {
      const began = performance.now()
      const stream = await connection.newStream('/ipfs/ping/1.0.0', { signal })
      stream.send(crypto.getRandomValues(new Uint8Array(32)))
      const reading = (async () => {
        for await (const piece of stream) if (piece.byteLength > 0) times[ping] ??= performance.now() - began
      })()
      await stream.close({ signal })
      await reading
    }
    return times
  }

  /** Sends so many bytes to a peer over `transport`, which sends them back, and looks at each that comes. @returns how many came, and milliseconds */
  async echo(peer: string, total: number, transport = '/webtransport'): Promise<{ received: number; time: number }> {
    const signal = AbortSignal.timeout(WITHIN)
    const began = performance.now()
    const stream = await this.#connectionOver(transport, peer).newStream(ECHO, { signal })
    let received = 0
    const reading = (async () => {
      for await (const piece of stream) {
        for (const byte of piece.subarray()) {
          if (byte !== byteAt(received)) throw new Error(`byte ${received} is ${byte} instead of ${byteAt(received)}`)
          received += 1
        }
      }
    })()
    await send(stream, total, signal, byteAt)
    await stream.close({ signal })
    await reading
    return { received, time: performance.now() - began }
  }

  #connectionOver(transport: string, peer: string): Connection {
    const connection = this.#node.getConnections().find(({ remotePeer, remoteAddr }) => remotePeer.toString() === peer && remoteAddr.toString().includes(transport))
    if (!connection) throw new Error(`no connection to ${peer} over ${transport}`)
    return connection
  }

  /** Connections to a peer. */
  connections(peer: string): { address: string; direction: string; limited: boolean }[] {
    return this.#node
      .getConnections()
      .filter(({ remotePeer }) => remotePeer.toString() === peer)
      .map(({ remoteAddr, direction, limits }) => ({ address: remoteAddr.toString(), direction, limited: limits !== undefined }))
  }

  /** Sends and receives over one stream on the WebRTC connection to a peer. @returns bytes received, and milliseconds to the first of them and to the end */
  async transfer(peer: string, upload: number, download: number): Promise<{ received: number; firstByte: number | undefined; time: number }> {
    const connection = this.#connectionOver('/webrtc', peer)
    const signal = AbortSignal.timeout(WITHIN)
    const began = performance.now()
    const stream = await connection.newStream(PERF, { signal })
    const wanted = new Uint8Array(8)
    new DataView(wanted.buffer).setBigUint64(0, BigInt(download))
    let received = 0
    let firstByte: number | undefined
    const reading = (async () => {
      for await (const piece of stream) {
        firstByte ??= performance.now() - began
        received += piece.byteLength
      }
    })()
    stream.send(wanted)
    await send(stream, upload, signal)
    await stream.close({ signal })
    await reading
    return { received, firstByte, time: performance.now() - began }
  }

  /** Ends it, and its connections. */
  async stop(): Promise<void> {
    await this.#node.stop()
  }

  /** Answers others who measure. */
  servePerf(): Promise<void> {
    return this.#node.handle(PERF, async (stream) => {
      const signal = AbortSignal.timeout(WITHIN)
      const head: number[] = []
      for await (const piece of stream) for (let index = 0; head.length < 8 && index < piece.byteLength; index += 1) head.push(piece.subarray(index, index + 1)[0] ?? 0)
      await send(stream, Number(new DataView(Uint8Array.from(head).buffer).getBigUint64(0)), signal)
      await stream.close({ signal })
    })
  }
}

/** Bytes that tell where they belong: neither a piece that is missing nor two that changed places go unnoticed. */
function byteAt(position: number): number {
  return (Math.imul(position >>> 3, 0x9e3779b1) >>> 24) ^ (position & 0xff)
}

/** Sends so many bytes, no faster than they leave. */
async function send(stream: Stream, total: number, signal: AbortSignal, byteAt?: (position: number) => number): Promise<void> {
  let piece = new Uint8Array(PIECE)
  for (let sent = 0; sent < total; sent += PIECE) {
    // The stream keeps a piece until it has left.
    if (byteAt) piece = Uint8Array.from(piece, (_, index) => byteAt(sent + index))
    if (!stream.send(total - sent < PIECE ? piece.subarray(0, total - sent) : piece)) await stream.onDrain({ signal })
  }
}

/** Starts a peer. It is reachable through the relay, unless it only `dials`. */
async function start(relay: string, { dials = false } = {}): Promise<Peer> {
  const node = await createLibp2p({
    addresses: { listen: dials ? [] : [`${relay}/p2p-circuit`, '/webrtc'] },
    transports: [webSockets(), webTransport(), webRTC(), webRTCDirect(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // Its default refuses every address of this machine.
    connectionGater: { denyDialMultiaddr: () => false },
    // It ends connections on which its question whether they live is not answered within two seconds. In a page the answer waits behind all that came before and
    // that no script has taken yet: many megabytes, since browsers acknowledge data channels' messages before anybody reads them.
    connectionMonitor: { enabled: false },
    services: { identify: identify() },
  })
  return new Peer(node)
}

declare global {
  interface Window {
    startPeer: typeof start
    peer: Peer
  }
}
window.startPeer = start

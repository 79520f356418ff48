// The node's WebTransport, with what libp2p puts on it, beside a bare one of the same browser, to the same process: crates/webtransport/examples/measure.rs.
import { join } from 'node:path'
import { root, target } from '../../crates/web/build/paths.mjs'
import { run, start } from '../../crates/web/build/process.mjs'
import { linesOf } from './lines.mjs'

/** What a bare session does: it writes as soon as the browser wants more, each time new bytes, as who has something to say; the same ones again are a quarter faster. */
export const RAW_SESSION = `
const CHUNK = 64 * 1024

async function rawSession(_, port, hash, up, down) {
  const session = new WebTransport('https://127.0.0.1:' + port + '/', { serverCertificateHashes: [{ algorithm: 'sha-256', value: Uint8Array.from(hash) }] })
  await session.ready
  const { readable, writable } = await session.createBidirectionalStream()
  const chunk = new Uint8Array(CHUNK).fill(7)
  const began = performance.now()
  const writer = writable.getWriter()
  const header = new DataView(new ArrayBuffer(8))
  header.setBigUint64(0, BigInt(down))
  writer.write(new Uint8Array(header.buffer))
  for (let left = up; left > 0; left -= CHUNK) {
    await writer.ready
    writer.write(chunk.slice(0, Math.min(CHUNK, left)))
  }
  writer.close().catch(() => {})
  const reader = readable.getReader()
  let left = down
  while (left > 0) {
    const { value, done } = await reader.read()
    if (done) throw new Error(left + ' bytes did not come')
    left -= value.byteLength
  }
  const time = performance.now() - began
  session.close()
  return time
}

async function rawSessionDial(_, port, hash) {
  const began = performance.now()
  const session = new WebTransport('https://127.0.0.1:' + port + '/', { serverCertificateHashes: [{ algorithm: 'sha-256', value: Uint8Array.from(hash) }] })
  await session.ready
  const time = performance.now() - began
  session.close()
  return time
}
`

/** Compiles the far side. */
export const buildWebTransport = () => run('cargo', ['build', '--locked', '--release', '--workspace', '--example', 'measure'], { cwd: root })

/** Starts the far side. @param {(method: string, ...args: unknown[]) => Promise<number>} call what the page's worker does */
export async function webtransport(call) {
  const far = start(join(target, 'release', 'examples', 'measure'), [], { stdio: ['pipe', 'pipe', 'inherit'] })
  const line = linesOf(far)
  const address = await line()
  const [port, numbers] = (await line()).split(' ')
  const hash = numbers.split(',').map(Number)
  return {
    name: 'webtransport',
    process: far.pid,
    /** Milliseconds until a connection with Noise stands. */
    dial: () => call('dial', address),
    /** Milliseconds until a bare session stands. */
    bareDial: () => call('rawSessionDial', port, hash),
    /** Milliseconds for so many bytes there and then so many back, over a stream of the browser's own. */
    bare: (up, down) => call('rawSession', port, hash, up, down),
    /** The same over a libp2p stream. */
    own: (up, down) => call('secured', address, up, down),
    /** The same by the transport that rust-libp2p publishes for pages. */
    packaged: (up, down) => call('packaged', address, up, down),
    close: () => far.stdin.end(),
  }
}

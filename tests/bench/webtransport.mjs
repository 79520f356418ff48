// The node's WebTransport, with what libp2p puts on it, beside a bare one of the same browser, to the same process and in the same run.
//
// The far side is crates/webtransport/examples/measure.rs, the page's half websocket/src/lib.rs, which dials both ways. Both run in a worker, as the node does.
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { root, target } from '../../crates/web/build/paths.mjs'
import { run, start } from '../../crates/web/build/process.mjs'
import { workerPage } from './websocket.mjs'

/** What a bare session does: it writes as soon as the browser wants more. */
const RAW = `
const CHUNK = 64 * 1024

async function raw(port, hash, up, down) {
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
    writer.write(chunk.subarray(0, Math.min(CHUNK, left)))
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

async function rawDial(port, hash) {
  const began = performance.now()
  const session = new WebTransport('https://127.0.0.1:' + port + '/', { serverCertificateHashes: [{ algorithm: 'sha-256', value: Uint8Array.from(hash) }] })
  await session.ready
  const time = performance.now() - began
  session.close()
  return time
}
`

/** Compiles the far side; the page's half is that of the WebSocket's measurement. */
export const buildWebTransport = () => run('cargo', ['build', '--locked', '--release', '-p', 'shoal-webtransport', '--example', 'measure'], { cwd: root })

/** Opens the page in a browser, and its far side. */
export async function webtransport(browser) {
  const far = start(join(target, 'release', 'examples', 'measure'), [], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: far.stdout })[Symbol.asyncIterator]()
  const { value: address } = await lines.next()
  const [port, numbers] = (await lines.next()).value.split(' ')
  const hash = numbers.split(',').map(Number)
  const { call, close } = await workerPage(browser, RAW, '{ raw, rawDial }')
  return {
    /** Milliseconds until a connection with Noise stands. */
    dial: () => call('dial', address),
    /** Milliseconds until a bare session stands. */
    rawDial: () => call('rawDial', port, hash),
    /** Milliseconds for so many bytes there and then so many back, over a stream of the browser's own. */
    raw: (up, down) => call('raw', port, hash, up, down),
    /** The same over a libp2p stream. */
    secured: (up, down) => call('secured', address, up, down),
    async close() {
      await close()
      far.stdin.end()
    },
  }
}

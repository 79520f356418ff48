// The node's WebSocket transport beside a bare WebSocket of the same browser, to the same process: relay-server/examples/websocket_peer.rs.
import { join } from 'node:path'
import { root, target } from '../../crates/web/build/paths.mjs'
import { run, start } from '../../crates/web/build/process.mjs'
import { linesOf } from './lines.mjs'

/** What a bare socket does: everything is handed to the browser at once, which is as fast as it gets. */
export const RAW_SOCKET = `
const MESSAGE = 64 * 1024

async function openSocket(url) {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  await new Promise((resolve, reject) => ((socket.onopen = resolve), (socket.onerror = () => reject(new Error('no socket at ' + url)))))
  return socket
}

async function rawSocket(_, url, up, down) {
  const socket = await openSocket(url)
  const message = new Uint8Array(MESSAGE).fill(7)
  const began = performance.now()
  socket.send(new BigUint64Array([up, down].map((size) => swapped(BigInt(size)))))
  for (let sent = 0; sent < up; sent += MESSAGE) socket.send(message.subarray(0, Math.min(MESSAGE, up - sent)))
  let left = down
  await new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => (left -= data.byteLength) <= 0 && resolve()
    socket.onclose = () => reject(new Error(left + ' bytes did not come'))
  })
  const time = performance.now() - began
  socket.onclose = null
  socket.close()
  return time
}

async function rawSocketDial(_, url) {
  const began = performance.now()
  const socket = await openSocket(url)
  const time = performance.now() - began
  socket.close()
  return time
}

function swapped(number) {
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, number)
  return new BigUint64Array(view.buffer)[0]
}
`

/** Compiles the far side. */
export const buildWebsocket = () => run('cargo', ['build', '--locked', '--release', '--workspace', '--example', 'websocket_peer'], { cwd: root })

/** Starts the far side. @param {(method: string, ...args: unknown[]) => Promise<number>} call what the page's worker does */
export async function websocket(call) {
  const far = start(join(target, 'release', 'examples', 'websocket_peer'), [], { stdio: ['pipe', 'pipe', 'inherit'] })
  const port = await linesOf(far)()
  return {
    name: 'websocket',
    process: far.pid,
    /** Milliseconds until a connection with Noise and yamux stands. */
    dial: () => call('dial', `/ip4/127.0.0.1/tcp/${port}/ws`),
    /** Milliseconds until a bare one does. */
    bareDial: () => call('rawSocketDial', `ws://127.0.0.1:${port}/raw`),
    /** Milliseconds for so many bytes there and then so many back, over the browser's own socket. */
    bare: (up, down) => call('rawSocket', `ws://127.0.0.1:${port}/raw`, up, down),
    /** The same over Noise and yamux. */
    own: (up, down) => call('secured', `/ip4/127.0.0.1/tcp/${port}/ws`, up, down),
    /** The same over the transport without anything on it. */
    transport: (up, down) => call('bare', `/ip4/127.0.0.1/tcp/${port}/x-parity-ws/%2Fraw`, up, down),
    close: () => far.stdin.end(),
  }
}

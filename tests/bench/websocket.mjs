// The node's WebSocket transport beside a bare WebSocket of the same browser, to the same process and in the same run.
//
// The far side is relay-server/examples/websocket_peer.rs, the page's half websocket/src/lib.rs, built as visitors' wasm is. Both run in a worker, as the node does.
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { root, target } from '../../crates/web/build/paths.mjs'
import { run, start } from '../../crates/web/build/process.mjs'
import { createPages } from '../pages.mjs'
import { openApp } from '../app.mjs'
import { createRelay } from '../relay.mjs'
import { bindWasm, compileWasm } from './wasm.mjs'

const CRATE = 'shoal-bench-websocket'

const PAGE = `
const worker = new Worker('./worker.js', { type: 'module' })
window.socket = (method, ...args) =>
  new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error === undefined ? resolve(data.time) : reject(new Error(data.error)))
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.postMessage({ method, args })
  })
`

/** A worker with functions of its own besides those of the page's half: `raw` is their source, `names` an object of them. */
const worker = (raw, names) => `
import init, * as transport from './${CRATE.replaceAll('-', '_')}.js'
const loading = init()
${raw}
const own = ${names}

onmessage = async ({ data: { method, args } }) => {
  try {
    await loading
    postMessage({ time: await (own[method] ?? transport[method])(...args) })
  } catch (error) {
    postMessage({ error: String(error) })
  }
}
`

/** What a bare socket does: everything is handed to the browser at once, which is as fast as it gets. */
const RAW = `
const MESSAGE = 64 * 1024

async function raw(url, up, down) {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  await new Promise((resolve, reject) => ((socket.onopen = resolve), (socket.onerror = () => reject(new Error('no socket at ' + url)))))
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

function swapped(number) {
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, number)
  return new BigUint64Array(view.buffer)[0]
}
`

/** Compiles both halves. */
export async function buildWebsocket() {
  await run('cargo', ['build', '--locked', '--release', '-p', 'relay-server', '--example', 'websocket_peer'], { cwd: root })
  await compileWasm(CRATE)
}

/** Opens the page in a browser, and its far side. */
export async function websocket(browser) {
  const far = start(join(target, 'release', 'examples', 'websocket_peer'), [], { stdio: ['pipe', 'pipe', 'inherit'] })
  const { value: port } = await createInterface({ input: far.stdout })[Symbol.asyncIterator]().next()
  const { call, close } = await workerPage(browser, RAW, '{ raw }')
  return {
    /** Milliseconds until a connection with Noise and yamux stands. */
    dial: () => call('dial', `/ip4/127.0.0.1/tcp/${port}/ws`),
    /** Milliseconds for so many bytes there and then so many back, over the browser's own socket. */
    raw: (up, down) => call('raw', `ws://127.0.0.1:${port}/raw`, up, down),
    /** The same over the transport without anything on it. */
    bare: (up, down) => call('bare', `/ip4/127.0.0.1/tcp/${port}/x-parity-ws/%2Fraw`, up, down),
    /** The same over Noise and yamux. */
    secured: (up, down) => call('secured', `/ip4/127.0.0.1/tcp/${port}/ws`, up, down),
    async close() {
      await close()
      far.stdin.end()
    },
  }
}

/** A page whose worker has the page's half, and functions of one's own. */
export async function workerPage(browser, raw, names) {
  const pages = await createPages({ script: PAGE, files: { 'worker.js': worker(raw, names) } })
  await bindWasm(CRATE, pages.path)
  const relay = await createRelay({ webRoot: pages.path })
  const page = await openApp(browser, relay.url, { ready: false })
  await page.waitForFunction(() => window.socket !== undefined, { timeout: 30_000 })
  return {
    call: (method, ...args) => page.evaluate((method, args) => window.socket(method, ...args), method, args),
    async close() {
      await page.close()
      await relay.stop()
      await pages.remove()
    },
  }
}

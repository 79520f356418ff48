// Pages that move bytes over one libp2p stream to a server of others, and the server's half of it behind Kubo's `ipfs p2p listen`.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { openApp } from '../app.mjs'
import { bindWasm, compileWasm } from '../bench/wasm.mjs'
import { createPages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'

const CRATE = 'shoal-interop-streams'
/** What Kubo takes from anybody without being told twice. */
const PROTOCOL = '/x/shoal/exchange'
/** Bytes of the request: how many follow, how many are wanted. */
const HEADER = 16
/** Bytes written at once. */
const CHUNK = 1 << 16

const WORKER = `
import init, { exchange } from './${CRATE.replaceAll('-', '_')}.js'
const loading = init()
onmessage = async ({ data }) => {
  try {
    await loading
    postMessage({ value: [...(await exchange(...data))] })
  } catch (error) {
    postMessage({ error: String(error) })
  }
}
`

/** Compiles the page's half. Where crates can be had: not in a network of the test's own. */
export const buildStreams = () => compileWasm(CRATE)

/** Pages with `window.exchange`; `open(browser)` opens one. */
export async function streamPages() {
  const pages = await createPages({ entry: 'interop/streams-page.ts', files: { 'worker.js': WORKER } })
  await bindWasm(CRATE, pages.path)
  const relay = await createRelay({ webRoot: pages.path })
  return {
    async open(browser) {
      const page = await openApp(browser, relay.url, { ready: false })
      await page.waitForFunction(() => window.exchange !== undefined, { timeout: 30_000 })
      /** Milliseconds for the dial, so many bytes there, and so many back. `version` of WebRTC-direct: 1, 2, or 0 for what the node does. */
      const exchange = async (address, { version = 0, up, down }) => {
        const [dial, there, back] = await page.evaluate((...args) => window.exchange(...args), address, PROTOCOL, version, up, down)
        return { dial, there, back }
      }
      return { page, exchange }
    },
    async stop() {
      await relay.stop()
      await pages.remove()
    },
  }
}

/** The server's half, at a Kubo: compares what comes, and sends what is wanted. */
export async function answerStreams(t, kubo) {
  const server = createServer((socket) => answer(socket).catch((error) => socket.destroy(error)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  await kubo.ipfs('p2p', 'listen', PROTOCOL, `/ip4/127.0.0.1/tcp/${server.address().port}`)
}

async function answer(socket) {
  let header = Buffer.alloc(0)
  let place = 0
  let wanted
  socket.on('error', () => {})
  for await (let part of socket.iterator({ destroyOnReturn: false })) {
    if (wanted === undefined) {
      header = Buffer.concat([header, part])
      if (header.length < HEADER) continue
      part = header.subarray(HEADER)
      wanted = { up: Number(header.readBigUInt64BE(0)), down: Number(header.readBigUInt64BE(8)) }
    }
    for (const byte of part) if (byte !== at(place++)) throw new Error(`another byte than was sent, at ${place - 1}`)
    if (place === wanted.up) break
  }
  for (let begin = 0; begin < wanted.down; begin += CHUNK) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK, wanted.down - begin))
    for (let index = 0; index < chunk.length; index++) chunk[index] = at(begin + index)
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
}

/** What stands at each place: as streams/src/lib.rs has it. */
const at = (place) => Math.imul(place, 0x9e3779b1) >>> 24

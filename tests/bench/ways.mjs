// The ways from a page to a server, each beside what the browser itself reaches by it, all from one page and in turns.
//
// The page's half is ways/src/lib.rs, built as visitors' wasm is; it runs in a worker, as the node does.
import { openApp } from '../app.mjs'
import { createPages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'
import { bindWasm, compileWasm } from './wasm.mjs'
import { buildWebRtcDirect, isMeasurable, webrtcDirect } from './webrtc-direct.mjs'
import { buildWebsocket, RAW_SOCKET, websocket } from './websocket.mjs'
import { buildWebTransport, RAW_SESSION, webtransport } from './webtransport.mjs'

const CRATE = 'shoal-bench-ways'

/** A worker with the page's half, and with what browsers have themselves. */
const WORKER = `
import init, * as transport from './${CRATE.replaceAll('-', '_')}.js'
const loading = init()
${RAW_SOCKET}
${RAW_SESSION}
const own = { rawSocket, rawSocketDial, rawSession, rawSessionDial }

onmessage = async ({ data: { method, args, port } }) => {
  try {
    await loading
    postMessage({ time: await (own[method] ?? transport[method])(port, ...args) })
  } catch (error) {
    postMessage({ error: String(error) })
  }
}
`

/** Compiles both halves. */
export async function buildWays() {
  await buildWebsocket()
  await buildWebTransport()
  await buildWebRtcDirect()
  await compileWasm(CRATE)
}

/** Opens a page in a browser, and the far side of each way. */
export async function openWays(browser, kind) {
  const pages = await createPages({ entry: 'bench/ways-page.ts', files: { 'worker.js': WORKER } })
  await bindWasm(CRATE, pages.path)
  const relay = await createRelay({ webRoot: pages.path })
  const page = await openApp(browser, relay.url, { ready: false })
  await page.waitForFunction(() => window.call !== undefined, { timeout: 30_000 })
  const call = (method, ...args) => page.evaluate((method, args) => window.call(method, ...args), method, args)
  const ways = [await websocket(call), await webtransport(call)]
  if (isMeasurable(kind)) ways.push(await webrtcDirect(call, page))
  return {
    ways,
    async close() {
      for (const way of ways) way.close()
      await page.close()
      await relay.stop()
      await pages.remove()
    },
  }
}

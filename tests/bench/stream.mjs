// One stream of a session between two nodes: what sessions and transport cost without what the exchange does with content, and what js-libp2p's row
// does too. The nodes are the package's own, built once more with a measurement in them (the feature `measure`), so that no visitor pays for it.
import { setTimeout as sleep } from 'node:timers/promises'
import { bindWasm, compileWasm } from './wasm.mjs'

const CRATE = 'shoal-bench-stream'

const WORKER = `
import init, { Peer } from './${CRATE.replaceAll('-', '_')}.js'
const loading = init()
let peer
onmessage = async ({ data: { method, args } }) => {
  try {
    await loading
    if (method === 'start') peer = await Peer.start(...args)
    const value = method === 'start' ? peer.id() : await peer[method](...args)
    postMessage({ value: value instanceof Float64Array ? [...value] : value })
  } catch (error) {
    postMessage({ error: String(error) })
  }
}
`

/** What its pages are made of, for `createPages`. */
export const STREAM_PAGES = { entry: 'bench/stream-page.ts', files: { 'worker.js': WORKER } }

/** Compiles the node with its measurement. */
export const buildStream = () => compileWasm(CRATE)

/** Puts it beside a page. */
export const bindStream = (folder) => bindWasm(CRATE, folder)

/** Starts a node in each page and connects them directly. @returns what reads a stream of so many bytes */
export async function connectStream(sending, receiving, relay) {
  const ask = (page, method, ...args) => page.evaluate((method, args) => window.streamPeer.call(method, ...args), method, args)
  const ids = []
  for (const page of [sending, receiving]) {
    ids.push(await page.evaluate((relay) => window.streamPeer.start({ bootstrap: [relay], store: { kind: 'memory' } }), relay))
    while (!(await ask(page, 'reachable'))) await sleep(20)
  }
  const path = await ask(receiving, 'connect', ids[0])
  if (path !== 'direct') throw new Error(`the nodes are connected ${path}, not directly`)
  return async (size) => {
    const [firstByte, time] = await ask(receiving, 'read', ids[0], size)
    return { bytes: size, firstByte, time }
  }
}

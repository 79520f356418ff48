// What goes from page to page through the relay, by each way to it: how fast, and what the relay pays for it. The pages are the package's own, without a direct path between them.
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../crates/web/build/relay.mjs'
import { openApp, peerId, reachable } from '../app.mjs'
import { packagePages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'
import { processorTime } from './machine.mjs'

/** Bytes of a transfer, and how many are made by each way, in turns. Together less than a circuit carries by default. */
const SIZE = 16_000_000
const TURNS = 3
/** Bytes of a first one that is not counted. */
const WARM_UP = 4_000_000
/** Milliseconds between publishing and fetching. */
const SETTLE = 200

/** @returns {Promise<{ way: string, rates: number[], processor?: number }[]>} MB/s of each turn, and the relay's milliseconds for each MB */
export async function relayed(browser) {
  const pages = await packagePages()
  const relay = await createRelay({ webRoot: pages.path, args: ['--webtransport', 'same', '--webrtc-direct', `127.0.0.1:${await freePort()}`] })
  const pairs = []
  try {
    for (const way of ['websocket', 'webtransport', 'webrtc-direct']) pairs.push(await connect(browser, relay.url, way))
    for (const { move } of pairs) await move(WARM_UP)
    for (let turn = 0; turn < TURNS; turn += 1) {
      for (const pair of pairs) {
        const cid = await pair.publish(SIZE)
        const before = await processorTime([relay.pid])
        pair.rates.push(SIZE / 1_000 / (await pair.fetch(cid)))
        if (before !== undefined) pair.processor += (((await processorTime([relay.pid])) - before) * 1e9) / SIZE / TURNS
      }
    }
    return pairs.map(({ way, rates, processor }) => ({ way, rates, processor: processor || undefined }))
  } finally {
    for (const { close } of pairs) await close()
    await relay.stop()
    await pages.remove()
  }
}

/** Two pages that reach the relay by one way, and each other through it. */
async function connect(browser, url, way) {
  const two = []
  for (let page = 0; page < 2; page += 1) two.push(await start(browser, url, way))
  const [sending, receiving] = two
  const from = await peerId(sending)
  const publish = async (size) => {
    const cid = await sending.evaluate(async (size) => {
      const bytes = new Uint8Array(size)
      for (let start = 0; start < size; start += 65_536) crypto.getRandomValues(bytes.subarray(start, Math.min(size, start + 65_536)))
      return window.shoal.publishContent(new Blob([bytes]))
    }, size)
    await sleep(SETTLE)
    return cid
  }
  const fetch = async (cid) => {
    for (const page of two) await page.bringToFront()
    return receiving.evaluate(
      async (cid, from) => {
        const began = performance.now()
        for await (const _ of window.shoal.readContent(cid, { from: [from] }));
        return performance.now() - began
      },
      cid,
      from,
    )
  }
  return {
    way,
    rates: [],
    processor: 0,
    publish,
    fetch,
    move: async (size) => fetch(await publish(size)),
    async close() {
      for (const page of two) await page.close()
    },
  }
}

/** A node that has this way alone, and no WebRTC to other pages. */
async function start(browser, url, way) {
  const page = await openApp(browser, url, { ready: false })
  await page.waitForFunction(() => window.shoalPackage !== undefined, { timeout: 30_000 })
  await page.evaluate(async (way) => {
    window.shoal = await window.shoalPackage.createNode({ store: { kind: 'memory' }, transports: [way] })
  }, way)
  await reachable(page)
  const [connection] = (await page.evaluate(() => window.shoal.connections())).filter(({ path }) => path === 'direct')
  if (connection?.transport !== way) throw new Error(`the relay is reached by ${connection?.transport}, not by ${way}`)
  return page
}

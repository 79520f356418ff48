// Pages that run a node without the web app around it, for what the app does not offer: relays of the test's choice, and what becomes of them.
import assert from 'node:assert/strict'
import { openApp, until } from './app.mjs'
import { packagePages } from './pages.mjs'
import { createRelay } from './relay.mjs'

/** A relay that serves pages with the npm package, and no web app; `stop()` removes them, too. @param {string[]} [args] Further arguments. */
export async function createPackageRelay(args = []) {
  const pages = await packagePages()
  const relay = await createRelay({ webRoot: pages.path, args })
  return {
    ...relay,
    async stop() {
      await relay.stop()
      await pages.remove()
    },
  }
}

/** Opens a page whose console has the npm package: `window.shoalPackage`. @param {object} [options] Of `openApp`. */
export async function openPackage(browser, url, options) {
  const page = await openApp(browser, url, { ...options, ready: false })
  await page.waitForFunction(() => window.shoalPackage !== undefined, { timeout: 30_000 })
  return page
}

/**
 * Opens a page and starts a node in it.
 * @param {import('node:test').TestContext} t Closes the page in the end.
 * @param {{ newPage(): Promise<import('puppeteer-core').Page> }} browser
 * @param {string} url Of a package's relay.
 * @param {object} config Of the node. It keeps everything in memory, unless told otherwise.
 * @param {{ prepare?: (page: import('puppeteer-core').Page) => Promise<unknown> }} [options] Of `openApp`.
 */
export async function openNode(t, browser, url, config, { prepare } = {}) {
  const page = await openPackage(browser, url, { prepare })
  // Where the test closes its browser first, there may be nobody any more to close the page.
  t.after(() => page.isClosed() || page.close().catch((error) => assert.match(error.message, /closed/i)))
  await page.evaluate(async (config) => {
    window.shoal = await window.shoalPackage.createNode({ store: { kind: 'memory' }, ...config })
  }, config)
  return page
}

/** What the page's node says of itself. */
export const status = (page) => page.evaluate(() => window.shoal.status())

/** What it says of its relays, for the message of a failed test. */
export const relaysOf = async (page) => JSON.stringify((await status(page)).relays)

/** The ports of the relays that hold a reservation, as the page believes. */
export async function held(page) {
  const { relays } = await status(page)
  return relays.filter(({ state }) => state === 'reserved').map(({ address }) => Number(/tcp\/(\d+)/.exec(address)[1]))
}

/** Waits until so many relays hold a reservation for the page. @returns their ports */
export async function holds(page, count, within = 30_000) {
  await until(async () => (await held(page)).length >= count, within, async () => `not ${count} relays hold: ${await relaysOf(page)}`)
  return held(page)
}

/** Connects to a page through exactly this relay, as a stranger in this browser, and leaves. What a page believes of itself is no proof. */
export async function reachedThrough(t, relay, page, browser, url) {
  const peer = await page.evaluate(() => window.shoal.peerId)
  const stranger = await openNode(t, browser, url, { bootstrap: [relay.url] })
  await holds(stranger, 1)
  const path = await stranger.evaluate((peer) => window.shoal.connect(peer, { signal: AbortSignal.timeout(10_000) }).then(({ path }) => path, (error) => error.message), peer)
  assert.match(path, /^(direct|relayed)$/)
  await stranger.evaluate(() => window.shoal.stop())
}

/** What the page's browser gathers with these STUN and TURN servers. @returns {Promise<{ type: string, address: string }[]>} */
export const gathered = (page, iceServers) => page.evaluate(gather, iceServers)

async function gather(iceServers) {
  const connection = new RTCPeerConnection({ iceServers })
  const found = []
  connection.onicecandidate = ({ candidate }) => candidate?.address && found.push({ type: candidate.type, address: candidate.address })
  const gathered = new Promise((resolve) => {
    connection.onicegatheringstatechange = () => connection.iceGatheringState === 'complete' && resolve()
    setTimeout(resolve, 10_000)
  })
  connection.createDataChannel('any')
  await connection.setLocalDescription()
  await gathered
  connection.close()
  return found
}

// The web app in a browser, as a person sees it (by test ids) and as its console does (`window.shoal`).
import { setTimeout as sleep } from 'node:timers/promises'

/** Milliseconds until a page's node must be ready: wasm is compiled on a machine that may be busy. */
const READY_WITHIN = 60_000

/** The selector of a test id. */
export const byTestId = (id) => `[data-testid="${id}"]`

/**
 * Opens the app in a new tab and waits for its node.
 * @param {{ newPage(): Promise<import('puppeteer-core').Page> }} browser
 * @param {string} url The app's address, perhaps with a link's fragment.
 * @param {object} [options]
 * @param {{ width: number, height: number }} [options.viewport]
 * @param {(page: import('puppeteer-core').Page) => Promise<void>} [options.prepare] Called before the page loads.
 * @param {boolean} [options.ready] Whether to wait for the node. Default true.
 */
export async function openApp(browser, url, { viewport = { width: 1_280, height: 800 }, prepare, ready = true } = {}) {
  const page = await browser.newPage()
  const problems = []
  page.on('pageerror', (error) => problems.push(String(error.stack ?? error)))
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()))
  page.problems = problems
  await page.setViewport(viewport)
  await prepare?.(page)
  await page.goto(url)
  if (ready) await nodeReady(page)
  return page
}

/** Waits until the page's node runs. */
export async function nodeReady(page) {
  try {
    await page.waitForFunction(() => document.documentElement.dataset.node === 'ready' && window.shoal !== undefined, { timeout: READY_WITHIN, polling: 50 })
  } catch (error) {
    throw new Error(`the node did not start: ${await textOf(page, 'node-status')}\n${page.problems.join('\n')}`, { cause: error })
  }
}

/** Waits until others can reach the page's node through the relay. */
export async function reachable(page, within = 30_000) {
  await until(async () => (await page.evaluate(() => window.shoal.status())).reachable, within, async () => `not reachable: ${JSON.stringify(await page.evaluate(() => window.shoal.status()))}\n${await ways(page)}`)
}

/** The page's PeerId. */
export const peerId = (page) => page.evaluate(() => window.shoal.peerId)

/** Every connection of the page's node. */
export const connections = (page) => page.evaluate(() => window.shoal.connections())

/**
 * Why the way from one page to another is as it is, as lines of text: for the message of a failed test.
 * @param {string[]} [peers] default: every peer that is connected
 */
export async function ways(page, peers) {
  try {
    return await page.evaluate(async (peers) => {
      const all = peers ?? [...new Set((await window.shoal.connections()).map(({ peer }) => peer))]
      const diagnoses = await Promise.all(all.map((peer) => window.shoal.diagnose(peer)))
      const line = ({ name, result, duration, detail }) => `    ${result} ${name}${duration === undefined ? '' : ` (${Math.round(duration)} ms)`}: ${detail}`
      const happened = ({ at, what, path, transport, detail }) => `    ${new Date(at).toISOString().slice(14, 23)} ${[what, path, transport, detail].filter(Boolean).join(' ')}`
      const told = ({ peer, summary, reasons, steps, history }) => [`  ${peer}: ${summary}`, ...reasons.map((reason) => `    - ${reason}`), ...steps.map(line), ...history.map(happened)]
      return diagnoses.flatMap(told).join('\n')
    }, peers)
  } catch (error) {
    return `  the node does not say: ${error.message}`
  }
}

/** The text of an element, or an empty string where there is none. */
export const textOf = (page, id) => page.evaluate((selector) => document.querySelector(selector)?.textContent?.trim() ?? '', byTestId(id))

/**
 * Publishes random bytes from the page's console.
 * @returns {Promise<{ cid: string, sha256: string, peer: string }>}
 */
export function publishRandom(page, size) {
  return page.evaluate(async (size) => {
    const bytes = new Uint8Array(size)
    for (let start = 0; start < size; start += 65_536) crypto.getRandomValues(bytes.subarray(start, start + 65_536))
    const hex = (digest) => Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
    const sha256 = hex(await crypto.subtle.digest('SHA-256', bytes))
    return { cid: await window.shoal.publishContent(new Blob([bytes])), sha256, peer: window.shoal.peerId }
  }, size)
}

/** Begins to fetch on the page's console; `fetched` waits for the end, `progressOf` tells how far it is. */
export function beginFetch(page, { cid, peer }) {
  return page.evaluate(
    ({ cid, peer }) => {
      const state = (window.fetching = { from: peer, progress: undefined, phases: [], began: performance.now(), firstByte: undefined })
      const onProgress = (progress) => {
        if (progress.bytes > 0) state.firstByte ??= performance.now() - state.began
        if (progress.phase !== state.phases.at(-1)) state.phases.push(progress.phase)
        state.progress = progress
      }
      state.result = window.shoal.fetchContent(cid, { from: [peer], onProgress })
      // Whoever waits for it sees the failure; until then it is not "unhandled".
      state.result.catch(() => undefined)
    },
    { cid, peer },
  )
}

/** The last progress that was reported, and every phase so far. */
export const progressOf = (page) => page.evaluate(() => ({ phases: window.fetching.phases, bytes: 0, ...window.fetching.progress }))

/** Waits for what was begun. @returns what arrived: its size, hash and times in milliseconds. */
export async function fetched(page, within = 120_000) {
  try {
    return await arrival(page, within)
  } catch (error) {
    throw new Error(`${error.message}\n${await ways(page, await page.evaluate(() => [window.fetching.from]))}`, { cause: error })
  }
}

function arrival(page, within) {
  return page.evaluate(async (within) => {
    const { result, began } = window.fetching
    const stands = async (problem) => {
      const connections = (await window.shoal.connections()).map(({ peer, path, transport, bytesReceived }) => ({ peer, path, transport, bytesReceived }))
      return new Error(`${problem}\n${JSON.stringify({ phases: window.fetching.phases, progress: window.fetching.progress, connections }, null, 2)}`)
    }
    const late = new Promise((resolve) => setTimeout(resolve, within))
    let bytes
    try {
      bytes = await Promise.race([result, late])
    } catch (error) {
      throw await stands(`${error.name}: ${error.message}`)
    }
    if (bytes === undefined) throw await stands(`not here after ${within / 1_000} s`)
    const time = performance.now() - began
    const digest = await crypto.subtle.digest('SHA-256', bytes)
    const sha256 = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
    return { size: bytes.length, sha256, time, firstByte: window.fetching.firstByte, phases: window.fetching.phases }
  }, within)
}

/** Waits until a question is answered with something true, and returns that. */
export async function until(question, within, complaint, every = 25) {
  const deadline = Date.now() + within
  for (;;) {
    const answer = await question()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`after ${within / 1_000} s: ${typeof complaint === 'function' ? await complaint() : complaint}`)
    await sleep(every)
  }
}

// Ten thousand streams between two pages, opened from both sides and closed in every order: read to the end, refused, given up before, while and after
// the answer came. Nothing of them is left, in the pages or at the relay.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openApp, peerId, reachable, until } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { createRelay } from '../relay.mjs'

const STREAMS = 10_000
/** Streams of this many at first are not counted: code is compiled, buffers grow. */
const WARM_UP = 2_000
/** Contents that exist; what is asked for beyond them is refused. */
const CONTENTS = 1_500
/** At the same time. */
const AT_ONCE = 64
/** Bytes by which a worker may grow without being said to leak: less than a hundredth of what one stream may hold, for each stream. */
const GROWTH = 8 * 1024 * 1024

let relay
before(async () => (relay = await createRelay()))
after(() => relay?.stop())

test(`${STREAMS.toLocaleString('en')} streams leave nothing`, async (t) => {
  const browsers = await Promise.all([launch('chromium'), launch('chromium')])
  t.after(() => Promise.all(browsers.map((browser) => browser.close())))
  const pages = await Promise.all(browsers.map((browser) => openApp(browser, relay.url)))
  await Promise.all(pages.map((page) => reachable(page)))
  const [one, other] = pages
  const peers = await Promise.all(pages.map(peerId))
  await one.evaluate((peer) => window.shoal.connect(peer), peers[1])
  const contents = await other.evaluate(publishMany, CONTENTS)

  await Promise.all([ask(one, peers[1], contents.slice(0, 300), WARM_UP / 2), ask(other, peers[0], [], WARM_UP / 2)])
  await idle(pages, peers)
  const health = await relay.health()
  const memory = await Promise.all(pages.map(inUse))

  const outcomes = await Promise.all([ask(one, peers[1], contents.slice(300), STREAMS / 2), ask(other, peers[0], [], STREAMS / 2)])
  await idle(pages, peers)
  for (const [index, page] of pages.entries()) {
    const grown = (await inUse(page)) - memory[index]
    t.diagnostic(`${JSON.stringify(outcomes[index])}; ${grown} bytes more in use`)
    assert.ok(grown < GROWTH, `${grown} bytes more are in use after ${STREAMS} streams`)
    assert.ok(outcomes[index].aborted > STREAMS / 10, JSON.stringify(outcomes))
  }
  assert.equal(outcomes[0].fetched, CONTENTS - 300)
  assert.equal((await relay.health()).connections, health.connections)
  // One that a direct connection has replaced stays for ten seconds.
  await until(async () => (await relay.health()).circuits <= health.circuits, 30_000, async () => `${(await relay.health()).circuits} circuits, ${health.circuits} before`)
  assert.deepEqual(pages.flatMap((page) => page.problems), [])
})

/** Runs in the page: small contents, each of one block. */
async function publishMany(count) {
  const publish = () => window.shoal.publishContent(crypto.getRandomValues(new Uint8Array(2_000)))
  const all = []
  while (all.length < count) all.push(...(await Promise.all(Array.from({ length: Math.min(50, count - all.length) }, publish))))
  return all
}

/** Asks a peer for what it has and for what nobody has, and gives up now and then. @returns how often each came of it */
const ask = (page, peer, contents, count) =>
  page.evaluate(
    async ({ peer, contents, count, atOnce }) => {
      const letters = 'abcdefghijklmnopqrstuvwxyz234567'
      const anyCid = () => {
        const bytes = Uint8Array.of(0x01, 0x55, 0x12, 0x20, ...crypto.getRandomValues(new Uint8Array(32)))
        const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('')
        return `b${Array.from({ length: Math.ceil(bits.length / 5) }, (_, index) => letters[Number.parseInt(bits.slice(index * 5, index * 5 + 5).padEnd(5, '0'), 2)]).join('')}`
      }
      const outcomes = { fetched: 0, aborted: 0, other: 0 }
      const waiting = [...contents]
      let left = count
      const worker = async () => {
        while (left-- > 0) {
          // Mixed, so that those who succeed run among those who do not.
          const cid = left % 3 === 0 ? waiting.pop() : undefined
          const signal = cid === undefined ? AbortSignal.timeout(Math.floor(Math.random() * 30)) : undefined
          try {
            await window.shoal.fetchContent(cid ?? anyCid(), { from: [peer], signal })
            outcomes.fetched += 1
          } catch {
            outcomes[signal?.aborted ? 'aborted' : 'other'] += 1
          }
        }
      }
      await Promise.all(Array.from({ length: atOnce }, worker))
      return outcomes
    },
    { peer, contents, count, atOnce: AT_ONCE },
  )

/** Waits until no stream is open on either side. */
async function idle(pages, peers) {
  const session = (page, peer) => page.evaluate(async (peer) => (await window.shoal.diagnose(peer)).session, peer)
  const open = () => Promise.all([session(pages[0], peers[1]), session(pages[1], peers[0])])
  await until(async () => (await open()).every((one) => (one?.streams ?? 0) === 0), 15_000, async () => `streams are left: ${JSON.stringify(await open())}`)
}

/** Bytes that the page's worker has in use: objects, buffers, and the memory of the wasm. */
async function inUse(page) {
  let bytes = 0
  for (const worker of page.workers()) {
    await worker.client.send('HeapProfiler.collectGarbage')
    const { usedSize, backingStorageSize = 0 } = await worker.client.send('Runtime.getHeapUsage')
    bytes += usedSize + backingStorageSize
  }
  assert.ok(bytes > 0, 'the page has no worker')
  return bytes
}

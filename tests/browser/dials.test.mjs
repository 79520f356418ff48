// Two hundred times in a row, a node that has never met the other one starts, dials it, and has a direct connection. None fails. Nor when both dial.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch } from '../browsers.mjs'
import { peerId, reachable } from '../app.mjs'
import { createPackageRelay, openPackage } from '../nodes.mjs'

const DIALS = process.env.SHOAL_LONG ? 1_000 : 200
const CROSSINGS = process.env.SHOAL_LONG ? 100 : 10
/** Milliseconds in which each must have become direct. */
const DIRECT_WITHIN = 10_000

let relay
before(async () => (relay = await createPackageRelay()))
after(() => relay?.stop())

test(`${DIALS} dials, none fails`, async (t) => {
  const [listener, dialler] = await Promise.all([launch('chromium'), launch('chromium')])
  t.after(() => Promise.all([listener.close(), dialler.close()]))
  const [listening, dialling] = await Promise.all([openPackage(listener, relay.url), openPackage(dialler, relay.url)])
  await listening.evaluate(async () => {
    window.shoal = await window.shoalPackage.createNode({ store: { kind: 'memory' } })
  })
  await reachable(listening)
  const peer = await peerId(listening)

  const times = []
  for (let dial = 1; dial <= DIALS; dial += 1) times.push(await dialOnce(dialling, peer, dial))

  const health = await relay.health()
  assert.ok(health.circuits <= 4, `${health.circuits} circuits are left at the relay`)
  const left = await listening.evaluate(() => window.shoal.connections())
  const dead = left.filter((connection) => connection.peer !== undefined && connection.transport === 'webrtc')
  assert.ok(dead.length <= 4, `${dead.length} connections of nodes that are gone are still open`)
  times.sort((a, b) => a - b)
  t.diagnostic(`direct after ${Math.round(times[DIALS >> 1])} ms (median), ${Math.round(times[Math.floor(DIALS * 0.99)])} ms (99th percentile)`)
})

/** Two dials that cross become one connection. Whoever gave way must not take its own dial for failed. */
test(`${CROSSINGS} times two nodes dial each other at once, and both calls give a direct connection`, async (t) => {
  const browsers = await Promise.all([launch('chromium'), launch('chromium')])
  t.after(() => Promise.all(browsers.map((browser) => browser.close())))
  const pages = await Promise.all(browsers.map((browser) => openPackage(browser, relay.url)))
  for (let crossing = 1; crossing <= CROSSINGS; crossing += 1) {
    const names = await Promise.all(
      pages.map(async (page) => {
        await page.evaluate(async () => {
          window.shoal = await window.shoalPackage.createNode({ store: { kind: 'memory' } })
        })
        await reachable(page)
        return peerId(page)
      }),
    )
    const moment = Date.now() + 500
    const got = await Promise.all(pages.map((page, side) => page.evaluate(dial, names[1 - side], moment)))
    // Not before both calls have ended: who is gone cannot be dialled.
    await Promise.all(pages.map((page) => page.evaluate(() => window.shoal.stop())))
    assert.deepEqual(got, ['direct', 'direct'], `crossing ${crossing}`)
  }
})

/** In a page, at a moment. @returns the path of the connection that the call gave, or what went wrong. */
async function dial(peer, moment) {
  const node = window.shoal
  await new Promise((resolve) => setTimeout(resolve, moment - Date.now()))
  try {
    const { path } = await node.connect(peer)
    const { steps } = await node.diagnose(peer)
    const failed = steps.filter(({ result }) => result === 'failed').map(({ name, detail }) => `${name}: ${detail}`)
    return [path, ...failed].join(', ')
  } catch (error) {
    return `${error.name}: ${error.message}`
  }
}

/** One new node dials and is gone again. @returns milliseconds from the call to the direct connection, the relay's connection being warm. */
async function dialOnce(page, peer, number) {
  const { time, problem } = await page.evaluate(
    async ({ peer, limit }) => {
      const node = await window.shoalPackage.createNode({ store: { kind: 'memory' } })
      try {
        while (!(await node.status()).relays.some(({ state }) => state === 'connected' || state === 'reserved')) await new Promise((resolve) => setTimeout(resolve, 10))
        const began = performance.now()
        const signal = AbortSignal.timeout(limit)
        await node.connect(peer, { signal })
        for (;;) {
          const all = await node.connections()
          if (all.some((connection) => connection.peer === peer && connection.path === 'direct')) return { time: performance.now() - began }
          if (signal.aborted) return { problem: JSON.stringify(all) }
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      } catch (error) {
        return { problem: `${error.name}: ${error.message}` }
      } finally {
        await node.stop()
      }
    },
    { peer, limit: DIRECT_WITHIN },
  )
  assert.equal(problem, undefined, `dial ${number}`)
  return time
}

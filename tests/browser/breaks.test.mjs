// One transfer that is broken again and again: the relay killed and started, the direct connection cut by a firewall that tells nobody, and let
// through again. No byte is lost, little is sent twice, and nobody waits for long.
//
// Runs in a network of its own (namespace.mjs), made slow enough for the transfer to last.
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { beginFetch, fetched, openApp, peerId, progressOf, publishRandom, reachable, until, ways } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { cutUdp, healUdp, ownNetwork, shape } from '../namespace.mjs'
import { createRelay } from '../relay.mjs'

await ownNetwork(import.meta.url)

const SIZE = 100 * 1024 * 1024
/** How often the relay is killed, and how often the path changes: half of that from direct to relayed. */
const PLANS = process.env.SHOAL_LONG ? { chromium: { kills: 20, swaps: 20 }, firefox: { kills: 5, swaps: 6 } } : { chromium: { kills: 2, swaps: 4 } }
/** Milliseconds in which bytes arrive again after a break: from then on, or from when there is a relay again. */
const BACK_WITHIN = 5_000
/** The same where nobody has to find out first that a path is dead. */
const BACK_SOON = 4_000
/** Milliseconds in which the direct way is taken again once it is free. */
const DIRECT_WITHIN = 30_000
/** The most that may be sent again for each break. */
const SENT_AGAIN = 2 * 1024 * 1024
/** Bytes in a second at least; also where the way back takes long: the next breaks need a transfer, too. */
const SLOWEST = 1_000_000
/** Seconds of transfer between two breaks, about. */
const BETWEEN = 2
/** Milliseconds for which a relay is down. */
const DOWN = [100, 1_500]

for (const [kind, plan] of Object.entries(PLANS)) {
  test(`100 MiB between two pages in ${kind}: the relay killed ${plan.kills} times, the path changed ${plan.swaps} times`, { timeout: 590_000 }, (t) => breaks(t, kind, plan))
}

/** A browser tries for six seconds what leads nowhere; the transfer must not wait for that. */
test('the relay that carries a transfer killed while a direct connection is tried in vain', async (t) => {
  const { relay, sending, receiving } = await two(t, 'chromium')
  const content = await publishRandom(sending, SIZE / 2)
  await shape(SLOWEST, [relay.port])
  await beginFetch(receiving, content)
  await watchGaps(receiving)
  await until(async () => (await progressOf(receiving)).path === 'direct' && (await progressOf(receiving)).bytes > 0, 20_000, () => say(receiving))
  await cutUdp()
  t.after(healUdp)
  const tried = async () => {
    const { session, attempts } = await receiving.evaluate((peer) => window.shoal.diagnose(peer), content.peer)
    const { ended, steps } = attempts.at(-1)
    return session?.path === 'relayed' && ended === undefined && steps.answered !== undefined && steps.ready === undefined
  }
  const carried = async () => (await progressOf(receiving)).path === 'relayed'
  await until(carried, DIRECT_WITHIN, async () => `not by the relay: ${await say(receiving)}\nthe sender: ${await ways(sending)}`)
  t.diagnostic(`silence for ${Math.round(await longestGap(receiving))} ms when the direct way was cut`)
  await until(tried, 1.5 * DIRECT_WITHIN, () => say(receiving))
  await clearGap(receiving)
  const killed = new Date().toISOString().slice(14, 23)
  const down = await outage(relay)
  await shape(1e9, [relay.port])
  const arrived = await fetched(receiving)
  assert.equal(arrived.sha256, content.sha256)
  const gap = Math.max(0, Math.round((await longestGap(receiving)) - down))
  t.diagnostic(`silence for ${gap} ms since there is a relay again`)
  assert.ok(gap <= BACK_SOON, `killed at ${killed}, then nothing came for ${gap} ms: ${await say(receiving)}\nthe sender: ${await ways(sending)}`)
})

/** Kills the relay and starts it again after a while. @returns for how many milliseconds there was none */
async function outage(relay, milliseconds = 0) {
  const began = performance.now()
  await relay.kill()
  await sleep(milliseconds)
  await relay.restart()
  return performance.now() - began
}

/** A relay, and two pages that can be reached through it. */
async function two(t, kind) {
  const relay = await createRelay()
  t.after(() => relay.stop())
  const browsers = await Promise.all([launch(kind), launch(kind)])
  t.after(() => Promise.all(browsers.map((browser) => browser.close())))
  const [sending, receiving] = await Promise.all(browsers.map((browser) => openApp(browser, relay.url)))
  await Promise.all([reachable(sending), reachable(receiving)])
  return { relay, sending, receiving }
}

async function breaks(t, kind, plan) {
  const { relay, sending, receiving } = await two(t, kind)
  t.after(healUdp)
  const content = await publishRandom(sending, SIZE)
  const receiver = await peerId(receiving)

  let left = plan.kills + plan.swaps
  /** Slow enough for what is still to come. */
  const pace = async () => {
    const missing = SIZE - (await progressOf(receiving)).bytes
    await shape(Math.max(SLOWEST, missing / ((left + 1) * BETWEEN)), [relay.port])
  }
  await shape(SIZE / ((left + 1) * BETWEEN), [relay.port])
  await beginFetch(receiving, content)
  await watchGaps(receiving)
  await until(async () => (await progressOf(receiving)).path === 'direct' && (await progressOf(receiving)).bytes > 4_000_000, 60_000, async () => `not under way: ${await say(receiving)}`)

  const gaps = []
  const step = async (name, action, { path, within = BACK_WITHIN } = {}) => {
    await pace()
    await sleep(randomInt(300, 1_300))
    const before = await progressOf(receiving)
    assert.ok(before.bytes < SIZE * 0.98, `the transfer was over before "${name}", ${left} breaks were left`)
    await clearGap(receiving)
    const began = performance.now()
    // While there is no relay nothing can come that needs it.
    const down = (await action()) ?? 0
    // What was on its way when the path broke may still arrive: it shows nothing.
    const { bytes } = await progressOf(receiving)
    const moved = async () => {
      if (performance.now() - began > BETWEEN * 1_000) await shape(SLOWEST, [relay.port])
      return (await progressOf(receiving)).bytes > bytes && (path === undefined || (await session(sending, receiver))?.path === path)
    }
    await until(moved, within + 30_000, async () => `after "${name}": ${await say(receiving)}`)
    const gap = Math.max(0, Math.round((await longestGap(receiving)) - down))
    gaps.push({ name, gap, seen: gap > BACK_WITHIN ? `${await say(receiving)}\nthe sender: ${await ways(sending)}` : '' })
    left -= 1
  }
  const kill = (name, relayed) =>
    step(name, async () => {
      const down = await outage(relay, randomInt(...DOWN))
      return relayed ? down : 0
    })
  for (const { direct, relayed } of rounds(plan)) {
    for (let number = 0; number < direct; number += 1) await kill('relay killed beside a direct transfer', false)
    await step('direct way cut', cutUdp, { path: 'relayed' })
    for (let number = 0; number < relayed; number += 1) await kill('relay killed that carried the transfer', true)
    await step('direct way free', healUdp, { path: 'direct', within: DIRECT_WITHIN })
  }
  await shape(1e9, [relay.port])
  const arrived = await fetched(receiving)
  assert.equal(arrived.sha256, content.sha256)
  const again = (await session(sending, receiver)).bytesSentAgain
  for (const name of new Set(gaps.map(({ name }) => name))) {
    const times = gaps.filter((gap) => gap.name === name).map(({ gap }) => gap)
    t.diagnostic(`${name}: ${times.length} times, then silence for ${times.sort((a, b) => a - b).join(', ')} ms`)
  }
  t.diagnostic(`${again} bytes sent again`)
  for (const { name, gap, seen } of gaps) assert.ok(gap <= BACK_WITHIN, `nothing came for ${gap} ms after "${name}": ${seen}`)
  assert.ok(again <= gaps.length * SENT_AGAIN, `${again} bytes were sent again`)
}

/** Notes in the page for how long nothing came. */
const watchGaps = (page) =>
  page.evaluate(() => {
    let [bytes, at] = [0, 0]
    window.clearGap = () => void ([at, window.gap] = [performance.now(), 0])
    window.clearGap()
    setInterval(() => {
      const now = performance.now()
      window.gap = Math.max(window.gap, now - at)
      if (window.fetching.progress?.bytes > bytes) [bytes, at] = [window.fetching.progress.bytes, now]
    }, 20)
  })
/** Begins anew: what was still on its way, or stood still, before this moment is not counted. */
const clearGap = (page) => page.evaluate(() => window.clearGap())
const longestGap = (page) => page.evaluate(() => window.gap)

/** What runs between this page and a peer. */
const session = (page, peer) => page.evaluate(async (peer) => (await window.shoal.diagnose(peer)).session, peer)
const say = async (page) => `${JSON.stringify(await progressOf(page))}\n${await ways(page)}`

/** In which of the rounds, each once direct and once relayed, the relay is killed: half of the times while it carries the transfer. */
function rounds({ kills, swaps }) {
  const all = Array.from({ length: swaps / 2 }, () => ({ direct: 0, relayed: 0 }))
  for (let number = 0; number < kills; number += 1) all[randomInt(all.length)][number % 2 === 0 ? 'relayed' : 'direct'] += 1
  return all
}

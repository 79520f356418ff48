// What slept comes back by itself: a tab that the browser froze, and a device that was asleep with the browser open. Timers did not run meanwhile, nobody told
// the page that its connections are gone, and it must be reachable again ten seconds after it wakes, without a reload.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { createPackageRelay, holds, openNode, reachedThrough, relaysOf, status } from '../nodes.mjs'
import { createRelay } from '../relay.mjs'

/** Milliseconds in which a page that woke up must be reachable again. */
const BACK_WITHIN = 10_000
/** Milliseconds of sleep. */
const ASLEEP = process.env.SHOAL_LONG ? 600_000 : 60_000

/** Serves the pages, and is never broken. */
let site
/** Does not sleep: strangers come from here. */
let awake
before(async () => {
  site = await createPackageRelay()
  awake = await launch('chromium')
})
after(async () => {
  await awake?.close()
  await site?.stop()
})

const FROZEN = {
  what: 'chromium: a frozen tab',
  kind: 'chromium',
  async sleep(page) {
    const session = await page.createCDPSession()
    const set = (state) => session.send('Page.setWebLifecycleState', { state })
    await set('frozen')
    return () => set('active')
  },
}
const SUSPENDED = KINDS.map((kind) => ({
  what: `${kind}: a device asleep`,
  kind,
  async sleep(page, browser) {
    await browser.suspend()
    return () => browser.resume()
  },
}))

// They sleep at the same time, each in a browser and with a relay of its own.
describe(`${ASLEEP / 1_000} s of sleep`, { concurrency: true }, () => {
  for (const sleeper of [FROZEN, ...SUSPENDED]) {
    test(`${sleeper.what}, its relay restarted meanwhile: reachable again`, async (t) => {
      const { relay, page, wake } = await asleep(t, sleeper)
      await relay.restart()
      await sleep(ASLEEP)
      assert.equal((await relay.health()).reservations, 0, 'it was not asleep at all')
      await wake()
      await reachableAgain(t, page, relay)
    })
  }

  test(`${FROZEN.what}, its relay silent when it wakes: it notices, and comes back when the relay does`, async (t) => {
    const { relay, page, wake } = await asleep(t, FROZEN)
    await sleep(ASLEEP)
    // A stopped process answers nothing, and its kernel keeps the connection: what a path that was cut looks like.
    relay.pause()
    await wake()
    await until(async () => !(await status(page)).reachable, 5_000, async () => `the page believes in a dead relay: ${await relaysOf(page)}`)
    relay.resume()
    await reachableAgain(t, page, relay)
  })

  test(`${SUSPENDED[0].what}, its relay there all the time: the connection is kept`, async (t) => {
    const { relay, page, wake } = await asleep(t, SUSPENDED[0])
    await sleep(ASLEEP)
    await wake()
    await reachableAgain(t, page, relay)
  })
})

/** A page that was reachable, and sleeps. */
async function asleep(t, { kind, sleep }) {
  const [relay, browser] = await Promise.all([createRelay(), launch(kind)])
  t.after(() => Promise.all([relay.stop(), browser.close()]))
  const page = await openNode(t, browser, site.url, { bootstrap: [relay.url] })
  await holds(page, 1)
  return { relay, page, wake: await sleep(page, browser) }
}

/** After waking: reachable within the time allowed, and a stranger gets through. */
async function reachableAgain(t, page, relay) {
  const began = Date.now()
  const back = async () => (await relay.health()).reservations >= 1 && (await status(page)).reachable
  await until(back, BACK_WITHIN, async () => `not reachable again: ${await relaysOf(page)}`)
  t.diagnostic(`reachable again ${Date.now() - began} ms after waking`)
  await reachedThrough(t, relay, page, awake, site.url)
}

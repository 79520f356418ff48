// The device changes its network while the page is open: the address from which it reached its relays is gone. No packet says so; what was connected is
// simply silent. The page must be reachable by its new address within ten seconds, without a reload.
//
// Chromium tells the page. Firefox does not, at least without a desktop around it: there the node asks its relays every few seconds.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { launch } from '../browsers.mjs'
import { ALONE, ownNetwork, refusal } from '../namespace.mjs'
import { createNetworkThere, THERE } from '../networks.mjs'
import { createPackageRelay, holds, openNode, relaysOf } from '../nodes.mjs'
import { createRelay } from '../relay.mjs'

/** How the address changes: in which browser, for how many milliseconds there is none, and within how many the page must be reachable by the new one. */
const CHANGES = [
  { kind: 'chromium', what: 'another address at once', gap: 0, within: 10_000 },
  { kind: 'chromium', what: 'another address after three seconds offline', gap: 3_000, within: 10_000 },
  // 7 to 9 seconds when the machine is quiet.
  { kind: 'firefox', what: 'another address at once', gap: 0, within: 12_000 },
  { kind: 'firefox', what: 'another address after three seconds offline', gap: 3_000, within: 12_000 },
]
/** Milliseconds for one attempt of a stranger. */
const PATIENCE = 1_500

const refused = await refusal()
if (refused === undefined) {
  await ownNetwork(import.meta.url, ALONE)
  changes()
} else {
  test('the address of the device changes', () => {
    console.log(`NOT SHOWN: this run may not make networks of its own, so that no page's device can change its address (${refused})`)
  })
}

function changes() {
  let site
  let there
  before(async () => {
    there = await createNetworkThere()
    await there.address(2)
    // The pages come from this machine itself: a secure context, whatever the network does.
    site = await createPackageRelay()
  })
  after(async () => {
    await site?.stop()
    there?.end()
  })

  let number = 2
  for (const { kind, what, gap, within } of CHANGES) {
    test(`${kind}: ${what}`, async (t) => {
      // Who looks for the page has a browser of its own, with no connections from before.
      const all = [createRelay({ host: '0.0.0.0', reachedAt: THERE, prefix: there.prefix }), launch(kind), launch('chromium')]
      const [relay, browser, elsewhere] = await Promise.all(all)
      t.after(() => Promise.all([relay.stop(), browser.close(), elsewhere.close()]))
      const page = await openNode(t, browser, site.url, { bootstrap: [relay.url] })
      await holds(page, 1)
      await there.address(undefined)
      await sleep(gap)
      await there.address((number += 1))
      const began = performance.now()
      const stranger = await openNode(t, elsewhere, site.url, { bootstrap: [relay.url] })
      await holds(stranger, 1)
      const peer = await page.evaluate(() => window.shoal.peerId)
      const tries = []
      for (let reached = false; !reached; ) {
        const path = await connects(stranger, peer)
        const time = performance.now() - began
        tries.push(`${Math.round(time)} ms: ${path}`)
        reached = /^(direct|relayed)$/.test(path)
        assert.ok(time < within, `${tries.join('\n')}\n${await relaysOf(page)}`)
      }
      t.diagnostic(`reached after ${tries.at(-1)}`)
    })
  }
}

/** Tries to reach the page. @returns by which path, or why not */
function connects(page, peer) {
  return page.evaluate(
    (peer, patience) => window.shoal.connect(peer, { signal: AbortSignal.timeout(patience) }).then(({ path }) => path, (error) => error.message),
    peer,
    PATIENCE,
  )
}

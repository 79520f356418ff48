// A page behind a router learns from the relay's STUN server by which address others see it, and tells it to its peers (a candidate of type srflx).
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { KINDS, launch } from '../browsers.mjs'
import { ALONE, ownNetwork, refusal } from '../namespace.mjs'
import { createNetworkThere, THERE } from '../networks.mjs'
import { createPackageRelay, gathered, openPackage } from '../nodes.mjs'
import { createRelay } from '../relay.mjs'

/** STUN's usual port, in a network where nobody else has it. */
const PORT = 3478

const refused = await refusal()
if (refused === undefined) {
  await ownNetwork(import.meta.url, ALONE)
  behindARouter()
} else {
  test('a page behind a router', () => {
    console.log(`NOT SHOWN: this run may not make networks of its own, so that no page can be behind a router (${refused})`)
  })
}

function behindARouter() {
  let site
  let there
  let relay
  let outside
  before(async () => {
    there = await createNetworkThere()
    await there.address(2)
    outside = await there.seenAs(99)
    // The pages come from this machine itself: a secure context, whatever the network does.
    site = await createPackageRelay()
    relay = await createRelay({ host: '0.0.0.0', reachedAt: THERE, prefix: there.prefix, args: ['--stun', `0.0.0.0:${PORT}`] })
  })
  after(async () => {
    await relay?.stop()
    await site?.stop()
    there?.end()
  })

  for (const kind of KINDS) {
    test(`${kind}: a page behind a router is told its address from outside`, async (t) => {
      const browser = await launch(kind)
      t.after(() => browser.close())
      const servers = [{ urls: `stun:${THERE}:${PORT}` }]
      const page = await openPackage(browser, site.url)
      const found = await gathered(page, servers)
      assert.ok(found.some(({ type, address }) => type === 'srflx' && address === outside), JSON.stringify(found))
      assert.ok(!found.some(({ type, address }) => type === 'host' && address === outside), JSON.stringify(found))
    })
  }
}

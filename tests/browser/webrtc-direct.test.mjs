// Where its relay offers a page another way than WebRTC-direct, that is left be. By this way alone both browsers come in interop's matrix.test.mjs.
//
// Runs in a network of its own (namespace.mjs): Firefox makes no such connection to loopback.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { until } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { ownNetwork } from '../namespace.mjs'
import { createPackageRelay, openNode, relaysOf, status } from '../nodes.mjs'

await ownNetwork(import.meta.url)

/** Where the namespace has an address that is not loopback. */
const SOCKET = '10.77.0.1:4242'
const WITHIN = 30_000

let relay
before(async () => (relay = await createPackageRelay(['--webrtc-direct', SOCKET])))
after(() => relay?.stop())

const reachable = (page) => until(async () => (await status(page)).reachable, WITHIN, async () => `not reachable: ${await relaysOf(page)}`)
const toRelay = async (page) => (await page.evaluate(() => window.shoal.connections())).filter(({ transport }) => transport === 'webrtc-direct' || transport === 'websocket')

for (const kind of KINDS) {
  test(`${kind}: a page whose relay has a WebSocket as well takes that`, async (t) => {
    const browser = await launch(kind)
    t.after(() => browser.close())
    const page = await openNode(t, browser, relay.url, {})
    await reachable(page)
    assert.deepEqual((await toRelay(page)).map(({ transport }) => transport), ['websocket'])
    assert.equal((await relay.health()).agreed.webRtcDirect, 0)
  })
}

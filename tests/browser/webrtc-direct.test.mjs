// A page reaches its relay by WebRTC-direct alone, in both browsers, with everything that goes through a relay; and where another way is offered, it is left be.
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
/** Bytes of the file that goes from page to page. */
const SIZE = 5_000_000
const WITHIN = 30_000

let relay
before(async () => (relay = await createPackageRelay(['--webrtc-direct', SOCKET])))
after(() => relay?.stop())

const reachable = (page) => until(async () => (await status(page)).reachable, WITHIN, async () => `not reachable: ${await relaysOf(page)}`)
const toRelay = async (page) => (await page.evaluate(() => window.shoal.connections())).filter(({ transport }) => transport === 'webrtc-direct' || transport === 'websocket')
const counted = async () => (await relay.health()).ways.webRtcDirect

for (const kind of KINDS) {
  test(`${kind}: a file goes from page to page over reservations that are held by WebRTC-direct`, async (t) => {
    const browser = await launch(kind)
    t.after(() => browser.close())
    const only = { transports: ['webrtc-direct'] }
    const before = await counted()
    const [sending, receiving] = [await openNode(t, browser, relay.url, only), await openNode(t, browser, relay.url, only)]
    for (const page of [sending, receiving]) {
      await reachable(page)
      const [connection, ...others] = await toRelay(page)
      assert.deepEqual([connection.transport, connection.security, connection.muxer, connection.path, others.length], ['webrtc-direct', 'dtls', 'webrtc', 'direct', 0])
    }
    assert.equal((await counted()) - before, 2, 'the relay sees them come by this way')
    const from = await sending.evaluate(() => window.shoal.peerId)
    const cid = await sending.evaluate((size) => window.shoal.publishContent(new Blob([new Uint8Array(size).map((_, index) => Math.imul(index, 0x9e3779b1) >>> 24)])), SIZE)
    const arrived = await receiving.evaluate(
      async (cid, from) => {
        const bytes = await window.shoal.fetchContent(cid, { from: [from] })
        return { length: bytes.length, sound: bytes.every((byte, index) => byte === Math.imul(index, 0x9e3779b1) >>> 24) }
      },
      cid,
      from,
    )
    assert.deepEqual(arrived, { length: SIZE, sound: true })
    assert.ok((await relay.health()).relayedBytes >= SIZE)
  })

  test(`${kind}: a page whose relay has a WebSocket as well takes that`, async (t) => {
    // Of those whose browser is gone, the relay knows that only when they have been silent for long.
    const before = await counted()
    const browser = await launch(kind)
    t.after(() => browser.close())
    const page = await openNode(t, browser, relay.url, {})
    await reachable(page)
    assert.deepEqual((await toRelay(page)).map(({ transport }) => transport), ['websocket'])
    assert.ok((await counted()) <= before)
  })
}

// What goes over the relay of somebody else: what is allowed and no more, whoever asks and whoever sends; and no limit over one's own. The pages have no
// WebRTC, so that there is no other way.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { publishRandom, ways } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { createPackageRelay, holds, openNode } from '../nodes.mjs'
import { createRelay } from '../relay.mjs'

/** Bytes that are allowed where little is. */
const ALLOWED = 1_000_000
/** Bytes that may be under way when the limit is reached, and come after all: what stands in the sender's line, and what waits for acknowledgements. */
const UNDER_WAY = 5_000_000
const LARGE = 16_000_000

/** Serves the pages, and is the relay of those who fetch; the other one is the sender's. */
let relay
let theirs
before(async () => ([relay, theirs] = await Promise.all([createPackageRelay(), createRelay()])))
after(() => Promise.all([relay, theirs].map((relay) => relay?.stop())))

const withoutWebRtc = { prepare: (page) => page.evaluateOnNewDocument(() => Reflect.deleteProperty(window, 'RTCPeerConnection')) }

/** The address of a relay with its PeerId. */
async function addressOf({ url, port }) {
  const { peerId } = await (await fetch(`${url}/bootstrap`)).json()
  return `/ip4/127.0.0.1/tcp/${port}/ws/p2p/${peerId}`
}

/** Fetches from a peer that is at this relay. @returns how many bytes came, or why not */
const get = (page, { cid, peer }, via) =>
  page.evaluate(
    ({ cid, peer, via }) =>
      window.shoal.fetchContent(cid, { from: [peer], via: via ? [via] : [] }).then(
        (bytes) => bytes.length,
        ({ name, message }) => `${name}: ${message}`,
      ),
    { cid, peer, via },
  )
const diagnosis = (page, peer) => page.evaluate((peer) => window.shoal.diagnose(peer), peer)
const left = async (page, peer) => (await diagnosis(page, peer)).connections[0]?.relay?.bytesLeft

for (const kind of KINDS) {
  test(`${kind}: over the relay of the sender comes what foreignRelayBytes allows; over one of the settings, all`, async (t) => {
    const browser = await launch(kind)
    t.after(() => browser.close())
    const open = (relays, more) => openNode(t, browser, relay.url, { bootstrap: relays.map(({ url }) => url), ...more }, withoutWebRtc)
    const sending = await open([theirs], {})
    await holds(sending, 1)
    const [small, large] = [await publishRandom(sending, 200_000), await publishRandom(sending, LARGE)]
    const via = await addressOf(theirs)

    const frugal = await open([relay], { foreignRelayBytes: ALLOWED })
    await holds(frugal, 1)
    assert.equal(await get(frugal, small, via), 200_000)
    const after = await left(frugal, small.peer)
    assert.ok(after > 0 && after <= ALLOWED - 200_000, `${after} bytes are left`)
    assert.match((await diagnosis(frugal, small.peer)).reasons.join('\n'), /not one that `bootstrap` leads to: \d+ bytes of content may still go/)

    const before = await theirs.traffic()
    assert.match(await get(frugal, large, via), /^RelayLimit: .*`foreignRelayBytes`.*`bootstrap`.*`iceServers`/)
    // The relay takes each byte and gives it.
    const carried = ((await theirs.traffic()) - before) / 2
    t.diagnostic(`${Math.round(carried / 1_000)} kB of ${LARGE / 1_000} went over it`)
    assert.ok(carried < ALLOWED + UNDER_WAY, `${carried} bytes went over it`)
    assert.equal(await left(frugal, large.peer), 0)
    assert.match((await diagnosis(frugal, large.peer)).reasons.join('\n'), /As much went through the relay between/)
    assert.match(await get(frugal, large, via), /^RelayLimit: /, 'at once, from now on')

    // To the sender the relay is its own, so it is the receiver's settings that count.
    const member = await open([relay, theirs], { foreignRelayBytes: 0 })
    await holds(member, 2)
    assert.equal(await get(member, large, via), LARGE, await ways(member, [large.peer]))
    assert.equal(await left(member, large.peer), undefined)
  })
}

test('over a relay that is not the sender’s it sends no more than allowed, and who asks is told', async (t) => {
  const browser = await launch('chromium')
  t.after(() => browser.close())
  const open = (url, more) => openNode(t, browser, relay.url, { bootstrap: [url], ...more }, withoutWebRtc)
  const [frugal, asking] = [await open(theirs.url, { foreignRelayBytes: ALLOWED }), await open(relay.url, { foreignRelayBytes: 0 })]
  await Promise.all([holds(frugal, 1), holds(asking, 1)])
  const [large, small] = [await publishRandom(frugal, LARGE), await publishRandom(asking, 1_000)]
  // It comes to the other one's relay, and is then asked over it.
  assert.equal(await get(frugal, small, await addressOf(relay)), 1_000)
  const before = await relay.traffic()
  assert.match(await get(asking, large), /^RelayLimit: .* sends no more of it through a relay that is not its own/)
  const carried = ((await relay.traffic()) - before) / 2
  t.diagnostic(`${Math.round(carried / 1_000)} kB of ${LARGE / 1_000} went over it`)
  assert.ok(carried > ALLOWED / 2 && carried < ALLOWED + UNDER_WAY, `${carried} bytes went over it`)
})

test('where nothing may come over it, all comes by the direct path that it helped to make', async (t) => {
  const browser = await launch('chromium')
  t.after(() => browser.close())
  const open = (url, more) => openNode(t, browser, relay.url, { bootstrap: [url], ...more })
  const sending = await open(theirs.url, {})
  await holds(sending, 1)
  const large = await publishRandom(sending, LARGE)
  const receiving = await open(relay.url, { foreignRelayBytes: 0 })
  await holds(receiving, 1)
  assert.equal(await get(receiving, large, await addressOf(theirs)), LARGE)
  assert.equal((await diagnosis(receiving, large.peer)).path, 'direct')
})

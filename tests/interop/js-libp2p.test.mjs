// js-libp2p, as its authors publish it, and our node: each dials the other over /webrtc, and 10 MB go each way.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connections, openApp, peerId, reachable, until } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { createPages, packagePages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'

const SIZE = 10_000_000

let relay
let ourPages
let theirPages
let theirRelay
before(async () => {
  ourPages = await packagePages()
  theirPages = await createPages({ entry: 'interop/js-peer.ts' })
  relay = await createRelay({ webRoot: ourPages.path })
  // Only serves their page: both peers meet at the first one.
  theirRelay = await createRelay({ webRoot: theirPages.path })
})
after(async () => {
  await Promise.all([relay?.stop(), theirRelay?.stop()])
  await Promise.all([ourPages?.remove(), theirPages?.remove()])
})

/** Both peers, each in a browser of its own, each with a reservation at the relay. */
async function meet(t) {
  const browsers = await Promise.all([launch('chromium'), launch('chromium')])
  t.after(() => Promise.all(browsers.map((browser) => browser.close())))
  const [ours, theirs] = await Promise.all([openApp(browsers[0], relay.url, { ready: false }), openApp(browsers[1], theirRelay.url, { ready: false })])
  await Promise.all([
    ours.waitForFunction(() => window.shoalPackage !== undefined, { timeout: 30_000 }),
    theirs.waitForFunction(() => window.startPeer !== undefined, { timeout: 30_000 }),
  ])
  await ours.evaluate(async () => {
    window.shoal = await window.shoalPackage.createNode({ store: { kind: 'memory' } })
  })
  await reachable(ours)
  const { addresses } = await (await fetch(`${relay.url}/bootstrap`)).json()
  await theirs.evaluate(async (address) => {
    window.peer = await window.startPeer(address)
  }, addresses[0])
  return { ours, theirs, address: addresses[0], us: await peerId(ours), them: await theirs.evaluate(() => window.peer.peerId) }
}

/** 10 MB each way, over the one connection that there is. */
async function transfer(t, { theirs, us }) {
  for (const [way, upload, download] of [['to us', SIZE, 0], ['from us', 0, SIZE]]) {
    const { received, time } = await theirs.evaluate((peer, upload, download) => window.peer.transfer(peer, upload, download), us, upload, download)
    assert.equal(received, download)
    t.diagnostic(`10 MB ${way}: ${(SIZE / 1_000 / time).toFixed(1)} MB/s`)
  }
}

test('js-libp2p dials us over /webrtc; 10 MB each way', async (t) => {
  const pair = await meet(t)
  await pair.theirs.evaluate((address) => window.peer.dial(address), `${pair.address}/p2p-circuit/webrtc/p2p/${pair.us}`)
  const direct = (await pair.theirs.evaluate((us) => window.peer.connections(us), pair.us)).filter(({ address }) => address.includes('/webrtc'))
  assert.equal(direct[0]?.direction, 'outbound', JSON.stringify(direct))
  const ours = (await connections(pair.ours)).find(({ peer, transport }) => peer === pair.them && transport === 'webrtc')
  assert.equal(ours?.path, 'direct')
  assert.equal(ours?.direction, 'inbound')
  await transfer(t, pair)
})

test('we dial js-libp2p over /webrtc; 10 MB each way', async (t) => {
  const pair = await meet(t)
  await pair.theirs.evaluate(() => window.peer.addresses())
  await pair.ours.evaluate((them) => window.shoal.connect(them, { signal: AbortSignal.timeout(30_000) }), pair.them)
  const ours = await until(
    async () => (await connections(pair.ours)).find(({ peer, transport }) => peer === pair.them && transport === 'webrtc'),
    30_000,
    async () => `no direct connection: ${JSON.stringify(await connections(pair.ours))}`,
  )
  assert.equal(ours.direction, 'outbound')
  assert.equal(ours.path, 'direct')
  await transfer(t, pair)
})

// A crowd of strangers dials a page that takes only so many connections: those that are of use stay, its relay's and a peer's that reads from it, and the
// page can still dial whom it likes.
//
// Runs in a network of its own (namespace.mjs), whose UDP is slow enough for that peer to read for all the while. The strangers are js-libp2p's, on
// connections through the relay.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beginFetch, peerId, progressOf, publishRandom, reachable, until, ways } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { ownNetwork, shape } from '../namespace.mjs'
import { createPackageRelay, openNode, status } from '../nodes.mjs'
import { createPages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'

await ownNetwork(import.meta.url)

const { STRANGERS, PLACES } = process.env.SHOAL_LONG ? { STRANGERS: 500, PLACES: 50 } : { STRANGERS: 100, PLACES: 10 }
/** Strangers that come at once, and of how many such waves the last ones stay. */
const WAVE = 25
const WAVES_STAY = 4
/** One page may be the end of more circuits than by default, and all strangers come from one address. */
const ARGS = ['--max-circuits-per-peer', '500', '--max-pending-per-network', '256']
/** Bytes in a second over UDP, and of the file that is read meanwhile. */
const LINE = 500_000
const SIZE = 100_000_000

test(`${STRANGERS} strangers dial a page that takes ${PLACES} connections`, { timeout: 590_000 }, async (t) => {
  const relay = await createPackageRelay(ARGS)
  const pages = await createPages({ entry: 'interop/js-peer.ts' })
  const theirs = await createRelay({ webRoot: pages.path })
  t.after(() => Promise.all([relay.stop(), theirs.stop(), pages.remove()]))
  await shape(LINE, [])
  const browsers = await Promise.all(['chromium', 'chromium', 'chromium'].map((kind) => launch(kind)))
  t.after(() => Promise.all(browsers.map((browser) => browser.close())))
  const page = await openNode(t, browsers[0], relay.url, { maxConnections: PLACES })
  const friend = await openNode(t, browsers[1], relay.url, {})
  await Promise.all([reachable(page), reachable(friend)])
  const [us, them] = await Promise.all([peerId(page), peerId(friend)])

  // The friend reads for all the while, directly.
  await beginFetch(friend, await publishRandom(page, SIZE))
  await until(async () => (await progressOf(friend)).path === 'direct' && (await progressOf(friend)).bytes > 0, 30_000, () => ways(friend))
  await page.evaluate(observe, them)

  const crowd = await browsers[2].newPage()
  await crowd.goto(theirs.url)
  await crowd.waitForFunction(() => window.startPeer !== undefined, { timeout: 30_000 })
  const { addresses } = await (await fetch(`${relay.url}/bootstrap`)).json()
  let [dialled, refused] = [0, 0]
  for (let come = 0; come < STRANGERS; come += WAVE) {
    const outcome = await crowd.evaluate(wave, addresses[0], us, WAVE, WAVES_STAY)
    dialled += outcome.dialled
    refused += outcome.refused
  }
  const { most, lost } = await page.evaluate(() => window.observed)
  t.diagnostic(`${dialled} dials went through, ${refused} were refused; at most ${most} connections at once`)
  assert.equal(dialled + refused, STRANGERS)
  assert.ok(dialled >= PLACES / 2, 'there was no crowd')
  assert.ok(most <= PLACES, `${most} connections at once`)
  assert.ok(most >= PLACES / 2, `only ${most} connections at once`)
  assert.deepEqual(lost, [], 'the direct connection to the friend was closed')
  assert.ok((await status(page)).reachable, JSON.stringify((await status(page)).relays))
  const { phases, bytes } = await progressOf(friend)
  assert.ok(bytes < SIZE, 'the friend had read everything before the crowd had come')
  assert.ok(!phases.includes('waiting'), phases.join())

  // There is a place for whom the page dials itself.
  const another = await openNode(t, browsers[1], relay.url, {})
  await reachable(another)
  const { path } = await page.evaluate((peer) => window.shoal.connect(peer), await peerId(another))
  assert.match(path, /^(direct|relayed)$/)
})

/** Runs in the page: notes how many connections there are, and the ends of direct ones to a peer. */
function observe(friend) {
  const observed = (window.observed = { most: 0, lost: [] })
  setInterval(async () => (observed.most = Math.max(observed.most, (await window.shoal.connections()).length)), 100)
  ;(async () => {
    for await (const event of window.shoal.events()) {
      if (event.type === 'connectionClosed' && event.peer === friend && event.path === 'direct') observed.lost.push(event.reason)
    }
  })()
}

/** Runs in the crowd's page: new peers start and dial; those of earlier waves leave. */
async function wave(relay, target, count, stay) {
  const waves = (window.waves ??= [])
  const strangers = await Promise.all(Array.from({ length: count }, () => window.startPeer(relay, { dials: true })))
  waves.push(strangers)
  const dials = await Promise.allSettled(strangers.map((stranger) => stranger.dial(`${relay}/p2p-circuit/p2p/${target}`)))
  if (waves.length > stay) await Promise.all(waves.shift().map((stranger) => stranger.stop()))
  const dialled = dials.filter((dial) => dial.status === 'fulfilled').length
  return { dialled, refused: count - dialled }
}

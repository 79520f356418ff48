// A page reaches its relay by WebTransport, in both browsers. What goes through the relay then stands in interop's matrix.test.mjs, what happens where UDP does
// not get through in udp.test.mjs.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openApp, until } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { createPackageRelay, openNode, relaysOf, status } from '../nodes.mjs'
import { createPages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'

/**
 * Streams that the relay opens to a page, one after the other, on one connection: one for each circuit, of which the page closes all but the last few. Where it
 * cancels what it does not read any more, Firefox has credit for a hundred.
 */
const STREAMS = 320
/** By this way only. */
const UDP = { transports: ['webtransport'] }
const WITHIN = 30_000

let relay
let theirPages
let theirRelay
before(async () => {
  theirPages = await createPages({ entry: 'interop/js-peer.ts' })
  relay = await createPackageRelay(['--webtransport', 'same'])
  // Only serves the other implementation's page.
  theirRelay = await createRelay({ webRoot: theirPages.path })
})
after(async () => {
  await Promise.all([relay?.stop(), theirRelay?.stop()])
  await theirPages?.remove()
})

const reachable = (page) => until(async () => (await status(page)).reachable, WITHIN, async () => `not reachable: ${await relaysOf(page)}`)
const toRelay = async (page) => (await page.evaluate(() => window.shoal.connections())).filter(({ transport }) => transport === 'webtransport' || transport === 'websocket')
const addresses = async () => (await (await fetch(`${relay.url}/bootstrap`)).json()).addresses

for (const kind of KINDS) {
  test(`${kind}: others are told the address that every browser can dial`, async (t) => {
    const browser = await launch(kind)
    t.after(() => browser.close())
    const page = await openNode(t, browser, relay.url, UDP)
    await reachable(page)
    const [{ transport, address, udpBlocked }] = (await status(page)).relays
    assert.deepEqual([transport, udpBlocked], ['webtransport', undefined])
    assert.match(address, /\/tcp\/\d+\/ws\/p2p\//)
  })

  test(`${kind}: the relay opens ${STREAMS} streams to a page, one after the other`, async (t) => {
    const [browser, theirs] = await Promise.all([launch(kind), launch('chromium')])
    t.after(() => Promise.all([browser.close(), theirs.close()]))
    const page = await openNode(t, browser, relay.url, UDP)
    await reachable(page)
    const other = await openApp(theirs, theirRelay.url, { ready: false })
    await other.waitForFunction(() => window.startPeer !== undefined, { timeout: WITHIN })
    const webSocket = (await addresses()).find((address) => address.includes('/ws/'))
    const ours = await page.evaluate(() => window.shoal.peerId)
    const began = Date.now()
    await other.evaluate(
      async (relay, ours, times) => {
        const peer = await window.startPeer(relay, { dials: true })
        await peer.visit(`${relay}/p2p-circuit/p2p/${ours}`, times)
        await peer.stop()
      },
      webSocket,
      ours,
      STREAMS,
    )
    t.diagnostic(`${STREAMS} circuits in ${Date.now() - began} ms`)
    const [connection, ...rest] = await toRelay(page)
    assert.deepEqual([connection.transport, rest.length], ['webtransport', 0])
    assert.ok((await status(page)).reachable)
  })

  test(`${kind}: the relay dies without a word and comes back`, async (t) => {
    const browser = await launch(kind)
    t.after(() => browser.close())
    const mortal = await createRelay({ args: ['--webtransport', 'same'] })
    t.after(() => mortal.stop())
    const page = await openNode(t, browser, relay.url, { ...UDP, bootstrap: [mortal.url] })
    await reachable(page)
    await mortal.kill()
    let began = Date.now()
    // By UDP nobody is told of it.
    await until(async () => !(await status(page)).reachable, WITHIN, 'the page has not noticed')
    t.diagnostic(`noticed after ${Date.now() - began} ms`)
    await mortal.restart()
    began = Date.now()
    await reachable(page)
    t.diagnostic(`reachable again ${Date.now() - began} ms after it was back`)
  })

  test(`${kind}: an address whose certificates are out of date is asked for anew`, async (t) => {
    const browser = await launch(kind)
    t.after(() => browser.close())
    const today = (await addresses()).find((address) => address.includes('/webtransport/'))
    // One certificate that is not there any more, or never was: another digest of the same length.
    const [before, hash, peer] = [today.split('/certhash/')[0], /(?<=\/certhash\/)[^/]+/.exec(today)[0], today.split('/p2p/').at(-1)]
    const old = `${before}/certhash/${hash.slice(0, 20)}${hash[20] === 'A' ? 'B' : 'A'}${hash.slice(21)}/p2p/${peer}`
    const page = await openNode(t, browser, relay.url, { ...UDP, bootstrap: [old, relay.url] })
    await reachable(page)
    const [{ address }] = await toRelay(page)
    assert.ok(address.includes(hash), address)
  })
}

test('both ways are open: the first visit takes the faster one, and the next one knows that WebTransport works', async (t) => {
  const browser = await launch('chromium')
  t.after(() => browser.close())
  const kept = { store: { kind: 'indexeddb', name: 'ways' } }
  const first = await openNode(t, browser, relay.url, kept)
  await reachable(first)
  assert.equal((await toRelay(first)).length, 1, 'the slower one is dropped')
  let ways = (await toRelay(first)).map(({ transport }) => transport)
  await first.evaluate(() => window.shoal.stop())
  await first.close()
  // Whether it works is learnt after the WebSocket has won, and may come too late for a visit that is as short as this one.
  for (let visits = 2; ways.at(-1) !== 'webtransport'; visits += 1) {
    assert.ok(visits < 10, `by ${ways.join(', ')}`)
    const page = await openNode(t, browser, relay.url, kept)
    await reachable(page)
    ways.push((await toRelay(page))[0].transport)
    await new Promise((resolve) => setTimeout(resolve, 500))
    await page.evaluate(() => window.shoal.stop())
    await page.close()
  }
  t.diagnostic(`by ${ways.join(', ')}`)
})

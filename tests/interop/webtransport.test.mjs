// The listener for WebTransport, dialled by js-libp2p as its authors publish it, from both browsers: a certificate that nobody signed, known by the hash in
// the address. In the relay, and in the smallest program that one can write with the crate.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { root, target } from '../../crates/web/build/paths.mjs'
import { run } from '../../crates/web/build/process.mjs'
import { openApp } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { createPages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'

/** Streams that a page opens one after the other on one connection: more than may be open at once. */
const STREAMS = 300
/** Bytes that go there and come back on one stream. */
const BYTES = process.env.SHOAL_LONG ? 100_000_000 : 10_000_000

let relay
let pages
let addresses
before(async () => {
  await run('cargo', ['build', '--quiet', '--locked', '--release', '--workspace', '--example', 'echo'], { cwd: root })
  pages = await createPages({ entry: 'interop/js-peer.ts' })
  relay = await createRelay({ webRoot: pages.path, args: ['--webtransport', 'same'] })
  addresses = (await (await fetch(`${relay.url}/bootstrap`)).json()).addresses
})
after(async () => {
  await relay?.stop()
  await pages?.remove()
})

/** The relay's address over WebTransport. js-libp2p knows addresses with one or two hashes only. */
const overWebTransport = () => addresses.find((address) => address.includes('/webtransport/')).replace(/((?:\/certhash\/[^/]+){2})(?:\/certhash\/[^/]+)+/, '$1')

/** A program that sends back what comes, until the test ends. @returns its address */
async function startEcho(t) {
  const child = spawn(join(target, 'release', 'examples', 'echo'), { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill())
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
  return line.trim()
}

/** A peer in a page, connected to the relay by WebSocket as ever. */
async function connect(t, kind) {
  const browser = await launch(kind)
  t.after(() => browser.close())
  const page = await openApp(browser, relay.url, { ready: false })
  await page.waitForFunction(() => window.startPeer !== undefined, { timeout: 30_000 })
  await page.evaluate(
    async (address) => {
      window.peer = await window.startPeer(address)
    },
    addresses.find((address) => /\/ws\/p2p\//.test(address)),
  )
  return page
}

test('/bootstrap names it with the hashes of a year', async (t) => {
  const kept = addresses.filter((address) => address.includes('/webtransport/'))
  assert.equal(kept.length, 1, addresses.join('\n'))
  assert.equal(kept[0].match(/\/certhash\//g).length, 27)
  t.diagnostic(`${kept[0].length} characters`)
})

for (const kind of ['chromium', 'firefox']) {
  test(`${kind}: js-libp2p dials it, and opens ${STREAMS} streams one after the other`, async (t) => {
    const page = await connect(t, kind)
    const address = overWebTransport()
    await page.evaluate((address) => window.peer.dialAnew(address), address)
    const peer = address.split('/p2p/').at(-1)
    const times = await page.evaluate((peer, count) => window.peer.pings(peer, count), peer, STREAMS)
    assert.equal(times.length, STREAMS)
    const sorted = times.sort((a, b) => a - b)
    t.diagnostic(`a new stream and 32 bytes there and back: ${sorted[STREAMS >> 1].toFixed(1)} ms (median), ${sorted.at(-1).toFixed(1)} ms (longest)`)
  })

  test(`${kind}: ${BYTES / 1_000_000} MB there and back on one stream, each byte compared`, async (t) => {
    const [page, address] = await Promise.all([connect(t, kind), startEcho(t)])
    await page.evaluate((address) => window.peer.dialAnew(address), address)
    const { received, time } = await page.evaluate((peer, bytes) => window.peer.echo(peer, bytes), address.split('/p2p/').at(-1), BYTES)
    assert.equal(received, BYTES)
    t.diagnostic(`${(BYTES / 1_000 / time).toFixed(1)} MB/s each way at once`)
  })

  test(`${kind}: an address with a foreign hash leads nowhere`, async (t) => {
    const address = overWebTransport()
    const [hash] = address.match(/(?<=\/certhash\/)[^/]+/)
    // Another digest of the same length: one character of its middle is another one.
    const at = 20
    const forged = `${address.split('/certhash/')[0]}/certhash/${hash.slice(0, at)}${hash[at] === 'A' ? 'B' : 'A'}${hash.slice(at + 1)}/p2p/${address.split('/p2p/').at(-1)}`
    const page = await connect(t, kind)
    const problem = await page.evaluate((forged) => window.peer.dialAnew(forged).then(() => undefined, (error) => error.message), forged)
    assert.ok(problem, 'the dial fails')
  })
}

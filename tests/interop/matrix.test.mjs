// Everybody who dials the relay, by every way in: pages in both browsers, and programs with rust-libp2p and with Kubo's go-libp2p. In each cell of this matrix
// what was agreed on is asserted as both ends see it, and 100 MB come and go, compared with what was sent.
//
//   page     settings allow one way only; the content goes from page to page by circuit (behind the relay the other page, in a Chromium, has a WebSocket),
//            in the last two columns between two pages alike
//   program  knows one way only; what it sends through the relay comes back from another one like it, which has a reservation there
//
// Runs in a network of its own (namespace.mjs): Firefox makes no WebRTC connection over loopback.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { root, target } from '../../crates/web/build/paths.mjs'
import { capture, run, start } from '../../crates/web/build/process.mjs'
import { beginFetch, connections, fetched, publishRandom, until, ways } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { createCertificate } from '../certificates.mjs'
import { ensurePump } from '../kubo.mjs'
import { ownNetwork } from '../namespace.mjs'
import { openNode, relaysOf, status } from '../nodes.mjs'
import { packagePages } from '../pages.mjs'
import { WAYS, createRelayOfAllWays } from './ways.mjs'

if (process.env.SHOAL_OWN_NETWORK === undefined) await run('cargo', ['build', '--quiet', '--locked', '--release', '--workspace', '--example', 'pump'], { cwd: root })
const PUMPS = { native: join(target, 'release', 'examples', 'pump'), Kubo: await ensurePump() }
await ownNetwork(import.meta.url)

/** Where the network has an address that is not loopback. */
const HOST = '10.77.0.1'
/** Bytes each way. */
const SIZE = 100_000_000
/** Bytes that may go through the relay between pages that are connected directly: what it takes to become so. */
const SIGNALLING = 256 * 1024
const WITHIN = 30_000
const LIMIT = { timeout: 300_000 }

/**
 * By the way that a page goes: what its settings carry, what it says of its connection to the relay in `connections()` and in `diagnose()`, and of the one
 * to the other page.
 */
const CIRCUIT = ['circuit', 'noise', 'yamux', 'relayed']
const PAGES = {
  ws: { transports: ['websocket'], relay: ['websocket', 'noise', 'yamux', 'direct'], title: 'WebSocket', peer: CIRCUIT },
  wss: { transports: ['websocket'], relay: ['websocket', 'noise', 'yamux', 'direct'], title: 'WebSocket', peer: CIRCUIT },
  webtransport: { transports: ['webtransport'], relay: ['webtransport', 'tls', 'webtransport', 'direct'], title: 'WebTransport', peer: CIRCUIT },
  'webrtc-direct': { transports: ['webrtc-direct'], relay: ['webrtc-direct', 'dtls', 'webrtc', 'direct'], title: 'WebRTC-direct', peer: CIRCUIT },
  circuit: { transports: ['websocket', 'webtransport', 'webrtc-direct'], peer: CIRCUIT },
  webrtc: { transports: ['websocket', 'webtransport', 'webrtc-direct', 'webrtc'], peer: ['webrtc', 'dtls', 'webrtc', 'direct'] },
}
/** By the way of a program: its name for the pumps, and what go-libp2p says of it. rust-libp2p tells nobody what was agreed on; the relay does. */
const PROGRAMS = {
  'tcp with Noise': { pump: 'noise', says: ['/noise', '/yamux/1.0.0', 'tcp'] },
  'tcp with TLS 1.3': { pump: 'tls', says: ['/tls/1.0.0', '/yamux/1.0.0', 'tcp'] },
  'quic-v1': { pump: 'quic', says: ['', '', 'quic-v1'] },
  ws: { pump: 'ws', says: ['/noise', '/yamux/1.0.0', 'websocket'] },
  wss: { pump: 'ws', says: ['/noise', '/yamux/1.0.0', 'websocket'] },
  webtransport: { pump: 'webtransport', says: ['', '', 'webtransport'] },
  'webrtc-direct': { pump: 'webrtc-direct', says: ['', '', 'webrtc-direct'] },
}

/** By who dials, and by the way: what is printed in the end. */
const matrix = Object.fromEntries([...KINDS, ...Object.keys(PUMPS)].map((client) => [client, {}]))
const speed = (milliseconds) => (SIZE / 1_000 / milliseconds).toFixed(0)

let pages
let relay
before(async () => {
  pages = await packagePages()
  relay = await createRelayOfAllWays({ webRoot: pages.path, host: HOST })
})
after(async () => {
  await relay?.stop()
  await pages?.remove()
  const names = [...new Set([...Object.keys(PROGRAMS), ...Object.keys(PAGES)])]
  const line = (head, cells) => [head.padEnd(10), ...cells.map((cell, index) => cell.padStart(Math.max(names[index].length, 9)))].join('  ')
  console.log(`\n${SIZE / 1e6} MB each way, MB/s: pages "to them / from them", one after the other; programs each way at once`)
  console.log([line('', names), ...Object.entries(matrix).map(([client, cells]) => line(client, names.map((name) => cells[name] ?? '–')))].join('\n'))
})

const facts = ({ transport, security, muxer, path }) => [transport, security, muxer, path]
const reachable = (page) => until(async () => (await status(page)).reachable, WITHIN, async () => `not reachable: ${await relaysOf(page)}`)
const alone = () => until(async () => (await relay.health()).connections === 0, WITHIN, async () => `others are connected: ${JSON.stringify(await relay.health())}`)
/** Which of these numbers are others than before, and by how much. */
const more = (before, after) => Object.fromEntries(Object.entries(after).map(([name, number]) => [name, number - before[name]]).filter(([, number]) => number !== 0))

/** Opens a page in a browser of its own, whose node others can reach. */
async function open(t, kind, name, { transports } = PAGES[name]) {
  const browser = await launch(kind, relay.certificate.trusted(kind, relay.port))
  t.after(() => browser.close())
  const page = await openNode(t, browser, name === 'wss' ? `https://localhost:${relay.port}` : relay.url, { transports })
  await reachable(page)
  return page
}

/** The page is connected to the relay as it should be: by what it says itself, and by what the relay counted since. */
async function assertConnected(page, name, before) {
  const { relay: expected, title } = PAGES[name]
  const [connection, ...others] = await connections(page)
  assert.deepEqual([...facts(connection), connection.peer, others.length], [...expected, relay.peer, 0])
  assert.match(connection.address.split('/p2p/')[0], WAYS[name].address)
  const { summary } = await page.evaluate((peer) => window.shoal.diagnose(peer), relay.peer)
  assert.match(summary, new RegExp(`^Connected, by ${title}.*: it is a relay`))
  const now = await relay.health()
  assert.deepEqual([more(before.ways, now.ways), more(before.agreed, now.agreed)], [{ [WAYS[name].counted]: 1 }, { [WAYS[name].agreed]: 1 }], 'as the relay sees it')
}

/** Fetches what another page published. @returns milliseconds */
async function fetchFrom(page, content) {
  await beginFetch(page, content)
  const { size, sha256, time } = await fetched(page)
  assert.deepEqual([size, sha256], [SIZE, content.sha256])
  return time
}

for (const kind of KINDS) {
  for (const [name, way] of Object.entries(PAGES)) {
    test(`${kind} by ${name}: ${SIZE / 1e6} MB come and go`, LIMIT, async (t) => {
      await alone()
      const other = await (way.relay ? open(t, 'chromium', 'ws') : open(t, kind, name))
      const before = await relay.health()
      const page = await open(t, kind, name)
      if (way.relay) await assertConnected(page, name, before)
      const [ours, theirs] = await Promise.all([page, other].map((page) => publishRandom(page, SIZE)))
      // A transfer may take several, where one is held back.
      const standing = async () => (await connections(page)).filter((connection) => connection.peer === theirs.peer && connection.path === way.peer.at(-1))
      await page.evaluate((peer) => window.shoal.connect(peer), theirs.peer)
      await until(async () => (await standing()).length > 0, WITHIN, () => ways(page, [theirs.peer]))
      const [down, up] = [await fetchFrom(page, theirs), await fetchFrom(other, ours)]

      const [first, ...further] = (await standing()).map(facts)
      assert.deepEqual([first, ...further], [way.peer, ...further.map(() => way.peer)])
      const { summary, session } = await page.evaluate((peer) => window.shoal.diagnose(peer), theirs.peer)
      assert.match(summary, way.peer === CIRCUIT ? /^Connected through a relay, encrypted from end to end/ : /^Connected directly/)
      assert.ok(Math.min(session.bytesReceived, session.bytesSent) >= SIZE, `the session carried ${session.bytesReceived} and ${session.bytesSent} bytes`)
      const relayed = (await relay.health()).relayedBytes - before.relayedBytes
      assert.ok(way.peer === CIRCUIT ? relayed >= 2 * SIZE : relayed < SIGNALLING, `${relayed} bytes went through the relay`)
      matrix[kind][name] = `${speed(down)} / ${speed(up)}`
      t.diagnostic(`${speed(down)} MB/s to it, ${speed(up)} MB/s from it, by ${further.length + 1} in the end`)
      await Promise.all([page, other].map((page) => page.evaluate(() => window.shoal.stop())))
    })
  }
}

for (const kind of KINDS) {
  test(`${kind} takes no other certificate, though it takes the relay's`, async (t) => {
    const other = await createCertificate()
    const server = createServer({ cert: await readFile(other.path), key: await readFile(other.key) }, (_, response) => response.end())
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const browser = await launch(kind, relay.certificate.trusted(kind, relay.port))
    t.after(() => Promise.all([browser.close(), server.close()]))
    const page = await browser.newPage()
    await page.goto(`https://localhost:${relay.port}`)
    await assert.rejects(page.goto(`https://localhost:${server.address().port}`), /CERT|SEC_ERROR/)
  })
}

for (const [client, pump] of Object.entries(PUMPS)) {
  for (const [name, way] of Object.entries(PROGRAMS)) {
    test(`${client} by ${name}: ${SIZE / 1e6} MB go through the relay and come back`, LIMIT, async (t) => {
      if (!pump) return t.diagnostic('not tested: there is no Go')
      const [address, before] = [relay.addressBy(name), await relay.health()]
      /** It was the address that was dialled, and by what go-libp2p says the right protocols. */
      const assertAgreed = ({ address, security, muxer, transport }) => {
        assert.match(address.split('/p2p/')[0], WAYS[name].address)
        if (client === 'Kubo') assert.deepEqual([security, muxer, transport], way.says)
      }
      const env = { SSL_CERT_FILE: relay.certificate.path }
      const reached = start(pump, ['reserve', way.pump, address], { env, stdio: ['pipe', 'pipe', 'inherit'] })
      t.after(() => reached.kill())
      const [line] = await Promise.race([once(createInterface({ input: reached.stdout }), 'line'), once(reached, 'exit').then(() => assert.fail('it has ended'))])
      const { id, ...reserved } = JSON.parse(line)
      assertAgreed(reserved)
      const { milliseconds, ...through } = JSON.parse(await capture(pump, ['through', way.pump, address, id, String(SIZE)], { env }))
      assertAgreed(through)
      const now = await relay.health()
      reached.stdin.end()
      await once(reached, 'exit')
      assert.deepEqual(more(before.agreed, now.agreed), { [WAYS[name].agreed]: 2 }, 'what was agreed on')
      assert.ok(now.ways[WAYS[name].counted] >= 1, 'the relay sees it come by this way')
      assert.ok(now.relayedBytes - before.relayedBytes >= 2 * SIZE, 'all of it went through the relay')
      matrix[client][name] = speed(milliseconds)
      t.diagnostic(`${speed(milliseconds)} MB/s each way`)
    })
  }
}

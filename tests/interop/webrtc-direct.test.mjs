// The listener for /webrtc-direct, dialled by js-libp2p as its authors publish it, from both browsers, and by Kubo (go-libp2p). In the relay, and in the smallest program that one
// can write with the crate.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { root, target } from '../../crates/web/build/paths.mjs'
import { run } from '../../crates/web/build/process.mjs'
import { freePort } from '../../crates/web/build/relay.mjs'
import { openApp } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { createKubo, ensureKubo } from '../kubo.mjs'
import { createPages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'

/** Streams that a page opens one after the other on one connection: far more than Firefox has channels for. */
const STREAMS = process.env.SHOAL_LONG ? 5_000 : 1_500
/** Bytes that go there and come back on one stream, or only one way. */
const BYTES = process.env.SHOAL_LONG ? 100_000_000 : 10_000_000
/** Firefox makes no WebRTC connection to this machine by its loopback address. */
const HERE = Object.values(networkInterfaces()).flat().find(({ family, internal }) => family === 'IPv4' && !internal)?.address

let relay
let pages
let addresses
before(async () => {
  assert.ok(HERE, 'this machine has no address but loopback: WebRTC cannot be tried')
  await run('cargo', ['build', '--quiet', '--locked', '--release', '--workspace', '--example', 'direct'], { cwd: root })
  pages = await createPages({ entry: 'interop/js-peer.ts' })
  relay = await createRelay({ webRoot: pages.path, args: ['--webrtc-direct', `${HERE}:${await freePort()}`] })
  addresses = (await (await fetch(`${relay.url}/bootstrap`)).json()).addresses
})
after(async () => {
  await relay?.stop()
  await pages?.remove()
})

/** A program that sends back what comes, until the test ends. @returns its address */
async function startEcho(t) {
  const child = spawn(join(target, 'release', 'examples', 'direct'), [`/ip4/${HERE}/udp/0/webrtc-direct`], { stdio: ['ignore', 'pipe', 'inherit'] })
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
      window.peer = await window.startPeer(address, { dials: true })
    },
    addresses.find((address) => /\/ws\/p2p\//.test(address)),
  )
  return page
}

const peerOf = (address) => address.split('/p2p/').at(-1)

test('/bootstrap names it with its one hash', () => {
  const told = addresses.filter((address) => address.includes('/webrtc-direct/'))
  assert.equal(told.length, 1, addresses.join('\n'))
  assert.equal(told[0].match(/\/certhash\//g).length, 1)
})

for (const kind of ['chromium', 'firefox']) {
  test(`${kind}: js-libp2p dials it, and opens ${STREAMS} streams one after the other`, async (t) => {
    const page = await connect(t, kind)
    const address = addresses.find((address) => address.includes('/webrtc-direct/'))
    const began = performance.now()
    await page.evaluate((address) => window.peer.dialAnew(address), address)
    t.diagnostic(`connected in ${(performance.now() - began).toFixed(0)} ms`)
    // A browser that was ended before left without a word.
    assert.ok((await relay.health()).ways.webRtcDirect >= 1)
    const times = await page.evaluate((peer, count) => window.peer.pings(peer, count, '/webrtc-direct'), peerOf(address), STREAMS)
    assert.equal(times.length, STREAMS)
    const sorted = times.sort((a, b) => a - b)
    t.diagnostic(`a new stream and 32 bytes there and back: ${sorted[STREAMS >> 1].toFixed(1)} ms (median), ${sorted.at(-1).toFixed(1)} ms (longest)`)
  })

  test(`${kind}: ${BYTES / 1_000_000} MB there and back on one stream, each byte compared, and each way by itself`, async (t) => {
    const [page, address] = await Promise.all([connect(t, kind), startEcho(t)])
    await page.evaluate((address) => window.peer.dialAnew(address), address)
    const { received, time } = await page.evaluate((peer, bytes) => window.peer.echo(peer, bytes, '/webrtc-direct'), peerOf(address), BYTES)
    assert.equal(received, BYTES)
    t.diagnostic(`${(BYTES / 1_000 / time).toFixed(1)} MB/s each way at once`)
    for (const [up, down] of [[BYTES, 0], [0, BYTES]]) {
      const one = await page.evaluate((peer, up, down) => window.peer.transfer(peer, up, down), peerOf(address), up, down)
      assert.equal(one.received, down)
      t.diagnostic(`${(BYTES / 1_000 / one.time).toFixed(1)} MB/s ${up ? 'up' : 'down'}`)
    }
  })

  test(`${kind}: an address with a foreign hash leads nowhere`, async (t) => {
    const address = addresses.find((address) => address.includes('/webrtc-direct/'))
    const [hash] = address.match(/(?<=\/certhash\/)[^/]+/)
    // Another digest of the same length: one character of its middle is another one.
    const at = 20
    const forged = address.replace(hash, `${hash.slice(0, at)}${hash[at] === 'A' ? 'B' : 'A'}${hash.slice(at + 1)}`)
    const page = await connect(t, kind)
    const problem = await page.evaluate((forged) => window.peer.dialAnew(forged).then(() => undefined, (error) => error.message), forged)
    assert.ok(problem, 'the dial fails')
  })
}

test(`Kubo: ${BYTES / 1_000_000} MB there and back on one stream, each byte compared`, async (t) => {
  if (!(await ensureKubo())) return t.diagnostic('not tested: there is no Go')
  const [address, port] = await Promise.all([startEcho(t), freePort()])
  const network = { TCP: false, Websocket: false, QUIC: false, WebTransport: false, WebRTCDirect: true, Relay: false }
  const kubo = await createKubo({ 'Swarm.Transports.Network': network, 'Experimental.Libp2pStreamMounting': true })
  t.after(() => kubo.stop())
  await kubo.ipfs('swarm', 'connect', address)
  assert.match(await kubo.ipfs('swarm', 'peers'), /\/webrtc-direct\//)
  // A TCP port of Kubo's, each connection of which is a stream to our program.
  await kubo.ipfs('p2p', 'forward', '--allow-custom-protocol', '/echo/1.0.0', `/ip4/127.0.0.1/tcp/${port}`, `/p2p/${peerOf(address)}`)
  const pattern = Buffer.alloc(BYTES)
  for (let index = 0; index < BYTES; index += 1) pattern[index] = (Math.imul(index >>> 3, 0x9e3779b1) >>> 24) ^ (index & 0xff)
  const socket = connectTcp({ port, host: '127.0.0.1' })
  const began = performance.now()
  // Kubo ends both directions with the first.
  socket.write(pattern)
  let received = 0
  for await (const piece of socket) {
    assert.ok(piece.equals(pattern.subarray(received, received + piece.length)), `other bytes from ${received} on`)
    received += piece.length
    if (received === BYTES) socket.end()
  }
  assert.equal(received, BYTES)
  t.diagnostic(`${(BYTES / 1_000 / (performance.now() - began)).toFixed(1)} MB/s each way at once`)
})

// A stranger names inner addresses as its own, so that the browser of who talks to it sends there. Here the stranger is a page whose signalling says so;
// listeners at these addresses count what arrives. Runs in a network of its own (namespace.mjs).
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { reachable } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { ADDRESSED, ownNetwork } from '../namespace.mjs'
import { createPackageRelay, openNode } from '../nodes.mjs'

/** Where clouds keep their secrets. */
const METADATA = '169.254.169.254'
/** This machine in its network. */
const HOME = '10.77.0.1'

await ownNetwork(import.meta.url, `${ADDRESSED}\nip address add ${METADATA}/32 dev shoal0\n`)

/** Milliseconds for which a stranger's candidates are tried, at least: then the attempt is given up. */
const PATIENCE = 5_000

let relay
before(async () => (relay = await createPackageRelay()))
after(() => relay?.stop())

/** A listener that counts what comes. */
async function door(t, host, { port = 0, tcp = false } = {}) {
  const door = { host, port, tcp, knocks: 0 }
  const count = () => (door.knocks += 1)
  if (tcp) {
    const server = createServer((socket) => count() && socket.destroy())
    await new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
    door.port = server.address().port
    t.after(() => server.close())
  } else {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').on('message', count)
    await new Promise((resolve, reject) => socket.once('error', reject).bind(port, host, resolve))
    door.port = socket.address().port
    t.after(() => socket.close())
  }
  return door
}

/** As a browser would name it. `host` may be another word for where the door is. */
function candidate({ host, port, tcp }, index) {
  const text = `candidate:${index + 1} 1 ${tcp ? 'tcp' : 'udp'} ${2_113_937_151 - index} ${host} ${port} typ host${tcp ? ' tcptype passive' : ''} generation 0`
  return { candidate: text, sdpMid: '0', sdpMLineIndex: 0 }
}

/** In the stranger's page, before its scripts: its peer connections name these candidates and none of their own, and come to nobody's, which would be a way. */
function lie(candidates) {
  const lines = candidates.map(({ candidate }) => `a=${candidate}\r\n`).join('')
  const told = ({ type, sdp }) => ({ type, sdp: sdp + lines })
  const own = ({ type, sdp }) => ({ type, sdp: sdp.replaceAll(lines, '') })
  const Honest = window.RTCPeerConnection
  window.RTCPeerConnection = class extends Honest {
    createOffer = async () => told(await super.createOffer())
    createAnswer = async () => told(await super.createAnswer())
    setLocalDescription = (description) => super.setLocalDescription(own(description))
    addIceCandidate = async () => undefined
    set onicecandidate(handler) {
      let lied = false
      super.onicecandidate = handler && (() => {
        if (lied) return
        lied = true
        for (const candidate of candidates) handler({ candidate: { ...candidate, toJSON: () => candidate } })
      })
    }
  }
}

/** In a page without our node: what the browser does with candidates that nobody looks at. */
async function obey(candidates, patience) {
  const [one, other] = [new RTCPeerConnection(), new RTCPeerConnection()]
  one.createDataChannel('')
  await one.setLocalDescription()
  await other.setRemoteDescription(one.localDescription)
  await other.setLocalDescription()
  await one.setRemoteDescription(other.localDescription)
  for (const candidate of candidates) await one.addIceCandidate(candidate).catch(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, patience))
  one.close()
  other.close()
}

for (const kind of KINDS) {
  test(`${kind}: inner addresses that a stranger names as its own get no packet`, async (t) => {
    const home = await door(t, HOME)
    const inner = [
      await door(t, '127.0.0.1'),
      await door(t, '::1'),
      await door(t, METADATA),
      await door(t, HOME, { port: 53 }),
      await door(t, HOME, { tcp: true }),
      await door(t, METADATA, { tcp: true }),
    ]
    const named = [...inner, { ...inner[0], host: 'localhost' }, { ...inner[2], host: `::ffff:${METADATA}` }, home].map(candidate)
    const browser = await launch(kind)
    t.after(() => browser.close())
    const page = await openNode(t, browser, relay.url, { connectionTimeout: PATIENCE })
    await reachable(page)
    const us = await page.evaluate(() => window.shoal.peerId)
    const counts = () => inner.map(({ host, port, tcp, knocks }) => `${host}${port < 1_024 ? ` port ${port}` : ''}${tcp ? ' TCP' : ''}: ${knocks}`).join(', ')
    for (const comes of [true, false]) {
      const stranger = await openNode(t, browser, relay.url, { connectionTimeout: PATIENCE }, { prepare: (page) => page.evaluateOnNewDocument(lie, named) })
      await reachable(stranger)
      const them = await stranger.evaluate(() => window.shoal.peerId)
      const [from, to] = comes ? [stranger, us] : [page, them]
      const before = home.knocks
      const { path } = await from.evaluate((peer) => window.shoal.connect(peer), to)
      assert.equal(path, 'relayed')
      const { attempts } = await page.evaluate((peer) => window.shoal.diagnose(peer), them)
      assert.equal(attempts[0]?.role, comes ? 'listener' : 'dialler', JSON.stringify(attempts))
      t.diagnostic(`${comes ? 'the stranger came' : 'somebody followed a link to the stranger'}: ${counts()}; ${HOME}: ${home.knocks - before}`)
      assert.ok(home.knocks > before, 'what may be a device of the same home is tried, so the stranger was believed')
      assert.deepEqual(inner.map(({ knocks }) => knocks), inner.map(() => 0))
      await stranger.close()
    }

    // The doors do count.
    await page.evaluate(obey, named, 3_000)
    t.diagnostic(`the browser alone: ${counts()}`)
    assert.ok(inner.some(({ knocks }) => knocks > 0), 'the browser itself sends to none of them')
  })
}

// Kubo (go-libp2p) as a server: pages dial it by WebTransport and by WebRTC-direct, in both browsers. The npm package's node holds a reservation there; what moves
// bytes are the node's transports by themselves (streams/). In a network of its own, as Firefox makes no WebRTC connection over loopback, and Kubo
// tells nobody of reservations at addresses that are not of the internet.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import { until } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { createKubo, ensureKubo } from '../kubo.mjs'
import { ALONE, ownNetwork, refusal } from '../namespace.mjs'
import { createPackageRelay, openNode, relaysOf, status } from '../nodes.mjs'
import { answerStreams, buildStreams, streamPages } from './streams.mjs'

/** One of the internet's, by its look. It leads nowhere but to this machine. */
const ADDRESS = '11.22.33.1'
const PORT = 4001
const WITHIN = 30_000
/** Each way. */
const BYTES = 100_000_000
const FEW = 1_000_000
const NETWORK = { TCP: false, Websocket: false, QUIC: false, WebTransport: false, WebRTCDirect: false, Relay: true }
/** By what a page dials: what Kubo listens with, how it writes that, and what the page says of the connection. */
const WAYS = {
  webtransport: { network: { QUIC: true, WebTransport: true }, address: 'quic-v1/webtransport', seen: '/quic-v1/webtransport', security: 'tls', muxer: 'webtransport', title: 'WebTransport' },
  // Of those that come so Kubo writes the place they come from, and no more.
  'webrtc-direct': { network: { WebRTCDirect: true }, address: 'webrtc-direct', seen: '', security: 'dtls', muxer: 'webrtc', title: 'WebRTC-direct' },
}
/** What Chromium is to do one day by itself: offers whose ufrag is another than its own are refused. */
const NO_MUNGING = '--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/'

const here = await ensureKubo()
const refused = here && (await refusal())
if (here && refused === undefined) {
  if (process.env.SHOAL_OWN_NETWORK === undefined) await buildStreams()
  await ownNetwork(
    import.meta.url,
    `${ALONE}
ip link add shoal0 type veth peer name shoal1
ip address add ${ADDRESS}/24 dev shoal0
ip link set shoal0 up
ip link set shoal1 up
ip route add default dev shoal0
`,
  )
}
/** Why nothing is tested here, which is said. */
const skipped = here ? refused && `not tested: no network of its own can be made here (${refused})` : 'not tested: there is no Go'

let pages
let streams
before(async () => {
  if (skipped) return
  pages = await createPackageRelay()
  streams = await streamPages()
})
after(() => Promise.all([pages?.stop(), streams?.stop()]))

/** Kubo as a relay that listens by these ways. @returns it, and its address by each of them */
async function startKubo(t, ...ways) {
  const kubo = await createKubo({
    'Addresses.Swarm': ways.map(({ address }) => `/ip4/${ADDRESS}/udp/${PORT}/${address}`),
    'Swarm.Transports.Network': Object.assign({}, NETWORK, ...ways.map(({ network }) => network)),
    'Swarm.RelayService': { Enabled: true },
    'Internal.Libp2pForceReachability': 'public',
    'Experimental.Libp2pStreamMounting': true,
  })
  t.after(() => kubo.stop())
  for (const began = Date.now(); ; await sleep(100)) {
    const { Addresses: told } = await kubo.id()
    const addresses = ways.map(({ address }) => told?.find((one) => one.includes(`/${address}/certhash/`)))
    if (addresses.every(Boolean)) return { kubo, addresses }
    assert.ok(Date.now() - began < WITHIN, `Kubo does not listen: ${told}`)
  }
}

/** One certificate that is not there: another digest of the same length. */
const forged = (address) => address.replace(/(\/certhash\/.{20})(.)/g, (_, before, one) => before + (one === 'A' ? 'B' : 'A'))

/**
 * Firefox 153 loses what was sent on a stream whose other direction the server ends as unwanted, and go-libp2p ends that of identify so, right after its
 * answer. Our relay reads it to its end instead (crates/webtransport).
 */
const hearsIdentify = (kind, name) => !(kind === 'firefox' && name === 'webtransport')

async function open(t, kind, options) {
  const browser = await launch(kind, options)
  t.after(() => browser.close())
  return browser
}

for (const kind of KINDS) {
  for (const [name, way] of Object.entries(WAYS)) {
    test(`${kind}: a page is connected to Kubo by ${name}, and reachable through it`, async (t) => {
      if (skipped) return t.diagnostic(skipped)
      const { kubo, addresses: [address] } = await startKubo(t, way)
      const page = await openNode(t, await open(t, kind), pages.url, { bootstrap: [address], reservations: 1 })
      await until(async () => (await status(page)).reachable, WITHIN, async () => `not reachable: ${await relaysOf(page)}`)
      const { ID: id } = await kubo.id()
      const ours = await page.evaluate(() => window.shoal.peerId)

      // As the page sees it.
      const connections = () => page.evaluate(() => window.shoal.connections())
      const learnt = (fact) => until(async () => (await connections())[0]?.[fact] !== undefined, WITHIN, async () => `no ${fact}: ${JSON.stringify(await connections())}`)
      await learnt('roundTripTime')
      if (hearsIdentify(kind, name)) await learnt('agent')
      const [connection, ...others] = await connections()
      const { transport, security, muxer, path, direction, peer, agent } = connection
      assert.deepEqual([transport, security, muxer, path, direction, peer, others.length], [name, way.security, way.muxer, 'direct', 'outbound', id, 0])
      if (hearsIdentify(kind, name)) assert.match(agent, /^kubo\//)
      const [relay] = (await status(page)).relays
      assert.deepEqual([relay.state, relay.transport], ['reserved', name])
      const { summary } = await page.evaluate((peer) => window.shoal.diagnose(peer), id)
      assert.match(summary, new RegExp(`^Connected, by ${way.title}.*: it is a relay`))

      // As Kubo does.
      const peers = (await kubo.ipfs('swarm', 'peers')).trim().split('\n')
      assert.equal(peers.length, 1, peers.join('\n'))
      assert.match(peers[0], new RegExp(`^/ip4/[\\d.]+/udp/\\d+${way.seen}/p2p/${ours}$`))
      const { AgentVersion: seen } = JSON.parse(await kubo.ipfs('id', ours))
      assert.match(seen, /^shoal\//)
      const pings = await kubo.ipfs('ping', '-n', '3', ours)
      assert.equal(pings.match(/Pong received/g)?.length, 3, pings)
    })

    test(`${kind}: ${BYTES / 1_000_000} MB to Kubo and as many back by ${name}, each byte compared`, async (t) => {
      if (skipped) return t.diagnostic(skipped)
      const { kubo, addresses: [address] } = await startKubo(t, way)
      await answerStreams(t, kubo)
      const { exchange } = await streams.open(await open(t, kind))
      const { dial, there, back } = await exchange(address, { up: BYTES, down: BYTES })
      const speed = (time) => (BYTES / 1_000 / time).toFixed(1)
      t.diagnostic(`connected in ${dial.toFixed(0)} ms, ${speed(there)} MB/s there, ${speed(back)} MB/s back`)
    })
  }

  test(`${kind}: both versions of webrtc-direct, each alone`, async (t) => {
    if (skipped) return t.diagnostic(skipped)
    const { kubo, addresses: [address] } = await startKubo(t, WAYS['webrtc-direct'])
    await answerStreams(t, kubo)
    const { page, exchange } = await streams.open(await open(t, kind))
    const versions = (await page.evaluate(munges)) ? [2, 1] : [2]
    if (versions.length === 1) t.diagnostic(`${kind} has withdrawn the first version: it sets no offer with a ufrag of ours any more`)
    for (const version of versions) {
      const { dial } = await exchange(address, { version, up: FEW, down: FEW })
      t.diagnostic(`version ${version}: connected in ${dial.toFixed(0)} ms`)
    }
  })

  test(`${kind}: a server that knows the first version only is reached by it, the second time at once`, async (t) => {
    if (skipped) return t.diagnostic(skipped)
    const { kubo, addresses: [address] } = await startKubo(t, WAYS['webrtc-direct'])
    await answerStreams(t, kubo)
    const older = await olderServer(t)
    const { page, exchange } = await streams.open(await open(t, kind))
    if (!(await page.evaluate(munges))) return t.diagnostic(`${kind} has withdrawn the first version: it reaches no such server any more`)
    const dialled = () => exchange(address.replace(`/udp/${PORT}/`, `/udp/${older.port}/`), { up: FEW, down: FEW })
    const { dial } = await dialled()
    const ignored = older.ignored()
    assert.ok(ignored > 0, 'the second version was tried before')
    const { dial: again } = await dialled()
    assert.equal(older.ignored(), ignored, 'it is not tried again')
    t.diagnostic(`connected in ${dial.toFixed(0)} ms, and again in ${again.toFixed(0)}`)
  })
}

test('a Chromium that refuses a ufrag of ours: the first version is of no use, the node connects', async (t) => {
  if (skipped) return t.diagnostic(skipped)
  const { kubo, addresses: [address] } = await startKubo(t, WAYS['webrtc-direct'])
  await answerStreams(t, kubo)
  const { page, exchange } = await streams.open(await open(t, 'chromium', { args: [NO_MUNGING] }))
  assert.equal(await page.evaluate(munges), false)
  await assert.rejects(exchange(address, { version: 1, up: FEW, down: FEW }))
  await exchange(address, { up: FEW, down: FEW })
})

test('an address with a foreign hash leads nowhere', async (t) => {
  if (skipped) return t.diagnostic(skipped)
  const { kubo, addresses: [address] } = await startKubo(t, WAYS['webrtc-direct'])
  await answerStreams(t, kubo)
  const { exchange } = await streams.open(await open(t, 'chromium'))
  await assert.rejects(exchange(forged(address), { version: 2, up: FEW, down: FEW }))
})

test('of two ways WebTransport is taken, and WebRTC-direct where that led nowhere', async (t) => {
  if (skipped) return t.diagnostic(skipped)
  const { addresses: [webTransport, direct] } = await startKubo(t, ...Object.values(WAYS))
  const browser = await open(t, 'chromium')
  for (const [address, way] of [[webTransport, 'webtransport'], [forged(webTransport), 'webrtc-direct']]) {
    const page = await openNode(t, browser, pages.url, { bootstrap: [direct, address], reservations: 1 })
    await until(async () => (await status(page)).reachable, WITHIN, async () => `not reachable: ${await relaysOf(page)}`)
    assert.deepEqual((await page.evaluate(() => window.shoal.connections())).map(({ transport }) => transport), [way])
    await page.evaluate(() => window.shoal.stop())
  }
})

/** Whether this browser sets an offer with a ufrag that is not its own. */
async function munges() {
  const connection = new RTCPeerConnection()
  connection.createDataChannel('')
  const { sdp } = await connection.createOffer()
  const set = connection.setLocalDescription({ type: 'offer', sdp: sdp.replace(/(?<=a=ice-(ufrag|pwd):).*/g, 'libp2p+webrtc+v1/0123456789abcdef0123456789') })
  return set.then(() => true, () => false).finally(() => connection.close())
}

/** Kubo, as it was before it knew the second version: at another port, at which packets that begin such a connection are ignored. */
async function olderServer(t) {
  const sockets = new Map()
  let ignored = 0
  const front = createSocket('udp4', (packet, { address, port }) => {
    if (packet.includes('libp2p+webrtc+v2/')) return (ignored += 1)
    let behind = sockets.get(port)
    if (behind === undefined) {
      behind = createSocket('udp4', (answer) => front.send(answer, port, address))
      sockets.set(port, behind)
    }
    behind.send(packet, PORT, ADDRESS)
  })
  front.bind(0, ADDRESS)
  await once(front, 'listening')
  t.after(() => [front, ...sockets.values()].forEach((socket) => socket.close()))
  return { port: front.address().port, ignored: () => ignored }
}

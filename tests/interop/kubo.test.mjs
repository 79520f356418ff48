// Kubo (go-libp2p) as a client of the relay: by each way in that both know, each by itself, since Kubo would else choose. And reached through the relay,
// with as many bytes both ways as a large file has.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import { freePort } from '../../crates/web/build/relay.mjs'
import { capture, start } from '../../crates/web/build/process.mjs'
import { createKubo, ensureKubo, ensurePump } from '../kubo.mjs'
import { createRelay } from '../relay.mjs'
import { createTemporary } from '../temporary.mjs'

/** Milliseconds within which everything that must happen happens. */
const PATIENCE = 30_000
/** Bytes that go there and come back. */
const SIZE = process.env.SHOAL_LONG ? 100_000_000 : 10_000_000

const OFF = { TCP: false, Websocket: false, QUIC: false, WebTransport: false, WebRTCDirect: false, Relay: false }
/**
 * By name: what Kubo knows, how the relay's address ends, as what the relay counts it, and what it counts as agreed on; the same for the pump, with what
 * go-libp2p says of it.
 */
const WAYS = {
  'tcp with Noise': { network: { TCP: true }, security: { TLS: false }, address: /\/tcp\/\d+$/, counted: 'tcp', agreed: 'noiseYamux', pump: 'noise', says: ['/noise', '/yamux/1.0.0', 'tcp'] },
  'tcp with TLS 1.3': { network: { TCP: true }, security: { Noise: false }, address: /\/tcp\/\d+$/, counted: 'tcp', agreed: 'tlsYamux', pump: 'tls', says: ['/tls/1.0.0', '/yamux/1.0.0', 'tcp'] },
  'quic-v1': { network: { QUIC: true }, address: /\/quic-v1$/, counted: 'quic', agreed: 'quic', pump: 'quic', says: ['', '', 'quic-v1'] },
  // Its WebSocket is made of its TCP.
  ws: { network: { TCP: true, Websocket: true }, address: /\/tcp\/\d+\/ws$/, counted: 'webSocket', agreed: 'noiseYamux', pump: 'ws', says: ['/noise', '/yamux/1.0.0', 'websocket'] },
  wss: { network: { TCP: true, Websocket: true }, address: /\/(tls\/(sni\/localhost\/)?ws|wss)$/, counted: 'secureWebSocket', agreed: 'noiseYamux', pump: 'ws', says: ['/noise', '/yamux/1.0.0', 'websocket'] },
  webtransport: { network: { QUIC: true, WebTransport: true }, address: /\/webtransport(\/|$)/, counted: 'webTransport', agreed: 'webTransport', pump: 'webtransport', says: ['', '', 'webtransport'] },
  'webrtc-direct': { network: { WebRTCDirect: true }, address: /\/webrtc-direct(\/|$)/, counted: 'webRtcDirect', agreed: 'webRtcDirect', pump: 'webrtc-direct', says: ['', '', 'webrtc-direct'] },
}

const here = await ensureKubo()
let relay
let peer
let addresses
let certificate
let pump
before(async () => {
  if (!here) return
  pump = await ensurePump()
  const directory = await createTemporary('certificate')
  certificate = join(directory, 'certificate.pem')
  const key = join(directory, 'key.pem')
  await capture('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate])
  // The port of `listen` over UDP is QUIC's.
  const ways = ['--tcp', 'same', '--tls', 'same', '--tls-certificate', certificate, '--tls-key', key, '--quic', 'same', '--webtransport', `127.0.0.1:${await freePort()}`, '--webrtc-direct', `127.0.0.1:${await freePort()}`]
  relay = await createRelay({ args: [...ways, '--circuit-bytes', '1000000000'] })
  const told = await (await fetch(`${relay.url.replace('localhost', '127.0.0.1')}/bootstrap`)).json()
  peer = told.peerId
  addresses = [...told.addresses, ...told.nativeAddresses].filter((address) => /^\/(ip4\/127\.0\.0\.1|dns\/localhost)\//.test(address))
})
after(() => relay?.stop())

const addressOf = ({ address }) => addresses.find((candidate) => address.test(candidate.split('/p2p/')[0]))
const settingsOf = ({ network, security = {} }) => ({ 'Swarm.Transports.Network': { ...OFF, ...network }, 'Swarm.Transports.Security': security })

async function until(what, condition) {
  for (const began = Date.now(); !(await condition()); await sleep(100)) assert.ok(Date.now() - began < PATIENCE, `${what}: not within ${PATIENCE} ms`)
}

for (const [name, way] of Object.entries(WAYS)) {
  test(`Kubo comes by ${name}`, async (t) => {
    if (!here) return t.diagnostic('not tested: there is no Go')
    const kubo = await createKubo(settingsOf(way), { SSL_CERT_FILE: certificate })
    t.after(() => kubo.stop())
    const address = addressOf(way)
    const { agreed: before } = await relay.health()
    await kubo.ipfs('swarm', 'connect', address)
    const peers = (await kubo.ipfs('swarm', 'peers')).trim().split('\n')
    assert.equal(peers.length, 1)
    assert.match(peers[0].split('/p2p/')[0], way.address)
    assert.ok(peers[0].endsWith(peer))
    const { ways, agreed } = await relay.health()
    assert.deepEqual(agreed, { ...before, [way.agreed]: before[way.agreed] + 1 }, 'what was agreed on')
    assert.deepEqual(Object.entries(ways).filter(([, number]) => number > 0), [[way.counted, 1]], 'the relay sees it come by this way')
    const { Protocols: protocols, AgentVersion: agent } = JSON.parse(await kubo.ipfs('id', peer))
    assert.match(agent, /^shoal-relay\//)
    assert.ok(protocols.includes('/libp2p/circuit/relay/0.2.0/hop'), protocols.join(', '))
    const pings = await kubo.ipfs('ping', '-n', '3', peer)
    assert.equal(pings.match(/Pong received/g)?.length, 3, pings)
    await kubo.ipfs('swarm', 'disconnect', `/p2p/${peer}`)
    await until('the end of its connection', async () => (await relay.health()).connections === 0)
  })
}

test('Kubo holds a reservation by QUIC, and another one reaches it from a WebSocket', async (t) => {
  if (!here) return t.diagnostic('not tested: there is no Go')
  const reserving = {
    ...settingsOf({ network: { QUIC: true, Relay: true } }),
    'Internal.Libp2pForceReachability': 'private',
    'Swarm.RelayClient': { Enabled: true, StaticRelays: [addressOf(WAYS['quic-v1'])] },
  }
  const [reached, dialling] = await Promise.all([createKubo(reserving), createKubo(settingsOf({ network: { ...WAYS.ws.network, Relay: true } }))])
  t.after(() => Promise.all([reached.stop(), dialling.stop()]))
  await until('its reservation', async () => (await relay.health()).reservations === 1)
  const { ID: id } = await reached.id()
  const circuit = `${addressOf(WAYS.ws)}/p2p-circuit/p2p/${id}`
  await dialling.ipfs('swarm', 'connect', circuit)
  const peers = (await dialling.ipfs('swarm', 'peers')).trim().split('\n')
  assert.ok(peers.includes(circuit), peers.join('\n'))
  const { circuits, relayedBytes, ways } = await relay.health()
  assert.equal(circuits, 1)
  assert.ok(relayedBytes > 0)
  assert.deepEqual([ways.quic, ways.webSocket], [1, 1])
})

for (const [name, way] of Object.entries(WAYS)) {
  test(`${SIZE / 1e6} MB go through the relay and come back by ${name}`, { timeout: 300_000 }, async (t) => {
    if (!here) return t.diagnostic('not tested: there is no Go')
    const address = addressOf(way)
    await until('the end of other connections', async () => (await relay.health()).connections === 0)
    const before = await relay.health()
    const reached = start(pump, ['reserve', way.pump, address], { stdio: ['pipe', 'pipe', 'inherit'] })
    t.after(() => reached.kill())
    const [line] = await once(reached.stdout.setEncoding('utf8'), 'data')
    const { id, ...agreed } = JSON.parse(line)
    assert.deepEqual([agreed.security, agreed.muxer, agreed.transport], way.says)
    const { milliseconds, ...through } = JSON.parse(await capture(pump, ['through', way.pump, address, id, String(SIZE)]))
    assert.deepEqual([through.security, through.muxer, through.transport], way.says)
    const after = await relay.health()
    reached.stdin.end()
    await once(reached, 'exit')
    assert.ok(after.relayedBytes - before.relayedBytes >= 2 * SIZE, 'all of it went through the relay')
    assert.equal(after.agreed[way.agreed] - before.agreed[way.agreed], 2)
    t.diagnostic(`${(SIZE / 1e3 / milliseconds).toFixed(0)} MB/s each way`)
  })
}

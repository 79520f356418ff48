// Kubo (go-libp2p) as a client of the relay: by each way in that both know, each by itself, since Kubo would else choose. And reached through the relay.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import { freePort } from '../../crates/web/build/relay.mjs'
import { createKubo, ensureKubo } from '../kubo.mjs'
import { createRelay } from '../relay.mjs'

/** Milliseconds within which everything that must happen happens. */
const PATIENCE = 30_000

const OFF = { TCP: false, Websocket: false, QUIC: false, WebTransport: false, WebRTCDirect: false, Relay: false }
/** By name: what Kubo knows, how the relay's address ends, and as what the relay counts it. */
const WAYS = {
  'tcp with Noise': { network: { TCP: true }, security: { TLS: false }, address: /\/tcp\/\d+$/, counted: 'tcp' },
  'tcp with TLS 1.3': { network: { TCP: true }, security: { Noise: false }, address: /\/tcp\/\d+$/, counted: 'tcp' },
  'quic-v1': { network: { QUIC: true }, address: /\/quic-v1$/, counted: 'quic' },
  // Its WebSocket is made of its TCP.
  ws: { network: { TCP: true, Websocket: true }, address: /\/ws$/, counted: 'webSocket' },
  webtransport: { network: { QUIC: true, WebTransport: true }, address: /\/webtransport(\/|$)/, counted: 'webTransport' },
}

const here = await ensureKubo()
let relay
let peer
let addresses
before(async () => {
  if (!here) return
  // The port of `listen` over UDP is QUIC's.
  relay = await createRelay({ args: ['--tcp', 'same', '--quic', 'same', '--webtransport', `127.0.0.1:${await freePort()}`] })
  const told = await (await fetch(`${relay.url.replace('localhost', '127.0.0.1')}/bootstrap`)).json()
  peer = told.peerId
  addresses = [...told.addresses, ...told.nativeAddresses].filter((address) => address.startsWith('/ip4/127.0.0.1/'))
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
    const kubo = await createKubo(settingsOf(way))
    t.after(() => kubo.stop())
    const address = addressOf(way)
    await kubo.ipfs('swarm', 'connect', address)
    const peers = (await kubo.ipfs('swarm', 'peers')).trim().split('\n')
    assert.equal(peers.length, 1)
    assert.match(peers[0].split('/p2p/')[0], way.address)
    assert.ok(peers[0].endsWith(peer))
    const { ways } = await relay.health()
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

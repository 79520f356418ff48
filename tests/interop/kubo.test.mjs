// Kubo (go-libp2p) as a client of the relay: by each way in that both know, each by itself, since Kubo would else choose. And reached through the relay. That
// many bytes go each way is shown by matrix.test.mjs.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import { createKubo, ensureKubo } from '../kubo.mjs'
import { WAYS, createRelayOfAllWays } from './ways.mjs'

/** Milliseconds within which everything that must happen happens. */
const PATIENCE = 30_000

const OFF = { TCP: false, Websocket: false, QUIC: false, WebTransport: false, WebRTCDirect: false, Relay: false }
/** By way: what Kubo knows. Its WebSocket is made of its TCP. */
const KNOWS = {
  'tcp with Noise': { network: { TCP: true }, security: { TLS: false } },
  'tcp with TLS 1.3': { network: { TCP: true }, security: { Noise: false } },
  'quic-v1': { network: { QUIC: true } },
  ws: { network: { TCP: true, Websocket: true } },
  wss: { network: { TCP: true, Websocket: true } },
  webtransport: { network: { QUIC: true, WebTransport: true } },
  'webrtc-direct': { network: { WebRTCDirect: true } },
}

const here = await ensureKubo()
let relay
before(async () => {
  if (here) relay = await createRelayOfAllWays()
})
after(() => relay?.stop())

const settingsOf = ({ network, security = {} }) => ({ 'Swarm.Transports.Network': { ...OFF, ...network }, 'Swarm.Transports.Security': security })

async function until(what, condition) {
  for (const began = Date.now(); !(await condition()); await sleep(100)) assert.ok(Date.now() - began < PATIENCE, `${what}: not within ${PATIENCE} ms`)
}

for (const [name, way] of Object.entries(WAYS)) {
  test(`Kubo comes by ${name}`, async (t) => {
    if (!here) return t.diagnostic('not tested: there is no Go')
    const kubo = await createKubo(settingsOf(KNOWS[name]), { SSL_CERT_FILE: relay.certificate.path })
    t.after(() => kubo.stop())
    const { peer } = relay
    const { agreed: before } = await relay.health()
    await kubo.ipfs('swarm', 'connect', relay.addressBy(name))
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
    'Swarm.RelayClient': { Enabled: true, StaticRelays: [relay.addressBy('quic-v1')] },
  }
  const [reached, dialling] = await Promise.all([createKubo(reserving), createKubo(settingsOf({ network: { ...KNOWS.ws.network, Relay: true } }))])
  t.after(() => Promise.all([reached.stop(), dialling.stop()]))
  await until('its reservation', async () => (await relay.health()).reservations === 1)
  const { ID: id } = await reached.id()
  const circuit = `${relay.addressBy('ws')}/p2p-circuit/p2p/${id}`
  await dialling.ipfs('swarm', 'connect', circuit)
  const peers = (await dialling.ipfs('swarm', 'peers')).trim().split('\n')
  assert.ok(peers.includes(circuit), peers.join('\n'))
  const { circuits, relayedBytes, ways } = await relay.health()
  assert.equal(circuits, 1)
  assert.ok(relayedBytes > 0)
  assert.deepEqual([ways.quic, ways.webSocket], [1, 1])
})

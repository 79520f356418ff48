// What a person is told when a link is not direct: facts as they occur, and the sentence that follows.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeDiagnosis, diagnose } from '../diagnosis.ts'

const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
const RELAY = '/ip4/127.0.0.1/tcp/8080/ws/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'

const relay = {
  address: RELAY,
  state: 'reserved',
  history: [
    { at: 900, what: 'dialling', detail: RELAY },
    { at: 1_000, what: 'opened', transport: 'websocket', path: 'direct', detail: RELAY },
    { at: 1_005, what: 'reserved', detail: '' },
  ],
}
const connection = (path, transport) => ({ peer: PEER, path, transport, direction: 'outbound', address: '/x', bytesReceived: 0, bytesSent: 0, openedAt: 0, roundTripTime: 0.44 })
const circuit = [
  { at: 2_000, what: 'dialling', detail: `${RELAY}/p2p-circuit/webrtc/p2p/${PEER}` },
  { at: 2_012, what: 'opened', transport: 'circuit', path: 'relayed', detail: `${RELAY}/p2p-circuit/p2p/${PEER}` },
]
const attempt = (more = {}) => ({
  role: 'dialler',
  startedAt: 2_012,
  iceServers: 0,
  steps: { described: 3, answered: 12, checking: 13 },
  candidates: { local: { mdns: 1 }, remote: { mdns: 1 } },
  states: ['checking'],
  problems: [],
  pairs: {},
  ...more,
})
const failedAttempt = (more) => attempt({ states: ['checking', 'disconnected'], pairs: { failed: 1 }, ended: { after: 15_000, reason: 'closed by this node' }, ...more })
const facts = (more = {}) => ({ peer: PEER, connections: [], history: [], relays: [relay], attempts: [], webrtc: true, ...more })
const told = (more) => {
  const { summary, reasons } = diagnose(facts(more))
  return [summary, ...reasons].join('\n')
}

test('a direct link: every step with its duration, and nothing to explain', () => {
  const steps = { described: 3, answered: 12, checking: 13, connected: 20, ready: 24 }
  const selected = { localCandidate: 'host', remoteCandidate: 'prflx' }
  const diagnosis = diagnose(
    facts({ connections: [connection('direct', 'webrtc')], history: circuit, attempts: [attempt({ steps, selected, pairs: { succeeded: 1 }, states: ['checking', 'connected'] })] }),
  )
  assert.equal(diagnosis.summary, 'Connected directly, by WebRTC, 0.4 ms there and back.')
  assert.deepEqual(diagnosis.reasons, [])
  assert.deepEqual(
    diagnosis.steps.map(({ name, result, duration }) => [name, result, duration]),
    [
      ['relay', 'done', 100],
      ['reservation', 'done', 5],
      ['circuit', 'done', 12],
      ['signalling', 'done', 12],
      ['candidates', 'done', undefined],
      ['ice', 'done', 7],
      ['direct', 'done', 24],
    ],
  )
  assert.match(describeDiagnosis(diagnosis), /✓ ice \(7 ms\): checking → connected; pairs: 1 succeeded\n {2}✓ direct \(24 ms\): host to prflx$/)
})

test('a path through TURN is not called direct', () => {
  const attempts = [attempt({ steps: { ready: 30 }, selected: { localCandidate: 'relay', remoteCandidate: 'srflx' } })]
  assert.match(told({ connections: [connection('direct', 'webrtc')], attempts }), /through a TURN server/)
})

const relayed = { connections: [connection('relayed', 'circuit')], history: circuit }
const failed = (detail) => ({ history: [circuit[0], { at: 2_050, what: 'failed', detail }] })
for (const [name, more, sentence] of [
  ['no relay configured', { relays: [] }, /No relay is configured/],
  ['relay down', { relays: [{ address: 'http://relay.example', state: 'waiting', problem: 'nothing answers', history: [] }] }, /No relay can be reached[^]*relay\.example: nothing answers\./],
  ['never tried', {}, /Nobody has tried/],
  ['tab closed', failed(`Failed to negotiate transport protocol(s): [(${RELAY}: : Relay has no reservation for destination.)]`), /not at our relay: its tab is closed/],
  ['relay full', failed('Failed: [(/x: : Remote reported resource limit exceeded.)]'), /The relay refuses/],
  ['another failure', failed('Failed: [(/x: : the handshake broke)]'), /The last dial failed: the handshake broke\./],
  ['not tried directly', relayed, /through a relay, encrypted[^]*No direct connection has been tried/],
  ['left out', { ...relayed, webrtc: false }, /The settings leave WebRTC out/],
  ['being made', { ...relayed, attempts: [attempt()] }, /A direct connection is being made/],
  ['no WebRTC', { ...relayed, attempts: [attempt({ steps: {}, ended: { after: 0, reason: 'this browser has no WebRTC' } })] }, /has no WebRTC, or an extension/],
  ['no answer', { ...relayed, attempts: [attempt({ steps: { described: 1 }, ended: { after: 9, reason: 'closed by this node' } })] }, /did not answer the offer/],
  ['own candidates missing', { ...relayed, attempts: [failedAttempt({ candidates: { local: {}, remote: { host: 1 } } })] }, /This browser found no address/],
  ['peer without candidates', { ...relayed, attempts: [failedAttempt({ candidates: { local: { host: 1 }, remote: {} } })] }, /The peer told no address/],
  ['no STUN', { ...relayed, attempts: [failedAttempt()] }, /no packet came through[^]*no STUN server is configured[^]*hides its local address/],
  ['STUN silent', { ...relayed, attempts: [failedAttempt({ iceServers: 1, problems: ['stun:s: 701 timeout'] })] }, /did not tell this side its public address \(stun:s: 701 timeout\)/],
  ['symmetric NAT', { ...relayed, attempts: [failedAttempt({ iceServers: 1, candidates: { local: { host: 1, srflx: 1 }, remote: { srflx: 1 } } })] }, /a NAT that gives each peer another port[^]*TURN server/],
  ['a relay of others', { ...relayed, connections: [{ ...relayed.connections[0], relay: { peer: 'R', bytesLeft: 700 } }] }, /not one that `bootstrap` leads to: 700 bytes/],
  ['its limit', { ...relayed, connections: [{ ...relayed.connections[0], relay: { peer: 'R', bytesLeft: 0 } }] }, /As much went through the relay between[^]*TURN server/],
  ['it broke', { ...relayed, attempts: [attempt({ steps: { ready: 24 }, ended: { after: 9_000, reason: 'the connection failed' } })] }, /ended: the connection failed[^]*goes on through the relay/],
]) {
  test(name, () => assert.match(told(more), sentence))
}

test('no facts of any kind make it fail', () => {
  for (const what of ['dialling', 'waiting', 'opened', 'reserved', 'failed', 'closed']) {
    for (const steps of [{}, { described: 1 }, { answered: 2 }, { ready: 3 }]) {
      for (const ended of [undefined, { after: 1, reason: '' }]) {
        const { summary, steps: shown } = diagnose(facts({ history: [{ at: 1, what, detail: '' }], attempts: [attempt({ steps, ...(ended && { ended }) })] }))
        assert.ok(summary.length > 0 && shown.length > 3)
      }
    }
  }
})

test('what carries the connection to a relay, and what follows where UDP does not', () => {
  const by = (more) => facts({ relays: [{ ...relay, ...more }] })
  const detail = (more) => diagnose(by(more)).steps.find(({ name }) => name === 'relay').detail
  assert.equal(detail({}), RELAY)
  assert.match(detail({ transport: 'webtransport' }), /, by WebTransport$/)
  assert.match(detail({ transport: 'webrtc-direct' }), /, by WebRTC-direct$/)
  assert.match(detail({ transport: 'websocket', udpBlocked: true }), /by WebSocket: WebTransport to it got no answer$/)
  const blocked = { relays: [{ ...relay, transport: 'websocket', udpBlocked: true }] }
  assert.match(told({ ...blocked, connections: [connection('relayed', 'circuit')], history: circuit }), /lets no UDP through/)
  assert.doesNotMatch(told({ ...blocked, connections: [connection('direct', 'webrtc')], history: circuit }), /UDP/)
  assert.match(diagnose(facts({ connections: [connection('direct', 'webtransport')] })).summary, /^Connected, by WebTransport, .*: it is a relay/)
  assert.match(diagnose(facts({ connections: [connection('direct', 'webrtc-direct')] })).summary, /^Connected, by WebRTC-direct, .*: it is a relay/)
})

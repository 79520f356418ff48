// Configuration: defaults, absolute addresses, and an error for each way to get it wrong that names the field.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { complete } from '../config.ts'
import { VERSION } from '../version.ts'

const PAGE = 'http://192.168.1.5:8080/app/index.html'
const RELAY = '/ip4/127.0.0.1/tcp/8080/ws/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

test('the version is that of the package', async () => {
  assert.equal(VERSION, JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')).version)
})

test('an empty config is a complete one', () => {
  assert.deepEqual(complete({}, PAGE), {
    bootstrap: ['http://192.168.1.5:8080/'],
    reservations: 2,
    dnsResolver: 'https://cloudflare-dns.com/dns-query',
    websocket: true,
    webtransport: true,
    webrtcDirect: true,
    webrtc: true,
    store: { kind: 'indexeddb', name: 'shoal' },
    iceServers: [],
    iceTransportPolicy: 'all',
    metadata: { client: 'shoal', version: VERSION },
    connectionTimeout: 20_000,
    idleTimeout: 120_000,
    maxConnections: 128,
    foreignRelayBytes: 67_108_864,
    nearby: { on: false },
  })
})

test('what is given is kept, and addresses become absolute', () => {
  const settings = complete(
    {
      bootstrap: [RELAY, 'https://relay.example', './relay', 'http://localhost:1234/x', '/dnsaddr/relays.example'],
      reservations: 3,
      dnsResolver: './dns',
      store: { name: 'notes.v2' },
      iceServers: [{ urls: 'stun:stun.example:3478' }, { urls: ['turn:a.example', 'turns:a.example?transport=tcp'], username: 'u', credential: 'c' }],
      metadata: { client: 'notes' },
      connectionTimeout: 1_000,
      idleTimeout: 1_000,
      maxConnections: 400,
      foreignRelayBytes: 0,
    },
    PAGE,
  )
  assert.deepEqual(settings.bootstrap, [RELAY, 'https://relay.example/', 'http://192.168.1.5:8080/app/relay/', 'http://localhost:1234/x/', '/dnsaddr/relays.example'])
  assert.deepEqual([settings.reservations, settings.dnsResolver], [3, 'http://192.168.1.5:8080/app/dns'])
  assert.deepEqual(settings.store, { kind: 'indexeddb', name: 'notes.v2' })
  assert.deepEqual(settings.iceServers, [{ urls: ['stun:stun.example:3478'] }, { urls: ['turn:a.example', 'turns:a.example?transport=tcp'], username: 'u', credential: 'c' }])
  assert.deepEqual(settings.metadata, { client: 'notes', version: VERSION })
  assert.deepEqual([settings.connectionTimeout, settings.idleTimeout, settings.maxConnections, settings.foreignRelayBytes], [1_000, 1_000, 400, 0])
  const carried = (transports) => {
    const { websocket, webtransport, webrtcDirect, webrtc } = complete({ transports }, PAGE)
    return [websocket, webtransport, webrtcDirect, webrtc]
  }
  assert.deepEqual([['websocket'], ['webrtc', 'websocket'], ['webtransport'], ['webrtc-direct']].map(carried), [
    [true, false, false, false],
    [true, false, false, true],
    [false, true, false, false],
    [false, false, true, false],
  ])
  assert.deepEqual(complete({ bootstrap: [] }, undefined).bootstrap, [])
  for (const [given, wish] of [[true, { on: true }], [{}, { on: true }], [false, { on: false }], [{ name: 'Küche 👩‍💻' }, { on: true, name: 'Küche 👩‍💻' }]]) {
    assert.deepEqual(complete({ nearby: given }, PAGE).nearby, wish)
  }
})

const wrong = [
  [null, /^config: must be an object, got null/],
  [[], /^config: must be an object, got an array/],
  [{ bootsrap: [] }, /^bootsrap: there is no such field; known are bootstrap, /],
  [{ bootstrap: RELAY }, /^bootstrap: must be an array/],
  [{ bootstrap: ['relay.example'] }, /^bootstrap\[0\]: "relay.example" is neither/],
  [{ bootstrap: [RELAY, 'ftp://relay.example'] }, /^bootstrap\[1\]: /],
  [{ bootstrap: ['/ip4/127.0.0.1/tcp/8080/ws'] }, /^bootstrap\[0\]: .* must end in \/p2p\//],
  [{ bootstrap: ['/dnsaddr/relays example'] }, /^bootstrap\[0\]: .* is not a name of relays/],
  [{ reservations: 0 }, /^reservations: must be a whole number of relays from 1 to 8/],
  [{ dnsResolver: 'https://dns.example/?name=x' }, /^dnsResolver: .* without a query/],
  [{ dnsResolver: 'ftp://dns.example' }, /^dnsResolver: /],
  [{ bootstrap: ['https://me:secret@relay.example'] }, /^bootstrap\[0\]: .* no user name/],
  [{ bootstrap: ['https://relay.example/?x'] }, /^bootstrap\[0\]: .* query/],
  [{ bootstrap: [7] }, /^bootstrap\[0\]: must be a string, got 7/],
  [{ bootstrap: Array(17).fill(RELAY) }, /^bootstrap: has 17 entries; give at most 16/],
  [{ store: 'memory' }, /^store: must be an object, got "memory"/],
  [{ store: { kind: 'opfs' } }, /^store.kind: "opfs" is not a kind/],
  [{ store: { kind: 'memory', name: 'x' } }, /^store.name: a memory store has no name/],
  [{ store: { name: 'a/b' } }, /^store.name: use 1 to 64/],
  [{ store: { nmae: 'a' } }, /^store.nmae: there is no such field/],
  [{ iceServers: [{}] }, /^iceServers\[0\].urls: must be an array, got undefined/],
  [{ iceServers: [{ urls: [] }] }, /^iceServers\[0\].urls: is empty/],
  [{ iceServers: [{ urls: 'https://stun.example' }] }, /^iceServers\[0\].urls\[0\]: /],
  [{ iceServers: [{ urls: 'turn:a.example' }] }, /^iceServers\[0\].username: is missing/],
  [{ iceServers: [{ urls: 'turn:a.example', username: 'u' }] }, /^iceServers\[0\].credential: is missing/],
  [{ iceServers: [{ urls: 'stun:a.example', username: 'u' }] }, /^iceServers\[0\].username: has no effect/],
  [{ iceTransportPolicy: 'none' }, /^iceTransportPolicy: "none" is not a policy/],
  [{ metadata: { client: 'a/b' } }, /^metadata.client: use 1 to 64/],
  [{ metadata: { version: '' } }, /^metadata.version: must have 1 to 64/],
  [{ connectionTimeout: 999 }, /^connectionTimeout: must be a whole number of milliseconds from 1000 to 120000, got 999/],
  [{ connectionTimeout: '20s' }, /^connectionTimeout: .* got "20s"/],
  [{ idleTimeout: 0 }, /^idleTimeout: must be a whole number of milliseconds from 1000 to 86400000, got 0/],
  [{ maxConnections: 1.5 }, /^maxConnections: .* from 4 to 400, got 1.5/],
  [{ reservations: 8, maxConnections: 9 }, /^maxConnections: must leave room for peers beside 8 relays: at least 10, got 9/],
  [{ transports: [] }, /^transports: must have "websocket", "webtransport" or "webrtc-direct"/],
  [{ transports: ['webrtc'] }, /^transports: must have "websocket", "webtransport" or "webrtc-direct"/],
  [{ transports: ['websocket', 'quic'] }, /^transports: "quic" is not a transport/],
  [{ transports: ['websocket', 'websocket'] }, /^transports: names one twice/],
  [{ transports: 'websocket' }, /^transports: must be an array/],
  [{ transports: ['websocket'], iceServers: [] }, /^iceServers: has no effect, as `transports` leaves "webrtc" out/],
  [{ transports: ['websocket'], iceTransportPolicy: 'all' }, /^iceTransportPolicy: has no effect/],
  [{ security: ['tls'] }, /^security: there is no choice: Noise/],
  [{ foreignRelayBytes: -1 }, /^foreignRelayBytes: must be a whole number of bytes from 0 to 9007199254740991, got -1/],
  [{ foreignRelayBytes: Infinity }, /^foreignRelayBytes: .* got Infinity/],
  [{ nearby: 'yes' }, /^nearby: must be an object, got "yes"/],
  [{ nearby: { nmae: 'x' } }, /^nearby.nmae: there is no such field/],
  [{ nearby: { name: '' } }, /^nearby.name: must have 1 to 64/],
  [{ nearby: { name: 'ü'.repeat(33) } }, /^nearby.name: has more than 64 bytes/],
  [{ nearby: { name: ' Ada' } }, /^nearby.name: must be one line/],
  [{ nearby: { name: 'a\u202egpj.exe' } }, /^nearby.name: must be one line/],
  [{ maxConnections: NaN }, /^maxConnections: .* got NaN/],
]
for (const [config, message] of wrong) {
  test(`refused: ${JSON.stringify(config)}`, () => assert.throws(() => complete(config, PAGE), { name: 'InvalidConfig', message }))
}

test('refused where the page makes it impossible', () => {
  assert.throws(() => complete({}, 'file:///home/me/index.html'), { name: 'InvalidConfig', message: /^bootstrap: this page did not come from a web server/ })
  assert.throws(() => complete({ bootstrap: ['http://relay.example'] }, 'https://app.example/'), { message: /^bootstrap\[0\]: a page served by https/ })
  assert.doesNotThrow(() => complete({ bootstrap: ['http://127.0.0.1:8080'] }, 'https://app.example/'))
})

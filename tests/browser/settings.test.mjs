// Each setting of a node does what it says, seen from outside: by the peer, by the browser's own statistics, by the clock.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { until } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { createPackageRelay } from '../nodes.mjs'

/** A PeerId that nobody has. */
const NOBODY = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
const WITHIN = 30_000

let relay
let browser
before(async () => {
  relay = await createPackageRelay()
  browser = await launch('chromium')
})
after(async () => {
  await browser?.close()
  await relay?.stop()
})

/** A page with nodes of its own, by name: `call(name, (node) => …)`. */
async function open() {
  const page = await browser.newPage()
  await page.goto(relay.url)
  await page.waitForFunction(() => window.shoalPackage !== undefined)
  return {
    start: (name, config) =>
      page.evaluate(
        async (name, config) => {
          window.nodes ??= {}
          window.nodes[name] = await window.shoalPackage.createNode({ store: { kind: 'memory' }, ...config })
          return window.nodes[name].peerId
        },
        name,
        config,
      ),
    call: (name, method, ...args) => page.evaluate((name, method, args) => window.nodes[name][method](...args), name, method, args),
    close: () => page.close(),
  }
}

const reachable = (page, name) => until(async () => (await page.call(name, 'status')).reachable, WITHIN, async () => JSON.stringify(await page.call(name, 'status')))

test('metadata: the peer is told of it; a connection says what carries, encrypts and divides it', async (t) => {
  const page = await open()
  t.after(() => page.close())
  const peer = await page.start('listening', {})
  const notes = await page.start('dialling', { metadata: { client: 'notes', version: '9.1' } })
  await reachable(page, 'listening')
  const { transport, security, muxer } = await page.call('dialling', 'connect', peer)
  assert.deepEqual([transport, security, muxer], ['webrtc', 'dtls', 'webrtc'])
  const seen = async () => (await page.call('listening', 'connections')).find((connection) => connection.peer === notes)?.agent
  await until(async () => (await seen()) === 'notes/9.1', WITHIN, async () => `the peer sees ${await seen()}`)
  const toRelay = (await page.call('dialling', 'connections')).find((connection) => connection.transport === 'websocket')
  assert.deepEqual([toRelay.security, toRelay.muxer], ['noise', 'yamux'])
})

test('transports: without "webrtc" all goes through the relay, whoever dials, and nothing direct is tried', async (t) => {
  const page = await open()
  t.after(() => page.close())
  const peers = {}
  for (const [name, config] of Object.entries({ relayed: { transports: ['websocket'] }, dialled: {}, dialling: {} })) {
    peers[name] = await page.start(name, config)
    await reachable(page, name)
  }
  assert.equal((await page.call('relayed', 'connect', peers.dialled)).path, 'relayed')
  assert.equal((await page.call('dialling', 'connect', peers.relayed)).path, 'relayed')
  assert.equal((await page.call('dialling', 'connect', peers.dialled)).path, 'direct', 'for others there is a way')
  for (const other of ['dialled', 'dialling']) {
    const cid = await page.call(other, 'publishContent', `from ${other}`)
    const { size } = await page.call('relayed', 'statContent', cid, { from: [peers[other]] })
    assert.equal(size, `from ${other}`.length)
    const { path, attempts, reasons } = await page.call('relayed', 'diagnose', peers[other])
    assert.deepEqual([path, attempts], ['relayed', []])
    assert.match(reasons.join(), /leave WebRTC out \(`transports`\)/)
  }
  const connections = await page.call('relayed', 'connections')
  assert.deepEqual([...new Set(connections.map(({ transport }) => transport))].sort(), ['circuit', 'websocket'])
})

test('iceTransportPolicy: with "relay" no address of this device is told, and without a TURN server that answers there is no direct path', async (t) => {
  const page = await open()
  t.after(() => page.close())
  const peer = await page.start('listening', {})
  await reachable(page, 'listening')
  // A port where nobody answers.
  const iceServers = [{ urls: 'turn:127.0.0.1:9', username: 'u', credential: 'c' }]
  await page.start('hidden', { iceServers, iceTransportPolicy: 'relay', connectionTimeout: 5_000 })
  await page.start('open', { iceServers })
  assert.equal((await page.call('open', 'connect', peer)).path, 'direct')
  assert.equal((await page.call('hidden', 'connect', peer)).path, 'relayed')
  const attempt = async (name) => (await page.call(name, 'diagnose', peer)).attempts.at(-1)
  assert.deepEqual((await attempt('hidden')).candidates.local, {})
  assert.notDeepEqual((await attempt('open')).candidates.local, {})
})

test('connectionTimeout: a relay that accepts and says nothing is given up in that time', async (t) => {
  const sockets = new Set()
  const silent = createServer((socket) => sockets.add(socket.on('error', () => {})))
  await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const page = await open()
  t.after(() => page.close())
  const bootstrap = [`/ip4/127.0.0.1/tcp/${silent.address().port}/ws/p2p/${NOBODY}`]
  await page.start('patient', { bootstrap, connectionTimeout: 60_000 })
  await page.start('hasty', { bootstrap, connectionTimeout: 1_000 })
  const problem = async (name) => (await page.call(name, 'status')).relays[0]?.problem
  await until(() => problem('hasty'), 10_000, async () => JSON.stringify(await page.call('hasty', 'status')))
  assert.equal(await problem('patient'), undefined, 'another one still waits')
})

test('store: each name is an identity of its own that lasts, and memory forgets', async () => {
  const identity = async (store) => {
    const page = await open()
    try {
      return await page.start('node', { store })
    } finally {
      await page.close()
    }
  }
  const [one, other] = [{ name: 'one' }, { name: 'other' }]
  const first = await identity(one)
  assert.notEqual(await identity(other), first)
  assert.equal(await identity(one), first)
  assert.notEqual(await identity({ kind: 'memory' }), await identity({ kind: 'memory' }))
})

test('a wrong setting is refused in one line that names it', async (t) => {
  const page = await open()
  t.after(() => page.close())
  for (const [config, field] of [
    [{ iceTransportPolicy: 'direct' }, 'iceTransportPolicy'],
    [{ connectionTimeout: 0 }, 'connectionTimeout'],
    [{ maxConnections: 1 }, 'maxConnections'],
    [{ transports: ['webrtc'] }, 'transports'],
    [{ transports: ['websocket'], iceServers: [{ urls: 'stun:stun.example' }] }, 'iceServers'],
    [{ security: ['tls'] }, 'security'],
    [{ nearby: { name: '' } }, 'nearby.name'],
  ]) {
    const message = await page.start('wrong', config).then(() => 'nothing', (error) => error.message)
    assert.match(message, new RegExp(`(^|: )${field.replace('.', '\\.')}: .+`), JSON.stringify(config))
  }
})

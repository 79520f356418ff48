// The node as application code sees it, while what is behind it comes and goes. The node side is a real server on a real port with handlers of this test.
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { Caller } from '../caller.ts'
import { Client } from '../client.ts'
import { ShoalError } from '../errors.ts'
import { EventQueue } from '../event-queue.ts'
import { serve, Streaming } from '../server.ts'

const CONTENT = crypto.getRandomValues(new Uint8Array(1_000))
const closers = []
afterEach(() => closers.splice(0).forEach((close) => close()))

/** One life of a node. `die` is what a trap in its worker looks like from outside. */
function session(client, handlers = {}, far = false) {
  const { port1, port2 } = new MessageChannel()
  closers.push(() => port1.close())
  const events = new EventQueue()
  serve(port2, { events: async () => new Streaming(null, events), read, connections: async () => [], ...handlers })
  const caller = new Caller(port1)
  client.up({ caller, identity: { peerId: 'peer', did: 'did' }, limitations: ['here'], far })
  return {
    events,
    die() {
      caller.close('The node failed (unreachable).')
      client.down('unreachable')
    },
  }
}

/** Serves CONTENT in chunks of 100 bytes, and remembers what was asked for. */
const asked = []
async function read({ options: { offset = 0, length = CONTENT.length - offset } }, { signal }, most = Infinity) {
  asked.push({ offset, length })
  let at = offset
  let chunks = 0
  return new Streaming(
    { size: length },
    {
      async next() {
        if (at >= offset + length) return undefined
        if ((chunks += 1) > most) return new Promise(() => {})
        const chunk = CONTENT.slice(at, Math.min(at + 100, offset + length))
        at += chunk.length
        return chunk
      },
      cancel() {},
    },
  )
}
const stallsAfter = (chunks) => ({ read: (parameters, context) => read(parameters, context, chunks) })

function client() {
  return new Client(async () => {}, false)
}

test('a page that fetches for ever leaves no call open', async () => {
  const node = client()
  session(node)
  for (let fetched = 0; fetched < 1_100; fetched += 1) assert.equal((await node.fetchContent('c', { length: 10 })).length, 10)
})

test('reads all, or a range, as an array and as a stream', async () => {
  const node = client()
  session(node)
  assert.deepEqual(await node.fetchContent('c'), CONTENT)
  assert.deepEqual(await node.fetchContent('c', { offset: 150, length: 300 }), CONTENT.slice(150, 450))
  assert.deepEqual(new Uint8Array(await new Response(node.readContent('c', { offset: 990 })).arrayBuffer()), CONTENT.slice(990))
  assert.deepEqual(await node.fetchContent('c', { length: 0 }), new Uint8Array(0))
  const got = []
  for await (const chunk of node.readContent('c')) got.push(chunk)
  assert.deepEqual(Buffer.concat(got), Buffer.from(CONTENT))
})

test('a range that is none is refused', async () => {
  const node = client()
  session(node)
  for (const [field, value] of [['offset', -1], ['offset', 1.5], ['length', NaN], ['length', '5']]) {
    await assert.rejects(node.fetchContent('c', { [field]: value }), { name: 'InvalidRange', message: new RegExp(`^${field}: `) })
    await assert.rejects(node.readContent('c', { [field]: value }).getReader().read(), { name: 'InvalidRange' })
  }
})

test('a read goes on at the byte where it was when the node is replaced', async () => {
  const node = client()
  const first = session(node, stallsAfter(3))
  asked.length = 0
  const fetched = node.fetchContent('c', { offset: 50 })
  const reader = node.readContent('c').getReader()
  const streamed = [(await reader.read()).value, (await reader.read()).value, (await reader.read()).value]
  await new Promise((resolve) => setTimeout(resolve, 20))
  first.die()
  session(node)
  assert.deepEqual(await fetched, CONTENT.slice(50))
  for (let next = await reader.read(); !next.done; next = await reader.read()) streamed.push(next.value)
  assert.deepEqual(Buffer.concat(streamed), Buffer.from(CONTENT))
  assert.deepEqual(asked, [{ offset: 50, length: 950 }, { offset: 0, length: 1_000 }, { offset: 350, length: 650 }, { offset: 300, length: 700 }])
})

test('a replaced node is reported, and its events follow', async () => {
  const node = client()
  const first = session(node)
  const events = node.events()
  const next = async () => (await events.next()).value
  await new Promise((resolve) => setTimeout(resolve, 20)) // the subscription is on its way
  first.events.push({ type: 'status', status: { limitations: ['there'] } })
  assert.deepEqual(await next(), { type: 'status', status: { limitations: ['here', 'there'] } })
  first.die()
  const second = session(node)
  assert.deepEqual(await next(), { type: 'restarted', reason: 'unreachable' })
  second.events.push({ type: 'peerDropped', peer: 'p', reason: 'r' })
  assert.equal((await next()).type, 'peerDropped')
  await node.stop()
  assert.deepEqual(await events.next(), { done: true, value: undefined })
})

test('calls wait for the next node; what must not be done twice asks to be tried again', async () => {
  const node = client()
  const silent = { publish: () => new Promise(() => {}), connections: () => new Promise(() => {}) }
  const first = session(node, silent)
  const bytes = node.publishContent('text')
  const blob = node.publishContent(new Blob(['blob']))
  const connections = node.connections()
  first.die()
  const later = node.connections()
  session(node, { publish: async ({ source }) => source.text(), connections: async () => ['second'] })
  await assert.rejects(bytes, { name: 'Internal', message: 'The node failed (unreachable). It is being started again; please try again.' })
  assert.equal(await blob, 'blob')
  assert.deepEqual(await connections, ['second'])
  assert.deepEqual(await later, ['second'])
})

test('a call that kills every node does so twice and no more', async () => {
  const node = client()
  let kills = 0
  let current
  const deadly = { connections: () => ((kills += 1), setTimeout(() => (current.die(), (current = session(node, deadly))), 5), new Promise(() => {})) }
  current = session(node, deadly)
  await assert.rejects(node.connections(), { name: 'Internal' })
  assert.equal(kills, 2)
})

test('what is published may be bytes of any kind, and stays the caller’s', async () => {
  const node = client()
  const publish = async ({ source }, { input }) => {
    const bytes = new Uint8Array(await new Response(source ?? input).arrayBuffer())
    return `${source instanceof Blob ? 'blob' : source ? 'bytes' : 'stream'}:${Buffer.from(bytes).toString('latin1')}`
  }
  session(node, { publish })
  const view = new Uint8Array([0x61, 0x62, 0x63, 0x64]).subarray(1, 3)
  assert.equal(await node.publishContent(view), 'bytes:bc')
  assert.equal(view.length, 2)
  assert.equal(await node.publishContent(view.buffer), 'bytes:abcd')
  assert.equal(view.buffer.byteLength, 4)
  assert.equal(await node.publishContent('é'), 'bytes:\xc3\xa9')
  assert.equal(await node.publishContent(''), 'bytes:')
  assert.equal(await node.publishContent(ReadableStream.from([view, view])), 'stream:bcbc')
  session(node, { publish }, true)
  assert.equal(await node.publishContent(view), 'blob:bc')
  for (const wrong of [undefined, null, 7, { length: 1 }, ['a']]) await assert.rejects(node.publishContent(wrong), { name: 'InvalidSource' })
  const locked = new ReadableStream()
  locked.getReader()
  await assert.rejects(node.publishContent(locked), { name: 'InvalidSource', message: /is being read already/ })
})

test('a stopped node says so to everybody who waits, and to everybody who comes', async () => {
  const node = client()
  session(node, stallsAfter(1))
  const waiting = [node.fetchContent('c'), node.events().next()]
  await new Promise((resolve) => setTimeout(resolve, 20))
  const idle = client()
  const ready = idle.ready(undefined)
  await idle.stop()
  await assert.rejects(ready, { name: 'Stopped' })
  await node.stop()
  assert.equal((await waiting[1]).done, true)
  await assert.rejects(node.connections(), { name: 'Stopped' })
  await assert.rejects(node.readContent('c').getReader().read(), { name: 'Stopped' })
  assert.equal((await node.events().next()).done, true)
  waiting[0].catch(() => {})
})

test('a signal ends a wait for a node that does not come', async () => {
  const node = client()
  await assert.rejects(node.fetchContent('c', { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
  await assert.rejects(node.connect('p', { signal: AbortSignal.abort(new Error('no')) }), { message: 'no' })
})

test('when no node will come, calls say why', async () => {
  const node = client()
  const call = node.connections()
  node.failed(new ShoalError('StorageFailed', 'Close the other window.'))
  await assert.rejects(call, { name: 'StorageFailed' })
  await assert.rejects(node.status(), { name: 'StorageFailed', message: 'Close the other window.' })
  session(node)
  assert.deepEqual(await node.connections(), [], 'a node that comes after all is used')
})

test('a successor is found by those near it exactly if the last wish was so', async () => {
  const wishes = []
  const node = new Client(async () => {}, false, ({ on, name }) => wishes.push(name ?? on))
  let state = { on: false, listed: false, peers: [] }
  const nearby = async ({ wish }) => (state = { ...state, ...wish })
  const { events } = session(node, { nearby })
  await assert.rejects(node.nearby({ name: 'two\nlines' }), { name: 'InvalidConfig', message: /^nearby.name: / })
  assert.equal((await node.nearby({ name: 'Ada' })).name, 'Ada')
  const heard = node.events()[Symbol.asyncIterator]()
  // Another tab turned it off.
  events.push({ type: 'nearby', nearby: { on: false, listed: false, peers: [] } })
  assert.equal((await heard.next()).value.nearby.on, false)
  assert.deepEqual(wishes, ['Ada', false])
})

test('a tab that joins a node learns whether that is to be found', async () => {
  const wish = Promise.withResolvers()
  const node = new Client(async () => {}, false, ({ on }) => wish.resolve(on))
  session(node, { nearby: async () => ({ on: true, listed: true, peers: [] }) }, true)
  assert.equal(await wish.promise, true)
})

// Calls over a real MessageChannel and a real BroadcastChannel: results, errors, progress, cancellation, and streams both ways.
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { localPorts } from '../../../webrtc/js/peer-connections.js'
import { Caller } from '../caller.ts'
import { ShoalError } from '../errors.ts'
import { Disconnected } from '../rpc.ts'
import { serve, Streaming } from '../server.ts'

const closers = []
afterEach(() => closers.splice(0).forEach((close) => close()))

function channels() {
  const { port1, port2 } = new MessageChannel()
  closers.push(() => port1.close())
  return [port1, port2]
}

function broadcast() {
  const pair = [new BroadcastChannel('protocol test'), new BroadcastChannel('protocol test')]
  closers.push(...pair.map((channel) => () => channel.close()))
  return pair
}

const kinds = { MessageChannel: channels, BroadcastChannel: broadcast, 'ports of one thread': localPorts }

function connect(handlers, ports = channels) {
  const [near, far] = ports()
  const server = serve(far, handlers)
  return { caller: new Caller(near), server }
}

for (const [kind, ports] of Object.entries(kinds)) {
  test(`answers each call with its own result, in any order (${kind})`, async () => {
    const { caller } = connect({ wait: ({ ms }) => sleep(ms, ms) }, ports)
    assert.deepEqual(await Promise.all([30, 1, 15].map((ms) => caller.call('wait', { ms }))), [30, 1, 15])
  })

  test(`carries a stream in and out, unchanged (${kind})`, async () => {
    const echo = async (_, { input }) => {
      const reader = input.getReader()
      return new Streaming('echo', { next: async () => (await reader.read()).value, cancel() {} })
    }
    const { caller } = connect({ echo }, ports)
    const sent = Array.from({ length: 50 }, (_, index) => crypto.getRandomValues(new Uint8Array(index * 37)))
    const { value, items } = await caller.open('echo', {}, { input: ReadableStream.from(sent) })
    const got = []
    for (let chunk = await items.next(); chunk; chunk = await items.next()) got.push(chunk)
    assert.equal(value, 'echo')
    assert.deepEqual(Buffer.concat(got), Buffer.concat(sent))
    assert.equal(await items.next(), undefined)
  })
}

test('an error keeps its name, message and causes', async () => {
  const { caller } = connect({
    async fill() {
      throw new ShoalError('StorageFull', 'Free 3 MB.', { cause: new RangeError('quota', { cause: 'disk' }) })
    },
  })
  await assert.rejects(caller.call('fill', {}), (error) => {
    assert.ok(error instanceof ShoalError)
    assert.equal(error.name, 'StorageFull')
    assert.equal(error.message, 'Free 3 MB.')
    assert.equal(error.cause.name, 'RangeError')
    assert.equal(error.cause.cause.message, 'disk')
    return true
  })
})

test('an error that nobody promised is Internal, with the original as its cause', async () => {
  const { caller } = connect({ go: async () => undefined.field })
  await assert.rejects(caller.call('go', {}), (error) => error.name === 'Internal' && error.cause.name === 'TypeError')
  await assert.rejects(caller.call('toString', {}), { name: 'Internal', message: /no method toString/ })
})

test('an endless chain of causes does not travel endlessly', async () => {
  const loop = new Error('round')
  loop.cause = loop
  const { caller } = connect({ go: () => Promise.reject(loop) })
  await assert.rejects(caller.call('go', {}), { name: 'Internal' })
})

test('parameters that cannot be sent reject that call and no other', async () => {
  const { caller } = connect({ echo: async (value) => value })
  await assert.rejects(caller.call('echo', () => {}), { name: 'DataCloneError' })
  assert.equal(await caller.call('echo', 1), 1)
})

test('one message carries what a turn says, and is answered by one', async () => {
  const sent = { near: [], far: [] }
  const counted = () => {
    const [near, far] = channels()
    for (const [port, messages] of [[near, sent.near], [far, sent.far]]) {
      const post = port.postMessage.bind(port)
      port.postMessage = (message, transfer) => (messages.push(message.length), post(message, transfer))
    }
    return [near, far]
  }
  const { caller } = connect({ echo: async (value) => value }, counted)
  const calls = Array.from({ length: 100 }, (_, index) => caller.call('echo', index))
  const refused = assert.rejects(caller.call('echo', () => {}), { name: 'DataCloneError' })
  assert.deepEqual(await Promise.all(calls), [...calls.keys()])
  await refused
  assert.deepEqual(sent.near.splice(0).slice(-100), Array(100).fill(1)) // one that cannot be sent sends them singly
  sent.far.length = 0
  assert.deepEqual(await Promise.all([1, 2, 3].map((index) => caller.call('echo', index))), [1, 2, 3])
  assert.deepEqual(sent, { near: [3], far: [3] })
})

test('the first item of a stream needs no message of its own, and waits for its reader', async () => {
  const requests = []
  const spying = () => {
    const [near, far] = channels()
    const post = near.postMessage.bind(near)
    near.postMessage = (message, transfer) => (requests.push(...message.map(({ type }) => type)), post(message, transfer))
    return [near, far]
  }
  const items = ['one', 'two']
  const { caller } = connect({ read: async () => new Streaming('head', { next: async () => items.shift(), cancel() {} }) }, spying)
  const answer = await caller.open('read', {})
  await sleep(20)
  assert.equal(await answer.items.next(), 'one')
  assert.deepEqual(requests, ['call'])
  assert.equal(await answer.items.next(), 'two')
  await sleep(20)
  assert.equal(await answer.items.next(), undefined)
  assert.deepEqual(requests, ['call', 'pull'])
})

test('progress arrives before the result, and a throwing callback disturbs nothing', async () => {
  const { caller } = connect({
    async count(_, { progress }) {
      for (let index = 1; index <= 3; index += 1) progress(index)
      return 'done'
    },
  })
  const seen = []
  assert.equal(await caller.call('count', {}, { onProgress: (value) => seen.push(value) }), 'done')
  assert.deepEqual(seen, [1, 2, 3])
})

test('an aborted call rejects with the reason and reaches the other side', async () => {
  const reached = Promise.withResolvers()
  const { caller } = connect({
    wait: (_, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => (reached.resolve(signal.reason), reject(signal.reason)))),
  })
  const abort = new AbortController()
  const call = caller.call('wait', {}, { signal: abort.signal })
  abort.abort(new Error('no longer wanted'))
  await assert.rejects(call, { message: 'no longer wanted' })
  assert.equal((await reached.promise).name, 'AbortError')
  await assert.rejects(caller.call('wait', {}, { signal: abort.signal }), { message: 'no longer wanted' })
})

test('a stream is read one item ahead and no further, and cancel reaches its source', async () => {
  let given = 0
  const cancelled = Promise.withResolvers()
  const { caller } = connect({
    count: async () => new Streaming(null, { next: async () => (given += 1), cancel: cancelled.resolve }),
  })
  const { items } = await caller.open('count', {})
  await sleep(20)
  assert.equal(given, 2) // the first was sent unasked, the second is ready
  assert.equal(await items.next(), 1)
  assert.equal(await items.next(), 2)
  await sleep(20)
  assert.equal(given, 3)
  items.cancel()
  await cancelled.promise
  await assert.rejects(items.next(), { name: 'AbortError' })
})

test('an input is read only as fast as it is consumed', async () => {
  let read = 0
  const input = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array([(read += 1)])) }, { highWaterMark: 0 })
  const { caller } = connect({
    async take(_, { input }) {
      const reader = input.getReader()
      await reader.read()
      await sleep(30)
      return read
    },
  })
  const ahead = await caller.call('take', {}, { input })
  assert.ok(ahead <= 3, `${ahead} chunks were read ahead of one that was consumed`)
})

test('the bytes that a user hands over in a stream stay theirs', async () => {
  const chunk = new Uint8Array([1, 2, 3, 4]).subarray(1, 3)
  const { caller } = connect({ take: async (_, { input }) => (await input.getReader().read()).value })
  assert.deepEqual(await caller.call('take', {}, { input: ReadableStream.from([chunk]) }), new Uint8Array([2, 3]))
  assert.deepEqual(chunk, new Uint8Array([2, 3]))
})

test('what the user’s stream throws is what the call rejects with', async () => {
  const drain = async (_, { input }) => {
    for await (const _ of input);
  }
  const { caller } = connect({ drain })
  const broken = new ReadableStream({ pull: (controller) => controller.error(new Error('disk gone')) })
  await assert.rejects(caller.call('drain', {}, { input: broken }), { message: 'disk gone' })
  await assert.rejects(caller.call('drain', {}, { input: ReadableStream.from(['text']) }), { name: 'InvalidSource', message: /chunk of type string/ })
})

test('an input that nobody finished reading is cancelled', async () => {
  const cancelled = Promise.withResolvers()
  const input = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1)), cancel: cancelled.resolve })
  const { caller } = connect({ refuse: () => Promise.reject(new ShoalError('StorageFull', 'full')) })
  await assert.rejects(caller.call('refuse', {}, { input }), { name: 'StorageFull' })
  await cancelled.promise
})

test('giving up a port rejects what waits on it, and everything later', async () => {
  const { caller } = connect({ never: () => new Promise(() => {}), count: async () => new Streaming(null, { next: () => new Promise(() => {}), cancel() {} }) })
  const call = caller.call('never', {})
  const { items } = await caller.open('count', {})
  const item = items.next()
  caller.close('the worker failed')
  for (const waiting of [call, item, caller.call('never', {})]) {
    await assert.rejects(waiting, (error) => error instanceof Disconnected && error.message === 'the worker failed')
  }
})

test('a server that closes aborts its handlers', async () => {
  const aborted = Promise.withResolvers()
  const { caller, server } = connect({ wait: (_, { signal }) => (signal.addEventListener('abort', aborted.resolve), new Promise(() => {})), ping: async () => 'pong' })
  caller.call('wait', {}).catch(() => {})
  await caller.call('ping', {})
  server.close()
  await aborted.promise
})

test('a port has a bound on open calls, and recovers', async () => {
  const gate = Promise.withResolvers()
  const { caller } = connect({ wait: () => gate.promise })
  const calls = Array.from({ length: 1_025 }, () => caller.call('wait', {}))
  await assert.rejects(calls.at(-1), { name: 'Internal', message: /1024 calls are open/ })
  gate.resolve('open')
  assert.ok((await Promise.all(calls.slice(0, -1))).every((value) => value === 'open'))
  assert.equal(await caller.call('wait', {}), 'open')
})

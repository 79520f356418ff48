// The bounded queue of events, and the pace of progress.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { EVENT_CAPACITY, EventQueue } from '../event-queue.ts'
import { throttle } from '../throttle.ts'

const dropped = (reason) => ({ type: 'peerDropped', peer: 'p', reason })
const status = (reachable) => ({ type: 'status', status: { reachable } })

async function drain(queue) {
  queue.end()
  const events = []
  for (let event = await queue.next(); event; event = await queue.next()) events.push(event)
  return events
}

test('events come in order, before and after somebody waits', async () => {
  const queue = new EventQueue()
  queue.push(dropped('1'))
  assert.equal((await queue.next()).reason, '1')
  const waiting = queue.next()
  queue.push(dropped('2'))
  queue.push(dropped('3'))
  assert.equal((await waiting).reason, '2')
  assert.deepEqual(await drain(queue), [dropped('3')])
})

test('a reader that lags misses the oldest', async () => {
  const queue = new EventQueue()
  for (let index = 0; index < EVENT_CAPACITY * 3; index += 1) queue.push(dropped(index))
  const events = await drain(queue)
  assert.equal(events.length, EVENT_CAPACITY)
  assert.equal(events[0].reason, EVENT_CAPACITY * 2)
})

test('but never the last status, which keeps its place in time', async () => {
  const queue = new EventQueue()
  queue.push(status(true))
  queue.push(status(false))
  for (let index = 0; index < EVENT_CAPACITY * 3; index += 1) queue.push(dropped(index))
  const events = await drain(queue)
  assert.equal(events.length, EVENT_CAPACITY)
  assert.deepEqual(events.filter(({ type }) => type === 'status'), [status(false)])
  assert.deepEqual(events[0], status(false))
})

test('the end wakes who waits, and nothing comes after it', async () => {
  const queue = new EventQueue()
  const waiting = queue.next()
  queue.end()
  queue.push(dropped('late'))
  assert.equal(await waiting, undefined)
  assert.equal(await queue.next(), undefined)
})

test('progress: the first at once, the last always, in between at most 20 a second', async () => {
  const seen = []
  const paced = throttle((value) => seen.push(value))
  const start = performance.now()
  let value = 0
  while (performance.now() - start < 220) {
    paced.push((value += 1))
    await sleep(1)
  }
  paced.flush()
  assert.equal(seen[0], 1)
  assert.equal(seen.at(-1), value)
  assert.ok(seen.length <= 7, `${seen.length} values in 220 ms`)
  await sleep(80)
  assert.equal(seen.at(-1), value, 'nothing after flush')
})

test('progress: a change that matters does not wait, and a held value comes by itself', async () => {
  const seen = []
  const paced = throttle((value) => seen.push(value), (previous, next) => previous.phase !== next.phase)
  paced.push({ phase: 'finding' })
  paced.push({ phase: 'fetching', bytes: 1 })
  paced.push({ phase: 'fetching', bytes: 2 })
  assert.deepEqual(seen, [{ phase: 'finding' }, { phase: 'fetching', bytes: 1 }])
  await sleep(80)
  assert.deepEqual(seen.at(-1), { phase: 'fetching', bytes: 2 })
})

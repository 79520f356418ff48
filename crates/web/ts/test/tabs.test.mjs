// Tabs that share a node, over real BroadcastChannels and real locks: joining, takeover, and the lock for where there is none.
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { complete } from '../config.ts'
import { Follower } from '../follower.ts'
import { Followers } from '../followers.ts'
import { MessageLocks } from '../locks.ts'
import { noticeChannel, tabLock } from '../notices.ts'

const closers = []
afterEach(() => closers.splice(0).forEach((close) => close()))

const PAGE = 'http://localhost/'
let stores = 0
const freshSettings = (config = {}) => complete({ ...config, store: { name: `test-${(stores += 1)}` } }, PAGE)

function leader(settings, handlers = {}, peerId = 'leader') {
  const followers = new Followers({ peerId, did: 'did' }, settings, { identity: async () => 'me', ...handlers })
  closers.push(() => followers.close())
  return followers
}

function tab(settings) {
  const story = []
  const waiting = []
  const tell = (what) => {
    story.push(what)
    waiting.splice(0).forEach((check) => check())
  }
  let session
  const follower = new Follower(
    settings,
    { up: (given) => ((session = given), tell(`up ${given.identity.peerId}`)), down: (reason) => tell(`down ${reason}`), failed: (error) => tell(`failed ${error.message}`) },
    () => tell('silence'),
  )
  closers.push(() => follower.end('test over'))
  return {
    follower,
    story,
    get session() {
      return session
    },
    async until(what) {
      while (!story.includes(what)) await new Promise((resolve) => waiting.push(resolve))
    },
  }
}

test('a tab that comes later, or earlier, is served on a channel of its own', { timeout: 10_000 }, async () => {
  const settings = freshSettings()
  const early = tab(settings)
  await sleep(20)
  const overheard = []
  const all = new BroadcastChannel(noticeChannel(settings.store.name))
  all.onmessage = ({ data }) => overheard.push(data)
  closers.push(() => all.close())
  leader(settings, { echo: async (value) => value })
  const late = tab(settings)
  await Promise.all([early.until('up leader'), late.until('up leader')])
  const blob = await late.session.caller.call('echo', new Blob(['content']))
  assert.equal(await blob.text(), 'content')
  assert.equal(await early.session.caller.call('echo', 2), 2)
  assert.ok(overheard.every(({ type }) => ['hello', 'here', 'welcome'].includes(type)), JSON.stringify(overheard))
  assert.deepEqual(late.session.limitations, [])
})

test('a tab with other settings is told so', { timeout: 10_000 }, async () => {
  const settings = freshSettings({ maxConnections: 10 })
  leader(settings)
  const other = tab({ ...settings, maxConnections: 20 })
  await other.until('up leader')
  assert.match(other.session.limitations[0], /other settings \(maxConnections\)/)
})

test('tabs notice when the node ends, and join the next one', { timeout: 10_000 }, async () => {
  const settings = freshSettings()
  const first = leader(settings)
  const tabs = [tab(settings), tab(settings), tab(settings)]
  await Promise.all(tabs.map((each) => each.until('up leader')))
  first.close()
  await Promise.all(tabs.map((each) => each.until('down The tab that ran the node was closed.')))
  leader(settings, {}, 'next')
  await Promise.all(tabs.map((each) => each.until('up next')))
})

test('a node that crashed without a word is left when the next one speaks', { timeout: 10_000 }, async () => {
  const settings = freshSettings()
  leader(settings, { hang: () => new Promise(() => {}) })
  const follower = tab(settings)
  await follower.until('up leader')
  const call = follower.session.caller.call('hang', {})
  leader(settings, {}, 'next')
  await assert.rejects(call, { name: 'Disconnected' })
  await follower.until('up next')
  assert.deepEqual(follower.story.slice(0, 2), ['up leader', 'down The node was started again in another tab.'])
})

test('what a tab had open ends with the tab, even when it goes without a word', { timeout: 10_000 }, async () => {
  const settings = freshSettings()
  const ended = []
  const wait = (name, { signal }) => new Promise(() => signal.addEventListener('abort', () => ended.push(name)))
  leader(settings, { wait, ping: async () => 'pong' })
  const polite = tab(settings)
  await polite.until('up leader')
  polite.session.caller.call('wait', 'polite').catch(() => {})
  await polite.session.caller.call('ping', {})
  polite.follower.end('closed')
  while (!ended.includes('polite')) await sleep(5)

  // A crashed tab says nothing; its lock is released by the browser.
  const notices = new BroadcastChannel(noticeChannel(settings.store.name))
  const channel = new BroadcastChannel('own channel of a crashed tab')
  closers.push(() => notices.close(), () => channel.close())
  const crash = Promise.withResolvers()
  await new Promise((held) => navigator.locks.request(tabLock('crashed'), () => (held(), crash.promise)))
  const welcomed = new Promise((resolve) => (notices.onmessage = ({ data }) => data.type === 'welcome' && resolve()))
  notices.postMessage({ type: 'hello', tab: 'crashed', channel: channel.name })
  await welcomed
  channel.postMessage([{ type: 'call', id: 1, method: 'wait', parameters: 'crashed', input: false }])
  await sleep(50)
  assert.ok(!ended.includes('crashed'))
  crash.resolve()
  while (!ended.includes('crashed')) await sleep(5)
})

test('where there are no Web Locks: one holder at a time, in turn', { timeout: 30_000 }, async () => {
  const name = 'turns'
  let holders = 0
  let most = 0
  let turns = 0
  const hold = async () => {
    most = Math.max(most, (holders += 1))
    turns += 1
    await sleep(50)
    holders -= 1
  }
  const never = new AbortController().signal
  await Promise.all(Array.from({ length: 4 }, () => new MessageLocks().request(name, { signal: never }, hold)))
  assert.deepEqual([most, turns], [1, 4])
})

test('where there are no Web Locks: taken, given up, and two who both believe to hold', { timeout: 30_000 }, async () => {
  const name = 'conflict'
  const release = Promise.withResolvers()
  const held = Promise.withResolvers()
  const holding = new MessageLocks().request(name, { ifAvailable: true }, async (lock) => (held.resolve(lock), release.promise))
  assert.ok(await held.promise)
  const second = []
  await new MessageLocks().request(name, { ifAvailable: true }, async (lock) => void second.push(lock))
  assert.deepEqual(second, [null])
  await assert.rejects(new MessageLocks().request(name, { signal: AbortSignal.timeout(400) }, async () => assert.fail('granted')), { name: 'TimeoutError' })

  // A holder that slept through its succession wakes up: the greater name gives way.
  const sleeper = new BroadcastChannel(`shoal:lock:${name}`)
  closers.push(() => sleeper.close())
  sleeper.postMessage({ type: 'held', id: '' })
  await assert.rejects(holding, { name: 'AbortError' })
  release.resolve()
})

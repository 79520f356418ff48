// What is urgent does not wait behind what is large, and a reader that stops costs the sender little memory: between two pages, over a line of 50 Mbit/s.
//
// Runs in a network of its own (namespace.mjs).
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import { beginFetch, fetched, peerId, progressOf, publishRandom, reachable, until, ways } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { ownNetwork, shape } from '../namespace.mjs'
import { createPackageRelay, openNode } from '../nodes.mjs'
import { createPages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'
import { median, publishSmall, roundTrips } from '../urgent.mjs'

await ownNetwork(import.meta.url)

/** Bytes in a second. */
const LINE = 6_250_000
/** Milliseconds by which a transfer may make an urgent round trip longer: as much as 40 stand in the line (`PIPE_TURNS_WINDOW`), and browsers are busy. */
const LONGER = 90
const MEBIBYTE = 1_048_576
/** What a session holds for a reader that stopped: what one stream has waiting (`SESSION_STREAM_BUFFER`), and what is under way (`PIPE_UNACKNOWLEDGED`). */
const HELD = 3 * MEBIBYTE
/** What a reader is sent that takes nothing any more: the credit of a stream (`SESSION_STREAM_WINDOW`), and a block that it had taken. */
const CREDIT = 5 * MEBIBYTE
/** What browsers hold of one data channel, between them, for a page that stopped: their own windows, and what our transport lets wait. */
const CHANNEL = 8 * MEBIBYTE
const SIZE = 60 * MEBIBYTE

let relay
before(async () => {
  relay = await createPackageRelay()
  await shape(LINE, [])
})
after(() => relay?.stop())

/** Two nodes, each in a browser of its own, connected directly. */
async function meet(t, store) {
  const browsers = await Promise.all([launch('chromium'), launch('chromium')])
  t.after(() => Promise.all(browsers.map((browser) => browser.close())))
  const [sending, receiving] = await Promise.all(browsers.map((browser) => openNode(t, browser, relay.url, { store })))
  await Promise.all([reachable(sending), reachable(receiving)])
  const [sender, receiver] = await Promise.all([peerId(sending), peerId(receiving)])
  await receiving.evaluate((peer) => window.shoal.connect(peer), sender)
  await until(async () => (await session(receiving, sender))?.path === 'direct', 20_000, () => ways(receiving))
  return { browsers, sending, receiving, sender, receiver }
}

const session = (page, peer) => page.evaluate(async (peer) => (await window.shoal.diagnose(peer)).session, peer)

/** Samples what a page's session holds, until it is told to stop. @returns the most of each */
function watch(page, peer) {
  const most = { bytesHeld: 0, bytesUnread: 0 }
  let stopped = false
  const watching = (async () => {
    while (!stopped) {
      const now = await session(page, peer)
      for (const name of Object.keys(most)) most[name] = Math.max(most[name], now?.[name] ?? 0)
      await sleep(50)
    }
    return most
  })()
  return () => ((stopped = true), watching)
}

/** Begins a transfer and waits until it runs. */
async function underWay(sending, receiving) {
  const content = await publishRandom(sending, SIZE)
  await beginFetch(receiving, content)
  await until(async () => (await progressOf(receiving)).bytes > 4 * MEBIBYTE, 30_000, () => ways(receiving))
  return content
}

test('an urgent round trip beside a transfer takes little longer than one alone', async (t) => {
  const { sending, receiving, sender } = await meet(t, { kind: 'memory' })
  const cids = await publishSmall(sending, 1_200)
  await roundTrips(receiving, cids.splice(0, 50), sender, 1)
  const idle = median(await roundTrips(receiving, cids.splice(0, 150), sender, 5))
  const content = await underWay(sending, receiving)
  // What is under way at first is little.
  const loaded = await roundTrips(receiving, cids, sender, 20, fetched(receiving))
  assert.equal((await fetched(receiving)).sha256, content.sha256)
  t.diagnostic(`${idle.toFixed(1)} ms alone, ${median(loaded).toFixed(1)} ms beside a transfer (the middle of ${loaded.length})`)
  assert.ok(loaded.length >= 20, `${loaded.length} round trips`)
  assert.ok(median(loaded) <= idle + LONGER, `${idle} ms alone, ${median(loaded)} ms beside a transfer`)
})

test('a store that stops is sent no more than its credit, and the sender holds little', async (t) => {
  const { sending, receiving, sender, receiver } = await meet(t, { kind: 'indexeddb' })
  const content = await underWay(sending, receiving)
  await receiving.evaluate(blockStore)
  const before = await session(sending, receiver)
  const [sent, unread] = [watch(sending, receiver), watch(receiving, sender)]
  // What was on its way arrives; then nothing more comes.
  await sleep(2_000)
  const stopped = await session(sending, receiver)
  await sleep(1_000)
  const later = await session(sending, receiver)
  const [{ bytesHeld }, { bytesUnread }] = await Promise.all([sent(), unread()])
  const more = later.bytesSent - before.bytesSent
  t.diagnostic(`${more} bytes more were sent, the sender held at most ${bytesHeld}, ${bytesUnread} were unread`)
  assert.ok((await progressOf(receiving)).bytes < SIZE * 0.8, 'the transfer was over before the store stopped')
  assert.ok(later.bytesSent - stopped.bytesSent < 10_000, `${later.bytesSent - stopped.bytesSent} bytes were sent in the last second`)
  assert.ok(more <= CREDIT, `${more} bytes were sent to a reader that had stopped`)
  assert.ok(bytesHeld > 0 && bytesHeld <= HELD, `the sender held ${bytesHeld} bytes`)
  await receiving.evaluate(() => window.releaseStore())
  assert.equal((await fetched(receiving)).sha256, content.sha256)
})

test('a browser that stops is sent no more than is acknowledged without it, and the sender holds little', async (t) => {
  const { browsers, sending, receiving, receiver } = await meet(t, { kind: 'memory' })
  const content = await underWay(sending, receiving)
  const held = watch(sending, receiver)
  await browsers[1].suspend()
  const before = await session(sending, receiver)
  await sleep(3_000)
  const after = await session(sending, receiver)
  await browsers[1].resume()
  const { bytesHeld } = await held()
  const more = after.bytesSent - before.bytesSent
  t.diagnostic(`${more} bytes more were sent, the sender held at most ${bytesHeld}`)
  assert.ok(more <= HELD, `${more} bytes were sent to a browser that had stopped`)
  assert.ok(bytesHeld > 0 && bytesHeld <= HELD, `the sender held ${bytesHeld} bytes`)
  assert.equal((await fetched(receiving)).sha256, content.sha256)
})

test('a stranger that stops is sent no more than browsers hold', async (t) => {
  const pages = await createPages({ entry: 'interop/js-peer.ts' })
  const theirs = await createRelay({ webRoot: pages.path })
  t.after(() => Promise.all([theirs.stop(), pages.remove()]))
  const browsers = await Promise.all([launch('chromium'), launch('chromium')])
  t.after(() => Promise.all(browsers.map((browser) => browser.close())))
  const node = await openNode(t, browsers[0], relay.url, {})
  const stranger = await browsers[1].newPage()
  await stranger.goto(theirs.url)
  await stranger.waitForFunction(() => window.startPeer !== undefined, { timeout: 30_000 })
  await reachable(node)
  const us = await peerId(node)
  const { addresses } = await (await fetch(`${relay.url}/bootstrap`)).json()
  const them = await stranger.evaluate(async (relay, us) => {
    window.peer = await window.startPeer(relay)
    await window.peer.dial(`${relay}/p2p-circuit/webrtc/p2p/${us}`)
    return window.peer.peerId
  }, addresses[0], us)
  const sent = () => node.evaluate(async (them) => (await window.shoal.connections()).filter(({ peer, path }) => peer === them && path === 'direct').reduce((sum, { bytesSent }) => sum + bytesSent, 0), them)
  // How it ends is the stranger's affair: js-libp2p closes a connection whose pings were late.
  stranger.evaluate((us, size) => window.peer.transfer(us, 0, size), us, SIZE).catch(() => {})
  await until(async () => (await sent()) > 4 * MEBIBYTE, 30_000, () => ways(node))
  await browsers[1].suspend()
  const before = await sent()
  await sleep(2_000)
  const stopped = await sent()
  await sleep(1_000)
  const later = await sent()
  await browsers[1].resume()
  t.diagnostic(`${later - before} bytes more were sent`)
  assert.ok(before < SIZE * 0.8, 'the transfer was over before the stranger stopped')
  assert.equal(later, stopped)
  assert.ok(later - before <= CHANNEL, `${later - before} bytes were sent to a stranger that had stopped`)
})

/** Runs in the page: holds a transaction open that every write to the node's store has to wait for. */
async function blockStore() {
  for (const { name } of await indexedDB.databases()) {
    const database = await new Promise((resolve, reject) => {
      const request = indexedDB.open(name)
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
    if (!database.objectStoreNames.contains('blocks')) {
      database.close()
      continue
    }
    const store = database.transaction([...database.objectStoreNames], 'readwrite').objectStore('blocks')
    let released = false
    window.releaseStore = () => (released = true)
    await new Promise((resolve) => {
      const hold = () => {
        resolve()
        if (released) database.close()
        else store.count('nothing has this name').onsuccess = hold
      }
      store.count('nothing has this name').onsuccess = hold
    })
    return
  }
  throw new Error('the node has no database')
}

// Connections stand as long as they are of use: idle ones are closed, dead ones noticed, and where there is no room for all the least useful goes.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import { until } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { createPackageRelay, openPackage } from '../nodes.mjs'

/** Milliseconds; a machine that is busy building takes them. */
const WITHIN = 30_000
/** Milliseconds in which a peer that vanished without a word must have been noticed: see `PING_INTERVAL` of crates/node. */
const NOTICED = 35_000
/** For a machine that is busy. */
const ROOM = 10_000

let relay
before(async () => (relay = await createPackageRelay()))
after(() => relay?.stop())

/** A page with nodes of its own, by name. */
async function open(browser) {
  const page = await openPackage(browser, relay.url)
  const call = (name, method, ...args) => page.evaluate((name, method, args) => window.nodes[name][method](...args), name, method, args)
  return {
    page,
    call,
    /** Starts a node and waits until it is reachable; resolves to its PeerId. */
    async start(name, config = {}) {
      const peer = await page.evaluate(
        async (name, config) => {
          const node = await window.shoalPackage.createNode({ store: { kind: 'memory' }, ...config })
          ;(window.nodes ??= {})[name] = node
          const happened = ((window.happened ??= {})[name] = [])
          ;(async () => {
            for await (const event of node.events()) if (event.type === 'connectionOpened' || event.type === 'connectionClosed') happened.push(event)
          })()
          return node.peerId
        },
        name,
        config,
      )
      await until(async () => (await call(name, 'status')).reachable, WITHIN, async () => `not reachable: ${JSON.stringify(await call(name, 'status'))}`)
      return peer
    },
    /** Its connections to a peer. */
    to: async (name, peer) => (await call(name, 'connections')).filter((connection) => connection.peer === peer),
    /** Which of its connections to a peer closed, by which path and why. */
    closed: (name, peer) => page.evaluate((name, peer) => window.happened[name].filter((event) => event.type === 'connectionClosed' && event.peer === peer), name, peer),
    publish: (name, size) => page.evaluate((name, size) => window.nodes[name].publishContent(new Blob([crypto.getRandomValues(new Uint8Array(size))])), name, size),
    /** Fetches content of that many bytes. */
    async fetch(name, cid, from, size) {
      assert.equal(await page.evaluate(async (name, cid, from) => (await window.nodes[name].fetchContent(cid, { from: [from] })).length, name, cid, from), size)
    },
  }
}

/** A direct connection to a peer stands: before the next use, which would make another. Two tabs of a busy machine may have several. */
async function stands(page, name, peer) {
  const all = await page.to(name, peer)
  assert.ok(all.some(({ path }) => path === 'direct'), `closed, though it is used: ${JSON.stringify([all, await page.closed(name, peer)])}`)
}

/** Dials a peer until there is a direct connection: a name by which a browser hides its address may be looked up in vain. */
async function direct(page, name, peer) {
  const made = async () => {
    await page.call(name, 'connect', peer)
    return (await page.to(name, peer)).some(({ path }) => path === 'direct')
  }
  await until(made, WITHIN, async () => `not direct: ${JSON.stringify([await page.to(name, peer), await page.closed(name, peer)])}\n${JSON.stringify(await page.call(name, 'diagnose', peer))}`)
}

for (const kind of KINDS) {
  test(`${kind}: a connection that nothing uses is closed after idleTimeout; one that is used stays, and so does the relay's`, async (t) => {
    const browser = await launch(kind)
    t.after(() => browser.close())
    const [page, others] = [await open(browser), await open(browser)]
    const [unused, used] = [await others.start('unused'), await others.start('used')]
    const idleTimeout = 5_000
    await page.start('node', { idleTimeout })
    const began = Date.now()
    await direct(page, 'node', unused)
    await direct(page, 'node', used)
    // More than twice the idle time, with pauses that a busy machine may make twice as long.
    while (Date.now() - began < 2.5 * idleTimeout) {
      const cid = await others.publish('used', 1_000)
      await stands(page, 'node', used)
      await page.fetch('node', cid, used, 1_000)
      await sleep(500)
    }
    await stands(page, 'node', used)
    await until(async () => (await page.to('node', unused)).length === 0, WITHIN, async () => JSON.stringify(await page.to('node', unused)))
    const reasons = (await page.closed('node', unused)).map(({ path, reason }) => `${path}: ${reason}`)
    assert.ok(reasons.includes('direct: it was not used'), reasons.join())
    // Nothing at all is used any more; of several connections one goes after the other.
    await until(async () => (await page.to('node', used)).length === 0, WITHIN, async () => JSON.stringify(await page.to('node', used)))
    const { peerId } = await (await fetch(`${relay.url}/bootstrap`)).json()
    assert.deepEqual(await page.closed('node', peerId), [], 'the relay was closed')
    // The next use makes another.
    await page.fetch('node', await others.publish('unused', 1_000), unused, 1_000)
  })

  test(`${kind}: maxConnections: the longest unused make room for new ones, never one that is used, nor the relay's`, async (t) => {
    const browser = await launch(kind)
    t.after(() => browser.close())
    const [page, others] = [await open(browser), await open(browser)]
    const maxConnections = 4
    await page.start('node', { maxConnections })
    const used = await others.start('used')
    await direct(page, 'node', used)
    const dialled = []
    for (const name of ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight']) {
      const peer = await others.start(name)
      const cid = await others.publish('used', 64_000)
      await stands(page, 'node', used)
      await page.fetch('node', cid, used, 64_000)
      await direct(page, 'node', peer)
      dialled.push(peer)
      const stand = async () => (await page.call('node', 'connections')).length
      await until(async () => (await stand()) <= maxConnections, WITHIN, async () => `${await stand()} connections stand`)
      assert.ok((await page.call('node', 'status')).reachable, 'the relay had to go')
    }
    const reasons = []
    for (const peer of dialled) reasons.push(...(await page.closed('node', peer)).filter(({ path }) => path === 'direct').map(({ reason }) => reason))
    t.diagnostic(`${reasons.length} of ${dialled.length} made room: ${[...new Set(reasons)].join()}`)
    assert.ok(reasons.length >= dialled.length - maxConnections && reasons.every((reason) => reason === 'another connection needed its place'), reasons.join())
    await stands(page, 'node', used)
    assert.notEqual((await page.to('node', dialled.at(-1))).length, 0)
    const { peerId } = await (await fetch(`${relay.url}/bootstrap`)).json()
    assert.deepEqual(await page.closed('node', peerId), [], 'the relay was closed')
  })
}

test('a peer whose whole browser stopped is noticed in time, and the others stay', async (t) => {
  const browsers = await Promise.all(KINDS.map((kind) => launch(kind)))
  t.after(() => Promise.all(browsers.map((browser) => browser.close())))
  const stopping = await launch('chromium')
  // What is stopped cannot be closed.
  t.after(async () => {
    await stopping.resume()
    await stopping.close()
  })
  const [dying, living] = [await open(stopping), await open(browsers[0])]
  const [dead, alive] = [await dying.start('node'), await living.start('node')]
  const watching = []
  for (const browser of browsers) {
    const page = await open(browser)
    await page.start('watching')
    for (const peer of [alive, dead]) await direct(page, 'watching', peer)
    watching.push(page)
  }
  await stopping.suspend()
  const began = Date.now()
  await Promise.all(
    watching.map(async (page, index) => {
      const left = () => page.to('watching', dead)
      await until(async () => (await left()).length === 0, NOTICED + ROOM, async () => JSON.stringify(await left()))
      // The browser's own ICE may notice sooner than our question goes unanswered.
      const reasons = (await page.closed('watching', dead)).map(({ reason }) => reason)
      t.diagnostic(`${KINDS[index]}: noticed after ${Date.now() - began} ms: ${reasons.join()}`)
      assert.notEqual((await page.to('watching', alive)).length, 0)
    }),
  )
})

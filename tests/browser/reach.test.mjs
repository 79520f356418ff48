// A page stays reachable: two relays hold a reservation for it, and what breaks is repaired. Shown on real relays and browsers: a page is
// believed to be reachable when a stranger has connected to it.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import { until } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { createClock } from '../clock.mjs'
import { createPackageRelay, held, holds, openNode, reachedThrough, relaysOf, status } from '../nodes.mjs'
import { createRelay } from '../relay.mjs'

/** Milliseconds in which a page that woke up must be reachable again. */
const BACK_WITHIN = 10_000
/** Seconds. */
const HOUR = 3_600

/** Serves the pages, and is never broken. */
let site
let relays
let browser
before(async () => {
  site = await createPackageRelay()
  relays = await Promise.all([createRelay(), createRelay(), createRelay()])
  browser = await launch('chromium')
})
after(async () => {
  await browser?.close()
  await Promise.all([site, ...(relays ?? [])].map((relay) => relay?.stop()))
})

const startPage = (t, config, options) => openNode(t, browser, site.url, config, options)

test('a page given only a server’s URL joins', async (t) => {
  const page = await startPage(t, { bootstrap: [relays[1].url] })
  assert.deepEqual(await holds(page, 1), [relays[1].port])
  await reachedThrough(t, relays[1], page, browser, site.url)
})

test('two of three relays hold; one is killed: the page stays reachable, and the third takes its place', async (t) => {
  const page = await startPage(t, { bootstrap: relays.map(({ url }) => url) })
  const before = await holds(page, 2)
  assert.equal(before.length, 2)
  const gone = relays.find(({ port }) => port === before[0])
  const left = relays.find(({ port }) => port === before[1])
  await gone.kill()
  t.after(() => gone.restart())
  const began = Date.now()
  await until(async () => !(await held(page)).includes(gone.port), 5_000, 'the page has not noticed')
  assert.ok((await status(page)).reachable, 'the other one still holds')
  await reachedThrough(t, left, page, browser, site.url)
  const now = await holds(page, 2)
  assert.ok(!now.includes(gone.port), `held by ${now}`)
  t.diagnostic(`two again ${Date.now() - began} ms after the kill`)
})

test('the only other relay is killed and comes back: two hold again', async (t) => {
  const [one, other] = relays
  const page = await startPage(t, { bootstrap: [one.url, other.url] })
  await holds(page, 2)
  await other.kill()
  await until(async () => (await held(page)).length === 1, 5_000, 'the page has not noticed')
  await sleep(2_000)
  assert.ok((await status(page)).reachable)
  await other.restart()
  const began = Date.now()
  await holds(page, 2, 20_000)
  t.diagnostic(`repaired ${Date.now() - began} ms after the relay was back`)
})

test('a network that came back, and a relay that is silent behind it: noticed by asking, not by waiting for a timer', async (t) => {
  const relay = relays[2]
  const page = await startPage(t, { bootstrap: [relay.url] })
  await holds(page, 1)
  // A stopped process answers nothing, and its kernel keeps the connection: what a path that was cut looks like.
  relay.pause()
  t.after(() => relay.resume())
  const session = await page.createCDPSession()
  const network = (offline) => session.send('Network.emulateNetworkConditions', { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 })
  await network(true)
  await network(false)
  const began = Date.now()
  // libp2p's own ping would take 15 to 35 s.
  await until(async () => !(await status(page)).reachable, 5_000, async () => `the page believes in a dead relay: ${await relaysOf(page)}`)
  t.diagnostic(`noticed after ${Date.now() - began} ms`)
  relay.resume()
  await holds(page, 1, BACK_WITHIN)
  await reachedThrough(t, relay, page, browser, site.url)
})

for (const kind of KINDS) {
  test(`${kind}: the device's clock is set, an hour and ten days fast, and an hour slow: relays hold all the same, also after a restart`, async (t) => {
    const relay = relays[1]
    const clock = await createClock()
    const there = await launch(kind, { env: clock.env })
    t.after(async () => {
      await there.close()
      await clock.remove()
    })
    const page = await openNode(t, there, site.url, { bootstrap: [relay.url] })
    await holds(page, 1)
    for (const shift of [HOUR, 240 * HOUR, -HOUR]) {
      await clock.set(shift)
      // Longer than the node takes to notice.
      await sleep(500)
      await relay.restart()
      await until(async () => (await relay.health()).reservations >= 1 && (await status(page)).reachable, BACK_WITHIN, async () => `no reservation: ${await relaysOf(page)}`)
      const { openedAt } = (await page.evaluate(() => window.shoal.connections())).find(({ transport }) => transport === 'websocket')
      assert.ok(Math.abs(openedAt - Date.now() - shift * 1_000) < 60_000, `the node's clock is off by ${openedAt - Date.now()} ms instead of ${shift} s`)
      await reachedThrough(t, relay, page, browser, site.url)
    }
  })
}

test('names of relays by DNS over HTTPS, names that lead to names included', async (t) => {
  const { peerId } = await (await fetch(`${relays[2].url}/bootstrap`)).json()
  const records = {
    '_dnsaddr.relays.example': ['dnsaddr=/dnsaddr/a.relays.example', 'unrelated'],
    '_dnsaddr.a.relays.example': [`dnsaddr=/ip4/127.0.0.1/tcp/4001/p2p/${peerId}`, `dnsaddr=/ip4/127.0.0.1/tcp/${relays[2].port}/ws/p2p/${peerId}`],
  }
  const asked = []
  const resolver = createServer((request, response) => {
    const name = new URL(request.url, 'http://resolver').searchParams.get('name')
    asked.push(name)
    const Answer = (records[name] ?? []).map((text) => ({ name, type: 16, TTL: 60, data: JSON.stringify(text) }))
    response.writeHead(200, { 'content-type': 'application/dns-json', 'access-control-allow-origin': '*' }).end(JSON.stringify({ Status: 0, Answer }))
  })
  await new Promise((resolve) => resolver.listen(0, '127.0.0.1', resolve))
  t.after(() => resolver.close())
  const page = await startPage(t, { bootstrap: ['/dnsaddr/relays.example'], dnsResolver: `http://127.0.0.1:${resolver.address().port}/dns-query` })
  assert.deepEqual(await holds(page, 1), [relays[2].port])
  assert.deepEqual(asked, ['_dnsaddr.relays.example', '_dnsaddr.a.relays.example'])
})

test('the server of the settings is gone: a relay that worked in an earlier visit is found again', async (t) => {
  const [server, relay] = [await createRelay(), relays[1]]
  t.after(() => server.stop())
  const name = 'earlier'
  const visit = async (bootstrap) => {
    const page = await startPage(t, { bootstrap, store: { kind: 'indexeddb', name } })
    await holds(page, 1)
    return page
  }
  const first = await visit([relay.url])
  await first.evaluate(() => window.shoal.stop())
  await first.close()
  await server.kill()
  const again = await visit([server.url])
  assert.deepEqual(await held(again), [relay.port])
  assert.match(await relaysOf(again), /nothing answers at/, 'what is wrong with the server is said')
})

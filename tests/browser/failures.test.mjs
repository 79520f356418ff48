// What goes wrong is said in plain words, and goes on by itself where it can.
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { byTestId, nodeReady, openApp, publishRandom, reachable, textOf, until } from '../app.mjs'
import { createProfile, launch } from '../browsers.mjs'
import { createRelay } from '../relay.mjs'

const CID = 'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'
const SENTENCE_WITHIN = 20_000

let relay
let browser
before(async () => {
  relay = await createRelay()
  browser = await launch('chromium')
})
after(async () => {
  await browser?.close()
  await relay?.stop()
})

test('the relay is down: the page says so, and connects when it is back', async (t) => {
  const page = await openApp(browser, relay.url)
  t.after(() => page.close())
  await reachable(page)
  const connected = await textOf(page, 'node-status')
  await relay.kill()
  await until(async () => !(await status(page)).reachable, 30_000, async () => `the page believes to be reachable: ${JSON.stringify(await status(page))}`)
  const { relays } = await status(page)
  assert.ok(relays.some(({ problem }) => problem), `a sentence says what is wrong: ${JSON.stringify(relays)}`)
  await until(async () => (await textOf(page, 'node-status')) !== connected, SENTENCE_WITHIN, 'the page still says that all is well')
  assert.match(await textOf(page, 'node-status'), /relay|offline|reach|connect/i)
  await relay.restart()
  await reachable(page, 60_000)
  await until(async () => (await textOf(page, 'node-status')) === connected, SENTENCE_WITHIN, async () => `the page still says: ${await textOf(page, 'node-status')}`)
})

for (const [what, bootstrap, said] of [
  ['names no relay', { addresses: [] }, /names no relay that a page can dial; let its operator set `external`/],
  ['names a relay that does not run', { addresses: ['/ip4/127.0.0.1/tcp/1/ws/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'] }, /tcp\/1\/ws.*: it cannot be reached; check that it runs/],
  ['says something else', ['hello'], /cannot be understood; correct the address/],
]) {
  test(`a server that ${what}: the page says so, with what to do`, async (t) => {
    const server = createServer(async ({ url }, response) => {
      if (url === '/bootstrap') return response.setHeader('content-type', 'application/json').end(JSON.stringify(bootstrap))
      const answer = await fetch(relay.url + url)
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' }).end(Buffer.from(await answer.arrayBuffer()))
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const page = await openApp(browser, `http://localhost:${server.address().port}`)
    t.after(() => page.close())
    await says(page, said)
  })
}

test('a relay without room for another page: said, with what to do', async (t) => {
  const small = await createRelay({ args: ['--max-reservations', '1', '--max-reservations-per-peer', '1'] })
  t.after(() => small.stop())
  const first = await openApp(browser, small.url)
  t.after(() => first.close())
  await reachable(first)
  // Another profile: tabs of one share a node.
  const other = await launch('chromium')
  t.after(() => other.close())
  const page = await openApp(other, small.url)
  await says(page, /has no room for another page; use a second relay, or let its operator raise `max_reservations`/)
  await first.evaluate(() => window.shoal.stop())
  await reachable(page, 60_000)
})

for (const [what, fragment, said] of [
  ['a CID that is none', '#hello?name=a.txt', /cid/i],
  ['a CID cut short', `#${CID.slice(0, -4)}?name=a.txt`, /cid/i],
  ['a sender that is none', `#${CID}?from=somebody`, /from/i],
  ['an address that is none', `#${CID}?via=http%3A%2F%2Fexample.org`, /via/i],
  ['a field that nobody knows', `#${CID}?colour=red`, /colour/i],
]) {
  test(`a link with ${what}: the page names it`, async (t) => {
    const page = await openApp(browser, `${relay.url}/${fragment}`)
    t.after(() => page.close())
    await page.waitForSelector(byTestId('receive-error'), { visible: true, timeout: SENTENCE_WITHIN })
    assert.match(await textOf(page, 'receive-error'), said)
  })
}

test('arguments that are wrong: errors that name the field and the remedy', async (t) => {
  const page = await openApp(browser, relay.url)
  t.after(() => page.close())
  const failure = (call) => page.evaluate(`(${call})().then(() => undefined, ({ name, message }) => ({ name, message }))`)
  for (const [call, name, said] of [
    [`() => window.shoal.fetchContent('hello')`, 'InvalidCid', /CID/],
    [`() => window.shoal.fetchContent('Qm')`, 'InvalidCid', /CID/],
    [`() => window.shoal.fetchContent('${CID}', { offset: -1 })`, 'InvalidRange', /offset/],
    [`() => window.shoal.fetchContent('${CID}', { from: ['nobody'] })`, 'InvalidPeer', /PeerId|12D3Koo/],
    [`() => window.shoal.connect('nobody')`, 'InvalidPeer', /PeerId|12D3Koo/],
    [`() => window.shoal.publishContent('x', { profile: 'huge' })`, 'InvalidConfig', /profile/],
  ]) {
    const error = await failure(call)
    assert.equal(error?.name, name, `${call}: ${JSON.stringify(error)}`)
    assert.match(error.message, said, call)
  }
})

test('no WebRTC in this browser: one plain sentence', async (t) => {
  const page = await openApp(browser, relay.url, { prepare: remove('RTCPeerConnection') })
  t.after(() => page.close())
  const { limitations } = await status(page)
  assert.ok(limitations.some((sentence) => /WebRTC/.test(sentence)), limitations.join('\n'))
  await says(page, /WebRTC/)
})

test('workers are blocked: said, and the node runs all the same', async (t) => {
  const page = await openApp(browser, relay.url, {
    prepare: (page) =>
      page.evaluateOnNewDocument(() => {
        window.Worker = class {
          constructor() {
            throw new DOMException('blocked', 'SecurityError')
          }
        }
      }),
  })
  t.after(() => page.close())
  await says(page, /worker/i)
  const cid = await page.evaluate(() => window.shoal.publishContent('still here'))
  assert.equal(await page.evaluate(async (cid) => new TextDecoder().decode(await window.shoal.fetchContent(cid)), cid), 'still here')
})

test('storage is refused: said, and the node runs in memory', async (t) => {
  const profile = await createProfile()
  await mkdir(join(profile.path, 'Default'), { recursive: true })
  // "Block all cookies", which in Chromium means all storage.
  await writeFile(join(profile.path, 'Default', 'Preferences'), JSON.stringify({ profile: { default_content_setting_values: { cookies: 2 } } }))
  const refusing = await launch('chromium', { profile })
  t.after(async () => {
    await refusing.close()
    await profile.remove()
  })
  const page = await openApp(refusing, relay.url)
  const { storage, limitations } = await status(page)
  assert.equal(storage.kind, 'memory')
  assert.ok(limitations.some((sentence) => /stor/i.test(sentence)), limitations.join('\n'))
  await says(page, /stor/i)
})

test('the disk is full: the write fails and says how much is free, what was acknowledged stays', async (t) => {
  const origin = relay.url
  let session
  // A browser of its own, since a quota outlives the page; and before the first write, since Chromium asks for it only then.
  const full = await launch('chromium')
  t.after(() => full.close())
  const page = await openApp(full, relay.url, {
    prepare: async (page) => {
      session = await page.createCDPSession()
      await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 12_000_000 })
    },
  })
  const { cid, sha256 } = await publishRandom(page, 2_000_000)
  const error = await page.evaluate(async () => {
    const bytes = new Uint8Array(40_000_000)
    for (let start = 0; start < bytes.length; start += 65_536) crypto.getRandomValues(bytes.subarray(start, start + 65_536))
    return window.shoal.publishContent(bytes).then(() => undefined, ({ name, message }) => ({ name, message }))
  })
  assert.equal(error?.name, 'StorageFull', JSON.stringify(error))
  assert.match(error.message, /\d.*(bytes|[kKM]i?B)/, 'it says how much is free')

  // Closed and opened again: only what is really on the disk is left.
  await page.reload()
  await nodeReady(page)
  const stays = await page.evaluate(async (cid) => {
    const digest = await crypto.subtle.digest('SHA-256', await window.shoal.fetchContent(cid))
    return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
  }, cid)
  assert.equal(stays, sha256)
  await session.send('Storage.overrideQuotaForOrigin', { origin })
  await page.evaluate(() => window.shoal.publishContent('room again'))
})

const status = (page) => page.evaluate(() => window.shoal.status())

/** Takes a global away before the page's own scripts run. */
const remove = (name) => (page) => page.evaluateOnNewDocument((name) => Reflect.deleteProperty(window, name), name)

/** Waits until the page shows this to a person. */
function says(page, sentence) {
  return until(async () => sentence.test(await page.evaluate(() => document.body.innerText)), SENTENCE_WITHIN, async () => `the page does not say it: ${await page.evaluate(() => document.body.innerText)}`)
}

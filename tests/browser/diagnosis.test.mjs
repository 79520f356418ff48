// Why a link is direct or not, as the page itself says it: in the console, in the panel, and in these tests' own failures.
// Screenshots of the panel at 360 and 1,280 pixels go to tests/results, to be looked at.
import assert from 'node:assert/strict'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { root } from '../../crates/web/build/paths.mjs'
import { beginFetch, byTestId, fetched, openApp, peerId, publishRandom, reachable, until, ways } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { createPages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'

const RESULTS = join(root, 'tests', 'results')
/** The browser may not send UDP except through a proxy, of which there is none: no path but the relay. */
const NO_UDP = ['--webrtc-ip-handling-policy=disable_non_proxied_udp']

let relay
before(async () => {
  await mkdir(RESULTS, { recursive: true })
  relay = await createRelay()
})
after(() => relay?.stop())

const diagnose = (page, peer) => page.evaluate((peer) => window.shoal.diagnose(peer), peer)

for (const kind of ['chromium', 'firefox']) {
  test(`${kind}: a direct link, every step with its time`, async (t) => {
    const [here, there] = await Promise.all([launch('chromium'), launch(kind)])
    t.after(() => Promise.all([here.close(), there.close()]))
    const [sending, receiving] = await Promise.all([openApp(here, relay.url), openApp(there, relay.url)])
    await reachable(sending)
    const content = await publishRandom(sending, 2_000_000)
    await beginFetch(receiving, content)
    await fetched(receiving)
    // Of several attempts the first one was this one; those that make further connections go the other way, and may still be under way.
    const settled = async (page, peer) => (await diagnose(page, peer)).attempts.every(({ ended, steps }) => ended !== undefined || steps.ready !== undefined)
    for (const [page, peer, role] of [[receiving, content.peer, 'dialler'], [sending, await peerId(receiving), 'listener']]) {
      await until(() => settled(page, peer), 20_000, () => ways(page, [peer]))
      const { path, summary, reasons, steps, attempts, history } = await diagnose(page, peer)
      assert.equal(path, 'direct')
      assert.match(summary, /^Connected directly, by WebRTC/)
      assert.deepEqual(reasons, [])
      assert.deepEqual(steps.map(({ name, result }) => `${name} ${result}`), ['relay', 'reservation', 'circuit', 'signalling', 'candidates', 'ice', 'direct'].map((name) => `${name} done`), await ways(page, [peer]))
      const opened = history.filter(({ what }) => what === 'opened')
      assert.deepEqual(opened.slice(0, 2).map(({ path, transport }) => [path, transport]), [['relayed', 'circuit'], ['direct', 'webrtc']])
      assert.ok(opened[0].at <= opened[1].at && Math.abs(Date.now() - opened[1].at) < 60_000, JSON.stringify(history))
      const [attempt] = attempts
      assert.equal(attempt.role, role)
      // Chromium calls a pair in use "in-progress" while it checks that the peer still consents.
      assert.ok(Object.keys(attempt.pairs).length > 0 && attempt.selected?.localCandidate, JSON.stringify(attempt))
      for (const name of ['signalling', 'direct']) assert.ok(steps.find((step) => step.name === name).duration >= 0, `${name} has a duration`)
      // Whoever reads a diagnosis aloud tells nobody's address.
      assert.doesNotMatch(JSON.stringify(attempts), /\d+\.\d+\.\d+\.\d+|\.local/)
    }
    t.diagnostic(`as the dialler saw it:\n${await ways(receiving, [content.peer])}`)
    await panel(receiving, content.peer, `way-direct-${kind}`, /Connected directly/)
  })
}

for (const kind of ['chromium', 'firefox']) {
  test(`${kind}: a connection that closes while it is asked for its statistics`, async (t) => {
    const source = await readFile(join(root, 'crates', 'webrtc', 'js', 'traces.js'), 'utf8')
    const pages = await createPages({ script: "import { statisticsOf } from './traces.js'\nwindow.statisticsOf = statisticsOf", files: { 'traces.js': source } })
    const server = await createRelay({ webRoot: pages.path })
    const browser = await launch(kind)
    t.after(() => Promise.all([browser.close(), server.stop(), pages.remove()]))
    const page = await openApp(browser, server.url, { ready: false })
    await page.waitForFunction(() => window.statisticsOf !== undefined)
    const sizes = await page.evaluate(async () => {
      const sizes = []
      for (const when of ['before', 'during', 'after']) {
        const [one, other] = [new RTCPeerConnection(), new RTCPeerConnection()]
        one.onicecandidate = ({ candidate }) => other.addIceCandidate(candidate)
        other.onicecandidate = ({ candidate }) => one.addIceCandidate(candidate)
        const channel = one.createDataChannel('')
        await one.setLocalDescription()
        await other.setRemoteDescription(one.localDescription)
        await other.setLocalDescription()
        await one.setRemoteDescription(other.localDescription)
        await new Promise((resolve) => (channel.onopen = resolve))
        if (when === 'after') one.close()
        const asked = window.statisticsOf(one)
        if (when === 'during') one.close()
        sizes.push((await asked).size)
        one.close()
        other.close()
      }
      return sizes
    })
    assert.ok(sizes[0] > 0, 'an open connection has statistics')
    t.diagnostic(`rows: ${sizes.join(', ')}`)
  })
}

test('no way for UDP: the content comes through the relay, and the page says why', async (t) => {
  const [here, there] = await Promise.all([launch('chromium'), launch('chromium', { args: NO_UDP })])
  t.after(() => Promise.all([here.close(), there.close()]))
  const [sending, receiving] = await Promise.all([openApp(here, relay.url), openApp(there, relay.url)])
  await reachable(sending)
  const content = await publishRandom(sending, 200_000)
  await beginFetch(receiving, content)
  assert.equal((await fetched(receiving)).sha256, content.sha256)
  // Each side gives up by its own clock.
  for (const [page, peer] of [[receiving, content.peer], [sending, await peerId(receiving)]]) {
    await until(async () => (await diagnose(page, peer)).attempts.at(-1)?.ended, 40_000, async () => `the attempt goes on: ${await ways(page, [peer])}`)
  }
  const { path, reasons, steps } = await diagnose(receiving, content.peer)
  assert.equal(path, 'relayed')
  assert.match(reasons.join('\n'), /This browser found no address of its own/, await ways(receiving, [content.peer]))
  assert.equal(steps.find(({ name }) => name === 'direct').result, 'failed')
  const other = await diagnose(sending, await peerId(receiving))
  assert.match(other.reasons.join('\n'), /The peer told no address/, JSON.stringify(other.attempts))
  t.diagnostic(`as the receiver saw it:\n${await ways(receiving, [content.peer])}`)
  await panel(receiving, content.peer, 'way-relayed', /through a relay/)
})

test('the sender is gone: said, also for a peer without any connection', async (t) => {
  const [here, there] = await Promise.all([launch('chromium'), launch('chromium')])
  t.after(() => Promise.all([here.close(), there.close()]))
  const sending = await openApp(here, relay.url)
  const { cid, peer } = await publishRandom(sending, 1_000)
  await reachable(sending)
  await sending.close()
  const receiving = await openApp(there, `${relay.url}/#${cid}?name=a.bin&from=${peer}`)
  await until(async () => /not at our relay: its tab is closed/.test((await diagnose(receiving, peer)).reasons.join()), 30_000, () => ways(receiving, [peer]))
  assert.match((await diagnose(receiving, peer)).steps.find(({ name }) => name === 'circuit').detail, /no reservation/i, await ways(receiving, [peer]))
  await panel(receiving, peer, 'way-gone', /not at our relay/)
})

/** Opens the connections and one peer's way as a person would, and takes its picture at both widths. */
async function panel(page, peer, name, said) {
  await page.bringToFront()
  await page.click(byTestId('connections-toggle'))
  const why = await page.waitForSelector(`li.connection:has([title="${peer}"]) ${byTestId('connection-why')}`, { visible: true, timeout: 10_000 })
  await why.click()
  const way = `li.connection:has([title="${peer}"]) ${byTestId('connection-way')}`
  await page.waitForFunction((selector, source) => new RegExp(source).test(document.querySelector(selector)?.textContent ?? ''), { timeout: 10_000 }, way, said.source)
  assert.equal(await why.evaluate((button) => button.getAttribute('aria-expanded')), 'true')
  const before = page.viewport()
  for (const viewport of [{ width: 360, height: 740, deviceScaleFactor: 2 }, { width: 1_280, height: 800 }]) {
    await page.setViewport(viewport)
    const overhang = await page.evaluate(() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth)
    assert.ok(overhang <= 0, `${name} at ${viewport.width} px hangs over by ${overhang} px`)
    await page.$eval(byTestId('connections-list'), (list) => (list.style.maxHeight = '80vh'))
    await page.screenshot({ path: join(RESULTS, `${name}-${viewport.width}.png`) })
    await page.$eval(byTestId('connections-list'), (list) => (list.style.maxHeight = ''))
  }
  await page.setViewport(before)
  // A list that is drawn again each second must not lose what is open.
  await page.waitForFunction((selector) => document.querySelector(selector)?.hidden === false, { timeout: 3_000 }, way)
}

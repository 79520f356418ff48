// Pages behind one public address find each other once both want it; a page elsewhere finds neither, and one that did not ask is not found.
// The addresses are those that a proxy in front of the relay tells, as in operation. Screenshots of the panel go to tests/results, to be looked at.
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { root } from '../../crates/web/build/paths.mjs'
import { byTestId, openApp, peerId, reachable, textOf, until, ways } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { createProxy } from '../proxy.mjs'
import { createRelay } from '../relay.mjs'

const RESULTS = join(root, 'tests', 'results')
const WITHIN = 20_000

let relay
let home
let elsewhere
before(async () => {
  await mkdir(RESULTS, { recursive: true })
  relay = await createRelay({ args: ['--trust-proxy', 'true'] })
  home = await createProxy(relay.port, '198.51.100.7')
  elsewhere = await createProxy(relay.port, '203.0.113.9')
})
after(async () => {
  await Promise.all([home?.close(), elsewhere?.close()])
  await relay?.stop()
})

const nearby = (page, ...wish) => page.evaluate((wish) => window.shoal.nearby(...wish), wish)

/** Waits until the page's node finds exactly these, by PeerId and name. */
async function finds(page, expected) {
  const text = (peers) => JSON.stringify(peers.map(({ peer, name }) => [peer, name ?? '']).sort())
  let last
  await until(async () => text((last = await nearby(page)).peers) === text(expected), WITHIN, () => `not ${text(expected)} but ${JSON.stringify(last)}`)
}

/** Waits until the panel says how it stands. */
const says = (page, sentence) => until(async () => sentence.test(await textOf(page, 'nearby-standing')), WITHIN, () => textOf(page, 'nearby-standing'))

/** Turns the panel's switch as a person would, with the keyboard. */
async function turn(page, name) {
  await page.bringToFront()
  if (name !== undefined) await page.$eval(byTestId('nearby-name'), (input, name) => (input.value = name), name)
  await page.focus(byTestId('nearby-switch'))
  await page.keyboard.press('Enter')
}

for (const kind of ['chromium', 'firefox']) {
  test(`chromium and ${kind}: two in one network find each other, a third outside does not`, async (t) => {
    const browsers = await Promise.all([launch('chromium'), launch(kind), launch('chromium')])
    t.after(() => Promise.all(browsers.map((browser) => browser.close())))
    const [desk, phone, stranger] = await Promise.all(browsers.map((browser, index) => openApp(browser, [home, home, elsewhere][index].url)))
    await Promise.all([desk, phone, stranger].map((page) => reachable(page)))
    const [deskId, phoneId] = await Promise.all([peerId(desk), peerId(phone)])

    assert.deepEqual(await nearby(desk), { on: false, listed: false, peers: [] }, 'off until asked')
    await turn(desk, 'Desk')
    await nearby(stranger, { name: 'Stranger' })
    await until(async () => (await nearby(desk)).listed && (await nearby(stranger)).listed, WITHIN, 'the relay does not list them')
    await says(desk, /Nobody else yet/)
    await screenshots(desk, `nearby-alone-${kind}`)

    await turn(phone, 'Ada’s phone')
    await finds(desk, [{ peer: phoneId, name: 'Ada’s phone' }])
    await finds(phone, [{ peer: deskId, name: 'Desk' }])
    await desk.waitForFunction((selector) => document.querySelector(selector)?.textContent === 'Ada’s phone', { timeout: WITHIN }, byTestId('nearby-device'))
    await says(desk, /^One device is here\.$/)
    await screenshots(desk, `nearby-found-${kind}`)

    // From the list to a direct connection.
    await desk.bringToFront()
    await desk.click(byTestId('nearby-connect'))
    await desk.waitForFunction((selector) => /directly/.test(document.querySelector(selector)?.textContent ?? ''), { timeout: WITHIN }, byTestId('nearby-state')).catch(async (error) => {
      throw new Error(`${error.message}: ${await textOf(desk, 'nearby-state')}\n${await ways(desk, [phoneId])}`)
    })
    await phone.waitForFunction((selector) => /directly/.test(document.querySelector(selector)?.textContent ?? ''), { timeout: WITHIN }, byTestId('nearby-state'))
    await screenshots(desk, `nearby-two-${kind}`)

    // Another name, seen by the other; a name that cannot be is refused and said.
    await nearby(phone, { name: 'Ada' })
    await finds(desk, [{ peer: phoneId, name: 'Ada' }])
    await assert.rejects(nearby(phone, { name: 'two\nlines' }), /nearby\.name/)

    await turn(phone)
    await finds(desk, [])
    assert.deepEqual(await nearby(phone), { on: false, listed: false, peers: [] }, 'who is not found does not find')
    assert.deepEqual((await nearby(stranger)).peers, [], 'nothing was ever seen from elsewhere')
    for (const page of [desk, phone, stranger]) assert.deepEqual(page.problems, [], 'the consoles are clean')
  })
}

for (const kind of ['chromium', 'firefox']) {
  test(`chromium to ${kind}: files are handed to a nearby device, whose user is asked first; nobody else can ask`, async (t) => {
    const browsers = await Promise.all([launch('chromium'), launch(kind), launch('chromium')])
    t.after(() => Promise.all(browsers.map((browser) => browser.close())))
    const [desk, phone, stranger] = await Promise.all(browsers.map((browser, index) => openApp(browser, [home, home, elsewhere][index].url)))
    await Promise.all([desk, phone, stranger].map((page) => reachable(page)))
    const [deskId, phoneId] = await Promise.all([peerId(desk), peerId(phone)])
    await nearby(desk, { name: 'Desk' })
    await nearby(phone, { name: 'Phone' })
    await finds(desk, [{ peer: phoneId, name: 'Phone' }])
    await finds(phone, [{ peer: deskId, name: 'Desk' }])
    const text = (page, id) => page.waitForSelector(byTestId(id), { timeout: WITHIN }).then(() => textOf(page, id))
    const count = (page, id) => page.$$eval(byTestId(id), (all) => all.length)

    // Chosen for a device: shared, and offered to it.
    const input = await desk.waitForSelector(byTestId('nearby-file'), { timeout: WITHIN })
    await input.evaluate((input) => {
      const chosen = new DataTransfer()
      chosen.items.add(new File(['hello from the desk'], 'hello.txt'))
      input.files = chosen.files
      input.dispatchEvent(new Event('change'))
    })
    assert.match(await text(phone, 'offer'), /^Desk offers hello\.txt, 19 bytes/)
    assert.equal(await count(phone, 'receive-card'), 0, 'nothing is fetched before the yes')
    if (kind === 'chromium') await screenshots(phone, 'offer')
    await phone.click(byTestId('offer-take'))
    await phone.waitForFunction((selector) => /complete and verified/.test(document.querySelector(selector)?.textContent ?? ''), { timeout: WITHIN }, byTestId('receive-phase')).catch(async (error) => {
      throw new Error(`${error.message}: ${await textOf(phone, 'receive-phase')}\n${await ways(phone, [deskId])}`)
    })
    assert.equal(await count(phone, 'offer'), 0)

    // From the card of what is shared already; and a no.
    await desk.bringToFront()
    await desk.click(byTestId('share-hand'))
    await text(phone, 'offer').catch(async (error) => {
      throw new Error(`${error.message}: ${await desk.$eval(byTestId('share-card'), (card) => card.textContent)}`)
    })
    await desk.waitForFunction((selector) => document.querySelector(selector)?.textContent === 'Phone was asked', { timeout: WITHIN }, byTestId('share-hand'))
    await screenshots(desk, `hand-${kind}`)
    await phone.bringToFront()
    await phone.click(byTestId('offer-leave'))
    assert.equal(await count(phone, 'offer'), 0)
    assert.equal(await count(phone, 'receive-card'), 1)

    // Who is not near cannot put anything before a person.
    await nearby(stranger, { name: 'Stranger' })
    const refused = await stranger.evaluate(async (peer) => {
      const cid = await window.shoal.publishContent('look at this')
      return window.shoal.offerContent(cid, peer).then(() => 'taken', ({ name }) => name)
    }, phoneId)
    assert.equal(refused, 'Declined')
    assert.equal(await count(phone, 'offer'), 0)
    for (const page of [desk, phone, stranger]) assert.deepEqual(page.problems, [], 'the consoles are clean')
  })
}

test('who wants to be found is found again after the relay was gone, and not after the tab is closed', async (t) => {
  const [here, there] = await Promise.all([launch('chromium'), launch('chromium')])
  t.after(() => Promise.all([here.close(), there.close()]))
  const [desk, phone] = await Promise.all([openApp(here, home.url), openApp(there, home.url)])
  const [deskId, phoneId] = await Promise.all([peerId(desk), peerId(phone)])
  await nearby(desk, true)
  await nearby(phone, { name: 'Phone' })
  await finds(desk, [{ peer: phoneId, name: 'Phone' }])
  await relay.kill()
  await finds(desk, [])
  await relay.restart()
  await finds(desk, [{ peer: phoneId, name: 'Phone' }])
  await finds(phone, [{ peer: deskId }])
  await phone.close()
  await finds(desk, [])
})

test('a relay that does not offer it: said in the panel', async (t) => {
  const other = await createRelay({ args: ['--nearby', 'off'] })
  t.after(() => other.stop())
  const browser = await launch('chromium')
  t.after(() => browser.close())
  const page = await openApp(browser, other.url)
  await reachable(page)
  await turn(page, '')
  await says(page, /does not offer this/)
})

/** The page at both widths, light and dark, nothing hanging over the right edge. */
async function screenshots(page, name) {
  const before = page.viewport()
  for (const scheme of ['light', 'dark']) {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
    for (const viewport of [{ width: 360, height: 740, deviceScaleFactor: 2 }, { width: 1_280, height: 800 }]) {
      await page.setViewport(viewport)
      const overhang = await page.evaluate(() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth)
      assert.ok(overhang <= 0, `${name} at ${viewport.width} px hangs over by ${overhang} px`)
      await page.screenshot({ path: join(RESULTS, `${name}-${scheme}-${viewport.width}.png`), fullPage: true })
    }
  }
  await page.emulateMediaFeatures([])
  await page.setViewport(before)
}

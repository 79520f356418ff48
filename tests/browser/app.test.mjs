// The app as a person uses it: drop a file, copy the link, open it in another browser, watch it come, have the picture.
// Screenshots of every state at 360 and 1,280 pixels go to tests/results, to be looked at.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { root } from '../../crates/web/build/paths.mjs'
import { byTestId, openApp, reachable, textOf } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { noisePng } from '../picture.mjs'
import { createRelay } from '../relay.mjs'
import { createTemporary } from '../temporary.mjs'

const RESULTS = join(root, 'tests', 'results')
const [WIDTH, HEIGHT] = [2_400, 2_000]
const NARROW = { width: 360, height: 740, deviceScaleFactor: 2 }
const WIDE = { width: 1_280, height: 800 }
const NOTE = 'Kettle on at four.\nBring the blue map, <b>not</b> the red one.'

let relay
let folder
let picture
before(async () => {
  await mkdir(RESULTS, { recursive: true })
  folder = await createTemporary('app')
  const bytes = noisePng(WIDTH, HEIGHT)
  picture = { path: join(folder, 'harbour at dawn.png'), size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  await writeFile(picture.path, bytes)
  // Also for other devices: one test comes from one.
  relay = await createRelay({ host: '0.0.0.0' })
})
after(async () => {
  await relay?.stop()
  await rm(folder, { recursive: true, force: true })
})

test('drop a picture, copy the link, open it elsewhere, see progress, get the picture', async (t) => {
  const [here, there] = await Promise.all([launch('chromium'), launch('chromium')])
  t.after(() => Promise.all([here.close(), there.close()]))
  const sending = await openApp(here, relay.url, { viewport: WIDE })
  await screenshots(sending, 'start')
  await drop(sending, picture.path)
  await sending.waitForSelector(byTestId('share-link'), { visible: true, timeout: 30_000 })
  const link = await copyLink(here, sending)
  assert.equal(new URL(link).search, '', 'nothing of the link but its fragment names the content')
  assert.ok((await sending.$eval(byTestId('share-qr'), (place) => place.querySelector('svg, canvas, img')?.getBoundingClientRect().width ?? 0)) > 80, 'there is a QR code')
  await screenshots(sending, 'shared')
  await reachable(sending)

  const receiving = await openApp(there, link, { viewport: NARROW, ready: false, prepare: recordProgress })
  const image = await receiving.waitForSelector(byTestId('receive-image'), { visible: true, timeout: 60_000 })
  await receiving.waitForFunction((selector) => document.querySelector(selector)?.naturalWidth > 0, { timeout: 30_000 }, byTestId('receive-image'))
  assert.deepEqual(await image.evaluate(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight]), [WIDTH, HEIGHT])
  assert.match(await textOf(receiving, 'receive-name'), /harbour at dawn\.png/)
  assert.match(await textOf(receiving, 'receive-size'), /14\.4 MB|13\.7 Mi?B/)
  assert.equal(await hashOfDownload(receiving), picture.sha256)
  const { percents, paths } = await receiving.evaluate(() => window.recorded)
  assert.ok(percents.some((percent) => percent > 0 && percent < 100), `progress was shown on the way: ${percents.join(', ')}`)
  assert.deepEqual(percents, [...percents].sort((a, b) => a - b), 'progress never goes back')
  assert.ok(paths.some((path) => /direct/i.test(path)), `the path was shown: ${paths.join(', ')}`)
  await screenshots(receiving, 'received')
  assert.deepEqual([...sending.problems, ...receiving.problems], [], 'the consoles are clean')
})

test('write a note in Chromium, read it in Firefox', async (t) => {
  const [here, there] = await Promise.all([launch('chromium'), launch('firefox')])
  t.after(() => Promise.all([here.close(), there.close()]))
  const sending = await openApp(here, relay.url, { viewport: NARROW })
  const link = await shareNote(sending, NOTE)
  await reachable(sending)
  const receiving = await openApp(there, link, { viewport: WIDE })
  await receiving.waitForSelector(byTestId('receive-text'), { timeout: 30_000 })
  assert.equal(await receiving.$eval(byTestId('receive-text'), (place) => (place.value ?? place.textContent).trim()), NOTE)
  for (const page of [sending, receiving]) await page.waitForFunction(() => /^1 browser\b/.test(document.getElementById('node-numbers').textContent), { timeout: 2_000 })
  await screenshots(receiving, 'note')
})

test('another device of the same network, by plain http, gets the note too', async (t) => {
  const address = Object.values(networkInterfaces()).flat().find(({ family, internal }) => family === 'IPv4' && !internal)?.address
  assert.ok(address, 'this machine has an address besides loopback')
  const [here, there] = await Promise.all([launch('chromium'), launch('chromium')])
  t.after(() => Promise.all([here.close(), there.close()]))
  const sending = await openApp(here, relay.url)
  const link = new URL(await shareNote(sending, NOTE))
  await reachable(sending)
  link.hostname = address
  const receiving = await openApp(there, link.href, { viewport: NARROW })
  assert.equal(await receiving.evaluate(() => window.isSecureContext), false)
  await receiving.waitForSelector(byTestId('receive-text'), { timeout: 30_000 })
  assert.equal(await receiving.$eval(byTestId('receive-text'), (place) => (place.value ?? place.textContent).trim()), NOTE)
})

test('everything is reached by keyboard and has a name', async (t) => {
  const browser = await launch('chromium')
  t.after(() => browser.close())
  const page = await openApp(browser, relay.url)
  const reached = new Set()
  for (let press = 0; press < 20; press += 1) {
    await page.keyboard.press('Tab')
    const { id, name, visible } = await page.evaluate(() => {
      const element = document.activeElement
      const box = element.getBoundingClientRect()
      return { id: element.dataset.testid, name: element.tagName, visible: box.width > 0 }
    })
    if (id) reached.add(id)
    assert.ok(visible, `${name} has the focus and no size`)
  }
  for (const id of ['file-input', 'note-input', 'note-share']) assert.ok(reached.has(id), `Tab reaches ${id}; reached: ${[...reached].join(', ')}`)
  const nameless = []
  const visit = (node) => {
    if (['button', 'link', 'textbox', 'textarea'].includes(node.role) && !node.name) nameless.push(node.role)
    node.children?.forEach(visit)
  }
  visit(await page.accessibility.snapshot())
  assert.deepEqual(nameless, [], 'a screen reader has a name for every control')
})

/** Drops a file as the mouse would. */
async function drop(page, path) {
  const session = await page.createCDPSession()
  const { x, y, width, height } = await (await page.waitForSelector(byTestId('drop-zone'), { visible: true })).boundingBox()
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await session.send('Input.dispatchDragEvent', { type, x: x + width / 2, y: y + height / 2, data: { items: [], files: [path], dragOperationsMask: 1 } })
  }
  await session.detach()
}

/** Presses "copy" and reads the clipboard. */
async function copyLink({ browser }, page) {
  await browser.defaultBrowserContext().overridePermissions(new URL(page.url()).origin, ['clipboard-read', 'clipboard-sanitized-write'])
  await page.bringToFront()
  await page.click(byTestId('share-copy'))
  const shown = await page.$eval(byTestId('share-link'), (place) => place.value ?? place.textContent)
  await page.waitForFunction(async (link) => (await navigator.clipboard.readText()) === link, { timeout: 5_000, polling: 100 }, shown)
  return shown
}

async function shareNote(page, text) {
  await page.type(byTestId('note-input'), text.replace('\n', ' '))
  await page.$eval(byTestId('note-input'), (input, text) => { input.value = text; input.dispatchEvent(new Event('input', { bubbles: true })) }, text)
  await page.click(byTestId('note-share'))
  await page.waitForSelector(byTestId('share-link'), { visible: true, timeout: 30_000 })
  return page.$eval(byTestId('share-link'), (place) => place.value ?? place.textContent)
}

/** Notes every percentage and path that the page shows, from its first moment on. */
async function recordProgress(page) {
  await page.evaluateOnNewDocument(() => {
    const recorded = (window.recorded = { percents: [], paths: [] })
    const look = () => {
      const percent = Number(document.querySelector('[data-testid="receive-progress"]')?.getAttribute('aria-valuenow') ?? NaN)
      if (!Number.isNaN(percent) && percent !== recorded.percents.at(-1)) recorded.percents.push(percent)
      const path = document.querySelector('[data-testid="receive-path"]')?.textContent.trim()
      if (path && path !== recorded.paths.at(-1)) recorded.paths.push(path)
    }
    new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
  })
}

/** The SHA-256 of what "download" saves, computed here from the bytes themselves. */
async function hashOfDownload(page) {
  await page.waitForSelector(byTestId('receive-download'), { visible: true, timeout: 10_000 })
  const base64 = await page.$eval(byTestId('receive-download'), async (link) => {
    const blob = await (await fetch(link.href)).blob()
    return new Promise((resolve) => {
      const reader = new FileReader()
      reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1))
      reader.readAsDataURL(blob)
    })
  })
  return createHash('sha256').update(Buffer.from(base64, 'base64')).digest('hex')
}

/** The page at both widths. It must fit: nothing may hang over the right edge. */
async function screenshots(page, name) {
  const before = page.viewport()
  for (const viewport of [NARROW, WIDE]) {
    await page.setViewport(viewport)
    const overhang = await page.evaluate(() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth)
    assert.ok(overhang <= 0, `${name} at ${viewport.width} px hangs over by ${overhang} px`)
    await page.screenshot({ path: join(RESULTS, `${name}-${viewport.width}.png`), fullPage: true })
  }
  await page.setViewport(before)
}

// Several tabs of the site, one node; and what they see when the tab that runs it, or the node itself, ends in the middle of things.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { beginFetch, byTestId, fetched, openApp, peerId, progressOf, publishRandom, reachable, until } from '../app.mjs'
import { KINDS, killProcess, launch } from '../browsers.mjs'
import { createRelay } from '../relay.mjs'
import { siteWithOpenWorkers, tellWorkers } from '../worker.mjs'

const SIZE = 48_000_000
/** Bytes that must be there before something is broken, and those that must still be missing. */
const [SOME, MISSING] = [6_000_000, 4_000_000]
/** Milliseconds until the next node runs. It needs some hundred; a machine that does other things, more. */
const NEXT_WITHIN = 20_000

let relay
let site
before(async () => {
  site = await siteWithOpenWorkers()
  relay = await createRelay({ webRoot: site.path })
})
after(async () => {
  await relay?.stop()
  await site?.remove()
})

for (const kind of KINDS) {
  test(`${kind}: a second tab is no second node, and all that it does goes through the first one's`, async (t) => {
    const { first, second } = await twoTabs(t, kind)
    assert.equal(await peerId(second), await peerId(first))
    assert.equal(await tellWorkers(second, 'answer'), 1, 'one worker runs')
    assert.equal((await relay.health()).reservations, 1, 'both tabs are one peer to the relay')
    await listen(second)

    // Whatever kind of content, published here or there, is there or here.
    const cids = await second.evaluate(async () => {
      const bytes = new TextEncoder().encode('bytes')
      const stream = new Blob(['a stream']).stream()
      return [await shoal.publishContent('text'), await shoal.publishContent(bytes), await shoal.publishContent(new Blob(['a blob'])), await shoal.publishContent(stream), bytes.length]
    })
    assert.equal(cids.pop(), 5, 'the buffer of the caller stays the caller’s')
    assert.deepEqual(await Promise.all(cids.map((cid) => textOf(first, cid))), ['text', 'bytes', 'a blob', 'a stream'])
    assert.equal(await textOf(second, await first.evaluate(() => shoal.publishContent('from the first'))), 'from the first')

    // Another browser gets from the second tab, and the second tab sees it.
    const other = await launch('chromium')
    t.after(() => other.close())
    const stranger = await openApp(other, relay.url)
    const content = await publishRandom(second, 2_000_000)
    await beginFetch(stranger, content)
    assert.equal((await fetched(stranger)).sha256, content.sha256)
    const [reader, seen] = await Promise.all([peerId(stranger), told(second)])
    for (const type of ['connectionOpened', 'serving']) assert.ok(seen.some((event) => event.type === type && (event.peer ?? event.connection.peer) === reader), `${type}: ${JSON.stringify(seen)}`)

    // And the second tab leaves without taking anything with it.
    await second.close()
    assert.equal(await textOf(first, cids[0]), 'text')
    assert.equal(await first.evaluate(() => shoal.peerId), content.peer)
  })

  for (const [how, end] of [
    ['is closed', (page) => page.close()],
    ['is killed', killProcess],
  ]) {
    test(`${kind}: the tab that runs the node ${how} while another one fetches: that one takes over and goes on`, async (t) => {
      const { first, second, content, kept } = await fetchingInSecond(t, kind)
      const me = await peerId(first)
      await end(first)
      const began = Date.now()
      const { reason } = await until(async () => (await told(second)).find(({ type }) => type === 'restarted'), NEXT_WITHIN, 'nobody took over')
      t.diagnostic(`taken over after ${Date.now() - began} ms: ${reason}`)
      assert.match(reason, /^(The tab that ran the node was closed|The node was started again in another tab|The tab that ran the node was closed; this tab runs it now)\.$/)
      assert.equal(await peerId(second), me, 'the same identity')
      assert.equal(await textOf(second, kept), 'kept', 'the content is still there')
      assert.equal(await tellWorkers(second, 'answer'), 1, 'one worker runs')
      await goesOn(second, content)
      await reachable(second)
    })
  }

  test(`${kind}: what can be sent only once ends with an error that says what to do`, async (t) => {
    const { first, second } = await twoTabs(t, kind)
    await second.evaluate(() => {
      const endless = new ReadableStream({ pull: async (controller) => (await new Promise((resolve) => setTimeout(resolve, 20)), controller.enqueue(new Uint8Array(200_000))) })
      const bytes = new Promise((resolve) => (window.some = resolve))
      window.publishing = shoal.publishContent(endless, { onProgress: ({ bytes }) => bytes > 0 && window.some() }).then(String, ({ name, message }) => ({ name, message }))
      return bytes
    })
    await first.close()
    const error = await second.evaluate(() => window.publishing)
    assert.equal(error.name, 'Internal', JSON.stringify(error))
    assert.match(error.message, /closed.* try again/)
    await second.evaluate(() => shoal.publishContent('again'))
  })

  test(`${kind}: the node traps: it is started again, the fetch goes on, and the app says so`, async (t) => {
    const { first, second, content, kept } = await fetchingInSecond(t, kind)
    const me = await peerId(first)
    assert.equal(await tellWorkers(first, 'trap'), 1)
    for (const page of [first, second]) {
      const { reason } = await until(async () => (await told(page)).find(({ type }) => type === 'restarted'), NEXT_WITHIN, async () => `not started again: ${JSON.stringify(await told(page))}`)
      t.diagnostic(reason)
      if (page === first) assert.match(reason, /^The node failed \(.*unreachable.*\)\.$/)
      assert.equal(await peerId(page), me, 'the same identity')
      assert.equal(await textOf(page, kept), 'kept', 'the content is still there')
      await says(page, '#notices', /was started again/)
    }
    await goesOn(second, content)
    assert.equal(await tellWorkers(first, 'answer'), 1, 'one worker runs')
    await reachable(first)
  })

  test(`${kind}: the worker ends without a word: that is noticed, and it is started again`, async (t) => {
    const { first, second } = await twoTabs(t, kind)
    for (const page of [first, second]) await listen(page)
    const me = await peerId(first)
    const kept = await first.evaluate(() => shoal.publishContent('kept'))
    assert.equal(await tellWorkers(second, 'end'), 1)
    for (const page of [first, second]) {
      const { reason } = await until(async () => (await told(page)).find(({ type }) => type === 'restarted'), NEXT_WITHIN, 'not started again')
      if (page === first) assert.equal(reason, 'The node failed (its worker ended).')
      assert.equal(await peerId(page), me)
      assert.equal(await textOf(page, kept), 'kept')
      await says(page, '#notices', /was started again/)
    }
  })

  test(`${kind}: a node that dies again and again is given up, and the app says what to do`, async (t) => {
    const { first } = await twoTabs(t, kind)
    await listen(first)
    for (let life = 1; life <= 4; life += 1) {
      assert.equal(await tellWorkers(first, 'trap'), 1)
      if (life < 4) await until(async () => (await told(first)).filter(({ type }) => type === 'restarted').length === life, NEXT_WITHIN, `not started for the ${life}th time`)
    }
    const error = await first.evaluate(() => shoal.status().then(String, ({ name, message }) => ({ name, message })))
    assert.equal(error.name, 'Internal', JSON.stringify(error))
    assert.match(error.message, /4th time within a minute\. Reload/)
    await says(first, '#node-status', /Reload the page/)
    await first.reload()
    await first.waitForSelector(byTestId('node-status'))
    await until(() => first.evaluate(() => window.shoal?.status().then(() => true)), NEXT_WITHIN, 'reloading does not help')
  })
}

/** Two tabs of one browser; the first runs the node. */
async function twoTabs(t, kind) {
  const browser = await launch(kind)
  t.after(() => browser.close())
  const first = await openApp(browser, relay.url)
  const second = await openApp(browser, relay.url)
  await reachable(second)
  return { first, second }
}

/** As `twoTabs`, and the second one has begun to fetch a file from another browser. Both listen. */
async function fetchingInSecond(t, kind) {
  const other = await launch('chromium')
  t.after(() => other.close())
  const sender = await openApp(other, relay.url)
  await reachable(sender)
  const content = await publishRandom(sender, SIZE)
  const { first, second } = await twoTabs(t, kind)
  for (const page of [first, second]) await listen(page)
  const kept = await first.evaluate(() => shoal.publishContent('kept'))
  await beginFetch(second, content)
  await until(async () => (await progressOf(second)).bytes > SOME, 60_000, async () => `hardly anything arrives: ${JSON.stringify(await progressOf(second))}`, 5)
  const { bytes } = await progressOf(second)
  assert.ok(bytes < SIZE - MISSING, `${bytes} of ${SIZE} bytes have arrived: nothing can be broken in the middle any more`)
  return { first, second, content, kept }
}

/** The fetch that was begun ends with the right bytes. */
async function goesOn(page, content) {
  const arrived = await fetched(page)
  assert.equal(arrived.sha256, content.sha256)
  assert.equal(arrived.size, SIZE)
}

/** Keeps what the page's node tells. */
function listen(page) {
  return page.evaluate(() => {
    const told = (window.told = [])
    const listen = async () => {
      for await (const event of shoal.events()) if (event.type !== 'status') told.push(event)
    }
    void listen()
  })
}

/** What it has told, apart from its status. */
const told = (page) => page.evaluate(() => window.told)

/** A content that is text, as the page reads it. */
const textOf = (page, cid) => page.evaluate(async (cid) => new TextDecoder().decode(await shoal.fetchContent(cid, { signal: AbortSignal.timeout(10_000) })), cid)

/** Waits until a part of the page shows this to a person. */
async function says(page, part, sentence) {
  const text = () => page.$eval(part, (part) => part.innerText)
  await until(async () => sentence.test(await text()), 10_000, async () => `the page does not say it: ${await text()}`)
}
